#!/usr/bin/env bash
# make soak: what takes too long for every change. Sets up as make test does,
# with a release build; then the programs that people connect with do so, each
# installed for it, a server floods its log before viewers who do not read, the
# API is held against its description by more made-up requests, EMCP is killed
# 200 times under load, Docker is restarted under it, disks are filled,
# clients misbehave, strangers and hostile servers try to make it grow, Compose
# replaces EMCP, 1,000 servers are registered, and 2,000 random sequences of
# faults are tried in memory. CYCLES=N changes how often EMCP is killed (200),
# SEED=N repeats the choices of an earlier run.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/measured.sh"
source "$ROOT/scripts/node.sh"

# shellcheck disable=SC2034 # prepare_measured reads it.
COMPOSE_IMAGES=("$DEBIAN_IMAGE" "$TRAEFIK_IMAGE")
MORE_STEPS=1
# shellcheck disable=SC2119
prepare_measured
step 'Node' ensure_node
export EMCP_FAULT_CYCLES=${CYCLES:-200} EMCP_FAULT_SEED=${SEED:-}

# All run, whatever comes of the first.
status=0
"$E2E_VENV/bin/python" -m pytest "$ROOT/tests/clients" || status=$?
EMCP_FLOOD_LINES=100000 "$E2E_VENV/bin/python" -m pytest "$ROOT/tests/e2e/test_logs_under_load.py" || status=$?
EMCP_CONTRACT_EXAMPLES=50 "$E2E_VENV/bin/python" -m pytest "$ROOT/tests/e2e/test_contract.py" || status=$?
"$E2E_VENV/bin/python" -m pytest "$ROOT/tests/faults" --soak || status=$?
"$E2E_VENV/bin/python" "$ROOT/tests/bench/capacity.py" || status=$?
EMCP_RANDOM_SEQUENCES=500 cargo test --locked --lib tests::random || status=$?
((status == 0))
