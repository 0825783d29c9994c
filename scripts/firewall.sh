#!/usr/bin/env bash
# The firewall between the MCP servers and everything they have no business
# with: this host's own ports, cloud metadata, and one another. Needs root;
# EMCP, in its container, could not do it.
#
#   scripts/firewall.sh install   idempotent; make up does it
#   scripts/firewall.sh show
#   scripts/firewall.sh remove    make clean does it
#   scripts/firewall.sh load      the rules alone, not what keeps them
#   scripts/firewall.sh watch     the rules, again whenever they were changed
#
# Where systemd runs, "install" leaves a unit behind that does the last two
# (firewall-unit.sh).
#
# Settings: EMCP_SUBNET, EMCP_INTERNAL_SUBNET, EMCP_INSTANCE, and
# EMCP_HOST_PORTS_ALLOWED, TCP ports of this host that servers may reach
# ("8443,3128"). Why it is made this way: docs/adr/0010-egress-and-firewall.md.
#
# Sourced by up.sh and clean.sh, for their steps.
# shellcheck source-path=SCRIPTDIR
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then source "$(dirname "$0")/lib.sh"; fi
source "$(dirname "${BASH_SOURCE[0]}")/firewall-unit.sh"

# Where clouds tell a machine its credentials. Link-local is most of them (AWS,
# Azure, Google, Oracle, DigitalOcean, Tencent); then Alibaba, Azure's host
# agent, Oracle's classic cloud.
METADATA_ADDRESSES=(169.254.0.0/16 100.100.100.200/32 168.63.129.16/32 192.0.0.192/32)

# The tests have chains of their own.
FIREWALL_PREFIX=${EMCP_FIREWALL_PREFIX:-EMCP}
EMCP_HOST_PORTS_ALLOWED=${EMCP_HOST_PORTS_ALLOWED:-}
# How long a change by others may last.
WATCH_SECS=5
SETTLED=''

ipt() { iptables -w 10 "$@"; }

# The name of an instance may need quotes in iptables' output, so rules are
# always read back through xargs, which takes them off.
firewall_mark() { echo "emcp.instance=$EMCP_INSTANCE"; }

# Chains are named for the subnet: names are at most 28 characters long, and
# no two networks of a machine share a subnet.
input_chain() { echo "$FIREWALL_PREFIX-IN-${EMCP_SUBNET%/*}"; }
forward_chain() { echo "$FIREWALL_PREFIX-FWD-${EMCP_SUBNET%/*}"; }

# Docker looks here first and leaves alone what is in it, also what was there
# before it started. An engine that filters without iptables never looks here,
# and what comes before Docker cannot know which it will be: until something
# leads to this chain, the rules hang in both.
forward_hooks() {
  echo DOCKER-USER
  ipt -C FORWARD -j DOCKER-USER 2>/dev/null || echo FORWARD
}

# Servers' questions for names are asked by Docker on their behalf, with their
# addresses. A resolver may be this host, or a cloud's metadata address.
name_servers() {
  local file=/etc/resolv.conf
  # systemd's stub is at a loopback address; Docker asks the real ones.
  if grep -qs '^nameserver 127.0.0.53' "$file"; then file=/run/systemd/resolve/resolv.conf; fi
  awk '$1 == "nameserver" && $2 ~ /^[0-9.]+$/ && $2 !~ /^127\./ { print $2 }' "$file" 2>/dev/null || true
}

