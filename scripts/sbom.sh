#!/usr/bin/env bash
# make sbom: what the emcp binary and the servers' image are made of, as
# CycloneDX (JSON), in sbom/ or in EMCP_SBOM_DIR.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/host.sh"
source "$ROOT/scripts/engine.sh"
source "$ROOT/scripts/images.sh"

OUTPUT=${EMCP_SBOM_DIR:-$ROOT/sbom}

make_venv() {
  on_failure 'the Python packages could not be installed; with a company CA or proxy, see compose/.env.example.'
  PYTHON=$(venv_for "$ROOT/tests/lint/requirements.txt")/bin/python
}

write_binary() {
  on_failure 'cargo could not tell what the binary is made of.'
  "$PYTHON" "$ROOT/scripts/sbom.py" binary "$OUTPUT/emcp.cdx.json"
  detail "$OUTPUT/emcp.cdx.json"
}

write_image() {
  image_present "$EMCP_BASE_IMAGE" || die "the image $EMCP_BASE_IMAGE is not here: run make image, then make sbom again."
  "$PYTHON" "$ROOT/scripts/sbom.py" image "$EMCP_BASE_IMAGE" "$OUTPUT/base-image.cdx.json"
  detail "$OUTPUT/base-image.cdx.json"
}

STEPS=5
check_requirements engine build python
use_extra_ca
step 'requirements' install_requirements engine build python
step 'Docker Engine' ensure_engine
step 'Python environment' make_venv
step 'the binary' write_binary
step "the servers' image" write_image
