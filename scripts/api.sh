#!/usr/bin/env bash
# Writes what follows from the API's handlers and types: docs/openapi.json, and
# made of that the dashboard's types, ui/lib/documents.d.ts. "api.sh check" only
# says whether the second is what the first makes; the same of the first says a
# Rust test.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/node.sh"

LINT=$ROOT/tests/lint

describe() {
  on_failure 'the API could not be described; what the compiler or the test says is above.'
  EMCP_WRITE_OPENAPI=1 cargo test --locked --lib the_description_is_the_one_in_docs
}

fetch_generator() {
  ensure_node
  on_failure 'npm could not fetch openapi-typescript; with a company registry, set npm_config_registry.'
  # npm writes this file last.
  if [[ ! $LINT/node_modules/.package-lock.json -nt $LINT/package-lock.json ]]; then
    npm ci --prefix "$LINT" --ignore-scripts --no-audit --no-fund
  fi
}

generate() {
  node "$LINT/node_modules/openapi-typescript/bin/cli.js" docs/openapi.json --output ui/lib/documents.d.ts "$@"
}

cd "$ROOT"
if [[ ${1:-} == check ]]; then
  generate --check || die 'ui/lib/documents.d.ts is not what docs/openapi.json makes; run scripts/api.sh'
  exit
fi

STEPS=3
use_extra_ca
step 'docs/openapi.json' describe
step 'generator of types' fetch_generator
step 'ui/lib/documents.d.ts' generate
