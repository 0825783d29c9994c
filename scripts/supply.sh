#!/usr/bin/env bash
# What EMCP is made of, looked over:
#   supply.sh crates             licences, versions, sources and known holes of the crates (deny.toml)
#   supply.sh secrets [FOLDER]   what looks like a secret in the tree, or in a folder
# Needs the programs of tests/lint/requirements.txt on the PATH; make lint runs
# it so. Neither sends anything anywhere.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

crates() {
  cd "$root"
  cargo-deny --locked check licenses bans sources
  # Advisories come from a repository of their own, which not every machine may
  # reach; what was fetched before is used then.
  if timeout 60 cargo-deny --locked fetch db >/dev/null 2>&1 ||
    [[ -n $(find "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs" -maxdepth 2 -name crates -print -quit 2>/dev/null) ]]; then
    cargo-deny --locked check --disable-fetch advisories
  else
    echo 'advisories NOT CHECKED: the RustSec advisory database cannot be reached from here'
  fi
}

# A finding is no secret after all? Say why on its line, behind "kingfisher:ignore".
secrets() {
  local target=${1:-$root} status=0
  export KF_RULE_CACHE_DIR=${KF_RULE_CACHE_DIR:-${EMCP_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/emcp}/kingfisher}
  kingfisher scan "$target" --rules-path "$root/tests/lint/rules" --git-history none \
    --no-validate --no-update-check --confidence low --redact --quiet || status=$?
  if ((status == 0)); then
    echo 'no secret was found'
  else
    echo "secrets: see above (kingfisher ended with $status)"
  fi
  return "$status"
}

case ${1:-} in
  crates) crates ;;
  secrets) secrets "${2:-}" ;;
  *) sed -n '2,6p' "$0" && exit 64 ;;
esac
