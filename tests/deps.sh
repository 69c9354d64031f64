#!/bin/sh
# Installs what building and testing need on Debian, and only what is missing.
set -eu

packages='gcc libc6-dev meson ninja-build pkg-config libuv1-dev libhiredis-dev libssl-dev libinih-dev libmicrohttpd-dev
    uthash-dev libcmocka-dev redis-server redis-tools redis-sentinel python3 python3-pytest
    python3-redis python3-yaml redis-redisearch openssl procps prometheus chromium ca-certificates'
# node may come from another source than Debian: what is there is used
command -v node >/dev/null 2>&1 || packages="$packages nodejs"
command -v npm >/dev/null 2>&1 || packages="$packages npm"

missing=
for package in $packages; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1; then
    sudo=sudo
else
    echo "tests/deps.sh: missing:$missing; run as root, or install sudo" >&2
    exit 1
fi

echo "installing:$missing"
# a system redis-server that starts with its package does no harm: tests use ports of their own
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q
# shellcheck disable=SC2086 # a list of words
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
