#!/bin/bash
# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# A private httpd on a free loopback port with conf.d/quickstart.conf, in the
# foreground until Ctrl-C or SIGTERM. DEMO_PORT chooses the port.
set -u
# A script that starts this in the background has interrupts ignored for us,
# and bash can not trap what was ignored; and whoever started this may be
# killed: the server must not outlive it.
pdeath=
command -v setpriv >/dev/null && pdeath='setpriv --pdeathsig TERM'
if [ -z "${RLX_DEMO:-}" ]; then
    export RLX_DEMO=1
    exec env --default-signal=INT $pdeath "$0" "$@"
fi
cd "$(dirname "$0")/.." || exit 1
apxs=${APXS:-$(command -v apxs || command -v apxs2)}
libexec=$("$apxs" -q LIBEXECDIR)
httpd=$("$apxs" -q SBINDIR)/$("$apxs" -q TARGET)
here=$PWD

# Can the children, who are nobody when root starts this, read a directory?
public() {
    local dir=$1
    while [ "$dir" != / ]; do
        case $(stat -c %A "$dir") in *[xt]) ;; *) return 1 ;; esac
        dir=$(dirname "$dir")
    done
}
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

port=${DEMO_PORT:-}
if [ -z "$port" ]; then
    for port in 8080 8081 8088 8888 $(shuf -i 10000-19999 -n 20); do
        is_free "$port" && break
    done
elif ! is_free "$port"; then
    echo "port $port is taken" >&2
    exit 1
fi

umask 022
root=$here/build/demo/$port
rm -rf "$root"
mkdir -p "$root/htdocs" || exit 1
if [ "$(id -u)" -eq 0 ] && ! public "$root"; then
    rm -rf "$root"
    root=$(mktemp -d /tmp/rlx-demo-XXXXXX) && chmod 755 "$root" \
        && mkdir "$root/htdocs" || exit 1
fi

# The answers of Flask-Limiter's quick start, and a page for a browser.
echo ':(' >"$root/htdocs/slow"
echo ':|' >"$root/htdocs/medium"
echo ':)' >"$root/htdocs/fast"
echo 'PONG' >"$root/htdocs/ping"
cat >"$root/htdocs/index.html" <<'END'
<!DOCTYPE html>
<title>mod_ratelimit_ext</title>
<p>Try <a href="/slow">/slow</a>, <a href="/medium">/medium</a>,
<a href="/fast">/fast</a> and <a href="/ping">/ping</a>, more than once, and
look at <a href="/limiter-status">/limiter-status</a>.
END
cp conf.d/quickstart.conf "$root/"

load() {
    local name
    for name; do
        [ -e "$libexec/mod_$name.so" ] \
            && echo "LoadModule ${name}_module \"$libexec/mod_$name.so\""
    done
}
{
    for mpm in event worker prefork; do
        [ -e "$libexec/mod_mpm_$mpm.so" ] && load "mpm_$mpm" && break
    done
    load unixd authn_core authz_core authz_host dir mime log_config
    cat <<END
LoadModule ratelimit_ext_module "$here/.libs/mod_ratelimit_ext.so"
ServerRoot "$root"
ServerName localhost
Listen 127.0.0.1:$port
DefaultRuntimeDir "$root"
PidFile "$root/httpd.pid"
Mutex default:$root
ErrorLog "$root/error_log"
LogLevel info
DocumentRoot "$root/htdocs"
<IfModule mod_log_config.c>
    CustomLog "$root/access_log" "%h %t \"%r\" %>s"
</IfModule>
<IfModule mod_mime.c>
    TypesConfig /dev/null
    AddType text/html .html
</IfModule>
<Directory "$root/htdocs">
    ForceType text/plain
    <Files "*.html">
        ForceType text/html
    </Files>
</Directory>
<IfModule mod_dir.c>
    DirectoryIndex index.html
</IfModule>
END
    if [ "$(id -u)" -eq 0 ]; then
        echo 'User nobody'
        getent group nogroup >/dev/null && echo 'Group nogroup' || echo 'Group nobody'
    fi
    echo "Include \"$root/quickstart.conf\""
} >"$root/httpd.conf"

pid=
finish() {
    trap '' INT TERM HUP
    [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    rm -rf "$root"
    echo
    echo "stopped"
    exit 0
}
trap finish INT TERM HUP

# A session of its own: httpd signals its whole process group when it stops.
setsid $pdeath "$httpd" -DFOREGROUND -d "$root" -f "$root/httpd.conf" &
pid=$!
for ((i = 0; i < 100; i++)); do
    [ -e "$root/httpd.pid" ] && ! is_free "$port" && break
    if ! kill -0 "$pid" 2>/dev/null; then
        echo 'httpd did not start:' >&2
        cat "$root/error_log" 2>/dev/null >&2
        exit 1
    fi
    sleep 0.1
done

url=http://127.0.0.1:$port
cat <<END

A private httpd with conf.d/quickstart.conf is listening on $url
Its files, logs and configuration: $root

  curl -i $url/slow     1 per day: first 200, then 429 with a Retry-After
  curl -i $url/medium   1 per second, 50 per hour, 200 per day: a second one
$(printf '%*s' $((${#url} + 20)) '')within the same second gets 429
  curl -i $url/fast     50 per hour, 200 per day: see X-RateLimit-Remaining
  curl -i $url/ping     exempt: always 200, and no X-RateLimit fields
  for i in {1..51}; do curl -so /dev/null -w '%{http_code} ' $url/fast; done
$(printf '%*s' $((${#url} + 20)) '')fifty times 200, then 429

Who is refused, and what holds where and why, in a browser:
$url/limiter-status

Ctrl-C stops it.
END
wait "$pid"
status=$?
pid=
echo "httpd ended by itself ($status); its log: $root/error_log" >&2
exit 1
