# shellcheck shell=bash
# Node.js for the tests of the TypeScript client. Sourced after host.sh.

NODE_WANTED=20

node_works() {
  local version
  version=$(node --version 2>/dev/null) || return 1
  version=${version#v}
  ((${version%%.*} >= NODE_WANTED)) && npm --version >/dev/null 2>&1
}

# Debian 12 has Node 18, too old for the client. PyPI carries Node's own
# binaries; they go to the cache and not to the system.
ensure_node() {
  if ! node_works; then
    local requirements=$ROOT/scripts/node.txt venv
    venv=$(venv_for "$requirements")
    PATH=$venv/bin:$PATH
    hash -r
    node_works || die "Node $NODE_WANTED or newer with npm is missing and could not be fetched from PyPI ($STEP_LOG). Install it, then run make $COMMAND again."
  fi
  detail "$(node --version)"
}
