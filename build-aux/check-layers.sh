#!/bin/bash
# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Proves the architecture by what was compiled, in TAP: a layer calls only
# downwards, the core knows neither APR nor httpd, the storages do not know
# httpd, and the module exports one symbol. What it can not find, fails.
set -u
cd "$(dirname "$0")/.." || exit 1
objects=build/module so=.libs/mod_ratelimit_ext.so
layers=(core store http report)
n=0 failed=0

# check NAME OFFENDERS: passes if there are none, else names them.
check() {
    n=$((n + 1))
    if [ -z "$2" ]; then
        echo "ok $n - $1"
    else
        failed=$((failed + 1))
        echo "not ok $n - $1"
        printf '%s\n' "$2" | sed 's/^/#   /'
    fi
}

# The objects of a layer, each of its sources being there.
objects_of() {
    local source object
    for source in src/"$1"/*.c; do
        object=$objects/src/$1/.libs/$(basename "$source" .c).o
        [ -e "$object" ] && echo "$object"
    done
}
missing() {
    local source
    for source in src/*/*.c; do
        [ -e "$objects/$(dirname "$source")/.libs/$(basename "$source" .c).o" ] \
            || echo "$source"
    done
    [ -e "$so" ] || echo "$so"
}
undefined() { objects_of "$1" | xargs -r nm -A -u | awk '{print $1, $NF}'; }
defined() { objects_of "$1" | xargs -r nm -A --defined-only -g | awk '{print $NF}'; }

check 'all is compiled' "$(missing)"
check 'the core calls neither APR nor httpd' \
    "$(undefined core | grep -E ' (ap|apr|apu|unixd|mpm)_')"
check 'the storages do not call httpd' \
    "$(undefined store | grep -E ' (ap|unixd|mpm)_')"

for ((low = 0; low < ${#layers[@]}; low++)); do
    layer=${layers[low]}
    [ -n "$(ls src/"$layer"/*.c 2>/dev/null)" ] || continue
    above=("${layers[@]:low + 1}")
    calls='' includes=''
    for up in "${above[@]}"; do
        [ -z "$(objects_of "$up")" ] \
            || calls+=$(undefined "$layer" | grep -wFf <(defined "$up"))
        includes+=$(grep -nE "^ *# *include *[\"<](\.\./)*(src/)?$up/" \
                        src/"$layer"/*.[ch])
    done
    check "$layer calls nothing above it" "$calls"
    check "$layer includes nothing above it" "$includes"
    check "$layer: every global name begins with rlx_" \
        "$(defined "$layer" | grep -v '^rlx_')"
done
check 'the module exports its record alone' \
    "$(nm -D --defined-only "$so" | awk '{print $NF}' \
       | grep -v '^ratelimit_ext_module$')"
check 'nothing of ours is undefined in it' \
    "$(nm -D -u "$so" | awk '{print $NF}' | grep '^rlx_')"
echo "1..$n"
[ "$failed" -eq 0 ]
