#!/usr/bin/env bash
# make coverage: how much of src/ the Rust tests run, by lines.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"

LLVM_COV_VERSION=0.9.1
TOOLS=$CACHE/cargo-llvm-cov-$LLVM_COV_VERSION
REPORT=$CACHE/coverage/lcov.info
cd "$ROOT"

# rustc writes down what ran in the form of the LLVM that it is built with; the
# tools that read it must be of the same major version.
find_llvm() {
  local major host
  major=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
  host=$(rustc -vV | sed -n 's/^host: //p')
  # cargo-llvm-cov finds these by itself.
  [[ ! -x $(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata ]] || return 0
  if have rustup && rustup component add llvm-tools; then return 0; fi
  if ! have "llvm-profdata-$major" && can_install; then
    apt-get update || true
    if apt_has "llvm-$major"; then apt_install "llvm-$major"; fi
    hash -r
  fi
  if ! have "llvm-profdata-$major"; then
    die "what the tests ran cannot be read: llvm-profdata and llvm-cov of LLVM $major are missing, and neither rustup nor apt could install them.
Install them (rustup component add llvm-tools, or the package llvm-$major), then run make $COMMAND again."
  fi
  LLVM_COV=$(command -v "llvm-cov-$major") LLVM_PROFDATA=$(command -v "llvm-profdata-$major")
  export LLVM_COV LLVM_PROFDATA
  detail "$LLVM_COV"
}

ensure_llvm_cov() {
  on_failure 'cargo could not install cargo-llvm-cov; see to its access to crates.io.'
  if [[ ! -x $TOOLS/bin/cargo-llvm-cov ]]; then
    cargo install cargo-llvm-cov --version "$LLVM_COV_VERSION" --locked --root "$TOOLS"
  fi
  export PATH=$TOOLS/bin:$PATH
}

run_tests() {
  on_failure 'a test failed, or did not compile.'
  mkdir -p "${REPORT%/*}"
  cargo llvm-cov --locked --lcov --output-path "$REPORT"
}

STEPS=4
check_requirements build python
use_extra_ca
step 'requirements' install_requirements build python
step 'tools that read what ran' find_llvm
step 'cargo-llvm-cov' ensure_llvm_cov
step 'the Rust tests (minutes, the first time)' run_tests
python3 scripts/coverage.py "$REPORT" "$ROOT/src" "$@"
