#!/bin/sh
# quickstart.sh - builds respgate and runs it in front of a Redis, to see what it does.
#
#   conf/quickstart.sh                    a Redis of its own, thrown away at the end
#   conf/quickstart.sh --backend URL      in front of a Redis that is there already
#   conf/quickstart.sh --port N           listen there; default 6380, or the next free one
#
# On Debian it installs what is missing (with sudo when not root). Everything else it makes is in
# build-quickstart/ and in a folder under /tmp that goes away when it ends: Ctrl-C, or SIGTERM.
set -eu

# Debian's own tools, whatever else a PATH puts before them.
PATH=/usr/bin:/usr/sbin:/bin:/sbin:$PATH
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build-quickstart
shipped=$root/conf/respgate.conf

# redis-tools alone: its redis-check-rdb is redis-server under another name, and the package
# redis-server would leave a service running on 6379.
packages="gcc libc6-dev meson ninja-build pkg-config libuv1-dev libhiredis-dev libssl-dev libinih-dev libmicrohttpd-dev uthash-dev
    redis-tools ca-certificates"

backend=
port=
user=
password=
work=
redis_pid=
gate_pid=

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0"
}

step() {
    printf '\n==> %s\n' "$*"
}

fail() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

# Runs a command without a word, unless it fails.
quietly() {
    if ! "$@" >"$work/output" 2>&1; then
        cat "$work/output" >&2
        fail "failed: $*"
    fi
}

# Ends one of ours and waits until it has.
# shellcheck disable=SC2317 # reached by the trap alone
stop() { # stop PID
    [ -n "$1" ] || return 0
    kill "$1" 2>/dev/null || :
    wait "$1" 2>/dev/null || :
}

# shellcheck disable=SC2317
clean_up() {
    status=$?
    trap - EXIT
    trap '' INT TERM HUP # a second Ctrl-C must not leave things behind
    stop "$gate_pid"
    stop "$redis_pid"
    [ -z "$work" ] || rm -rf "$work"
    exit "$status"
}

read_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --backend=* | --port=*)
            option=${1%%=*}
            value=${1#*=}
            shift
            set -- "$option" "$value" "$@"
            continue
            ;;
        --backend | --port)
            [ -n "${2:-}" ] || fail "$1 needs a value"
            if [ "$1" = --backend ]; then backend=$2; else port=$2; fi
            shift 2
            ;;
        *)
            usage >&2
            exit 2
            ;;
        esac
    done
    case $port in
    *[!0-9]*) fail "--port $port: not a port" ;;
    esac
}

install_missing() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        echo "Not a Debian: $packages, or what they are called here, have to be installed."
        return
    fi
    missing=
    for package in $packages; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || :)
        [ "$state" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    step "Installing$missing"
    sudo=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "no sudo; as root: apt-get install$missing"
        sudo=sudo
    fi
    quietly $sudo apt-get update
    # shellcheck disable=SC2086 # a list of package names
    quietly $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
}

build_gate() {
    step "Building respgate in $build"
    [ -f "$build/build.ninja" ] || quietly meson setup --buildtype=release -Db_lto=true "$build" "$root"
    quietly ninja --quiet -C "$build" respgate
    "$build/respgate" --version
}

# The kernel's list of listening sockets (state 0A): a fresh Debian has neither ss nor netstat.
port_is_free() { # port_is_free PORT
    ! grep -qiE "^ *[0-9]+: [0-9A-F]+:$(printf %04X "$1") [0-9A-F]+:0000 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

free_port() { # free_port FIRST
    candidate=$1
    until port_is_free "$candidate"; do
        candidate=$((candidate + 1))
        [ "$candidate" -le 65535 ] || fail "no free port from $1 on"
    done
    echo "$candidate"
}

# Waits for the first answer, even an error such as NOAUTH.
wait_for() { # wait_for NAME PORT PID LOG
    tries=0
    until redis-cli -p "$2" PING >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ] || ! kill -0 "$3" 2>/dev/null; then
            cat "$4" >&2
            fail "$1 did not start"
        fi
        sleep 0.1
    done
}

start_redis() {
    redis_port=$(free_port 16379)
    step "Starting a redis-server on port $redis_port; it keeps nothing"
    server=$(command -v redis-server || :)
    if [ -z "$server" ]; then
        server=$work/redis-server # the program asks by what name it was called
        ln -s "$(command -v redis-check-rdb)" "$server"
    fi
    mkdir "$work/redis"
    "$server" --bind 127.0.0.1 --port "$redis_port" --save '' --appendonly no --dir "$work/redis" \
        >"$work/redis.log" 2>&1 &
    redis_pid=$!
    wait_for redis-server "$redis_port" "$redis_pid" "$work/redis.log"
    backend=redis://127.0.0.1:$redis_port
}

