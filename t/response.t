# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Limits by the response: deduct_when and reserve. A request is tested when it
# comes in and charged when its response is known, whatever kind of response
# that is; the fields of that response show it.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Http2 ();
use RateLimit::Httpd ();

my $mpm = $ENV{MPM} || 'event';
my $h = RateLimit::Httpd->start(
    faketime => 1,
    modules => ['rewrite', 'proxy', 'proxy_http', 'cache',
                'cache_disk', 'negotiation', 'filter',
                $mpm eq 'prefork' ? 'cgi' : qw(cgid http2)],
    files => {
        (map { ("$_/ok.html" => "ok\n", "$_/index.html" => "index\n") }
            qw(s doc page reserve all order strategies index dry both shared
               kept later head cost app always http2 tested other)),
        (map { ("$_/ok.txt" => "ok $_\n") } qw(cached)),
        'doc/404.html' => "our 404\n",
    },
    conf => <<'END');
Protocols h2c http/1.1
RateLimitHeaders x-ratelimit ietf
LogLevel ratelimit_ext:debug
LogFormat "%U %>s %{RATELIMIT_RESULT}e %{RATELIMIT_REMAINING}e" fared
CustomLog "@DIR@/fared_log" fared
CacheQuickHandler Off
CacheRoot "@DIR@/cache"
<Directory "@DOCROOT@/cgi">
    Options +ExecCGI
    SetHandler cgi-script
</Directory>

<Location "/s">
    RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404"
</Location>
<Location "/doc">
    RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404"
    ErrorDocument 404 /doc/404.html
</Location>
<Location "/cgi">
    RateLimit "3/hour" deduct_when="resp('X-Bad') == 'yes'"
</Location>
<Location "/always">
    RateLimit "3/hour" deduct_when="resp('X-Always') == 'yes'"
    Header always set X-Always yes
</Location>
<Location "/proxy">
    ProxyPass "http://127.0.0.1:@PORT2@/backend"
    RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} -ge 500"
</Location>
<Location "/head">
    RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} in { '200', '304' }"
</Location>
<Location "/reserve">
    RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404" reserve=on
</Location>
<Location "/tested">
    RateLimit "2/hour" deduct_when="%{REQUEST_STATUS} == 429"
    RateLimit "1/minute"
</Location>
<Location "/order">
    RateLimitCharge in-order
    RateLimit "5/hour" deduct_when="%{REQUEST_STATUS} == 429" name=last
    RateLimit "1/minute" name=middle
    RateLimit "5/second" deduct_when="%{REQUEST_STATUS} == 429" name=first
</Location>
<Location "/all">
    RateLimitCharge all
    RateLimit "5/hour" deduct_when="%{REQUEST_STATUS} == 429" name=last
    RateLimit "1/minute" name=middle
    RateLimit "5/second" deduct_when="%{REQUEST_STATUS} == 429" name=first
</Location>
<Location "/strategies">
    RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404" strategy=moving-window name=moving
    RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404" strategy=sliding-window-counter name=sliding
    RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404" strategy=gcra name=gcra
</Location>
<Location "/kept">
    RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404" reserve=on strategy=moving-window name=moving
    RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404" reserve=on strategy=sliding-window-counter name=sliding
    RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404" reserve=on strategy=gcra name=gcra
</Location>
<Location "/dry">
    RateLimit "1/hour" deduct_when="%{REQUEST_STATUS} == 404" dry_run=on
</Location>
<Location "/both">
    RateLimit "9/hour" name=plain
    RateLimit "3/minute" deduct_when="%{REQUEST_STATUS} == 404" name=errors
</Location>
<Location "/cost">
    RateLimit "10/hour" deduct_when="%{REQUEST_STATUS} == 404" cost=%{req:X-Cost}
</Location>
<Location "/shared">
    RateLimitShared "3/hour" scope=errors deduct_when="%{REQUEST_STATUS} == 404"
</Location>
<Location "/other">
    RateLimitShared "3/hour" scope=errors deduct_when="%{REQUEST_STATUS} == 404"
</Location>
<Location "/http2">
    RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404"
</Location>
<Location "/cached">
    CacheEnable disk
    CacheIgnoreNoLastMod On
    CacheDefaultExpire 600
    Header set X-Made yes
    RateLimit "5/hour" deduct_when="resp('X-Made') == 'yes'"
</Location>
<Location "/index">
    RateLimit "4/hour" deduct_when="%{REQUEST_STATUS} == 200" name=where
    DirectoryIndex none.html index.html
</Location>

