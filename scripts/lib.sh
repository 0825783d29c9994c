# shellcheck shell=bash
# What every script here shares: settings, named steps with times, messages.
# Sourced, never run.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
COMMAND=$(basename "$0" .sh)
# shellcheck source=scripts/subnet.sh
source "$ROOT/scripts/subnet.sh"
export HOME=${HOME:-/root}

# --- settings -------------------------------------------------------------

# Reads compose/.env the way Compose does, for the settings that these scripts
# need as well. A variable of the environment wins.
load_env_file() {
  local file=$ROOT/compose/.env line key value
  [[ -f $file ]] || return 0
  while IFS= read -r line || [[ -n $line ]]; do
    [[ $line =~ ^[[:space:]]*([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] || continue
    key=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]}
    if [[ $value =~ ^\"(.*)\"$ || $value =~ ^\'(.*)\'$ ]]; then
      value=${BASH_REMATCH[1]}
    fi
    [[ -n ${!key+set} ]] || export "$key=$value"
  done <"$file"
}

is_root() { [[ $(id -u) == 0 ]]; }
have() { command -v "$1" >/dev/null 2>&1; }

default_data_dir() {
  if is_root; then
    echo /opt/mcp-platform/data
  else
    echo "${XDG_DATA_HOME:-$HOME/.local/share}/emcp"
  fi
}

# What an installation shares with no other carries its instance: of_instance
# NAME [OTHERS]. The default one has the plain name.
of_instance() {
  if [[ $EMCP_INSTANCE == emcp ]]; then echo "$1"; else echo "${2:-$EMCP_INSTANCE-$1}"; fi
}

load_settings() {
  load_env_file
  EMCP_INSTANCE=${EMCP_INSTANCE:-emcp}
  EMCP_DATA_DIR=${EMCP_DATA_DIR:-$(default_data_dir)}
  # shellcheck disable=SC2034 # Not every script asks.
  NETWORK_GIVEN=${EMCP_NETWORK:-}
  EMCP_NETWORK=${EMCP_NETWORK:-$(of_instance mcp-net)}
  EMCP_SUBNET=${EMCP_SUBNET:-10.213.0.0/20}
  EMCP_INTERNAL_SUBNET=${EMCP_INTERNAL_SUBNET:-$(twin_subnet "$EMCP_SUBNET")}
  # What a person builds on.
  BASE_TAG=corp/mcp-base:$(of_instance latest "$EMCP_INSTANCE")
  EMCP_BASE_IMAGE=${EMCP_BASE_IMAGE:-$BASE_TAG}
  EMCP_HTTPS_PORT=${EMCP_HTTPS_PORT:-8443}
  EMCP_HTTP_PORT=${EMCP_HTTP_PORT:-8080}
  local port_suffix=":$EMCP_HTTPS_PORT"
  [[ $EMCP_HTTPS_PORT == 443 ]] && port_suffix=
  EMCP_PUBLIC_URL=${EMCP_PUBLIC_URL:-https://localhost$port_suffix}
  EMCP_PUBLIC_URL=${EMCP_PUBLIC_URL%/}
  EMCP_SERVERS_URL=${EMCP_SERVERS_URL:-}
  EMCP_SERVERS_URL=${EMCP_SERVERS_URL%/}
  export EMCP_INSTANCE EMCP_DATA_DIR EMCP_NETWORK EMCP_SUBNET EMCP_INTERNAL_SUBNET EMCP_BASE_IMAGE
  export EMCP_HTTPS_PORT EMCP_HTTP_PORT EMCP_PUBLIC_URL EMCP_SERVERS_URL
}

# The first directory of the list that exists or can be made. A cache only
# saves time: everything in it is made anew when it is gone.
cache_dir() {
  local dir
  for dir in "${EMCP_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/emcp}" "$ROOT/.cache"; do
    if mkdir -p "$dir" 2>/dev/null && [[ -w $dir ]]; then
      echo "$dir"
      return
    fi
  done
  mktemp -d
}

# Settings that would end up in names and addresses: told in words, before they
# become an error of iptables or Docker.
check_instance() {
  [[ $EMCP_INSTANCE =~ ^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$ ]] ||
    die "EMCP_INSTANCE must be 1 to 40 letters, digits, '-', '_' or '.', beginning with a letter or digit: $EMCP_INSTANCE"
}

check_subnets() {
  local name
  for name in EMCP_SUBNET EMCP_INTERNAL_SUBNET; do
    if [[ $name == EMCP_INTERNAL_SUBNET && -z ${!name} ]]; then
      die "name a second subnet, as large as $EMCP_SUBNET, for the servers without egress: make $COMMAND EMCP_INTERNAL_SUBNET=…"
    fi
    is_subnet "${!name}" || die "$name is not an IPv4 subnet between /8 and /26, such as 10.213.0.0/20: ${!name}"
  done
  [[ ${EMCP_SUBNET#*/} == "${EMCP_INTERNAL_SUBNET#*/}" ]] ||
    die "EMCP_SUBNET ($EMCP_SUBNET) and EMCP_INTERNAL_SUBNET ($EMCP_INTERNAL_SUBNET) must be of the same size."
}

load_settings
CACHE=$(cache_dir)
# What make up did to the machine itself (packages, an engine it started).
# Not a cache: make clean needs it.
# shellcheck disable=SC2034 # Not every script does.
STATE_DIR=${EMCP_STATE_DIR:-/var/lib/emcp-setup}
# One directory a run, so that another run's logs stay; "latest" leads to it.
LOGS_KEPT=10
LOG_DIR=$CACHE/log/$COMMAND/$(date -u +%Y%m%dT%H%M%S)-$$
mkdir -p "$LOG_DIR"
ln -sfn "${LOG_DIR##*/}" "$CACHE/log/$COMMAND/latest"

# The oldest go, but not those of a run that goes on.
remove_old_logs() {
  local dir
  find "$CACHE/log/$COMMAND" -mindepth 1 -maxdepth 1 -type d -name '*T*-*' | LC_ALL=C sort | head -n -"$LOGS_KEPT" |
    while IFS= read -r dir; do
      [[ -d /proc/${dir##*-} ]] || rm -rf "$dir"
    done
}
remove_old_logs

# Kept with the rest, so that make clean finds them.
export PIP_CACHE_DIR=${PIP_CACHE_DIR:-$CACHE/pip} npm_config_cache=${npm_config_cache:-$CACHE/npm}

if [[ -z ${CARGO_TARGET_DIR:-} ]]; then
  if mkdir -p "$CACHE/target" 2>/dev/null; then
    export CARGO_TARGET_DIR=$CACHE/target
  else
    export CARGO_TARGET_DIR=$ROOT/target
  fi
fi

# --- messages -------------------------------------------------------------

# Ends the script with one message for the person. Works in a subshell too,
# since the message travels in a file to the trap of the outermost shell.
die() {
  printf '%s\n' "$*" >"$LOG_DIR/.message"
  exit 1
}

# What to do when something after this line fails; shown below the log lines.
on_failure() { ADVICE=$*; }

now_ms() { date +%s%3N; }

seconds_since() {
  local ms=$(($(now_ms) - $1))
  printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

STEP=0 STEPS=0 STEP_NAME='' STEP_DETAIL='' STEP_START=0 STEP_LOG='' ADVICE=''

# step NAME COMMAND…: runs a command or function of this shell with its output
# in a log file. There is no "if" around the call, so "set -e" holds inside.
step() {
  local name=$1
  shift
  STEP=$((STEP + 1)) STEP_NAME=$name STEP_DETAIL='' ADVICE='' STEP_START=$(now_ms)
  STEP_LOG=$LOG_DIR/$(printf '%02d-%s.log' "$STEP" "${name//[^A-Za-z0-9]/-}")
  printf '==> [%d/%d] %s … ' "$STEP" "$STEPS" "$name"
  # Without the lock, which what outlives the script must not hold on to.
  "$@" >"$STEP_LOG" 2>&1 </dev/null 7>&-
  printf 'ok (%s s)%s\n' "$(seconds_since "$STEP_START")" "${STEP_DETAIL:+: $STEP_DETAIL}"
  STEP_NAME=''
}

# What the last step said, for what a person is to see.
show_step_log() { sed 's/^/      /' "$STEP_LOG"; }

# A few words behind the step's "ok".
detail() { STEP_DETAIL=$*; }

# The terminal, also while a step's output goes to its log: a signal finds the
# redirection in force. What outlives the script must not inherit these.
exec 3>&1 4>&2

# --- one at a time ----------------------------------------------------------

# Where all users of the machine find it: two of them may share an engine.
lock_file() {
  local dir=/tmp
  # Everybody may write there, but only the owner may remove.
  if [[ -k /run/lock && -w /run/lock ]]; then dir=/run/lock; fi
  echo "${EMCP_LOCK_FILE:-$dir/emcp-make.lock}"
}

# Whatever changes the machine or an installation takes this first: two of them
# at once would build in the same place, and one would stop what the other has
# just started.
lock_machine() {
  local file others=''
  file=$(lock_file)
  # Never truncated or written to: another user's file may only be read there
  # (fs.protected_regular), and a lock needs no more.
  [[ -e $file ]] || (umask 0133 && set -C && : >"$file") 2>/dev/null || true
  [[ -f $file && -r $file ]] || die "the lock $file cannot be opened; remove it, or name another file in EMCP_LOCK_FILE."
  exec 7<"$file"
  flock -n 7 && return
  if have pgrep; then others=$(pgrep -o -a -f '/scripts/(up|down|clean|image|dev|firewall|test)\.sh' | head -n 1) || others=''; fi
  echo "Another make is at work on this machine${others:+ (process $others)}: waiting until it has ended."
  # In short waits, so that a signal is heard.
  until flock -w 1 7; do :; done
}

unlock_machine() { exec 7<&-; }

finish() {
  local status=$? message=''
  trap - EXIT
  [[ -f $LOG_DIR/.message ]] && message=$(<"$LOG_DIR/.message")
  rm -f "$LOG_DIR/.message"
  if ((status != 0)); then
    if [[ -n $INTERRUPTED ]]; then
      message='interrupted; it may simply be run again.'
      [[ -n $STEP_NAME ]] && echo
    elif [[ -n $STEP_NAME ]]; then
      printf 'failed (%s s)\n' "$(seconds_since "$STEP_START")"
      if [[ -z $message ]]; then
        printf '\nThe last lines of %s:\n' "$STEP_LOG"
        tail -n 25 "$STEP_LOG" | sed 's/^/  | /'
        message=$ADVICE
      fi
    fi >&4
    [[ -n $message ]] && printf '\nmake %s: %s\n' "$COMMAND" "$message" >&4
  fi
  if declare -F cleanup >/dev/null; then cleanup "$status"; fi
  exit "$status"
}
trap finish EXIT
# Not told from the status: a program that was ended has that of a signal, too.
INTERRUPTED=''
trap 'INTERRUPTED=yes; exit 130' INT
trap 'INTERRUPTED=yes; exit 143' TERM
check_instance

# wait_until SECONDS COMMAND…: polls a condition up to a deadline.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.2
  done
}
