#!/usr/bin/env bash
# Lays the dashboard's third-party modules into ui/vendor/, which is ignored by
# git. Does nothing when they are there and nothing they are made of changed.
# "ui.sh packages" fetches the packages too where only the modules are there:
# the type checker reads them.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/node.sh"

UI=$ROOT/ui
STAMP=$UI/vendor/.stamp

made_of() {
  cat "$UI/package.json" "$UI/package-lock.json" "$ROOT/scripts/ui-vendor.mjs" | sha256sum | cut -c 1-64
}

is_current() { [[ -f $STAMP && $(<"$STAMP") == "$(made_of)" ]]; }
has_packages() { [[ -f $UI/node_modules/.package-lock.json ]]; }

fetch_packages() {
  ensure_node
  on_failure 'npm could not fetch the packages of the dashboard; with a company registry, set npm_config_registry.'
  npm ci --prefix "$UI" --ignore-scripts --no-audit --no-fund
}

build_vendor() {
  ensure_node
  node "$ROOT/scripts/ui-vendor.mjs"
  # Written last, so that a build that was cut is done again.
  made_of >"$STAMP"
}

# One at a time: the second finds everything done.
exec 8>"$CACHE/ui.lock"
flock 8

if is_current && { [[ ${1:-} != packages ]] || has_packages; }; then
  echo 'ui/vendor is up to date'
  exit
fi

STEPS=2
check_requirements python
use_extra_ca
step 'packages of the dashboard' fetch_packages
step 'ui/vendor' build_vendor