<VirtualHost 127.0.0.1:@PORT2@>
    RateLimitEngine Off
    Redirect 404 /backend/404
    Redirect 502 /backend/502
    Redirect 503 /backend/503
    RewriteEngine On
    RewriteRule ^/backend/ok$ /s/ok.html
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT3@>
    RateLimitDefault "3/hour" deduct_when="%{REQUEST_STATUS} == 404"
    RateLimitApplication "5/day" deduct_when="%{REQUEST_STATUS} == 404" name=umbrella
</VirtualHost>
END

sub write_cgi {
    my ($name, $text) = @_;
    chmod 0755, $h->write("cgi/$name", "#!/bin/sh\n$text");
}
my $last = 0;
# A client that nobody has met.
my $who;
sub fresh { $who = '10.2.' . (++$last >> 8) . '.' . ($last & 255); return }
my $c = $h->client;
sub ask {
    my ($path, %headers) = @_;
    return $c->get($path, 'X-Forwarded-For' => $who, %headers);
}
# "200:3" - status and what X-RateLimit-Remaining says.
sub shown {
    my ($r) = @_;
    return $r->code . ':' . ($r->header('X-RateLimit-Remaining') // '-');
}
sub series { my ($path, $n, %headers) = @_;
             return join ' ', map { shown(ask($path, %headers)) } 1 .. $n }

fresh;
is(series('/s/ok.html', 5), '200:3 200:3 200:3 200:3 200:3', 'what is fine costs nothing');
is(series('/s/none', 3), '404:2 404:1 404:0', 'errors are charged, and shown with it');
is(series('/s/ok.html', 2), '429:0 429:0', 'then everything is refused');
is(ask('/s/none')->header('Retry-After'), 3600, 'for as long as the window');
$h->advance(3599);
is(series('/s/none', 1), '429:0', 'until its end');
$h->advance(1);
is(series('/s/ok.html', 1), '200:3', 'and not longer: refusals were not charged');

# The window begins with the first charge, not with the first test.
fresh;
my $r = ask('/s/ok.html');
is($r->header('X-RateLimit-Reset'), $h->now, 'nothing is charged: nothing to reset');
$h->advance(100);
$r = ask('/s/none');
is($r->header('X-RateLimit-Reset'), $h->now + 3600, 'the first charge begins the window');
is($r->header('RateLimit'), '"3 per 1 hour";r=2;t=3600', 'ietf fields too');

fresh;
is(series('/doc/none', 4), '404:2 404:1 404:0 429:0', 'ErrorDocument 404');
like(do { fresh; ask('/doc/none')->body }, qr/our 404/, 'which is what is served');
fresh;
is(series('/doc/404.html', 4), '200:3 200:3 200:3 200:3', 'and not charged by itself');

write_cgi('bad', 'printf "X-Bad: yes\nContent-Type: text/plain\n\nbad"');
write_cgi('good', 'printf "X-Bad: no\nContent-Type: text/plain\n\ngood"');
write_cgi('status', 'printf "Status: 403 No\nX-Bad: yes\nContent-Type: text/plain\n\nbad"');
write_cgi('fail', 'exit 1');
write_cgi('away', 'printf "Location: http://example.org/\nX-Bad: yes\n\n"');
write_cgi('nph-bad', 'printf "HTTP/1.1 200 OK\r\nX-Bad: yes\r\nConnection: close\r\n\r\nbad"');
fresh;
is(series('/cgi/good', 2), '200:3 200:3', 'a field of a script: not the value');
is(series('/cgi/bad', 2), '200:2 200:1', 'the value');
is(series('/cgi/status', 2), '403:0 429:0', 'with a status of its own');
fresh;
is(series('/cgi/away', 2), '302:2 302:1', 'a script that sends elsewhere');
is(series('/cgi/fail', 1), '500:1', 'a script that fails');

fresh;
is(series('/always/ok.html', 4), '200:2 200:1 200:0 429:0', 'fields of Header always are seen');
fresh;
is(series('/always/none', 2), '404:2 404:1', 'also with errors');

fresh;
is(series('/proxy/ok', 2), '200:3 200:3', 'a backend that answers');
is(series('/proxy/503', 2), '503:2 503:1', 'one that does not');
is(series('/proxy/404', 1), '404:1', 'or says something else');
is(series('/proxy/502', 2), '502:0 429:0', 'the last');

fresh;
$r = ask('/head/ok.html');
is(shown($r), '200:2', 'a file');
my $modified = $r->header('Last-Modified');
is(series('/head/ok.html', 1, 'If-Modified-Since' => $modified), '304:1', '304 Not Modified');
$r = $c->head('/head/ok.html', 'X-Forwarded-For' => $who);
is(shown($r), '200:0', 'HEAD');
is($c->head('/head/ok.html', 'X-Forwarded-For' => $who)->code, 429, 'HEAD is refused like GET');

fresh;
is(series('/reserve/ok.html', 5), '200:3 200:3 200:3 200:3 200:3', 'reserve: given back');
is(ask('/reserve/ok.html')->header('X-RateLimit-Reset'), $h->now, 'as if it had never been');
is(series('/reserve/none', 4), '404:2 404:1 404:0 429:0', 'reserve: kept');

# A refusal by another limit.
fresh;
is(series('/tested/ok.html', 5), '200:0 429:0 429:0 429:0 429:0', 'atomic: another limit refuses');
$h->advance(60);
is(series('/tested/ok.html', 1), '200:0', 'what a refusal would be charged to was not');
fresh;
ask('/order/ok.html');
is(ask('/order/ok.html')->header('RateLimit'),
   '"first";r=4;t=1, "middle";r=0;t=60, "last";r=5;t=0',
   'in-order: what stands before the refusal is charged as the response says');
fresh;
ask('/all/ok.html');
is(ask('/all/ok.html')->header('RateLimit'),
   '"first";r=4;t=1, "middle";r=0;t=60, "last";r=4;t=3600',
   'all: everything is');

for my $place (qw(strategies kept)) {
    fresh;
    is(ask("/$place/ok.html")->header('RateLimit'),
       '"moving";r=3;t=0, "sliding";r=3;t=0, "gcra";r=3;t=0', "$place: free");
    is(ask("/$place/none")->header('RateLimit'),
       '"moving";r=2;t=3600, "sliding";r=2;t=3600, "gcra";r=2;t=1200', "$place: charged");
    ask("/$place/none") for 1 .. 2;
    is(ask("/$place/ok.html")->code, 429, "$place: full");
    $h->advance(1200);
    is(ask("/$place/ok.html")->header('RateLimit'),
       '"moving";r=0;t=2400, "sliding";r=0;t=2400, "gcra";r=1;t=2400', "$place: later");
}

fresh;
is(series('/dry/none', 3), '404:0 404:0 404:0', 'dry_run never refuses');

fresh;
is(ask('/both/none')->header('RateLimit'), '"errors";r=2;t=60, "plain";r=8;t=3600', 'beside another limit');
is(ask('/both/ok.html')->header('RateLimit'), '"errors";r=2;t=60, "plain";r=7;t=3600', 'which counts by itself');

fresh;
is(series('/cost/none', 1, 'X-Cost' => 7), '404:3', 'a cost');
is(series('/cost/ok.html', 1, 'X-Cost' => 4), '429:3', 'is tested in full');
is(series('/cost/ok.html', 1, 'X-Cost' => 3), '200:3', 'and has room');
is(series('/cost/none', 2, 'X-Cost' => 3), '404:0 429:0', 'and is taken');

fresh;
is(series('/shared/none', 2), '404:2 404:1', 'a shared scope');
is(series('/other/none', 2), '404:0 429:0', 'is shared');

fresh;
is(series('/index/', 5), '200:3 200:2 200:1 200:0 429:0', 'DirectoryIndex: once');
fresh;
is(series('/cached/ok.txt', 3), '200:4 200:3 200:2', 'cached responses are responses');
fresh;
is(series('/cached/ok.txt', 2), '200:4 200:3', 'of whoever asks');

fresh;
$c = $h->client(3);
is(ask('/nowhere')->header('RateLimit'), '"3 per 1 hour";r=2;t=3600, "umbrella";r=4;t=86400',
   'defaults and umbrellas');
is(ask('/')->header('RateLimit'), '"3 per 1 hour";r=2;t=3600, "umbrella";r=4;t=86400',
   'are not charged for what is fine');
$c = $h->client;

# What bypasses httpd's own response is settled at its end.
fresh;
is(ask('/cgi/nph-bad')->code, 200, 'a script that writes its own head') for 1 .. 2;
is(series('/cgi/good', 1), '200:3', 'whose fields are not seen');

# The variables say what it came to, for the log.
fresh;
ask('/s/none');
my ($line) = grep { m{^/s/none} } reverse split /\n/, do {
    open my $fh, '<', $h->dir . '/fared_log' or die $!; local $/; <$fh> };
is($line, '/s/none 404 allowed 2', 'the access log has what is left after the charge');

if ($mpm ne 'prefork') {
    my %count;
    $count{$_}++ for RateLimit::Http2::streams($h->port, 20, '/http2/ok.html',
                                               'x-forwarded-for' => '10.9.9.9');
    is_deeply(\%count, { 200 => 20 }, 'HTTP/2: streams that cost nothing');
    RateLimit::Http2::streams($h->port, 1, '/http2/none', 'x-forwarded-for' => '10.9.9.9')
        for 1 .. 3;
    is_deeply([RateLimit::Http2::streams($h->port, 2, '/http2/ok.html',
                                         'x-forwarded-for' => '10.9.9.9')],
              [429, 429], 'and some that do');
}

done_testing;
