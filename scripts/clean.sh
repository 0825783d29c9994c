#!/usr/bin/env bash
# make clean: removes what the other targets made: containers, networks, images
# (with the stand-ins), caches, and a Docker Engine that make started by itself.
#
# Two things hold what cannot be made again, or what others may use by now, and
# go only with PURGE=1, after a question (YES=1 answers it): the data directory
# (servers, secrets, keys), and the Debian packages and the Rust toolchain that
# make installed.
#
# Another installation on this machine (EMCP_INSTANCE) keeps what is its own,
# and what both use.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"
source "$ROOT/scripts/images.sh"
source "$ROOT/scripts/leftovers.sh"
source "$ROOT/scripts/firewall.sh"
source "$ROOT/scripts/purge.sh"

DEV_INSTANCE=$EMCP_INSTANCE-dev

# An installation that a test has made leaves alone what other tests use.
is_of_a_test() { [[ $EMCP_INSTANCE == emcp-test-* ]]; }

remove_containers() {
  local instance
  for instance in "$EMCP_INSTANCE" "$DEV_INSTANCE"; do
    remove_by_filter container "label=emcp.platform=$instance"
    remove_by_filter container "label=emcp.instance=$instance"
  done
  is_of_a_test || remove_test_leftovers
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
  local image others
  KEPT_IMAGES=''
  for image in "$SOCKETS_IMAGE" "$EMCP_IMAGE" "$GOOD_IMAGE" "$BASE_TAG"; do
    [[ -z $(image_label "$image" emcp.inputs) ]] || remove_image "$image"
  done
  others=$(other_installations | paste -sd ' ')
  for image in "$TRAEFIK_IMAGE" "$PYTHON_IMAGE" "$DEBIAN_IMAGE"; do
    [[ $(image_label "$image" emcp.standin) == true ]] || continue
    # Others build on it.
    if [[ -n $others ]] || is_of_a_test; then KEPT_IMAGES+=" $image"; else remove_image "$image"; fi
  done
  [[ -z $KEPT_IMAGES ]] || detail "kept, because others use them:$KEPT_IMAGES"
  is_of_a_test && return
  docker image prune --force --filter label=emcp.inputs
  docker image prune --force --filter label=emcp.standin=true
}

# One that a container of somebody else's runs from stays.
remove_image() { docker image rm "$1" || KEPT_IMAGES+=" $1"; }

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

# What make test is using would go under its hands.
exec 9>"$CACHE/test.lock"
flock -n 9 || die 'make test is running on this machine; end it first.'
lock_machine
[[ -z ${PURGE:-} ]] || confirm_purge

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
