#!/bin/sh
# Installs what the checkout needs of the system, and only what is missing:
#   sh tests/system.sh sandbox | venv | make | tests
# As root or with sudo through apt. Elsewhere it says in a sentence what to install; that ends
# with 1 in CI, where nothing may be skipped, and with 0 at home, where tests skip with a reason.
set -u

case "${1:-}" in
  sandbox) wanted="bwrap:bubblewrap libmagic.so.1:libmagic1" ;;
  venv) wanted="ensurepip-missing:python3-venv" ;;
  make) wanted="make:make" ;;
  tests) wanted="bwrap:bubblewrap strace:strace tmux:tmux sqlite3:sqlite3 unshare:util-linux
    setpriv:util-linux script:bsdutils jq:jq git:git curl:curl
    dockerd:docker.io docker:docker.io debootstrap:debootstrap systemd-analyze:systemd
    libmagic.so.1:libmagic1" ;;
  *) echo "usage: sh tests/system.sh sandbox|venv|make|tests" >&2; exit 2 ;;
esac

has() (
  PATH="$PATH:/usr/sbin:/sbin"
  case "$1" in
    lib*) ldconfig -p | grep -qF "$1 " ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
)

missing() {
  found=""
  for pair in $wanted; do
    program=${pair%%:*} package=${pair##*:}
    has "$program" && continue
    case " $found " in *" $package "*) ;; *) found="$found $package" ;; esac
  done
  echo "$found"
}

packages=$(missing)
[ -z "$packages" ] && exit 0

# macOS has no bubblewrap, strace or unshare; what needs them is skipped there.
[ "$(uname)" = Darwin ] && exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
  if sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null 2>&1; }; then
    as_root=sudo
  else
    as_root=none
  fi
fi
if [ "$as_root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "Please install these with your system's package manager:$packages" >&2
  [ -z "${CI:-}" ]
  exit
fi

apt() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 \
    -o DPkg::Lock::Timeout=120 "$@"
}

echo "Installing:$packages"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install="install --yes --no-install-recommends $packages"
# shellcheck disable=SC2086
apt $install >"$log" 2>&1 && exit 0
apt update >"$log" 2>&1
for pause in 0 5 15; do
  sleep "$pause"
  # shellcheck disable=SC2086
  apt $install >"$log" 2>&1 && exit 0
done
tail -n 20 "$log" >&2
echo "Could not install:$packages" >&2
[ -z "${CI:-}" ]
