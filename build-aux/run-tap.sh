#!/bin/bash
# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# run-tap.sh NAME PROGRAM...: runs programs that speak TAP, keeps what they say
# in build/tap/NAME.log and prints a summary. No program is a failure. RLX_RUN:
# what is to run them, if they are for another machine.
set -u
cd "$(dirname "$0")/.." || exit 1
name=$1
shift
mkdir -p build/tap
log=build/tap/$name.log
: >"$log"
[ $# -gt 0 ] || echo "not ok 1 - nothing to run for $name" >>"$log"

run() {
    local program=$1 output status
    [ -x "$program" ] || { echo "not ok 1 - $program is not there"; return; }
    output=$(${RLX_RUN:-} "$program" 2>&1)
    status=$?
    # The thread sanitizer can not live with some kernels' random addresses.
    if [[ $output == *'unexpected memory mapping'* ]]; then
        output=$(setarch -R "$program" 2>&1)
        status=$?
    fi
    echo "$program .."
    echo "$output"
    if [ "$status" -ne 0 ]; then
        echo "not ok 9999 - $program exits with $status"
    fi
}
for program; do
    run "$program" >>"$log"
done
build-aux/tap-count "$log"
