#!/bin/bash
# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# flask-venv.sh: Flask-Limiter in build/flask-venv, for t/flask.t. Silent and
# quick when it is there in the versions that t/flask/requirements.txt names.
set -u
cd "$(dirname "$0")/.." || exit 1
wanted=t/flask/requirements.txt
venv=build/flask-venv
cmp -s "$wanted" "$venv/installed" && exit 0

# Two tests may want it at the same time.
mkdir -p build
exec 9>build/flask-venv.lock
flock 9
cmp -s "$wanted" "$venv/installed" && exit 0

log=build/flask-venv.log
rm -rf "$venv"
# 9>&-: what is left running must not keep the lock.
if ! { python3 -m venv "$venv" &&
       "$venv/bin/pip" install --quiet --disable-pip-version-check \
           --no-input -r "$wanted"; } >"$log" 2>&1 9>&-; then
    tail -n 20 "$log" >&2
    echo "Flask-Limiter could not be installed in $venv: see $log" >&2
    exit 1
fi
cp "$wanted" "$venv/installed"
