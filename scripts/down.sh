#!/usr/bin/env bash
# make down: stops Traefik and EMCP and keeps all data, so that make up goes on
# where this left off. The servers' containers go on running, though nobody can
# reach them, and the next make up takes them over without a restart; with
# SERVERS=1 they are stopped too, and started again by the next make up.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"

STEPS=1
[[ -n ${SERVERS:-} ]] && STEPS=2

lock_machine
if ! engine_find; then
  echo 'No Docker Engine answers, so nothing of EMCP runs.'
  exit 0
fi
compose_find || die 'Docker Compose is missing (the docker compose plugin, or docker-compose 1.29 or newer).'

stop_servers() {
  docker ps -q --filter "label=emcp.instance=$EMCP_INSTANCE" | xargs -r "$DOCKER" stop --time 5
}

step 'stop Traefik and EMCP' compose down --remove-orphans
[[ -n ${SERVERS:-} ]] && step 'stop the MCP servers' stop_servers

left=$(docker ps -q --filter "label=emcp.instance=$EMCP_INSTANCE" | wc -l)
((left > 0)) && echo "$left MCP server(s) keep running, out of reach until the next make up; make down SERVERS=1 stops them too."
echo "The data is kept in $EMCP_DATA_DIR."
