#!/usr/bin/env bash
# make image: the base image of the servers, and EMCP's own image.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"
source "$ROOT/scripts/images.sh"

STEPS=7
lock_machine
check_requirements engine build python
use_extra_ca

step 'requirements' install_requirements engine build python
step 'Docker Engine' ensure_engine
step 'images to build on' ensure_images "$PYTHON_IMAGE" "$DEBIAN_IMAGE"
step 'base image of the servers' build_base_image
step 'modules of the dashboard' "$ROOT/scripts/ui.sh"
step 'EMCP from source (minutes, the first time)' build_binary release
step 'image of EMCP' build_emcp_image
