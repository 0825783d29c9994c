# shellcheck shell=bash
# What every script here shares: settings, named steps with times, messages.
# Sourced, never run.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
COMMAND=$(basename "$0" .sh)
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

# The subnet of the servers without egress, unless it is named: the third byte
# differs in its highest bit (src/model/address.rs has the same rule). Nothing
# for a subnet in which that bit is a host's; EMCP then asks for a name.
twin_subnet() {
  local a b c d
  ((${1#*/} >= 17)) || return 0
  IFS=. read -r a b c d <<<"${1%/*}"
  echo "$a.$b.$((c ^ 128)).$d/${1#*/}"
}

load_settings() {
  load_env_file
  EMCP_INSTANCE=${EMCP_INSTANCE:-emcp}
  EMCP_DATA_DIR=${EMCP_DATA_DIR:-$(default_data_dir)}
  EMCP_NETWORK=${EMCP_NETWORK:-mcp-net}
  EMCP_SUBNET=${EMCP_SUBNET:-10.213.0.0/20}
  EMCP_INTERNAL_SUBNET=${EMCP_INTERNAL_SUBNET:-$(twin_subnet "$EMCP_SUBNET")}
  EMCP_BASE_IMAGE=${EMCP_BASE_IMAGE:-corp/mcp-base:latest}
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

load_settings
CACHE=$(cache_dir)
# What make up did to the machine itself (packages, an engine it started).
# Not a cache: make clean needs it.
# shellcheck disable=SC2034 # Not every script does.
STATE_DIR=${EMCP_STATE_DIR:-/var/lib/emcp-setup}
LOG_DIR=$CACHE/log/$COMMAND
mkdir -p "$LOG_DIR"
rm -f "$LOG_DIR"/*

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
  "$@" >"$STEP_LOG" 2>&1 </dev/null
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

finish() {
  local status=$? message=''
  trap - EXIT
  [[ -f $LOG_DIR/.message ]] && message=$(<"$LOG_DIR/.message")
  rm -f "$LOG_DIR/.message"
  if ((status != 0)); then
    if ((status == 130 || status == 143)); then
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
  if declare -F cleanup >/dev/null; then cleanup; fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_until SECONDS COMMAND…: polls a condition up to a deadline.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.2
  done
}
