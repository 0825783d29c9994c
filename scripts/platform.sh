# shellcheck shell=bash
# The platform as containers: data directory, network, Traefik and EMCP.
# Sourced after engine.sh.

# What the three containers carry. Not emcp.instance: EMCP removes containers
# with its instance label that it does not know.
PLATFORM_LABEL=emcp.platform

data_dir_owner() { stat -c %u "$EMCP_DATA_DIR"; }

prepare_host() {
  [[ $EMCP_DATA_DIR == /* ]] || die "EMCP_DATA_DIR must be an absolute path, because Docker mounts from it: $EMCP_DATA_DIR"
  if ! mkdir -p "$EMCP_DATA_DIR" 2>/dev/null || [[ ! -w $EMCP_DATA_DIR ]]; then
    die "user $(id -un) cannot write the data directory $EMCP_DATA_DIR. Make it writable, or set EMCP_DATA_DIR to one that is."
  fi
  chmod 0700 "$EMCP_DATA_DIR"
  # Made here, so that the engine does not make them as root.
  mkdir -p "$EMCP_DATA_DIR/traefik" "$EMCP_DATA_DIR/acme" "$EMCP_DATA_DIR/sockets"
  # The containers run as the owner of the data: without capabilities not even
  # root may read another user's files.
  EMCP_UID=$(stat -c %u "$EMCP_DATA_DIR") EMCP_GID=$(stat -c %g "$EMCP_DATA_DIR")
  EMCP_DOCKER_SOCKET=$(engine_socket)
  EMCP_DOCKER_GID=$(stat -Lc %g "$EMCP_DOCKER_SOCKET")
  export EMCP_UID EMCP_GID EMCP_DOCKER_SOCKET EMCP_DOCKER_GID
  check_ports
  ensure_network "$EMCP_NETWORK" "$EMCP_SUBNET" EMCP_SUBNET
  [[ -n $EMCP_INTERNAL_SUBNET ]] || die "name a second subnet, as large as $EMCP_SUBNET, for the servers without egress: make $COMMAND EMCP_INTERNAL_SUBNET=…"
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

# EMCP hands out addresses of the network itself; the engine keeps the first
# sixteenth for Traefik and others (src/model/address.rs has the same rule).
# ensure_network NAME SUBNET SETTING OPTION…
ensure_network() {
  local name=$1 subnet=$2 setting=$3 present
  shift 3
  present=$(docker network inspect --format '{{(index .IPAM.Config 0).Subnet}}' "$name" 2>/dev/null) || present=''
  if [[ $present == "$subnet" ]]; then
    return
  elif [[ -n $present ]]; then
    die "the Docker network $name exists with subnet $present, but $setting is $subnet. Set $setting=$present, or remove the network (docker network rm $name)."
  fi
  on_failure "the network could not be made. If its addresses clash with another network, choose others: make $COMMAND $setting=10.214.0.0/20"
  docker network create --label "emcp.instance=$EMCP_INSTANCE" \
    --subnet "$subnet" --ip-range "${subnet%/*}/$((${subnet#*/} + 4))" "$@" "$name"
}

start_platform() {
  on_failure "see the log of the containers: docker logs $EMCP_INSTANCE; docker logs $EMCP_INSTANCE-traefik"
  compose up -d --remove-orphans || {
    platform_logs
    return 1
  }
}

platform_logs() {
  local name
  for name in "$EMCP_INSTANCE-traefik" "$EMCP_INSTANCE-sockets" "$EMCP_INSTANCE"; do
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

platform_ready() { [[ $(platform_readyz) == *'"ready":true'* ]]; }

# Through Traefik, with its certificate checked: against the local CA, or the
# machine's own trust where the operator brought a certificate.
# platform_curl PATH [BASE]
platform_curl() {
  local path=$1 base=${2:-$EMCP_PUBLIC_URL} arguments=(-sS --max-time 5 --noproxy '*')
  local host=${base#https://}
  local port=${host##*:}
  [[ $host == *:* ]] || port=443
  arguments+=(--connect-to "${host%%:*}:$port:127.0.0.1:$EMCP_HTTPS_PORT")
  if [[ -z ${EMCP_TLS_CERT_FILE:-}${EMCP_TLS_CERT_RESOLVER:-} ]]; then
    arguments+=(--cacert "$EMCP_DATA_DIR/ca.crt")
  fi
  curl "${arguments[@]}" "$base$path"
}

# The servers' own host, where there is one, has nothing but servers: any answer
# shows that name and certificate are right.
platform_healthy() {
  platform_curl /healthz >/dev/null || return
  [[ -z $EMCP_SERVERS_URL ]] || platform_curl / "$EMCP_SERVERS_URL" >/dev/null
}

wait_platform() {
  on_failure "see the log of the containers: docker logs $EMCP_INSTANCE; docker logs $EMCP_INSTANCE-traefik"
  local seconds=${EMCP_READY_TIMEOUT_SECS:-120}
  wait_until "$seconds" platform_ready || {
    platform_logs
    echo "--- /readyz after $seconds s"
    platform_readyz | tail -n 1
    return 1
  }
  wait_until 20 platform_healthy || {
    platform_logs
    echo '--- /healthz through Traefik'
    platform_curl /healthz
    [[ -z $EMCP_SERVERS_URL ]] || platform_curl / "$EMCP_SERVERS_URL"
    return 1
  }
}

print_welcome() {
  local ca='' example sudo=''
  [[ -z ${EMCP_TLS_CERT_FILE:-}${EMCP_TLS_CERT_RESOLVER:-} ]] && ca="--cacert $EMCP_DATA_DIR/ca.crt "
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
