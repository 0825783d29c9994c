# shellcheck shell=bash
# How a subnet of servers is divided, for what has no EMCP to ask: networks and
# firewall are made before it is built, and without it. The one place of these
# rules here; src/model/address.rs has them too, and tests/subnet.rs holds the
# two against each other. Sourced by lib.sh; does nothing by itself.

is_subnet() {
  local byte='(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
  [[ $1 =~ ^$byte\.$byte\.$byte\.$byte/([89]|1[0-9]|2[0-6])$ ]]
}

# The subnet of the servers without egress, unless it is named: the third byte
# differs in its highest bit. Nothing for a subnet in which that bit is a
# host's, or for what is no subnet: who needs one calls check_subnets.
twin_subnet() {
  local a b c d
  is_subnet "$1" && ((${1#*/} >= 17)) || return 0
  IFS=. read -r a b c d <<<"${1%/*}"
  echo "$a.$b.$((c ^ 128)).$d/${1#*/}"
}

# What is Docker's of a subnet (its first sixteenth): Traefik and EMCP, which
# are no servers.
docker_range() { echo "${1%/*}/$((${1#*/} + 4))"; }
