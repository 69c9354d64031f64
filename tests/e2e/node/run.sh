#!/bin/sh
# run.sh - stock Node clients through respgate; ends with a line "N passed, N failed".
#
#   RESPGATE=path     the binary (default build/respgate)
#   REDIS_DIRECT=1    the same tests straight against Redis: is it the test or the proxy?
#   ./run.sh ioredis.test.js --test-name-pattern=FLUSHALL     some of them
set -eu

[ -z "${RESPGATE:-}" ] || RESPGATE=$(realpath "$RESPGATE") # before the cd, so that it may be relative
export RESPGATE="${RESPGATE:-}"
cd "$(dirname "$0")"
[ -n "$RESPGATE" ] || RESPGATE=$(realpath ../../../build)/respgate
if [ "${REDIS_DIRECT:-}" != 1 ] && [ ! -x "$RESPGATE" ]; then
    echo "run.sh: no $RESPGATE; build it first, or set RESPGATE" >&2
    exit 1
fi

# A stamp of the lock file, so that a second run needs no network.
lock=$(sha256sum package-lock.json)
if [ "$lock" != "$(cat node_modules/.installed-lock 2>/dev/null || :)" ]; then
    npm ci --no-progress >&2
    echo "$lock" >node_modules/.installed-lock
fi

case "${1:-}" in
    *.test.js) ;;
    *) set -- *.test.js "$@" ;;
esac
files=''
options=''
for argument in "$@"; do
    case "$argument" in
        -*) options="$options $argument" ;;
        *) files="$files $argument" ;;
    esac
done

tap=$(mktemp)
trap 'rm -f "$tap"' EXIT
status=0
# One file at a time: each has servers of its own, and timings on a small machine stay meaningful.
# shellcheck disable=SC2086 # both lists are words by construction
node --test --test-concurrency=1 --test-timeout=300000 $options \
    --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=tap --test-reporter-destination="$tap" $files || status=$?

passed=$(sed -n 's/^# pass //p' "$tap")
failed=$(sed -n 's/^# fail //p' "$tap")
cancelled=$(sed -n 's/^# cancelled //p' "$tap")
echo "${passed:-0} passed, $((${failed:-1} + ${cancelled:-0})) failed"
exit "$status"
