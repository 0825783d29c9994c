#!/bin/sh
# Runs Chromium in a network of its own, with nothing in it but the platform's
# port. Chromium gives up its requests whenever the machine's network changes
# (net::ERR_NETWORK_CHANGED), and containers come and go beside it; here it sees
# none of that. Nor can it reach any other host.
#
# Takes NODE, CHROMIUM, RELAY_PORT and RELAY_SOCKET from the environment.
set -eu
# Who is not root gets a network by a user namespace.
as_user='--user --map-current-user --keep-caps'
[ "$(id -u)" != 0 ] || as_user=
# shellcheck disable=SC2086,SC2016
exec unshare $as_user --net sh -c '
  ip link set lo up
  setpriv --pdeathsig KILL "$NODE" "$0/relay.mjs" "$RELAY_PORT" "$RELAY_SOCKET" &
  exec "$CHROMIUM" "$@"
' "$(dirname "$0")" "$@"
