# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# How answers look: bodies by RateLimitErrorBody and on_breach, names and forms
# of fields.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;

my $T = 1_800_000_000;
my $h = RateLimit::Httpd->start(
    modules => [qw(cgid proxy proxy_http)], faketime => $T, files => {
        'errors/slow.html' => "slow down\n",
        'errors/own.html' => "own\n",
        'errors/429.html' => "ErrorDocument\n",
        'errors/limited.html' => "limited\n",
        'errors/say.cgi' => "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n"
            . "echo \"\$REDIRECT_STATUS \$REDIRECT_RATELIMIT_RESULT \$RATELIMIT_LIMIT\"\n",
        'errors/fine.cgi' => "#!/bin/sh\nprintf 'Status: 200 Fine\\nContent-Type: text/plain\\n\\nfine\\n'\n",
        'errors/moved.cgi' => "#!/bin/sh\nprintf 'Status: 302 Found\\nLocation: http://elsewhere/\\n\\n'\n",
        'htaccess/.htaccess' => "RateLimitErrorBody text\n",
        'body/x' => 'x', 'htaccess/x' => 'x',
    }, conf => <<'END');
<Directory "@DOCROOT@">
    AllowOverride Limit
    Options +ExecCGI
</Directory>
AddHandler cgi-script .cgi
RateLimitHeaders On
RateLimitHeaderName limit X-Quota
<Location "/">
    RateLimit "0 per 90 seconds"
</Location>
<Location "/html">
    RateLimitErrorBody html
</Location>
<Location "/json">
    RateLimitErrorBody json
</Location>
<Location "/json/auto">
    RateLimitErrorBody auto
</Location>
<Location "/text">
    RateLimitErrorBody text
</Location>
<Location "/httpd">
    RateLimitErrorBody off
</Location>

<Location "/breach">
    RateLimitOnBreach /errors/slow.html
    ErrorDocument 429 /errors/429.html
</Location>
<Location "/breach/own">
    RateLimit "0 per hour" on_breach=/errors/own.html
</Location>
<Location "/breach/status">
    RateLimit "0 per hour" status=503
</Location>
<Location "/breach/cgi">
    RateLimitOnBreach /errors/say.cgi
</Location>
<Location "/breach/limited">
    RateLimitOnBreach /errors/limited.html
</Location>
<Location "/breach/missing">
    RateLimitOnBreach /errors/nothing
</Location>
<Location "/breach/fine">
    RateLimitOnBreach /errors/fine.cgi
</Location>
<Location "/breach/moved">
    RateLimitOnBreach /errors/moved.cgi
</Location>
<Location "/breach/proxied">
    RateLimitOnBreach /proxied/slow.html
</Location>
ProxyPass "/proxied" "http://127.0.0.1:@PORT2@/errors"
<VirtualHost 127.0.0.1:@PORT2@>
    RateLimitEngine Off
    <Location "/">
        RateLimitEngine Off
    </Location>
</VirtualHost>
<Location "/document">
    ErrorDocument 429 /errors/429.html
</Location>
<Location "/document/fine">
    ErrorDocument 429 /errors/fine.cgi
</Location>
<Location "/document/moved">
    ErrorDocument 429 /errors/moved.cgi
</Location>
<Location "/denied">
    Require all denied
    ErrorDocument 403 /errors/slow.html
</Location>
<Location "/breach/dry">
    RateLimitEngine DryRun
</Location>
<Location "/breach/strange">
    RateLimit "0 per hour" status=420
</Location>

<Location "/names">
    RateLimitHeaderName remaining X-Quota-Left
    RateLimitHeaderName reset X-Quota-Reset
    RateLimitHeaderName retry-after X-Retry
</Location>
<Location "/date">
    RateLimitRetryAfter http-date
</Location>
<Location "/date/seconds">
    RateLimitRetryAfter delta-seconds
</Location>
END
chmod 0755, glob $h->docroot . "/errors/*.cgi";
my $c = $h->client;
my ($problem, $json) = ('application/problem+json', 'application/json');
my ($html, $text) = ('text/html; charset=utf-8', 'text/plain; charset=utf-8');

### RateLimitErrorBody

