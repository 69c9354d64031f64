#!/bin/sh
# run.sh - respgate beside direct, nutcracker and HAProxy: requests, latency, CPU per request.
#
#   bench/run.sh [--quick] [--rounds N] [--cases LIST] [--requests N] [--layout apart|shared|free]
#                [--build DIR] [--output FILE] [--no-memory]
#
# Installs the Debian packages that are missing, builds a release in build-release unless --build
# names a folder that has a respgate, and prints Markdown. The method is in bench/README.md.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
build=
seen=
for argument in "$@"; do # only --build is needed here; compare.py reads them all
    [ "$seen" != --build ] || build=$argument
    case "$argument" in
        --build=*) build=${argument#--build=} ;;
        -h | --help) exec /usr/bin/python3 "$here/compare.py" --help ;;
    esac
    seen=$argument
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
    "$@" >"$log" 2>&1 || { cat "$log" >&2; echo "run.sh: failed: $*" >&2; exit 1; }
}

missing=
need() { # need PACKAGE PATH: what the package would have put there
    [ -e "$2" ] || missing="$missing $1"
}
need redis-server /usr/bin/redis-server
need redis-tools /usr/bin/redis-benchmark
need nutcracker /usr/sbin/nutcracker
need haproxy /usr/sbin/haproxy
need openssl /usr/bin/openssl
need python3 /usr/bin/python3
need util-linux /usr/bin/taskset
if [ -z "$build" ]; then
    need gcc /usr/bin/gcc
    need libc6-dev /usr/include/stdio.h
    need meson /usr/bin/meson
    need ninja-build /usr/bin/ninja
    need pkg-config /usr/bin/pkg-config
    need libuv1-dev /usr/include/uv.h
    need libhiredis-dev /usr/include/hiredis/hiredis.h
    need libssl-dev /usr/include/openssl/ssl.h
    need libinih-dev /usr/include/ini.h
    need libmicrohttpd-dev /usr/include/microhttpd.h
    need uthash-dev /usr/include/uthash.h
fi
if [ -n "$missing" ]; then
    echo "installing$missing" >&2
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    quietly $sudo apt-get update
    # shellcheck disable=SC2086 # a list of package names
    quietly $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
fi

if [ -z "$build" ]; then
    build=$root/build-release
    echo "building a release in $build" >&2
    [ -f "$build/build.ninja" ] || quietly meson setup --buildtype=release -Db_lto=true "$build" "$root"
    quietly ninja --quiet -C "$build" respgate
fi

set -- "$@" --build "$build"
/usr/bin/python3 "$here/compare.py" "$@"
