#!/usr/bin/env bash
# Prints the path of promtool, which checks what docs/monitoring has for
# Prometheus: PROMTOOL, the one that is installed, or the one in Debian's package
# "prometheus". That is fetched and unpacked, and not installed, for it would
# start a service. Fails, with words, where there is none.
set -euo pipefail

if [[ -n ${PROMTOOL:-} ]]; then
  echo "$PROMTOOL"
  exit
fi
if command -v promtool; then exit; fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${EMCP_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/emcp}
mkdir -p "$cache" 2>/dev/null || cache=$here/../.cache
target=$cache/promtool

if [[ ! -x $target/promtool ]]; then
  if [[ ${EMCP_INSTALL:-yes} == no ]] || ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "no promtool, and it is not fetched here (EMCP_INSTALL=no, or no apt)" >&2
    exit 1
  fi
  mkdir -p "$target"
  work=$(mktemp -d "$target/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  # apt holds the package against its signed list.
  if ! (cd "$work" && timeout 120 apt-get download -qq prometheus >&2); then
    echo "no promtool, and apt could not fetch Debian's package prometheus" >&2
    exit 1
  fi
  dpkg-deb -x "$work"/prometheus_*.deb "$work/package"
  # Renamed at the end, so that a fetch that was cut leaves no half binary.
  mv "$work/package/usr/bin/promtool" "$target/promtool"
fi
echo "$(cd "$target" && pwd)/promtool"
