#!/usr/bin/env bash
# Records in scripts/image-digests.txt which content the tags of the images that
# EMCP builds on or runs have today. Run it where a registry answers, to begin
# with and to take updates; then make test, and commit the file.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"
source "$ROOT/scripts/images.sh"

# record IMAGE…: all or nothing.
record() {
  local image digest file
  file=$(mktemp)
  { grep '^#' "$IMAGE_DIGESTS" || true; } >"$file"
  for image in "$@"; do
    on_failure "no registry answers for $image. Nothing was changed; run it where Docker reaches a registry."
    docker pull --quiet "$image"
    digest=$(docker image inspect --format '{{join .RepoDigests "\n"}}' "$image" |
      awk -F @ -v name="${image%:*}" '$1 == name { print $2; exit }')
    [[ $digest == sha256:* ]] || die "the engine tells no digest of $image."
    echo "$image $digest" >>"$file"
  done
  cat "$file" >"$IMAGE_DIGESTS"
  rm -f "$file"
  detail "$IMAGE_DIGESTS"
}

STEPS=2
check_requirements engine
# Other images than EMCP's can be named, which the tests do.
if (($# == 0)); then set -- "$PYTHON_IMAGE" "$DEBIAN_IMAGE" "$TRAEFIK_IMAGE"; fi
step 'Docker Engine' ensure_engine
step 'digests of the images' record "$@"
