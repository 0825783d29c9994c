#!/usr/bin/env bash
# make up: from a bare machine to a running EMCP, or from one EMCP to the next.
# Every step may be repeated. What serves is touched only after the new one has
# said that it would start, and comes back if the new one does not get ready.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"
source "$ROOT/scripts/images.sh"
source "$ROOT/scripts/platform.sh"
source "$ROOT/scripts/firewall.sh"

cleanup() {
  # Who interrupts it wants to look for himself. A step may end the script with
  # its output in its log.
  (($1 == 0)) || [[ -n $INTERRUPTED ]] || go_back >&3 2>&4
}

# A binary that was built elsewhere needs neither compiler nor dashboard.
NEEDS=(engine build python)
STEPS=12
if [[ -n ${EMCP_BINARY:-} ]]; then NEEDS=(engine python) STEPS=11; fi

lock_machine
check_requirements "${NEEDS[@]}"
use_extra_ca
tell_unknown_settings

step 'requirements' install_requirements "${NEEDS[@]}"
step 'Docker Engine' ensure_engine
step 'ports, data directory, networks' prepare_host
step 'images to build on' ensure_images "$PYTHON_IMAGE" "$DEBIAN_IMAGE" "$TRAEFIK_IMAGE"
[[ -n ${EMCP_BINARY:-} ]] || step 'modules of the dashboard' "$ROOT/scripts/ui.sh"
step 'EMCP from source (minutes, the first time)' build_binary release
step 'image of EMCP' build_emcp_image
step 'check of the settings' check_platform
step 'base image of the servers' build_base_image
step 'firewall of the servers' ensure_firewall
show_step_log
step 'start Traefik and EMCP' start_platform
step 'wait until ready' wait_platform

print_welcome
