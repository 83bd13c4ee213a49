#!/bin/bash
# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# run-suite.sh [--sanitized] MPM...: t/TEST under each MPM, verbose into
# build/tap/suite-<mpm>.log, with a line for each test file as it goes. A test
# file that says "# mpm: any" does not depend on the MPM and runs under the
# first alone. --sanitized: with the module under sanitizers, and without the
# files that say "# sanitized: no".
set -u
cd "$(dirname "$0")/.." || exit 1
mkdir -p build/tap
exec 9>build/suite.lock
flock -n 9 || { echo 'another run of the suite is using this checkout' >&2; exit 1; }

# Most of what a test file does is wait.
export RLX_JOBS=${RLX_JOBS:-$(($(nproc) + 1))}
kind=suite what= files=(t/*.t)
if [ "${1:-}" = --sanitized ]; then
    shift
    kind=sanitized what=', sanitized'
    export RLX_MODULE=$PWD/build/asan/.libs/mod_ratelimit_ext.so
    export RLX_HTTPD=$PWD/t/httpd-asan
    mapfile -t files < <(grep -L '^# sanitized: no' t/*.t)
fi

suite() {
    local mpm=$1 log=build/tap/$kind-$1.log status
    shift
    MPM=$mpm t/TEST -v "$@" >"$log" 2>&1 9>&-
    status=$?
    # What the shared server had to say; private ones say it by themselves.
    if grep -E 'exit signal (Seg|Ab|Bus|Ill|Float)|Sanitizer|runtime error:' \
            t/logs/error_log >>"$log" 2>/dev/null; then
        echo 'not ok 9999 - a child of the shared httpd crashed' >>"$log"
    fi
    if [ "$status" -ne 0 ]; then
        MPM=$mpm t/TEST -stop-httpd >>"$log" 2>&1 9>&-
        grep -qE '^(not ok|Dubious|Result: FAIL)' "$log" \
            || { echo "not ok 9999 - t/TEST exits with $status"; tail -n 20 "$log"; } \
               >>"$log.end"
        [ -e "$log.end" ] && cat "$log.end" >>"$log" && rm -f "$log.end"
    fi
}

failed=0
for mpm; do
    log=build/tap/$kind-$mpm.log
    rm -f "$log" t/logs/error_log
    echo "== MPM $mpm$what: ${#files[@]} test files"
    suite "$mpm" "${files[@]}" 9>&- &
    while [ ! -e "$log" ]; do sleep 0.1; done
    tail -n +1 -f --pid=$! "$log" 9>&- | build-aux/tap-count \
        || { failed=1; echo "   the whole story: $log"; }
    wait $!
    mapfile -t files < <(printf '%s\n' "${files[@]}" | xargs grep -L '^# mpm: any')
done
exit $failed