for my $case (['/html/x', $html, undef, '*/*'], ['/html/x', $html, undef, $json],
              ['/text/x', $text, undef, 'text/html'],
              ['/json/x', $problem, 'Accept', 'text/html'],
              ['/json/x', $json, 'Accept', $json],
              ['/json/auto/x', $html, 'Accept', 'text/html'],
              ['/htaccess/x', $text, undef, 'text/html']) {
    my ($path, $type, $vary, $accept) = @$case;
    my $r = $c->get($path, Accept => $accept);
    is($r->code, 429, "$path for $accept");
    is($r->header('Content-Type'), $type, 'has this type');
    is($r->header('Vary'), $vary, 'and Vary');
    like($r->body, qr/0 per 90 second/, 'and names the limit');
}
my $r = $c->get('/httpd/x');
is($r->code, 429, 'off');
like($r->body, qr/<!DOCTYPE HTML PUBLIC/, "httpd's own page");
unlike($r->body, qr/per 90 second/, 'which knows no limits');
is($r->header('Retry-After'), 90, 'with Retry-After');

### on_breach

for my $case (['/breach/x', 429, "slow down\n", 'before an ErrorDocument'],
              ['/breach/own/x', 429, "own\n", 'of the limit'],
              ['/breach/status/x', 503, "slow down\n", 'for another status'],
              ['/breach/cgi/x', 429, "429 refused 0 per 90 second\n", 'a script'],
              ['/breach/limited/x', 429, "limited\n", 'a limited place'],
              ['/breach/strange/x', 420, "slow down\n", 'a status without words'],
              ['/breach/fine/x', 429, "fine\n", 'a script that says 200'],
              ['/breach/proxied/x', 429, "slow down\n", 'an application that says 200'],
              ['/document/fine/x', 429, "fine\n", 'an ErrorDocument that says 200'],
              ['/document/x', 429, "ErrorDocument\n", 'none: ErrorDocument']) {
    my ($path, $code, $body, $what) = @$case;
    $r = $c->get($path);
    is($r->code, $code, "$what: status");
    is($r->body, $body, 'body');
    like($r->header('Retry-After'), qr/^(?:90|3600)$/, 'Retry-After');
    is($r->header('Cache-Control'), 'no-store', 'no-store');
}
is($c->get('/breach/fine/x')->reason, 'Too Many Requests', 'and its words');
is($c->get('/breach/moved/x')->code, 429, 'a script that would send elsewhere');
is($c->get('/document/moved/x')->code, 302, 'an ErrorDocument may');
$r = $c->get('/breach/missing/x');
is($r->code, 429, 'a URL that there is not');
$r = $c->head('/breach/x');
is($r->code . $r->body, '429', 'HEAD');
is($c->post('/breach/x', 'a=b')->body, "slow down\n", 'POST');
is($c->get('/breach/dry/x')->code, 404, 'DryRun');

### Fields

# The limits are those of the error document: 403 never reached any.
$r = $c->get('/denied/x');
is($r->code . ' ' . ($r->header('Retry-After') // '-'), '403 90',
   'an error document that is refused');
is($r->header('X-Quota'), 0, 'says by what');

$r = $c->get('/names/x');
is($r->header('X-Quota'), 0, 'one name from outside');
is($r->header('X-Quota-Left'), 0, 'others');
is($r->header('X-Quota-Reset'), $T, 'of the section');
is($r->header('X-Retry'), 90, 'Retry-After too');
is($r->header($_), undef, "no $_") for qw(X-RateLimit-Limit Retry-After
                                         X-RateLimit-Remaining X-RateLimit-Reset);
$r = $c->get('/elsewhere');
is($r->header('X-Quota'), 0, 'elsewhere');
is($r->header('X-RateLimit-Remaining'), 0, 'the usual ones');

is($c->get('/date/x')->header('Retry-After'), 'Fri, 15 Jan 2027 08:01:30 GMT',
   'Retry-After as a date');
$h->advance(0.5);
is($c->get('/date/x')->header('Retry-After'), 'Fri, 15 Jan 2027 08:01:31 GMT',
   'rounded up');
is($c->get('/date/seconds/x')->header('Retry-After'), 90, 'and as seconds');

$h->stop;
done_testing;
