# shellcheck shell=bash
# What the machine itself must have: Debian packages, a Rust toolchain,
# certificates of a company CA. Sourced after lib.sh.

# EMCP_INSTALL=no forbids any change of the machine; what is missing is then
# listed instead.
can_install() { is_root && have apt-get && [[ ${EMCP_INSTALL:-yes} != no ]]; }

MISSING=() DEBS=()

# need COMMAND WORDS PACKAGE…: notes what is missing, in words and as packages.
need() {
  local command=$1 words=$2
  shift 2
  have "$command" && return
  MISSING+=("$words")
  DEBS+=("$@")
}

apt_has() { apt-cache show "$1" 2>/dev/null | grep -q '^Package:'; }

# Installs packages and notes those that were new, for "make clean PURGE=1".
apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  local options=(-y --no-install-recommends -o DPkg::Lock::Timeout=300) new
  # One that is only brought up to date has its old version in brackets there.
  new=$(apt-get "${options[@]}" -s install "$@" 2>/dev/null | awk '$1 == "Inst" && $3 !~ /^\[/ { print $2 }')
  mkdir -p "$STATE_DIR"
  [[ -z $new ]] || printf '%s\n' "$new" >>"$STATE_DIR/apt-packages"
  apt-get "${options[@]}" install "$@"
}

# One message for everything that is missing and cannot be installed here.
refuse_missing() {
  local why list='' hint=''
  if ! have apt-get; then
    why='this system has no apt'
  elif ! is_root; then
    why='you are not root'
    hint='Or run it as root, which installs them.'
  else
    why='EMCP_INSTALL=no forbids it'
  fi
  list=$(printf '  - %s\n' "${MISSING[@]}")
  die "these are missing, and cannot be installed for you because $why:
$list
Install them, then run make $COMMAND again.${hint:+ $hint}"
}