# The shipped configuration with other addresses. Quoted, because an URL may hold a # or a comma;
# from the environment, because awk -v would take backslashes out.
write_config() {
    console=$(free_port "$((port + 1))")
    http=$(free_port 9180)
    umask 077 # a password may stand in the URL, and respgate refuses a file others can write
    LISTEN=127.0.0.1:$port URL=$backend CONSOLE=127.0.0.1:$console HTTP=127.0.0.1:$http awk '
        function put(key, value) {
            gsub(/["\\]/, "\\\\&", value)
            print key " = \"" value "\""
        }
        /^\[/ { section = $0 }
        section == "[proxy]" && /^listen *=/ { put("listen", ENVIRON["LISTEN"]); next }
        section == "[backend]" && /^url *=/ { put("url", ENVIRON["URL"]); next }
        section == "[admin]" && /^console *=/ { put("console", ENVIRON["CONSOLE"]); next }
        section == "[admin]" && /^http *=/ { put("http", ENVIRON["HTTP"]); next }
        { print }
    ' "$shipped" >"$work/respgate.conf"
}

start_gate() {
    [ -n "$port" ] || port=$(free_port 6380)
    port_is_free "$port" || fail "port $port is taken"
    write_config
    shown=$(printf '%s' "$backend" | sed 's|//[^/]*@|//|') # no password on the screen
    step "Starting respgate on port $port in front of $shown"
    "$build/respgate" -c "$work/respgate.conf" >"$work/respgate.log" 2>&1 &
    gate_pid=$!
    wait_for respgate "$port" "$gate_pid" "$work/respgate.log"
}

# Shows a command and what it answers. An error reply is an answer, not a failure.
show() {
    printf '\n$ redis-cli -p %s %s\n' "$port" "$*"
    redis-cli -p "$port" "$@" 2>&1 || :
}

percent_decode() {
    awk 'BEGIN {
        for (i = 0; i < 256; i++) code[sprintf("%02X", i)] = sprintf("%c", i)
    } {
        while (match($0, /%[0-9A-Fa-f][0-9A-Fa-f]/)) {
            out = out substr($0, 1, RSTART - 1) code[toupper(substr($0, RSTART + 1, 2))]
            $0 = substr($0, RSTART + 3)
        }
        print out $0
    }'
}

# redis-cli logs in to the store as the URL would: respgate gives no client its own identity.
# By the environment and not by arguments, which everybody on the machine can read.
take_identity() {
    login=${backend#*://}
    login=${login%%/*}
    case $login in
    *@*) login=${login%@*} ;;
    *) return 0 ;;
    esac
    case $login in
    *:*) password=${login#*:} ;;
    *) password=$login login= ;;
    esac
    user=$(printf '%s\n' "${login%%:*}" | percent_decode)
    REDISCLI_AUTH=$(printf '%s\n' "$password" | percent_decode)
    export REDISCLI_AUTH
}

demonstrate_own() {
    step "What goes through, and what does not"
    show SET greeting hello
    show GET greeting
    show FLUSHALL
    show GET greeting
}

# Nothing here could harm a store that is in use, even if it did go through: SWAPDB 0 0 changes
# nothing and the same rule refuses it.
demonstrate_theirs() {
    step "What goes through, and what does not"
    take_identity
    [ -z "$user" ] || set -- --user "$user"
    show "$@" PING
    show "$@" DBSIZE
    show "$@" SWAPDB 0 0
    unset REDISCLI_AUTH
}

print_hints() {
    login=
    [ -z "$user$password" ] || login='USER:PASSWORD@'
    step "Running. In another terminal:"
    cat <<EOF

  export REDIS_URL=redis://${login}127.0.0.1:$port
      and start your application, unchanged
  redis-cli -p $port
      and try to break it
  tail -f $work/respgate.log
      what respgate has to say

The rules are in $work/respgate.conf. After a change:

  $build/respgate -t -c $work/respgate.conf
      checks it
  kill -HUP $gate_pid
      puts it in force; no client is disconnected

To keep it: copy conf/respgate.conf to /etc/respgate/, conf/respgate.service to /etc/systemd/system/.
Ctrl-C ends respgate$([ -z "$redis_pid" ] || echo " and its Redis").
EOF
}

read_arguments "$@"
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
work=$(mktemp -d "${TMPDIR:-/tmp}/respgate-quickstart.XXXXXX")
install_missing
build_gate
if [ -n "$backend" ]; then
    start_gate
    demonstrate_theirs
else
    start_redis
    start_gate
    demonstrate_own
fi
print_hints

trap 'exit 0' INT TERM HUP # from here on that is how it is meant to end
code=0
wait "$gate_pid" || code=$?
tail -n 20 "$work/respgate.log" >&2
gate_pid=
fail "respgate ended with $code"
