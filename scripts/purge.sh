# shellcheck shell=bash
# What only "make clean PURGE=1" removes: the data, and what make installed on
# the machine. Shown and confirmed before anything goes; what others need stays,
# and is remembered. Sourced by clean.sh.

PACKAGES_FILE=$STATE_DIR/apt-packages
# Behind these is more than their own packages know: containers, and engines
# that came some other way and call runc or iptables.
ENGINE_PACKAGES='docker.io|docker-cli|docker-buildx|containerd|runc|tini|iptables'

# The other installations that left something on this machine, but for tests'.
other_installations() {
  {
    if engine_find; then
      docker container ls -a --format '{{.Label "emcp.platform"}}{{println}}{{.Label "emcp.instance"}}'
      docker network ls --format '{{.Label "emcp.instance"}}'
    fi
    find "$STATE_DIR/firewall" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' 2>/dev/null || true
  } | sort -u | grep -vxE '|emcp-test-.*' | grep -vxF -e "$EMCP_INSTANCE" -e "$DEV_INSTANCE" || true
}

# Who uses a container engine here besides this installation, or nothing.
engine_user() {
  local pid ours comm namespace
  if engine_find; then
    docker container ls -a --format '{{.Label "emcp.platform"}}|{{.Label "emcp.instance"}}|{{.Names}}' |
      awk -F '|' -v own="$EMCP_INSTANCE" -v dev="$DEV_INSTANCE" \
        '$1 != own && $2 != own && $1 != dev && $2 != dev { print "the container " $3; exit }'
    docker volume ls -q --filter dangling=true | sed -n '1s/^/the volume /p'
  elif [[ -n $(find /var/lib/docker/containers /var/lib/docker/volumes -mindepth 1 -maxdepth 1 -type d -print -quit 2>/dev/null) ]]; then
    echo 'containers or volumes in /var/lib/docker'
  fi
  for namespace in /run/containerd/io.containerd.runtime.v2.task/*; do
    [[ -d $namespace && ${namespace##*/} != moby ]] || continue
    [[ -z $(find "$namespace" -mindepth 1 -maxdepth 1 -print -quit) ]] || echo "containers of containerd (${namespace##*/})"
  done
  ours=$(our_dockerd) || ours=none
  for pid in /proc/[0-9]*; do
    comm=$(cat "$pid/comm" 2>/dev/null) || continue
    case $comm in
      dockerd | containerd | crio | conmon | podman | kubelet | k3s*) ;;
      *) continue ;;
    esac
    process_gone "${pid#/proc/}" && continue
    # The engine that these packages are.
    [[ ${pid#/proc/} != "$ours" ]] || continue
    [[ $(awk '$1 == "PPid:" { print $2 }' "$pid/status" 2>/dev/null) != "$ours" ]] || continue
    grep -qsE '/(docker|containerd)\.service' "$pid/cgroup" && continue
    echo "the process ${pid#/proc/} ($comm)"
  done
}

# Which of the packages that make installed are there.
installed_packages() {
  [[ -s $PACKAGES_FILE ]] && have dpkg-query || return 0
  # The fields' names are for dpkg-query.
  # shellcheck disable=SC2016
  sort -u "$PACKAGES_FILE" | xargs -r dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null |
    awk '$1 == "installed" { print $2 }' | LC_ALL=C sort -u || true
}

# removable_packages PACKAGE…: those that nothing needs which stays. It is apt
# that knows: to it these are told to be there for others' sake only, and all
# else for its own. Nothing is changed.
removable_packages() {
  local states package
  (($# > 0)) || return 0
  states=$(mktemp)
  for package in "$@"; do
    printf 'Package: %s\nArchitecture: %s\nAuto-Installed: 1\n\n' "$package" "$(dpkg --print-architecture)"
  done >"$states"
  apt-get -s -o "Dir::State::extended_states=$states" autoremove | awk '$1 == "Remv" || $1 == "Purg" { print $2 }' | LC_ALL=C sort -u
  rm -f "$states"
}

PURGE_PACKAGES='' PURGE_STAYS=''

# Sets both: what goes, and, a line each, what stays and why.
plan_purge() {
  local installed candidates others user left
  PURGE_PACKAGES='' PURGE_STAYS=''
  installed=$(installed_packages)
  others=$(other_installations | paste -sd ' ')
  [[ -n $installed || -f $STATE_DIR/rustup ]] || return 0
  if [[ -n $others ]]; then
    PURGE_STAYS="what make installed, because other installations are here: $others"
    return
  fi
  if [[ -n $installed ]] && ! can_install; then
    PURGE_STAYS='the installed packages, which only root may remove (and not with EMCP_INSTALL=no)'
    return
  fi
  candidates=$installed
  user=$(engine_user | head -n 1)
  if [[ -n $user ]] && grep -qxE "$ENGINE_PACKAGES" <<<"$installed"; then
    candidates=$(grep -vxE "$ENGINE_PACKAGES" <<<"$installed") || candidates=''
    PURGE_STAYS="the container engine, because $user is here"
  fi
  # Words on purpose: it is a list.
  # shellcheck disable=SC2086
  PURGE_PACKAGES=$(removable_packages $candidates)
  left=$(LC_ALL=C comm -23 <(echo "$candidates") <(echo "$PURGE_PACKAGES") | paste -sd ' ')
  [[ -z ${left// /} ]] || PURGE_STAYS+="${PURGE_STAYS:+$'\n'}needed by other packages: $left"
}

# Shows what goes for good, and asks.
confirm_purge() {
  local answer
  plan_purge
  echo 'make clean PURGE=1 removes for good, besides what make clean does:'
  if [[ -e $EMCP_DATA_DIR ]]; then
    echo "  - the data: $EMCP_DATA_DIR ($(du -sh "$EMCP_DATA_DIR" 2>/dev/null | cut -f 1)): servers, their code and secrets, keys, tokens"
  fi
  if [[ -n $PURGE_PACKAGES ]]; then
    echo '  - the packages that make installed and nothing else needs:'
    fmt -w 76 <<<"$PURGE_PACKAGES" | sed 's/^/      /'
  fi
  if rust_goes; then echo "  - the Rust toolchain that make installed: $HOME/.cargo, $HOME/.rustup"; fi
  if [[ -n $PURGE_STAYS ]]; then
    echo 'It leaves:'
    echo "  - ${PURGE_STAYS//$'\n'/$'\n'  - }"
  fi
  [[ ${YES:-} != 1 ]] || return 0
  [[ -t 0 ]] || die 'nothing was removed: there is no terminal to ask on. If all of this is to go: make clean PURGE=1 YES=1'
  read -r -p 'Remove all of this? Type "yes": ' answer || answer=''
  [[ $answer == yes ]] || die 'nothing was removed.'
}

rust_goes() { [[ -f $STATE_DIR/rustup && -x $HOME/.cargo/bin/rustup && $PURGE_STAYS != *'other installations'* ]]; }

remove_data() {
  case $EMCP_DATA_DIR in
    / | "$HOME" | "$HOME/" | '') die "EMCP_DATA_DIR is $EMCP_DATA_DIR; that is not removed." ;;
  esac
  [[ -e $EMCP_DATA_DIR ]] || return 0
  rm -rf -- "$EMCP_DATA_DIR"
  # The default's parent was made for it.
  if [[ $EMCP_DATA_DIR == /opt/mcp-platform/data ]]; then rmdir /opt/mcp-platform 2>/dev/null || true; fi
  detail "$EMCP_DATA_DIR"
}

remove_installed() {
  local confirmed=$PURGE_PACKAGES left
  # Our containers are gone by now, and others may have come. Nothing goes that
  # was not shown.
  plan_purge
  PURGE_PACKAGES=$(LC_ALL=C comm -12 <(echo "$confirmed") <(echo "$PURGE_PACKAGES") | sed '/^$/d')
  on_failure 'apt could not remove the packages; they are remembered, and make clean PURGE=1 tries again.'
  # Words on purpose: it is a list.
  # shellcheck disable=SC2086
  [[ -z $PURGE_PACKAGES ]] || DEBIAN_FRONTEND=noninteractive apt-get purge -y -o DPkg::Lock::Timeout=300 $PURGE_PACKAGES
  if rust_goes; then
    "$HOME/.cargo/bin/rustup" self uninstall -y
    rm -f "$STATE_DIR/rustup"
  fi
  # What stays is remembered.
  left=$(installed_packages)
  if [[ -n $left ]]; then echo "$left" >"$PACKAGES_FILE"; else rm -f "$PACKAGES_FILE"; fi
  rmdir "$STATE_DIR" 2>/dev/null || true
  detail "${PURGE_STAYS:+left: ${PURGE_STAYS//$'\n'/; }}"
}
