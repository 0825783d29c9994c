#!/usr/bin/env bash
# make bench: sets up as make test does, with a release build, and measures
# upload to first answer. ROUNDS=N changes the number of rounds (10). Then what
# the gate costs: its decision alone, and through Traefik, which takes wrk.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/measured.sh"

prepare_measured wrk

# All run, whatever comes of one.
status=0
"$E2E_VENV/bin/python" "$ROOT/scripts/bench.py" --rounds "${ROUNDS:-10}" || status=$?
(cd "$ROOT" && cargo bench --locked --bench gate_decision) || status=$?
"$E2E_VENV/bin/python" "$ROOT/tests/bench/gate.py" || status=$?
((status == 0))
