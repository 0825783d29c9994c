#!/usr/bin/env bash
# make clean: removes what the other targets made: containers, networks, images
# (with the stand-ins), caches, and a Docker Engine that make started by itself.
#
# Two things hold what cannot be made again, or what others may use by now, and
# go only with PURGE=1: the data directory (servers, secrets, keys), and the
# Debian packages and the Rust toolchain that make installed.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"
source "$ROOT/scripts/images.sh"
source "$ROOT/scripts/leftovers.sh"
source "$ROOT/scripts/firewall.sh"

DEV_INSTANCE=$EMCP_INSTANCE-dev

remove_containers() {
  local instance
  for instance in "$EMCP_INSTANCE" "$DEV_INSTANCE"; do
    remove_by_filter container "label=emcp.platform=$instance"
    remove_by_filter container "label=emcp.instance=$instance"
  done
  remove_test_leftovers
}

remove_networks() {
  local instance
  for instance in "$EMCP_INSTANCE" "$DEV_INSTANCE"; do
    remove_by_filter network "label=emcp.instance=$instance"
  done
}

# By tag, and only with our label: an image that somebody built on ours has the
# labels too, and is theirs. What is left without a tag are older builds.
remove_images() {
  local image
  for image in "$SOCKETS_IMAGE" "$EMCP_IMAGE" "$BASE_TAG"; do
    [[ -z $(image_label "$image" emcp.inputs) ]] || docker image rm "$image"
  done
  for image in "$TRAEFIK_IMAGE" "$PYTHON_IMAGE" "$DEBIAN_IMAGE"; do
    [[ $(image_label "$image" emcp.standin) != true ]] || docker image rm "$image"
  done
  docker image prune --force --filter label=emcp.inputs
  docker image prune --force --filter label=emcp.standin=true
}

remove_caches() {
  rm -rf "$ROOT/target" "$ROOT/.cache" "$ROOT/sbom"
  find "$ROOT" -name .git -prune -o \( -name __pycache__ -o -name .pytest_cache -o -name node_modules \) \
    -type d -prune -exec rm -rf {} +
  find "$ROOT/ui/vendor" -mindepth 1 ! -name .gitignore -delete
  # This run's own log goes last, in cleanup.
  find "$CACHE" -mindepth 1 -maxdepth 1 ! -name log -exec rm -rf {} +
}

cleanup() { ((KEEP_LOG)) || rm -rf "$CACHE"; }
KEEP_LOG=1

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

# Whether containers or volumes are left that are not ours. Removing Debian's
# engine removes those as well.
engine_has_others() {
  if engine_find; then
    [[ -n $(docker ps -aq && docker volume ls -q) ]]
  else
    [[ -n $(find /var/lib/docker/containers /var/lib/docker/volumes -mindepth 1 -maxdepth 1 -type d 2>/dev/null) ]]
  fi
}

remove_installed() {
  local packages
  if [[ -s $STATE_DIR/apt-packages ]] && can_install; then
    # The field's name is for dpkg-query.
    # shellcheck disable=SC2016
    packages=$(sort -u "$STATE_DIR/apt-packages" | xargs dpkg-query -W -f '${Package}\n' 2>/dev/null) || true
    if engine_has_others; then
      detail 'the Docker Engine stays, because it has containers or volumes that are not ours'
      packages=$(grep -vE '^(docker|containerd|runc|tini|iptables|lib)' <<<"$packages") || packages=''
    fi
    # Words on purpose: it is a list.
    # shellcheck disable=SC2086
    [[ -z $packages ]] || DEBIAN_FRONTEND=noninteractive apt-get purge -y $packages
  fi
  if [[ -f $STATE_DIR/rustup ]]; then "$HOME/.cargo/bin/rustup" self uninstall -y; fi
  rm -rf "$STATE_DIR"
}

STEPS=6
[[ -n ${PURGE:-} ]] && STEPS=8

if engine_find; then
  step 'containers' remove_containers
  step 'networks' remove_networks
  step 'images' remove_images
else
  echo 'No Docker Engine answers: containers, networks and images are not looked for.'
  STEPS=$((STEPS - 3))
fi
step 'firewall of the servers' clean_firewall
step 'Docker Engine, if make started it' stop_our_dockerd
step 'caches' remove_caches
if [[ -n ${PURGE:-} ]]; then
  step 'data' remove_data
  step 'what make installed' remove_installed
else
  [[ -e $EMCP_DATA_DIR ]] && echo "Kept: $EMCP_DATA_DIR (servers, secrets, keys)."
  [[ -s $STATE_DIR/apt-packages ]] && echo "Kept: packages that make installed ($STATE_DIR/apt-packages)."
  echo 'make clean PURGE=1 removes these too.'
fi
KEEP_LOG=0