# requirements TOOL…: what a script needs besides the engine. Everything is
# looked at first, so that a person gets one list and apt runs once.
check_requirements() {
  MISSING=() DEBS=()
  need curl 'curl' curl ca-certificates
  if [[ " $* " == *' build '* ]]; then
    need cc 'a C compiler and linker (gcc, libc6-dev)' gcc libc6-dev
    if ! rust_works; then
      MISSING+=("Rust $(rust_wanted) or newer (https://rustup.rs)")
    fi
  fi
  if [[ " $* " == *' wrk '* ]]; then need wrk 'wrk, which makes load' wrk; fi
  if [[ " $* " == *' python '* ]] && ! python_works; then
    MISSING+=('Python 3.10 or newer with the venv module')
    DEBS+=(python3 python3-venv)
  fi
  if [[ " $* " == *' engine '* ]]; then
    if ! engine_find; then
      if ! { is_root && have dockerd; }; then
        MISSING+=("$(engine_problem)")
        DEBS+=(docker.io)
      fi
    fi
    if ! compose_find; then
      MISSING+=('Docker Compose (the docker compose plugin, or docker-compose 1.29 or newer)')
      DEBS+=(docker-compose)
    fi
  fi
  ((${#MISSING[@]} == 0)) && return
  can_install || refuse_missing
}

install_requirements() {
  if ((${#DEBS[@]} > 0)); then
    on_failure "apt could not install: ${DEBS[*]}. See to apt's sources and network, then run make $COMMAND again."
    apt-get update
    # Later Debian releases keep the client in a package of its own.
    if [[ " ${DEBS[*]} " == *' docker.io '* ]] && apt_has docker-cli; then DEBS+=(docker-cli); fi
    apt_install "${DEBS[@]}"
    hash -r
    detail "installed ${DEBS[*]}"
  fi
  [[ " $* " == *' build '* ]] && { rust_works || install_rust; }
  return 0
}

# --- Rust -----------------------------------------------------------------

rust_wanted() { sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$ROOT/Cargo.toml"; }

rust_works() {
  [[ -x $HOME/.cargo/bin/cargo ]] && ! have cargo && PATH=$HOME/.cargo/bin:$PATH
  local version wanted
  version=$(rustc --version 2>/dev/null | awk '{ print $2 }') || return 1
  [[ -n $version ]] && cargo --version >/dev/null 2>&1 || return 1
  wanted=$(rust_wanted)
  [[ $(printf '%s\n%s\n' "$wanted" "$version" | sort -V | head -n 1) == "$wanted" ]]
}

# Debian 12's own Rust is too old, so this is rustup's official installer. Its
# second address serves the same script where the first is blocked.
install_rust() {
  local url script
  script=$(mktemp)
  if have rustup; then
    rustup toolchain install stable --profile minimal -c rustfmt -c clippy && rustup default stable
  else
    for url in https://sh.rustup.rs https://static.rust-lang.org/rustup/rustup-init.sh; do
      curl --proto '=https' --tlsv1.2 -sSf --connect-timeout 10 -o "$script" "$url" || continue
      if sh "$script" -y --no-modify-path --profile minimal -c rustfmt -c clippy; then
        mkdir -p "$STATE_DIR" && touch "$STATE_DIR/rustup"
        break
      fi
    done
  fi
  rm -f "$script"
  PATH=$HOME/.cargo/bin:$PATH
  hash -r
  rust_works || die "Rust $(rust_wanted) or newer is missing, and rustup's installer could not be reached or failed ($STEP_LOG). Install Rust by hand, then run make $COMMAND again."
  detail "${STEP_DETAIL:+$STEP_DETAIL, }installed Rust"
}

# --- Python ---------------------------------------------------------------

python_works() {
  python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

# venv_for FILE…: prints the directory of an environment with the requirements
# of the files, made once for each content of theirs. A package without a hash
# in its file, or with another one, is refused.
venv_for() {
  local key dir
  key=$({ python3 --version && cat "$@"; } | sha256sum | cut -c 1-16)
  dir=$CACHE/venvs/$key
  if [[ ! -f $dir/.complete ]]; then
    rm -rf "$dir"
    python3 -m venv "$dir" >&2
    local arguments=() file
    for file in "$@"; do arguments+=(-r "$file"); done
    "$dir/bin/python" -m pip install --disable-pip-version-check -q --require-hashes "${arguments[@]}" >&2
    touch "$dir/.complete"
  fi
  echo "$dir"
}

# --- certificates of a company --------------------------------------------

# Prints the files with certificates that the machine trusts beyond those of
# its distribution. EMCP_CA_FILE (one PEM file) overrides what is found.
extra_ca_files() {
  if [[ -n ${EMCP_CA_FILE:-} ]]; then
    [[ -r $EMCP_CA_FILE ]] || die "EMCP_CA_FILE names $EMCP_CA_FILE, which cannot be read."
    echo "$EMCP_CA_FILE"
    return
  fi
  local dir
  for dir in /usr/local/share/ca-certificates /etc/pki/ca-trust/source/anchors; do
    [[ -d $dir ]] && find "$dir" -type f \( -name '*.crt' -o -name '*.pem' \) | sort
  done
  return 0
}

system_ca_bundle() {
  local file
  for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem; do
    [[ -r $file ]] && { echo "$file"; return; }
  done
  return 0
}

# One bundle of the system's certificates and the company's, for the tools on
# the host that read a bundle of their own (pip, Node). What the person has
# set already stays.
use_extra_ca() {
  local extra system bundle=$CACHE/ca-bundle.pem
  extra=$(extra_ca_files)
  [[ -n $extra ]] || return 0
  system=$(system_ca_bundle)
  {
    if [[ -n $system ]]; then cat "$system"; fi
    if [[ -n ${EMCP_CA_FILE:-} ]]; then echo && cat "$EMCP_CA_FILE"; fi
  } >"$bundle.$$"
  mv "$bundle.$$" "$bundle"
  export PIP_CERT=${PIP_CERT:-$bundle}
  export NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS:-$bundle}
  if [[ -n ${EMCP_CA_FILE:-} ]]; then
    export CURL_CA_BUNDLE=${CURL_CA_BUNDLE:-$bundle}
    export CARGO_HTTP_CAINFO=${CARGO_HTTP_CAINFO:-$bundle}
    export SSL_CERT_FILE=${SSL_CERT_FILE:-$bundle}
  fi
}

# Writes the extra certificates to a directory, one in each file, the way
# update-ca-certificates wants them.
write_extra_ca() {
  local target=$1 file number=0
  mkdir -p "$target"
  while IFS= read -r file; do
    [[ -n $file ]] || continue
    number=$((number + 1))
    awk -v prefix="$target/company-$number" '
      /-----BEGIN CERTIFICATE-----/ { count++; inside = 1 }
      inside { print > (prefix "-" count ".crt") }
      /-----END CERTIFICATE-----/ { inside = 0 }
    ' "$file"
  done < <(extra_ca_files)
}