check_allowed_ports() {
  local port
  for port in ${EMCP_HOST_PORTS_ALLOWED//,/ }; do
    if ! [[ $port =~ ^[0-9]{1,5}$ ]] || ((port < 1 || port > 65535)); then
      die "EMCP_HOST_PORTS_ALLOWED must be ports separated by commas: $EMCP_HOST_PORTS_ALLOWED"
    fi
  done
}

# Both chains, for iptables-restore. What is not refused returns to the rules
# that were there before.
firewall_rules() {
  local input forward subnet address port protocol
  local refuse='REJECT --reject-with icmp-admin-prohibited'
  input=$(input_chain) forward=$(forward_chain)
  echo '*filter'
  echo ":$input - [0:0]"
  echo ":$forward - [0:0]"
  for subnet in "$EMCP_SUBNET" "$EMCP_INTERNAL_SUBNET"; do
    echo "-A $input -s $(docker_range "$subnet") -j RETURN"
    echo "-A $forward -s $(docker_range "$subnet") -j RETURN"
  done
  # Answers: it is Traefik and EMCP that connect to servers.
  echo "-A $input -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
  echo "-A $forward -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
  # Who has no egress asks nobody for names.
  echo "-A $input -s $EMCP_INTERNAL_SUBNET -j $refuse"
  for address in $(name_servers); do
    for protocol in udp tcp; do
      echo "-A $input -d $address/32 -p $protocol --dport 53 -j RETURN"
      echo "-A $forward -d $address/32 -p $protocol --dport 53 -j RETURN"
    done
  done
  for port in ${EMCP_HOST_PORTS_ALLOWED//,/ }; do
    echo "-A $input -p tcp --dport $port -j RETURN"
    echo "-A $forward -p tcp -m conntrack --ctstate DNAT --ctorigdstport $port -j RETURN"
  done
  echo "-A $input -j $refuse"
  for address in "${METADATA_ADDRESSES[@]}" "$EMCP_SUBNET" "$EMCP_INTERNAL_SUBNET"; do
    echo "-A $forward -d $address -j $refuse"
  done
  # A port of this host that leads into a container: without Docker's
  # userland proxy such a connection is forwarded and never comes in.
  echo "-A $forward -m conntrack --ctstate DNAT -j $refuse"
  echo COMMIT
}

# The rules that lead into the chains, as "iptables -A" wants them.
firewall_jumps() {
  local subnet hook hooks
  hooks=$(forward_hooks)
  for subnet in "$EMCP_SUBNET" "$EMCP_INTERNAL_SUBNET"; do
    echo "INPUT -s $subnet -m comment --comment $(firewall_mark) -j $(input_chain)"
    for hook in $hooks; do
      echo "$hook -s $subnet -m comment --comment $(firewall_mark) -j $(forward_chain)"
    done
  done
}

# Those that are there, ours by their mark, in the same form.
present_jumps() {
  local chain rule mark
  mark=$(firewall_mark)
  for chain in INPUT DOCKER-USER FORWARD; do
    # Not every engine has every chain, nor every chain a rule of ours.
    { ipt -S "$chain" 2>/dev/null | grep -F -- "$mark" || true; } | while IFS= read -r rule; do
      rule=$(xargs <<<"${rule#-A }")
      if [[ $rule == *" --comment $mark -j $FIREWALL_PREFIX-"* ]]; then echo "$rule"; fi
    done
  done
}

# remove_jumps RULE…: and the chains that then are used no more.
remove_jumps() {
  local rule chain all
  for rule in "$@"; do
    # Words on purpose: it is a rule.
    # shellcheck disable=SC2086
    ipt -D $rule
    chain=${rule##* }
    # Another jump may still lead there.
    all=$(ipt -S)
    if ! grep -q -- "-j $chain\$" <<<"$all"; then
      ipt -F "$chain"
      ipt -X "$chain"
    fi
  done
}

# Callers ask whether it went well, and then "set -e" does not hold in here.
firewall_install() {
  local rule wanted stale=() present
  wanted=$(firewall_jumps)
  # In one transaction, so that no moment is without rules.
  firewall_rules | iptables-restore -w 10 --noflush || return 1
  ipt -n -L DOCKER-USER >/dev/null 2>&1 || ipt -N DOCKER-USER || return 1
  while IFS= read -r rule; do
    # shellcheck disable=SC2086
    ipt -C $rule 2>/dev/null || ipt -I ${rule%% *} 1 ${rule#* } || return 1
  done <<<"$wanted"
  # Of subnets that this instance had before.
  present=$(present_jumps)
  while IFS= read -r rule; do
    [[ -z $rule ]] || grep -qxF -- "$rule" <<<"$wanted" || stale+=("$rule")
  done <<<"$present"
  remove_jumps "${stale[@]}"
}

firewall_remove() {
  local rules=()
  mapfile -t rules < <(present_jumps)
  remove_jumps "${rules[@]}"
  # Refused where others use the chain.
  ipt -X DOCKER-USER 2>/dev/null || true
}

# All of the machine's state that the rules are, or are made from. A new name
# server is a change as well, and so is Docker's start.
firewall_state() {
  name_servers
  ipt -S | grep -E -- "$(input_chain)|$(forward_chain)|$(firewall_mark)|^-A FORWARD -j DOCKER-USER" || true
}

# Installs until that changes nothing, so that what others do at the same
# moment (Docker starts, somebody flushes) is not taken for what should be.
# SETTLED is the state then; without one, the next look installs again.
firewall_settle() {
  local state='' before attempt
  SETTLED=''
  for attempt in 1 2 3 4; do
    before=$state
    firewall_install || return 1
    state=$(firewall_state)
    if ((attempt > 1)) && [[ $state == "$before" ]]; then SETTLED=$state && return; fi
  done
}

# Nothing tells of a change (a reload of firewalld, somebody's flush), so it is
# looked for.
firewall_watch() {
  firewall_settle || die 'iptables refuses the rules.'
  echo "the rules are there; looking every $WATCH_SECS s whether they still are"
  while sleep "$WATCH_SECS"; do
    [[ $(firewall_state) != "$SETTLED" ]] || continue
    if firewall_settle; then
      echo 'the rules, or what they are made from, were changed: installed again'
    else
      echo "the rules were changed, and iptables refuses them; trying again in $WATCH_SECS s" >&2
    fi
  done
}

firewall_show() {
  local chain
  present_jumps | sed 's/^/-A /'
  for chain in "$(input_chain)" "$(forward_chain)"; do
    ipt -S "$chain" 2>/dev/null | grep '^-A' || echo "$chain is not installed"
  done
  unit_show
  bridge_filtered || echo '# Connections between servers do not pass these rules (br_netfilter is off); their gateway keys refuse them.'
}

# Whether frames between two containers of one network pass iptables.
bridge_filtered() { [[ $(cat /proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null) == 1 ]]; }

# Why the rules cannot be installed, or nothing.
firewall_obstacle() {
  if ! is_root; then
    echo 'only root may'
  elif ! have iptables; then
    echo 'there is no iptables'
  elif ! ipt -n -L INPUT >/dev/null 2>&1; then
    echo 'iptables does not work here'
  fi
}

# The step of make up: a machine without the rules still serves, and EMCP says
# on /readyz and in the dashboard what servers reach.
ensure_firewall() {
  local why
  check_allowed_ports
  check_subnets
  why=$(firewall_obstacle)
  if [[ ${EMCP_FIREWALL:-on} == off ]]; then
    if [[ -z $why ]]; then
      unit_remove
      firewall_remove
    fi
    detail 'EMCP_FIREWALL is off: servers reach what this host reaches'
  elif [[ -n $why ]]; then
    detail "NOT installed, because $why: servers reach this host's ports and cloud metadata"
  elif firewall_install; then
    detail "servers are cut off from this host, cloud metadata and each other$(unit_install)"
    firewall_show
  else
    detail "NOT installed, because iptables refused ($STEP_LOG): servers reach this host's ports and cloud metadata"
  fi
}

# The step of make clean, which has leftovers.sh: also those of killed tests.
clean_firewall() {
  local instance
  [[ -z $(firewall_obstacle) ]] || return 0
  unit_remove
  firewall_remove
  is_of_a_test || ipt -S | { grep -o 'emcp\.instance=emcp-test-[A-Za-z0-9-]*' || true; } | cut -d = -f 2 | sort -u |
    while read -r instance; do
      owner_lives "$instance" || EMCP_INSTANCE=$instance FIREWALL_PREFIX=EMCP-TEST firewall_remove
    done
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  why=$(firewall_obstacle)
  [[ -z $why ]] || die "the firewall cannot be changed: $why."
  check_allowed_ports
  check_subnets
  # Not the unit's: it starts with the machine, and its rules go in all at once.
  case ${1:-} in
    install | remove) lock_machine ;;
  esac
  case ${1:-} in
    install)
      firewall_install
      unit_install
      firewall_show
      ;;
    remove)
      unit_remove
      firewall_remove
      ;;
    show) firewall_show ;;
    load) firewall_install ;;
    watch) firewall_watch ;;
    *) die "usage: scripts/firewall.sh install|show|remove|load|watch" ;;
  esac
fi
