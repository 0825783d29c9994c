# shellcheck shell=bash
# The platform as containers: data directory, network, Traefik and EMCP.
# Sourced after engine.sh and images.sh.

# What the four containers carry. Not emcp.instance: EMCP removes containers
# with its instance label that it does not know.
PLATFORM_LABEL=emcp.platform

data_dir_owner() { stat -c %u "$EMCP_DATA_DIR"; }

prepare_host() {
  check_subnets
  [[ $EMCP_DATA_DIR == /* ]] || die "EMCP_DATA_DIR must be an absolute path, because Docker mounts from it: $EMCP_DATA_DIR"
  if ! mkdir -p "$EMCP_DATA_DIR" 2>/dev/null || [[ ! -w $EMCP_DATA_DIR ]]; then
    die "user $(id -un) cannot write the data directory $EMCP_DATA_DIR. Make it writable, or set EMCP_DATA_DIR to one that is."
  fi
  chmod 0700 "$EMCP_DATA_DIR"
  # Made here, so that the engine does not make them as root.
  mkdir -p "$EMCP_DATA_DIR"/{traefik,acme,sockets,broker}
  # The containers run as the owner of the data: without capabilities not even
  # root may read another user's files.
  EMCP_UID=$(stat -c %u "$EMCP_DATA_DIR") EMCP_GID=$(stat -c %g "$EMCP_DATA_DIR")
  EMCP_DOCKER_SOCKET=$(engine_socket)
  EMCP_DOCKER_GID=$(stat -Lc %g "$EMCP_DOCKER_SOCKET")
  export EMCP_UID EMCP_GID EMCP_DOCKER_SOCKET EMCP_DOCKER_GID
  check_ports
  check_data_dir
  keep_network_name
  ensure_network "$EMCP_NETWORK" "$EMCP_SUBNET" EMCP_SUBNET
  ensure_network "$EMCP_NETWORK-internal" "$EMCP_INTERNAL_SUBNET" EMCP_INTERNAL_SUBNET --internal
  detail "$EMCP_DATA_DIR"
}

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port that our own Traefik publishes is not taken.
check_ports() {
  local name port ours
  ours=$(docker ps -q --filter "label=$PLATFORM_LABEL=$EMCP_INSTANCE" | xargs -r -n 1 "$DOCKER" port 2>/dev/null) || ours=''
  for name in EMCP_HTTPS_PORT EMCP_HTTP_PORT; do
    port=${!name}
    if ! [[ $port =~ ^[0-9]{1,5}$ ]] || ((port < 1 || port > 65535)); then
      die "$name is not a port: $port"
    fi
    grep -q ":$port\$" <<<"$ours" && continue
    if port_answers "$port"; then
      die "port $port is taken by another program. Free it, or choose another: make $COMMAND $name=PORT"
    fi
  done
}

# Two platforms cannot share a data directory, and would take each other's
# containers for their own.
check_data_dir() {
  local other
  other=$(docker ps -aq --filter "label=$PLATFORM_LABEL" | xargs -r "$DOCKER" inspect \
    --format "{{\$of := index .Config.Labels \"$PLATFORM_LABEL\"}}{{range .Mounts}}{{\$of}} {{.Source}}{{println}}{{end}}" |
    awk -v own="$EMCP_INSTANCE" -v dir="$EMCP_DATA_DIR" '$1 != own && substr($0, length($1) + 2) == dir { print $1; exit }')
  [[ -z $other ]] || die "the data directory $EMCP_DATA_DIR belongs to the installation $other. Choose another: make $COMMAND EMCP_DATA_DIR=…"
}

network_instance() {
  local found
  found=$(docker network inspect --format '{{index .Labels "emcp.instance"}}' "$1" 2>/dev/null) || found=''
  echo "$found"
}

# Networks did not always carry the instance in their default name: one that is
# there stays in use.
keep_network_name() {
  if [[ -z $NETWORK_GIVEN && -z $(network_instance "$EMCP_NETWORK") && $(network_instance mcp-net) == "$EMCP_INSTANCE" ]]; then
    EMCP_NETWORK=mcp-net
  fi
}

# EMCP hands out addresses of the network itself; the engine keeps what is its
# own for Traefik and others.
# ensure_network NAME SUBNET SETTING OPTION…
ensure_network() {
  local name=$1 subnet=$2 setting=$3 present owner
  shift 3
  owner=$(network_instance "$name")
  [[ -z $owner || $owner == "$EMCP_INSTANCE" ]] ||
    die "the Docker network $name belongs to the installation $owner. Choose another: make $COMMAND EMCP_NETWORK=…"
  present=$(docker network inspect --format '{{(index .IPAM.Config 0).Subnet}}' "$name" 2>/dev/null) || present=''
  if [[ $present == "$subnet" ]]; then
    return
  elif [[ -n $present ]]; then
    die "the Docker network $name exists with subnet $present, but $setting is $subnet. Set $setting=$present, or remove the network (docker network rm $name)."
  fi
  on_failure "the network could not be made. If its addresses clash with another network, choose others: make $COMMAND $setting=10.214.0.0/20"
  docker network create --label "emcp.instance=$EMCP_INSTANCE" \
    --subnet "$subnet" --ip-range "$(docker_range "$subnet")" "$@" "$name"
}

# --- check, start, go back ---------------------------------------------------

GOING_BACK=no TRAEFIK_CHANGES=no CERTIFICATE=${EMCP_TLS_CERT_FILE:-}
declare -A RESTARTS=()

container_image() { docker container inspect --format '{{.Image}}' "$1" 2>/dev/null | grep . || true; }

# What make up goes back to if the new one does not get ready: image, settings
# and compose.yml of the last one that did. It holds what the settings hold,
# secrets too, and lies where EMCP cannot write: root runs what is in it.
good_dir() {
  local of
  # Of the one that runs, which may have had its data elsewhere.
  of=$(docker container inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$EMCP_INSTANCE" 2>/dev/null |
    sed -n 's/^EMCP_DATA_DIR=//p') || of=''
  of=${of:-$EMCP_DATA_DIR}
  # Where it was before there was a broker, until the first start with one.
  if [[ ! -e $of/broker/last-good && -e $of/last-good ]] && ! broker_container_present; then
    echo "$of/last-good"
  else
    echo "$of/broker/last-good"
  fi
}

broker_container_present() { docker container inspect "$EMCP_INSTANCE-broker" >/dev/null 2>&1; }

# A setting that nothing reads is most likely one whose name has a typo.
tell_unknown_settings() {
  local name known
  [[ -f $ROOT/compose/.env ]] || return 0
  known=$(compose_variables "$ROOT"/compose/{compose.yml,.env.example} "$ROOT"/scripts/*.sh)
  sed -nE 's/^[[:space:]]*(EMCP_[A-Za-z0-9_]*)=.*/\1/p' "$ROOT/compose/.env" | while IFS= read -r name; do
    grep -qxF -- "$name" <<<"$known" || echo "compose/.env: nothing knows the setting $name; see compose/.env.example."
  done
}

# Where memory runs short the platform is to outlive the servers. Not every
# engine may see to that: one without root may not, nor one in a sandbox.
settle_oom_score() {
  local try=("$DOCKER" run --rm --network none)
  [[ -z ${EMCP_OOM_SCORE_ADJ:-} ]] || return 0
  ! "${try[@]}" --oom-score-adj -500 "$EMCP_IMAGE" --version >/dev/null 2>&1 || return 0
  # It may be something else that fails, which the next step tells.
  "${try[@]}" "$EMCP_IMAGE" --version >/dev/null 2>&1 || return 0
  export EMCP_OOM_SCORE_ADJ=0
  echo 'the engine may not lower oom_score_adj; EMCP and Traefik run with 0.'
}

run_once() { compose run --rm --no-deps -T emcp "$@"; }

# The new EMCP with the new settings says whether it would start. It changes
# nothing, and does not mind the one that serves.
check_platform() {
  local running=''
  GOOD_DIR=$(good_dir)
  on_failure "EMCP would not start so, and nothing was changed: what ran goes on. Correct what is named above, then run make $COMMAND again."
  settle_oom_score
  ask_platform
  if [[ -z $EMCP_TRAEFIK_CONFIG ]]; then
    # A first start: a part of Traefik's configuration is yet to be made.
    run_once init
    EMCP_TRAEFIK_CONFIG=$(sha256sum <"$EMCP_DATA_DIR/traefik/traefik.yml" | cut -c 1-64)
  fi
  export EMCP_TRAEFIK_CONFIG
  if running=$(docker container inspect --format '{{index .Config.Labels "emcp.traefik-config"}}' "$EMCP_INSTANCE-traefik" 2>/dev/null) &&
    [[ $running == "$EMCP_TRAEFIK_CONFIG" ]]; then
    detail 'EMCP would start so'
    return
  fi
  TRAEFIK_CHANGES=yes
  if [[ -n $(container_image "$EMCP_INSTANCE-traefik") ]]; then
    detail "Traefik's own configuration has changed: Traefik is replaced, which ends open streams and refuses calls for a second or two"
  fi
}

ask_platform() {
  local said
  said=$(run_once serve --check) || {
    echo "$said"
    # Whoever uses Compose by hand is to find the image that works.
    ! image_present "$GOOD_IMAGE" || use_good_image
    return 1
  }
  echo "$said"
  EMCP_TRAEFIK_CONFIG=$(sed -n 's/^traefik-config: //p' <<<"$said")
  CERTIFICATE=$(sed -n 's/^certificate: //p' <<<"$said")
}

start_platform() {
  on_failure "see the log of the containers: docker logs $EMCP_INSTANCE; docker logs $EMCP_INSTANCE-traefik"
  note_restarts
  : >"$LOG_DIR/.start"
  ! image_present "$GOOD_IMAGE" || GOING_BACK=possible
  if [[ $TRAEFIK_CHANGES == yes ]]; then
    # Written while the running Traefik has the other still, so that one which
    # it refuses costs nobody a call.
    run_once init
    try_traefik
  fi
  bring_up
}

# Compose waits without end for a container that is restarted again and again.
bring_up() {
  local pid status=0 deadline=$((SECONDS + ${EMCP_READY_TIMEOUT_SECS:-120}))
  # The program itself and no function of this shell, so that it can be ended.
  "${COMPOSE[@]}" -p "$(compose_project)" "${COMPOSE_FILES[@]}" up -d --remove-orphans &
  pid=$!
  until process_gone "$pid"; do
    if platform_fails || ((SECONDS >= deadline)); then
      kill "$pid" 2>/dev/null || true
      wait_until 10 process_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
      break
    fi
    sleep 0.2
  done
  wait "$pid" || status=$?
  ((status == 0)) || platform_logs
  return "$status"
}

# Nothing, rather than an empty line, where there is no such container.
container_restarts() { docker container inspect --format '{{.Id}} {{.RestartCount}}' "$1" 2>/dev/null | grep .; }

# What has failed till now is no sign of what comes. note_restarts MORE: nor is
# what is there now when it fails that often again.
note_restarts() {
  local more=${1:-0} name id count
  for name in "$EMCP_INSTANCE" "$EMCP_INSTANCE-broker" "$EMCP_INSTANCE-traefik"; do
    read -r id count < <(container_restarts "$name") || continue
    RESTARTS[$id]=$((count + more))
  done
}

# Whether EMCP, its broker or Traefik has ended again and again since then.
platform_fails() {
  local name id count
  for name in "$EMCP_INSTANCE" "$EMCP_INSTANCE-broker" "$EMCP_INSTANCE-traefik"; do
    read -r id count < <(container_restarts "$name") || continue
    if ((count >= ${RESTARTS[$id]:-0} + 3)); then
      echo "$name has ended $count times"
      return 0
    fi
  done
  return 1
}

# Traefik ends at once where it does not understand its configuration; it has no
# command that says so beforehand.
try_traefik() {
  local name=$EMCP_INSTANCE-traefik-trial
  docker rm --force "$name" >/dev/null 2>&1 || true
  docker run --detach --name "$name" --label "$PLATFORM_LABEL=$EMCP_INSTANCE" --network none --read-only \
    --tmpfs /tmp --tmpfs /acme:mode=1777 --cap-drop ALL --cap-add NET_BIND_SERVICE --security-opt no-new-privileges:true \
    --user "$EMCP_UID:$EMCP_GID" --volume "$EMCP_DATA_DIR/traefik:/etc/traefik:ro" \
    "${EMCP_TRAEFIK_IMAGE:-$TRAEFIK_IMAGE}" --configFile=/etc/traefik/traefik.yml
  # One that neither answers nor ends has at least understood it.
  wait_until 20 trial_decided "$name" || true
  if [[ $(docker container inspect --format '{{.State.Running}}' "$name") != true ]]; then
    echo "--- Traefik does not start with the new configuration"
    docker logs "$name"
    docker rm --force "$name"
    on_failure "Traefik does not take its new configuration; it was not replaced. Correct the template (EMCP_TRAEFIK_TEMPLATE), then run make $COMMAND again."
    return 1
  fi
  docker rm --force "$name"
}

trial_decided() {
  docker exec "$1" traefik healthcheck --configFile=/etc/traefik/traefik.yml >/dev/null 2>&1 ||
    [[ $(docker container inspect --format '{{.State.Running}}' "$1") != true ]]
}

# The names of all that compose.yml takes from the environment.
compose_variables() { grep -ohE 'EMCP_[A-Z0-9_]+' "$@" 2>/dev/null | LC_ALL=C sort -u; }

remember_good() {
  local dir=$EMCP_DATA_DIR/broker/last-good name old
  (
    umask 077
    mkdir -p "$dir"
    cp "$ROOT/compose/compose.yml" "$dir/compose.yml"
    # In place of compose/.env.
    : >"$dir/none"
    for name in $(compose_variables "$dir/compose.yml"); do
      [[ -z ${!name+set} ]] || printf '%s=%s\0' "$name" "${!name}"
    done >"$dir/environment.new"
    rm -f "$dir/traefik-template.yml"
    [[ -z ${EMCP_TRAEFIK_TEMPLATE:-} ]] || cp "$EMCP_TRAEFIK_TEMPLATE" "$dir/traefik-template.yml"
    mv "$dir/environment.new" "$dir/environment"
    # Where it was before there was a broker.
    rm -rf "$EMCP_DATA_DIR/last-good"
  )
  old=$(docker image inspect --format '{{.Id}}' "$GOOD_IMAGE" 2>/dev/null) || old=''
  docker tag "$EMCP_IMAGE" "$GOOD_IMAGE"
  remove_unnamed_image "$old"
}

# In a shell of its own, which then has the settings that were good.
use_good_settings() {
  local name setting
  [[ -f $GOOD_DIR/environment ]] || {
    echo 'the settings of the last good start are not known; with those of now'
    return 0
  }
  for name in $(compose_variables "$ROOT/compose/compose.yml" "$GOOD_DIR/compose.yml"); do unset "$name"; done
  while IFS= read -r -d '' setting; do export "${setting?}"; done <"$GOOD_DIR/environment"
  if [[ -f $GOOD_DIR/traefik-template.yml ]] && ! cmp -s "$GOOD_DIR/traefik-template.yml" "$EMCP_TRAEFIK_TEMPLATE"; then
    export EMCP_TRAEFIK_TEMPLATE=$GOOD_DIR/traefik-template.yml
  fi
  COMPOSE_FILES=(--project-directory "$ROOT/compose" --env-file "$GOOD_DIR/none" -f "$GOOD_DIR/compose.yml")
  CERTIFICATE=${EMCP_TLS_CERT_FILE:-}
}

use_good_image() {
  local other
  other=$(docker image inspect --format '{{.Id}}' "$EMCP_IMAGE" 2>/dev/null) || other=''
  docker tag "$GOOD_IMAGE" "$EMCP_IMAGE" || return 1
  remove_unnamed_image "$other"
}

# A new EMCP that brings the database to a newer format keeps it as it was
# before, which is all that the one before can read. Only what this run has
# brought about: later there is more in the new one.
put_database_back() {
  local database=$EMCP_DATA_DIR/emcp.redb
  [[ $database.before-upgrade -nt $LOG_DIR/.start ]] || return 0
  echo 'the database as it was before the new EMCP took it over'
  # Nobody writes to it meanwhile.
  docker stop "$EMCP_INSTANCE" || return 1
  mv "$database" "$database.upgraded" && mv "$database.before-upgrade" "$database"
}

start_good() (
  use_good_image || return 1
  use_good_settings || return 1
  put_database_back || return 1
  # What does not start goes on trying until Compose has replaced it.
  note_restarts 1000000
  if [[ $TRAEFIK_CHANGES == yes ]]; then run_once init || return 1; fi
  bring_up && wait_until "${EMCP_READY_TIMEOUT_SECS:-120}" ready_or_failing && platform_ready
)

# After a failure, when the script ends: EMCP serves again as it did before.
go_back() {
  local log=$LOG_DIR/back.log
  [[ $GOING_BACK == possible ]] || return 0
  printf '\n==> back to the image and the settings that served last … '
  if start_good >"$log" 2>&1; then
    echo 'ok'
    echo "make $COMMAND: EMCP serves as before. What you changed (compose/.env, files, source) is as you left it: correct it, then run make $COMMAND again."
  else
    printf 'failed\nThe last lines of %s:\n' "$log"
    tail -n 25 "$log" | sed 's/^/  | /'
    echo "make $COMMAND: EMCP does NOT serve. See docker logs $EMCP_INSTANCE."
  fi
}

platform_logs() {
  local name
  for name in "$EMCP_INSTANCE-traefik" "$EMCP_INSTANCE-sockets" "$EMCP_INSTANCE-broker" "$EMCP_INSTANCE"; do
    echo "--- docker logs $name"
    docker logs --tail 15 "$name" 2>&1 || true
  done
}

# Asked from inside the container, as the listener is published nowhere.
platform_readyz() {
  # The inner shell expands the rest.
  # shellcheck disable=SC2016
  docker exec "$EMCP_INSTANCE" bash -c '
    exec 3<>/dev/tcp/emcp-sockets/8081
    printf "GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n" >&3
    cat <&3' 2>/dev/null
}

ready_or_failing() { platform_ready || platform_fails; }

platform_ready() { [[ $(platform_readyz) == *'"ready":true'* ]]; }

# curl through Traefik: platform_curl URL OPTION…
platform_curl() {
  local url=$1 host=${1#https://} port
  shift
  host=${host%%/*} port=${host##*:}
  [[ $host == *:* ]] || port=443
  curl -sS --max-time 5 --noproxy '*' --connect-to "${host%%:*}:$port:127.0.0.1:$EMCP_HTTPS_PORT" \
    "$@" "$url"
}

# Both hosts, if the servers have one of their own: there is nothing but servers,
# so any answer shows that name and certificate are right.
TRUST=''
platform_healthy() {
  TRUST=''
  host_answers "$EMCP_PUBLIC_URL/healthz" -f || return
  [[ -z $EMCP_SERVERS_URL ]] || host_answers "$EMCP_SERVERS_URL/"
}

# With the certificate checked: against the local CA; or against what this
# machine trusts and, where it does not know the company's CA, the chain that
# was given; with ACME, whose certificate may come later or from a CA of the
# company's, only looked at. TRUST says what is not as one would expect.
host_answers() {
  if [[ -n $CERTIFICATE ]]; then
    platform_curl "$@" >/dev/null 2>&1 && return
    platform_curl "$@" --cacert "$CERTIFICATE" >/dev/null || return
    TRUST="this machine does not trust the CA of $CERTIFICATE; clients must"
  elif [[ -n ${EMCP_TLS_CERT_RESOLVER:-} ]]; then
    platform_curl "$@" >/dev/null 2>&1 && return
    platform_curl "$@" --insecure >/dev/null || return
    TRUST="this machine does not trust the certificate that Traefik serves now: not issued yet, or by an authority it does not know; see docker logs $EMCP_INSTANCE-traefik"
  else
    platform_curl "$@" --cacert "$EMCP_DATA_DIR/ca.crt" >/dev/null
  fi
}

wait_platform() {
  on_failure "see the log of the containers: docker logs $EMCP_INSTANCE; docker logs $EMCP_INSTANCE-traefik"
  local seconds=${EMCP_READY_TIMEOUT_SECS:-120}
  wait_until "$seconds" ready_or_failing || true
  platform_ready || {
    platform_logs
    echo '--- /readyz'
    platform_readyz | tail -n 1 || true
    return 1
  }
  wait_until 20 platform_healthy || {
    platform_logs
    echo "--- $EMCP_PUBLIC_URL/healthz ${EMCP_SERVERS_URL:+and $EMCP_SERVERS_URL/ }through Traefik"
    platform_healthy || true
    on_failure "EMCP and Traefik run, but $EMCP_PUBLIC_URL ${EMCP_SERVERS_URL:+or $EMCP_SERVERS_URL }does not answer as it should; curl says why above. A certificate must cover the host of EMCP_PUBLIC_URL, and of EMCP_SERVERS_URL if it is set, and be in time."
    return 1
  }
  GOING_BACK=no
  remember_good
  detail "$TRUST"
}

print_welcome() {
  local ca='' example sudo=''
  [[ -z $CERTIFICATE${EMCP_TLS_CERT_RESOLVER:-} ]] && ca="--cacert $EMCP_DATA_DIR/ca.crt "
  is_root || [[ -r $EMCP_DATA_DIR ]] || sudo='sudo '
  cat <<END

EMCP is up.
  Dashboard     $EMCP_PUBLIC_URL/
  Admin token   in ${EMCP_ADMIN_TOKEN_FILE:-$EMCP_DATA_DIR/admin-token}
END
  [[ -n $EMCP_SERVERS_URL ]] && echo "  MCP servers   $EMCP_SERVERS_URL/api/NAME/mcp"
  [[ -n $ca ]] && echo "  CA            $EMCP_DATA_DIR/ca.crt (import it where browsers and clients shall trust it)"
  cat <<END

Try it:
  TOKEN=\$(${sudo}cat ${EMCP_ADMIN_TOKEN_FILE:-$EMCP_DATA_DIR/admin-token})
  curl ${ca}-H "Authorization: Bearer \$TOKEN" $EMCP_PUBLIC_URL/api/servers
END
  example=$(find "$ROOT/examples" -maxdepth 1 -name '*.py' 2>/dev/null | LC_ALL=C sort | head -n 1)
  if [[ -n $example ]]; then
    cat <<END
  curl ${ca}-H "Authorization: Bearer \$TOKEN" $EMCP_PUBLIC_URL/api/servers \\
    -F name=demo -F start=true -F file=@${example#"$ROOT"/}
END
  fi
}
