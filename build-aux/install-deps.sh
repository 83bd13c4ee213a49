#!/bin/bash
# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# install-deps.sh demo|test: installs what the demo or the tests need and this
# machine lacks. Silent and quick when all is there. Looks for the commands and
# files themselves, wherever they came from.
set -u
what=${1:-test}
PATH=$PATH:/usr/sbin:/sbin

# package (Debian)   package (Fedora)   is it there?
needs_demo='
gcc                  gcc                have cc || have gcc
libc6-dev            glibc-devel        [ -e /usr/include/stdlib.h ]
make                 make               have make
apache2-bin          httpd              have apache2 || have httpd
apache2-dev          httpd-devel        have apxs || have apxs2
curl                 curl               have curl
'
needs_test='
perl                 perl               perl -MTest::More -MTime::HiRes -e 1
libapache2-mod-perl2 perl-Apache-Test   perl -MApache::Test -e 1
libwww-perl          perl-libwww-perl   perl -MLWP::UserAgent -e 1
binutils             binutils           have nm
util-linux           util-linux         have setpriv && have flock
memcached            memcached          have memcached
python3-venv         python3-pip        python3 -c "import ensurepip, venv"
python3-jsonschema   python3-jsonschema has_jsonschema
apache2-utils        httpd-tools        have httxt2dbm
sqlite3              sqlite             have sqlite3
libaprutil1-dbd-sqlite3  apr-util-sqlite  has_driver
g++                  gcc-c++            have c++
libhiredis-dev       hiredis-devel      [ -e /usr/include/hiredis/hiredis.h ]
redis-server         redis              have redis-server
prometheus           golang-github-prometheus  have prometheus && have promtool
fail2ban             fail2ban-server    have fail2ban-regex
chromium             chromium           have chromium || have chromium-browser
chromium-driver      chromedriver       have chromedriver
'
have() { command -v "$1" >/dev/null 2>&1; }
# Another python3 in the PATH need not have what is installed here.
has_jsonschema() {
    local python=/usr/bin/python3
    [ -x $python ] || python=python3
    $python -c 'from jsonschema import Draft202012Validator'
}
has_driver() {
    compgen -G '/usr/lib*/apr-util-1/apr_dbd_sqlite3*.so' \
        || compgen -G '/usr/lib*/*/apr-util-1/apr_dbd_sqlite3*.so'
}

case $what in
    demo) needs=$needs_demo ;;
    test) needs=$needs_demo$needs_test ;;
    *) echo "usage: $0 demo|test" >&2; exit 2 ;;
esac

# Fills debian and fedora with what is not there.
look() {
    local deb rpm there
    debian=() fedora=()
    while read -r deb rpm there; do
        [ -n "$deb" ] || continue
        eval "$there" >/dev/null 2>&1 && continue
        debian+=("$deb")
        fedora+=("$rpm")
    done <<<"$needs"
}

# Says what a person must do, and gives up.
refuse() {
    echo "$1" >&2
    if have apt-get; then
        echo "    apt-get install --no-install-recommends ${debian[*]}" >&2
    elif have dnf; then
        echo "    dnf install ${fedora[*]}" >&2
    else
        echo "    Debian names: ${debian[*]}" >&2
        echo "    Fedora names: ${fedora[*]}" >&2
    fi
    exit 1
}

# No server may be started on this machine by the installation: Debian starts
# what it installs. A policy that is already there stands; ours knows those of
# the lists above alone and goes away again. $1: the word to become root with, or nothing.
policy=/usr/sbin/policy-rc.d
forbid_start() {
    [ -e $policy ] && return
    printf '#!/bin/sh\ncase $1 in apache*|redis*|memcached*|prometheus*|fail2ban*) exit 101 ;; esac\nexit 0\n' \
        | $root tee $policy >/dev/null && $root chmod 755 $policy || return
    trap '$root rm -f $policy' EXIT
}

# The package with Apache::Test enables mod_perl in an apache2 that is already
# configured here, which is somebody else's.
perl_load=/etc/apache2/mods-enabled/perl.load
install() {
    local had_perl=no
    [ -e $perl_load ] || ! have a2dismod || had_perl=unwanted
    $root apt-get update -qq </dev/null || return
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends "${debian[@]}" </dev/null || return
    if [ $had_perl = unwanted ] && [ -e $perl_load ]; then
        $root a2dismod -q perl >/dev/null
    fi
}

look
[ ${#debian[@]} -eq 0 ] && exit 0
have apt-get || refuse 'Please install these packages first:'
if [ "$(id -u)" -eq 0 ]; then
    root=
elif have sudo && sudo -n true 2>/dev/null; then
    root='sudo -n'
else
    refuse 'Please install these packages first, as root:'
fi

echo "installing: ${debian[*]}"
forbid_start
log=$(mktemp)
if ! install >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    look
    refuse 'That did not work. Please install by hand, as root:'
fi
rm -f "$log"
look
[ ${#debian[@]} -eq 0 ] || refuse 'Still missing after the installation:'
