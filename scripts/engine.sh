# shellcheck shell=bash
# Docker Engine and Compose: find, start where none answers, stop what was
# started here. Sourced after lib.sh and host.sh.

DOCKER=docker COMPOSE=() COMPOSE_FILES=(-f "$ROOT/compose/compose.yml") ENGINE_ERROR=''

docker() { command "$DOCKER" "$@"; }

# Takes the first client on the PATH that gets an answer. There may be several,
# and a new client refuses to talk to an old engine.
engine_find() {
  local client
  ENGINE_ERROR=''
  while IFS= read -r client; do
    if ENGINE_ERROR=$(timeout 20 "$client" version --format '{{.Server.Version}}' 2>&1 >/dev/null); then
      DOCKER=$client
      return 0
    fi
  done < <(type -aP docker | awk '!seen[$0]++')
  return 1
}

engine_problem() {
  if [[ $ENGINE_ERROR == *'permission denied'* ]]; then
    echo "access to the Docker Engine for user $(id -un) (as root: usermod -aG docker $(id -un), then log in again)"
  elif [[ -n ${DOCKER_HOST:-} ]]; then
    echo "a Docker Engine that answers on DOCKER_HOST=$DOCKER_HOST"
  else
    echo 'a Docker Engine that answers (docker version)'
  fi
}

compose_find() {
  ((${#COMPOSE[@]} == 0)) || return 0
  if docker compose version >/dev/null 2>&1; then
    COMPOSE=("$DOCKER" compose)
  elif docker-compose version >/dev/null 2>&1; then
    COMPOSE=(docker-compose)
  else
    return 1
  fi
}

# Compose takes no capitals or dots in a project's name.
compose_project() {
  local project=${EMCP_INSTANCE,,}
  echo "${project//./-}"
}

compose() { "${COMPOSE[@]}" -p "$(compose_project)" "${COMPOSE_FILES[@]}" "$@"; }

# The path of the engine's socket, which the emcp container mounts.
engine_socket() {
  local host=${DOCKER_HOST:-}
  [[ -n $host ]] || host=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null) || host=''
  case $host in
    '') echo /var/run/docker.sock ;;
    unix://*) echo "${host#unix://}" ;;
    *) die "the Docker Engine is at $host, but EMCP in a container needs the socket of an engine on this machine (unix://…)." ;;
  esac
}

ensure_engine() {
  if ! engine_find; then
    case ${DOCKER_HOST:-unix:} in
      unix:*) ;;
      *) die "no Docker Engine answers on DOCKER_HOST=$DOCKER_HOST." ;;
    esac
    is_root || die "$(engine_problem) is needed."
    on_failure "see what the engine said in $STATE_DIR/dockerd.log or with journalctl -u docker, or start Docker by hand and run make $COMMAND again."
    if [[ -d /run/systemd/system && -z ${DOCKER_HOST:-} ]]; then
      systemctl enable --now docker
      detail 'started by systemd'
    else
      start_dockerd
      detail "started, log in $STATE_DIR/dockerd.log"
    fi
    wait_until 60 engine_answers_or_ended || true
    engine_find || dockerd_failed
  fi
  compose_find || die 'Docker Compose is missing (the docker compose plugin, or docker-compose 1.29 or newer).'
  docker version --format 'client {{.Client.Version}}, engine {{.Server.Version}}, API {{.Server.APIVersion}}'
  detail "${STEP_DETAIL:-$(docker version --format '{{.Server.Version}}') answers}"
}

# Where no init system looks after services, the engine runs by itself, outlives
# this script, and is stopped by make clean. EMCP_DOCKERD_ARGS adds arguments.
start_dockerd() {
  local arguments=()
  mkdir -p "$STATE_DIR"
  forget_dead_engine
  [[ -n ${DOCKER_HOST:-} ]] && arguments+=(--host "$DOCKER_HOST")
  if [[ -n ${EMCP_DOCKERD_ARGS:-} ]]; then
    # Words on purpose: it is a list of arguments.
    # shellcheck disable=SC2206
    arguments+=($EMCP_DOCKERD_ARGS)
  fi
  setsid nohup dockerd "${arguments[@]}" >"$STATE_DIR/dockerd.log" 2>&1 </dev/null 3>&- 4>&- 7>&- &
  echo $! >"$STATE_DIR/dockerd.pid"
}

# dockerd_argument NAME DEFAULT: what EMCP_DOCKERD_ARGS says of it.
dockerd_argument() {
  local word found=$2 next=no
  for word in ${EMCP_DOCKERD_ARGS:-}; do
    [[ $next == no ]] || found=$word
    next=no
    case $word in
      "$1") next=yes ;;
      "$1"=*) found=${word#*=} ;;
    esac
  done
  echo "$found"
}

# A daemon that was killed leaves the numbers of its process and of its
# containerd behind. The next one refuses to start while a process has the one,
# whichever that is, and waits for the end of the other, which nobody may ever
# reap.
forget_dead_engine() {
  forget_dead_process dockerd "$(dockerd_argument --pidfile "$(dockerd_argument -p /var/run/docker.pid)")"
  forget_dead_process containerd "$(dockerd_argument --exec-root /var/run/docker)/containerd/containerd.pid"
}

# forget_dead_process NAME FILE
forget_dead_process() {
  local pid
  [[ -f $2 ]] || return 0
  pid=$(tr -cd 0-9 <"$2")
  if [[ -n $pid && $(cat "/proc/$pid/comm" 2>/dev/null) == "$1" ]] && ! process_gone "$pid"; then
    echo "$2: $1 runs as process $pid and does not answer"
    return 0
  fi
  echo "removing $2: process ${pid:-of no number} is no $1"
  rm -f "$2"
}

our_dockerd() {
  local pid
  [[ -f $STATE_DIR/dockerd.pid ]] || return 1
  pid=$(<"$STATE_DIR/dockerd.pid")
  # The number may have gone to another process since.
  [[ $(cat "/proc/$pid/comm" 2>/dev/null) == dockerd ]] && ! process_gone "$pid" && echo "$pid"
}

# Ends the waiting at once when the engine started here has given up.
engine_answers_or_ended() {
  engine_find && return 0
  [[ -f $STATE_DIR/dockerd.pid ]] && process_gone "$(<"$STATE_DIR/dockerd.pid")"
}

dockerd_failed() {
  echo 'no answer from the engine; its last lines:'
  tail -n 20 "$STATE_DIR/dockerd.log" 2>/dev/null
  return 1
}

stop_our_dockerd() {
  local pid
  if ! pid=$(our_dockerd); then
    rm -f "$STATE_DIR/dockerd.pid" "$STATE_DIR/dockerd.log"
    return 0
  fi
  if [[ -n $(docker ps -q) ]]; then
    detail 'kept running: it has containers that are not ours'
    return 0
  fi
  kill "$pid"
  wait_until 30 process_gone "$pid"
  rm -f "$STATE_DIR/dockerd.pid" "$STATE_DIR/dockerd.log"
  detail "stopped process $pid"
}

# Gone, or dead and only not yet noticed by its parent.
process_gone() { ! grep -qsE '^State:[[:space:]]+[^ZX[:space:]]' "/proc/$1/status"; }
