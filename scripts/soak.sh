#!/usr/bin/env bash
# make soak: what takes too long for every change. Sets up as make test does,
# with a release build; then a server floods its log before viewers who do not
# read, EMCP is killed 200 times under load, Docker is restarted under it, disks
# are filled, clients misbehave, strangers and hostile servers try to make it grow, Compose replaces EMCP, and 1,000 servers are
# registered. CYCLES=N changes how often EMCP is killed (200), SEED=N repeats
# the choices of an earlier run.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/measured.sh"

# shellcheck disable=SC2034 # prepare_measured reads it.
COMPOSE_IMAGES=("$DEBIAN_IMAGE" "$TRAEFIK_IMAGE")
# shellcheck disable=SC2119
prepare_measured
export EMCP_FAULT_CYCLES=${CYCLES:-200} EMCP_FAULT_SEED=${SEED:-}

# Both run, whatever comes of the first.
status=0
EMCP_FLOOD_LINES=100000 "$E2E_VENV/bin/python" -m pytest "$ROOT/tests/e2e/test_logs_under_load.py" || status=$?
"$E2E_VENV/bin/python" -m pytest "$ROOT/tests/faults" --soak || status=$?
"$E2E_VENV/bin/python" "$ROOT/tests/bench/capacity.py" || status=$?
((status == 0))
