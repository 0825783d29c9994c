#!/usr/bin/env bash
# make bench: sets up as make test does, with a release build, and measures.
# ROUNDS=N changes the number of rounds (10).
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/measured.sh"

prepare_measured
"$E2E_VENV/bin/python" "$ROOT/scripts/bench.py" --rounds "${ROUNDS:-10}"
