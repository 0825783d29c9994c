#!/usr/bin/env bash
# make dev: EMCP from source on the host, beside a Traefik of its own, apart
# from an installation by "make up": instance, network, ports and data differ.
# A change of the source is built, and once it compiles EMCP is restarted; the
# servers' containers go on. Ctrl-C ends EMCP, its broker and Traefik; data stays in the
# cache until make clean.
# Functions here are called by "step" and by a trap, which shellcheck cannot see.
# shellcheck source-path=SCRIPTDIR disable=SC2317
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"
source "$ROOT/scripts/images.sh"
source "$ROOT/scripts/platform.sh"

# The settings of the installation are not those of development.
EMCP_INSTANCE=$EMCP_INSTANCE-dev
EMCP_DATA_DIR=${EMCP_DEV_DATA_DIR:-$CACHE/dev}
EMCP_NETWORK=$EMCP_NETWORK-dev
EMCP_SUBNET=${EMCP_DEV_SUBNET:-10.213.16.0/20}
EMCP_INTERNAL_SUBNET=${EMCP_DEV_INTERNAL_SUBNET:-$(twin_subnet "$EMCP_SUBNET")}
# Only root could install it, and developing is for everybody.
export EMCP_FIREWALL=off
EMCP_HTTPS_PORT=${EMCP_DEV_HTTPS_PORT:-9443}
EMCP_HTTP_PORT=${EMCP_DEV_HTTP_PORT:-9080}
EMCP_PUBLIC_URL=https://localhost:$EMCP_HTTPS_PORT EMCP_SERVERS_URL=
EMCP_LISTEN=127.0.0.1:${EMCP_DEV_PORT:-9001}
EMCP_INTERNAL_LISTEN=127.0.0.1:${EMCP_DEV_INTERNAL_PORT:-9002}
export EMCP_LISTEN EMCP_INTERNAL_LISTEN
export EMCP_UPSTREAM_URL=http://$EMCP_LISTEN
export EMCP_INTERNAL_URL=http://$EMCP_INTERNAL_LISTEN
export EMCP_HTTPS_ADDRESS=127.0.0.1:$EMCP_HTTPS_PORT
export EMCP_HTTP_ADDRESS=127.0.0.1:$EMCP_HTTP_PORT
export EMCP_TRAEFIK_TEMPLATE=$ROOT/traefik/traefik.yml
unset EMCP_TLS_CERT_FILE EMCP_TLS_KEY_FILE EMCP_TLS_CERT_RESOLVER

BROKER_PID='' EMCP_PID='' TRAEFIK_PID=''

cleanup() {
  local pid
  for pid in "$EMCP_PID" "$BROKER_PID" "$TRAEFIK_PID"; do
    [[ -n $pid ]] && kill "$pid" 2>/dev/null
  done
  wait
}

prepare_dev() {
  prepare_host
  EMCP_DOCKER_HOST=unix://$EMCP_DOCKER_SOCKET
  # As in an installation EMCP has the engine through a broker.
  EMCP_BROKER=$EMCP_DATA_DIR/broker/socket
  export EMCP_DOCKER_HOST EMCP_BROKER
}

ensure_traefik() {
  TRAEFIK_BIN=$("$ROOT/scripts/traefik-bin.sh")
}

healthy_quietly() { platform_healthy 2>/dev/null; }

start_emcp() {
  # It takes no file of settings.
  env -u EMCP_CONFIG "$EMCP_BIN" broker &
  BROKER_PID=$!
  "$EMCP_BIN" serve &
  EMCP_PID=$!
}

restart_emcp() {
  kill "$EMCP_PID" "$BROKER_PID" 2>/dev/null || true
  wait "$EMCP_PID" "$BROKER_PID" || true
  start_emcp
}

# The newest change among what the binary is made of. ui/ is read from disk by
# a debug build, so it needs no build.
newest_change() {
  find "$ROOT/src" "$ROOT/traefik/traefik.yml" "$ROOT/Cargo.toml" "$ROOT/Cargo.lock" \
    -type f -printf '%T@ %p\n' |
    awk '$1 > newest { newest = $1; line = $0 } END { print line }'
}

watch() {
  local seen now
  seen=$(newest_change)
  while kill -0 "$TRAEFIK_PID" 2>/dev/null; do
    now=$(newest_change)
    if [[ $now != "$seen" ]]; then
      seen=$now
      printf '\n==> %s changed, building\n' "${now#* "$ROOT"/}"
      if (cd "$ROOT" && cargo build --locked --bin emcp); then restart_emcp; fi
    fi
    sleep 1
  done
  die "Traefik ended by itself; its log is $CACHE/dev-traefik.log."
}

STEPS=8
lock_machine
check_requirements engine build python
use_extra_ca

step 'requirements' install_requirements engine build python
step 'Docker Engine' ensure_engine
step 'ports, data directory, networks' prepare_dev
step 'image to build on' ensure_images "$PYTHON_IMAGE"
step 'base image of the servers' build_base_image
step 'Traefik' ensure_traefik
step 'modules of the dashboard' "$ROOT/scripts/ui.sh"
step 'EMCP, debug build (minutes, the first time)' build_binary debug
unlock_machine

"$EMCP_BIN" init
start_emcp
"$TRAEFIK_BIN" --configFile="$EMCP_DATA_DIR/traefik/traefik.yml" >"$CACHE/dev-traefik.log" 2>&1 &
TRAEFIK_PID=$!
wait_until 60 healthy_quietly || die "EMCP does not answer through Traefik; see above, and $CACHE/dev-traefik.log."
print_welcome
printf '\nA change of the source is built and taken up. Ctrl-C ends all.\n\n'
watch
