#!/bin/sh
# Builds respgate and runs every test; the last line is "N passed, N failed".
#
#   tests/run.sh [--quick] [stage ...]
#
# Stages: unit drift wire e2e node asan; all of them without arguments, all but asan with --quick.
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
cd "$root" || exit 1

# Debian's python and meson, whatever a developer's PATH puts before them.
PATH=/usr/bin:/usr/sbin:/bin:/sbin:$PATH
python=/usr/bin/python3
export PATH
export PYTHONDONTWRITEBYTECODE=1

stages=
for argument; do
    case $argument in
    --quick) stages="$stages unit drift wire e2e node" ;;
    unit | drift | wire | e2e | node | asan) stages="$stages $argument" ;;
    *)
        sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
done
[ -n "$stages" ] || stages='unit drift wire e2e node asan'

logs=$(mktemp -d "${TMPDIR:-/tmp}/respgate-tests.XXXXXX")
trap 'rm -rf "$logs"' EXIT
passed=0
failed=0

# Adds a runner's counts; a runner that ran nothing has failed.
count() { # name passed failed
    if [ $(($2 + $3)) -eq 0 ]; then
        echo "$1: no tests ran"
        failed=$((failed + 1))
    fi
    passed=$((passed + $2))
    failed=$((failed + $3))
}

begin() {
    stage=$1
    started=$(date +%s)
    echo "== $stage"
}

finish() { # passed failed
    echo "== $stage: $1 passed, $2 failed, $(($(date +%s) - started)) s"
    count "$stage" "$1" "$2"
}

# Build folder, then meson's options; errors are fatal: there is nothing to test.
build() { # folder options...
    folder=$1
    shift
    if [ -f "$folder/build.ninja" ]; then
        meson configure "$folder" -Dwerror=true "$@" >"$logs/setup" 2>&1
    else
        meson setup "$folder" -Dwerror=true "$@" >"$logs/setup" 2>&1
    fi && ninja -C "$folder" >"$logs/ninja" 2>&1 && return
    cat "$logs/setup"
    [ ! -f "$logs/ninja" ] || tail -n 60 "$logs/ninja"
    echo "the build in $folder failed"
    echo "$passed passed, $((failed + 1)) failed"
    exit 1
}

# The number before a word in a summary, 0 when there is none: "3 failed, 97 passed in 2s".
number() { # word text
    found=$(printf '%s\n' "$2" | sed -n "s/.*[^0-9]\{0,1\}\b\([0-9][0-9]*\) $1.*/\1/p" | tail -n 1)
    echo "${found:-0}"
}

run_unit() { # build folder
    meson test -C "$1" --print-errorlogs --timeout-multiplier 4 >"$logs/unit" 2>&1
    code=$?
    [ "$code" -eq 0 ] || cat "$logs/unit"
    ok=$(sed -n 's/^Ok: *\([0-9]*\).*/\1/p' "$logs/unit")
    bad=$(sed -n 's/^\(Fail\|Timeout\|Unexpected Pass\): *\([0-9]*\).*/\2/p' "$logs/unit" |
        awk '{ sum += $1 } END { print sum + 0 }')
    [ "$code" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    finish "${ok:-0}" "$bad"
}

# Runs a command, shows its output and keeps it in $logs/output; its exit code becomes $code.
# A runner's own counts are moved in, so that only the last line of all looks like it does.
shown() {
    { "$@" 2>&1; echo $? >"$logs/code"; } | tee "$logs/output" |
        sed -u 's/^[0-9]* passed, [0-9]* failed$/  &/'
    code=$(cat "$logs/code")
}

run_pytest() { # arguments...
    shown "$python" -m pytest -q -p no:cacheprovider --durations=5 "$@"
    summary=$(grep -E '^=*.*(passed|failed|error|skipped|no tests ran).* in [0-9.]+s' "$logs/output" | tail -n 1)
    bad=$(($(number failed "$summary") + $(number 'errors\{0,1\}' "$summary")))
    # 5: nothing was collected, which count() tells
    [ "$code" -eq 0 ] || [ "$code" -eq 5 ] || [ "$bad" -gt 0 ] || bad=1
    finish "$(number passed "$summary")" "$bad"
}

run_counted() { # script: its last line is "N passed, N failed"
    if [ ! -f "$1" ]; then
        finish 0 0
        return
    fi
    shown sh "$1"
    summary=$(tail -n 1 "$logs/output")
    bad=$(number failed "$summary")
    [ "$code" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    finish "$(number passed "$summary")" "$bad"
}

begin needs
sh tests/deps.sh || {
    echo "0 passed, 1 failed"
    exit 1
}
echo "== needs: $(($(date +%s) - started)) s"

begin build
build build
echo "== build: $(($(date +%s) - started)) s"
RESPGATE=$root/build/respgate
export RESPGATE

for stage in $stages; do
    case $stage in
    unit)
        begin unit
        run_unit build
        ;;
    drift)
        begin drift
        run_pytest tests/drift
        ;;
    wire)
        begin wire
        run_pytest tests/wire
        ;;
    e2e)
        begin e2e
        run_pytest tests/e2e --ignore=tests/e2e/node
        ;;
    node)
        begin node
        run_counted tests/e2e/node/run.sh
        ;;
    asan)
        begin 'asan build'
        build build-asan -Dsanitize=true
        echo "== asan build: $(($(date +%s) - started)) s"
        RESPGATE=$root/build-asan/respgate
        REQUEST_FILTER=$root/build-asan/tests/unit/resp/request_filter
        E2E_TIMEOUT_FACTOR=4
        ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1
        UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
        export RESPGATE REQUEST_FILTER E2E_TIMEOUT_FACTOR ASAN_OPTIONS UBSAN_OPTIONS
        begin 'asan unit'
        run_unit build-asan
        begin 'asan e2e'
        run_pytest tests/e2e tests/wire --ignore=tests/e2e/node -m 'not slow'
        unset REQUEST_FILTER E2E_TIMEOUT_FACTOR ASAN_OPTIONS UBSAN_OPTIONS
        RESPGATE=$root/build/respgate
        ;;
    esac
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
