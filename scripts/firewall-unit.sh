# shellcheck shell=bash
# What keeps the servers' firewall: a systemd unit that installs the rules
# before Docker starts, and again when others change them. Where no systemd
# runs there is none: Docker then starts with make up, which installs the rules.
# Sourced by firewall.sh.

UNIT_DIR=${EMCP_UNIT_DIR:-/etc/systemd/system}

unit_name() { echo "$EMCP_INSTANCE-firewall.service"; }

# A copy of the scripts, since a checkout moves, and since only root may write
# what root runs at every start.
unit_home() { echo "$STATE_DIR/firewall/$EMCP_INSTANCE"; }

# The tests' rules end with the tests.
unit_possible() { [[ $FIREWALL_PREFIX == EMCP && -d /run/systemd/system ]] && have systemctl; }

unit_text() {
  local script
  script="$(unit_home)/scripts/firewall.sh"
  cat <<END
# Made by scripts/firewall.sh install; scripts/firewall.sh remove takes it away.
[Unit]
Description=Firewall of EMCP's servers ($EMCP_INSTANCE)
# Others that load a whole firewall go first, and no container is before this.
After=firewalld.service iptables.service netfilter-persistent.service nftables.service ufw.service
Before=docker.service

[Service]
Environment=EMCP_CACHE_DIR=/run/%p
RuntimeDirectory=%p
ExecStartPre=/bin/bash $script load
ExecStart=/bin/bash $script watch
Restart=always
RestartSec=5
# What bash makes of SIGTERM.
SuccessExitStatus=143
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=full

[Install]
WantedBy=multi-user.target docker.service
END
}

# Prints what to add to a message.
unit_install() {
  local home name
  unit_possible || {
    echo '; no systemd keeps them so, after a reboot make up does it again'
    return
  }
  home=$(unit_home) name=$(unit_name)
  mkdir -p "$home/scripts" "$home/compose"
  install -m 0644 "$ROOT"/scripts/{lib,subnet,firewall,firewall-unit}.sh "$home/scripts/"
  # Where lib.sh looks for settings.
  printf '%s\n' "EMCP_INSTANCE=$EMCP_INSTANCE" "EMCP_SUBNET=$EMCP_SUBNET" \
    "EMCP_INTERNAL_SUBNET=$EMCP_INTERNAL_SUBNET" "EMCP_HOST_PORTS_ALLOWED=$EMCP_HOST_PORTS_ALLOWED" >"$home/compose/.env"
  unit_text >"$UNIT_DIR/$name"
  if systemctl daemon-reload && systemctl --quiet enable "$name" && systemctl restart "$name"; then
    echo "; $name keeps them so"
  else
    echo "; $name, which would keep them so, does not run (systemctl status $name)"
  fi
}

unit_remove() {
  local name
  name=$(unit_name)
  unit_possible && [[ -e $UNIT_DIR/$name ]] || return 0
  systemctl --quiet disable --now "$name"
  rm -f "$UNIT_DIR/$name"
  rm -rf "$(unit_home)"
  rmdir "$STATE_DIR/firewall" 2>/dev/null || true
  systemctl daemon-reload
}

unit_show() {
  local name
  name=$(unit_name)
  unit_possible || return 0
  echo "# $name: $(systemctl is-enabled "$name" 2>/dev/null), $(systemctl is-active "$name" 2>/dev/null)"
}
