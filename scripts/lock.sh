#!/usr/bin/env bash
# Resolves the lists of Python packages anew: each NAME.in beside its NAME.txt,
# every package with its version and hashes. Without arguments only what an
# .in file asks for anew is resolved; "lock.sh --upgrade" takes newer versions.
# The lists of the servers' image have a script of their own, which this calls:
# they are for one Python, these are for all from 3.10 on.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"

uv_bin() { echo "$(venv_for "$ROOT/scripts/uv.txt")/bin/uv"; }

# No index address is written down. uv does not read pip's settings.
resolve() {
  local uv input
  uv=$(uv_bin)
  [[ -z ${PIP_INDEX_URL:-} ]] || export UV_INDEX_URL=${UV_INDEX_URL:-$PIP_INDEX_URL}
  for input in scripts/*.in tests/*/*.in base-image/tests/*.in; do
    (cd "$ROOT" && UV_NATIVE_TLS=1 "$uv" pip compile --quiet --no-config --universal --python-version 3.10 \
      --generate-hashes --no-emit-index-url --custom-compile-command scripts/lock.sh \
      "$@" "$input" --output-file "${input%.in}.txt")
  done
}

STEPS=2
check_requirements python
use_extra_ca
step 'Python packages of tests and tools' resolve "$@"
step 'Python packages of the servers' env UV="$(uv_bin)" "$ROOT/base-image/lock.sh"
