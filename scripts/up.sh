#!/usr/bin/env bash
# make up: from a bare machine to a running EMCP. Every step may be repeated.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"
source "$ROOT/scripts/images.sh"
source "$ROOT/scripts/platform.sh"
source "$ROOT/scripts/firewall.sh"

STEPS=11
check_requirements engine build python
use_extra_ca

step 'requirements' install_requirements engine build python
step 'Docker Engine' ensure_engine
step 'ports, data directory, networks' prepare_host
step 'firewall of the servers' ensure_firewall
show_step_log
step 'images to build on' ensure_images "$PYTHON_IMAGE" "$DEBIAN_IMAGE" "$TRAEFIK_IMAGE"
step 'base image of the servers' build_base_image
step 'modules of the dashboard' "$ROOT/scripts/ui.sh"
step 'EMCP from source (minutes, the first time)' build_binary release
step 'image of EMCP' build_emcp_image
step 'start Traefik and EMCP' start_platform
step 'wait until ready' wait_platform

print_welcome
