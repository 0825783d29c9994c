#!/bin/sh
# Resolves requirements/*.in anew into fully pinned requirements/*.txt (with hashes, for CPython 3.11
# on Linux). Run it to take package updates, then build the image and run its tests:
#   base-image/lock.sh && make test
# Packages come from the index that pip is configured to use; no index address is written to the locks.
set -eu
cd "$(dirname "$0")/requirements"
if [ -z "${UV:-}" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT INT TERM
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r ../../scripts/uv.txt
    UV=$work/venv/bin/uv
fi
# uv does not read pip's settings.
if [ -n "${PIP_INDEX_URL:-}" ]; then
    export UV_INDEX_URL="${UV_INDEX_URL:-$PIP_INDEX_URL}"
fi
for name in mcp1 mcp2; do
    UV_NATIVE_TLS=1 \
        "$UV" pip compile --quiet --upgrade --no-cache --no-config --generate-hashes \
        --python-version 3.11 --python-platform linux --no-emit-index-url \
        --custom-compile-command base-image/lock.sh \
        "$name.in" --output-file "$name.txt"
done
