# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Response fields: on which responses, of which limit, with which values, and
# never those of another client out of a cache. The clock stands still a
# quarter of a second after a full one, so every value is known.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Place qw(slurp);
use RateLimit::Httpd;

my $mpm = $ENV{MPM} || 'event';
my $h = RateLimit::Httpd->start(
    faketime => 1_800_000_000.25,
    modules => [qw(autoindex cache cache_disk include proxy proxy_http
                   rewrite), $mpm eq 'prefork' ? 'cgi' : 'cgid'],
    conf => <<'END' =~ s/\@MANY\@/join "\n", map { qq(RateLimit "$_ per $_ hours") } 1 .. 40/er);
ErrorDocument 404 /errors/404.html
<Directory "@DOCROOT@">
    Options +ExecCGI
    AddHandler cgi-script .cgi
</Directory>
RateLimitHeaders On
<Location "/ten">
    RateLimit "10 per minute"
</Location>
Redirect 302 /ten/moved http://localhost/moved
<Location "/ten/section">
    Redirect 302 http://localhost/moved
</Location>
<Directory "@DOCROOT@/ten">
    Redirect 302 /ten/directory http://localhost/moved
</Directory>
<Location "/cgi">
    RateLimit "10 per minute"
</Location>
<Location "/one">
    RateLimit "1 per minute"
</Location>
<Location "/one/document">
    ErrorDocument 429 /errors/429.html
</Location>
<Location "/free">
    RateLimitExempt
</Location>

# Which limit speaks
<Location "/lengths">
    RateLimit "20 per hour; 5 per minute; 4 per day" strategy=fixed-window
</Location>
<Location "/shared">
    RateLimitShared "3 per minute" scope=s
    RateLimit "20 per hour"
    RateLimit "30 per day"
</Location>
<Location "/shared-alone">
    RateLimitShared "30 per hour" scope=t
    RateLimitShared "3 per minute" scope=t
</Location>
<Location "/dry">
    RateLimit "1 per hour; 20 per minute"
    RateLimitEngine DryRun
</Location>

# Forms
<Location "/ietf">
    RateLimitHeaders ietf
    RateLimit "5 per minute" name=burst
    RateLimit "2 per hour" name=a/b.c:d
    RateLimit "9 per 2 days" cost=3
</Location>
<Location "/both">
    RateLimitHeaders x-ratelimit ietf
    RateLimit "5 per minute"
</Location>
<Location "/both/off">
    RateLimitHeaders Off
</Location>
<Location "/many">
    RateLimitHeaders ietf
    @MANY@
</Location>
<Location "/gcra">
    RateLimitHeaders ietf
    RateLimit "6 per minute" strategy=gcra burst=2
</Location>

# Behind another server, which has fields of its own
<Location "/back">
    RateLimit "10 per minute"
    ProxyPass http://127.0.0.1:@PORT2@/
</Location>
<Location "/back-free">
    RateLimitExempt
    ProxyPass http://127.0.0.1:@PORT2@/
</Location>
<VirtualHost *:@PORT2@>
    RateLimitHeaders x-ratelimit ietf
    RateLimitDefault "99 per day" key=back
    <Location "/refusing">
        RateLimit "0 per 10 minutes" key=back
    </Location>
</VirtualHost>

# Caches: one that asks us first and one that does not
<Location "/cached">
    Header set Cache-Control "max-age=100"
</Location>
<VirtualHost *:@PORT3@>
    CacheRoot "@DIR@/cache3"
    CacheEnable disk /cached
    CacheQuickHandler off
    CacheHeader on
    RateLimitHeaders x-ratelimit ietf
    RateLimitDefault "4 per hour"
</VirtualHost>
<VirtualHost *:@PORT4@>
    CacheRoot "@DIR@/cache4"
    CacheEnable disk /cached
    CacheQuickHandler on
    CacheHeader on
    RateLimitHeaders x-ratelimit ietf
    RateLimitDefault "4 per hour"
</VirtualHost>
END
my $zero = 1_800_000_000;
my $client = 0;
$h->write($_, "$_\n")
    for qw(ten/page.html ten/dir/index.html one/page.html errors/404.html
           errors/429.html free/page.html page.html shared/page.html
           shared-alone/page.html lengths/page.html dry/page.html
           ietf/page.html both/page.html both/off/page.html gcra/page.html many/page.html
           cached/page.html cached/other.html);
mkdir $h->docroot . '/ten/closed';
for my $n (3, 4) {
    mkdir $h->dir . "/cache$n";
    chmod 0777, $h->dir . "/cache$n";
}
sub script {
    my ($name, $text) = @_;
    chmod 0755, $h->write("cgi/$name.cgi", "#!/bin/sh\n$text\n");
}
script(forbidden => 'printf "Status: 403 Forbidden\n\nno\n"');
script(broken => 'exit 1');
script(moved => 'printf "Location: http://localhost/elsewhere\n\n"');
script(busy => 'printf "Status: 503 Busy\nRetry-After: 77\n\nbusy\n"');
script(own => 'printf "X-RateLimit-Limit: 1\nRateLimit: \"mine\";r=1\n'
              . 'Content-Type: text/plain\n\nown\n"');

# A request by the client of this number, on port n.
sub ask {
    my ($n, $method, $path, %headers) = @_;
    return $h->client($n)->request($method, $path,
        { 'X-Forwarded-For' => "10.3.0.$client", %headers });
}
sub get { my ($path, %headers) = @_; return ask(1, GET => $path, %headers) }
sub fresh { $client++ }

# "limit remaining reset", the last in seconds from the beginning; all that
# came, so that a second value would show.
sub fields {
    my ($r) = @_;
    my ($limit, $remaining, $reset) =
        map { join ',', $r->all("X-RateLimit-$_") } qw(Limit Remaining Reset);
    return '-' if "$limit$remaining$reset" eq '';
    return join ' ', $limit, $remaining, $reset - $zero;
}

### On every response that was counted
for my $case (
    [200, GET => '/ten/page.html'],
    [200, HEAD => '/ten/page.html'],
    [200, OPTIONS => '/ten/page.html'],
    [206, GET => '/ten/page.html', Range => 'bytes=0-1'],
    [404, GET => '/ten/nothing.html'],
    [301, GET => '/ten/dir'],
    [200, GET => '/ten/dir/'],
    [403, GET => '/ten/closed/'],
    [405, PUT => '/ten/page.html'],
    [412, GET => '/ten/page.html', 'If-Match' => '"x"'],
    [416, GET => '/ten/page.html', Range => 'bytes=1000-'],
    [302, GET => '/ten/directory'],
    [403, GET => '/cgi/forbidden.cgi'],
    [500, GET => '/cgi/broken.cgi'],
    [302, GET => '/cgi/moved.cgi'],
    [503, GET => '/cgi/busy.cgi'],
    [200, GET => '/cgi/own.cgi'],
) {
    my ($code, $method, $path, %headers) = @$case;
    fresh();
    my $r = ask(1, $method, $path, %headers);
    is($r->code, $code, "$method $path");
    is(fields($r), '10 9 61', 'has the fields, once');
    is($r->header('Retry-After'), $path =~ /busy/ ? 77 : undef,
       $path =~ /busy/ ? 'and the Retry-After of a script' : 'no Retry-After');
}
{
    fresh();
    my $etag = get('/ten/page.html')->header('ETag');
    my $r = get('/ten/page.html', 'If-None-Match' => $etag);
    is($r->code, 304, 'not modified');
    is(fields($r), '10 8 61', 'has the fields');

    fresh();
    is(get('/one/page.html')->code, 200, 'the only one');
    $r = get('/one/page.html');
    is($r->code, 429, 'a refusal');
    is(fields($r), '1 0 61', 'has the fields');
    is($r->header('Retry-After'), 60, 'and Retry-After');
    $r = ask(1, HEAD => '/one/page.html');
    is(fields($r), '1 0 61', 'HEAD has them too');
    get('/one/document');
    $r = get('/one/document');
    is($r->body, "errors/429.html\n", 'an error document');
    is(fields($r), '1 0 61', 'has them as well');

    # What was not counted has none.
    fresh();
    is(fields(get('/free/page.html')), '-', 'an exempt section has none');
    is(fields(get('/page.html')), '-', 'nor what has no limits');
    is(fields(get('/ten/moved')), '-', 'nor a Redirect of the server');
    is(fields(get('/ten/section')), '-', 'or of a Location: it comes too early');
    is(fields(get('/%zz')), '-', 'nor what is no request');
    is(fields(get('/ten/page.html')), '10 9 61', 'and took nothing');
}

### Which limit speaks
{
    fresh();
    is(fields(get('/lengths/page.html')), '5 4 61', 'the shortest window');
    get('/lengths/page.html') for 1 .. 3;
    my $r = get('/lengths/page.html');
    is($r->code, 429, 'refused by the longest');
    is(fields($r), '4 0 86401', 'which speaks then');
    is($r->header('Retry-After'), 86400, 'and says how long');
    fresh();
    is(fields(get('/shared/page.html')), '20 19 3601',
       'of those that are not shared, the shortest');
    get('/shared/page.html') for 1 .. 2;
    $r = get('/shared/page.html');
    is(fields($r), '3 0 61', 'a shared one that refuses');
    fresh();
    is(fields(get('/shared-alone/page.html')), '3 2 61',
       'where all are shared, the shortest');
    fresh();
    is(fields(get('/dry/page.html')), '20 19 61', 'dry run: the shortest');
    $r = get('/dry/page.html');
    is($r->code, 200, 'dry run: passes without room');
    is(fields($r), '1 0 3601', 'the one without room speaks');
}

### Forms
{
    fresh();
    my $r = get('/ietf/page.html');
    is($r->header('RateLimit-Policy'),
       '"burst";q=5;w=60, "a/b.c:d";q=2;w=3600, "9 per 2 day";q=9;w=172800',
       'ietf: every limit by name or canonical form');
    is($r->header('RateLimit'),
       '"burst";r=4;t=60, "a/b.c:d";r=1;t=3600, "9 per 2 day";r=6;t=172800',
       'what remains and for how long');
    is(fields($r), '-', 'and no others');
    get('/ietf/page.html');
    $h->advance(0.5);
    $r = get('/ietf/page.html');
    is($r->code, 429, 'refused');
    is($r->header('RateLimit'),
       '"burst";r=3;t=60, "a/b.c:d";r=0;t=3600, "9 per 2 day";r=3;t=172800',
       'times are rounded up');
    $h->advance(-0.5);

    fresh();
    $r = get('/both/page.html');
    is(fields($r), '5 4 61', 'both forms: x-ratelimit');
    is($r->header('RateLimit-Policy'), '"5 per 1 minute";q=5;w=60', 'and ietf');
    is($r->header('RateLimit'), '"5 per 1 minute";r=4;t=60', 'with its state');
    $r = get('/both/off/page.html');
    is(fields($r), '-', 'Off in a section');
    is($r->header('RateLimit'), undef, 'all of them');
    is(fields(get('/both/page.html')), '5 2 61', 'though it counted');

    fresh();
    $r = get('/many/page.html');
    is($r->header('RateLimit'), join(', ', map {
        sprintf '"%d per %d hour";r=%d;t=%d', $_, $_, $_ - 1, 3600 * $_
    } 1 .. 40), 'forty limits');
    $r = get('/many/page.html');
    is($r->code, 429, 'of which one has no room');
    like($r->header('RateLimit'), qr/"40 per 40 hour";r=39/, 'takes nothing');

    fresh();
    $r = get('/gcra/page.html');
    is($r->header('RateLimit-Policy'), '"6 per 1 minute";q=6;w=60', 'gcra');
    is($r->header('RateLimit'), '"6 per 1 minute";r=1;t=10', 'of its burst');
}

### Proxied
{
    fresh();
    my $r = get('/back/page.html');
    is($r->code, 200, 'proxied');
    is(fields($r), '10 9 61', 'the fields are ours');
    $r = get('/back-free/page.html');
    like(fields($r), qr/^99 9\d /, 'where we have none, those of the backend');
    like($r->header('RateLimit'), qr/^"99 per 1 day";r=/, 'pass through');
    is(fields(get('/back/nothing.html')), '10 8 61', 'a 404 of the backend');
    $r = get('/back/refusing');
    is($r->code, 429, 'a refusal by the backend');
    is(fields($r), '10 7 61', 'has our fields');
    is($r->header('Retry-After'), 600, 'and its Retry-After');
}

### Cached: a request that is counted has the fields of its own client, one
### that is not has none
sub cached { my ($n, $path, %headers) = @_;
             return ask($n, GET => "/cached/$path", %headers) }
sub how { $_[0]->header('X-Cache') =~ /^(\w+)/ ? $1 : '' }
{
    fresh();
    my $r = cached(3, 'page.html');
    is(how($r), 'MISS', 'quick handler off: not yet cached');
    is(fields($r), '4 3 3601', 'counted');
    $r = cached(3, 'page.html');
    is(how($r), 'HIT', 'cached');
    is(fields($r), '4 2 3601', 'and counted');
    is($r->header('RateLimit'), '"4 per 1 hour";r=2;t=3600', 'in both forms');
    fresh();
    $r = cached(3, 'page.html');
    is(how($r), 'HIT', 'another client');
    is(fields($r), '4 3 3601', 'has fields of its own');
    $r = cached(3, 'page.html', 'If-None-Match' => $r->header('ETag'));
    is($r->code, 304, 'not modified, from the cache');
    is(fields($r), '4 2 3601', 'counted');
    cached(3, 'page.html') for 1 .. 2;
    $r = cached(3, 'page.html');
    is($r->code, 429, 'refused though cached');
    is(fields($r), '4 0 3601', 'with its fields');
    is(cached(3, 'other.html')->code, 429, 'refused and not cached');
    fresh();
    is(cached(3, 'other.html')->code, 200, 'the refusal was not stored');
    is(cached(3, 'page.html')->code, 200, 'neither here');

    fresh();
    $r = cached(4, 'page.html');
    is(how($r), 'MISS', 'quick handler on: not yet cached');
    is(fields($r), '4 3 3601', 'counted');
    for (1 .. 2) {
        $r = cached(4, 'page.html');
        is(how($r), 'HIT', 'cached');
        is(fields($r), '-', 'not counted: no fields');
        is($r->header('RateLimit'), undef, 'of either form');
        is($r->header('RateLimit-Policy'), undef, 'at all');
        fresh();
    }
    # Stale: asked for again, and counted
    $h->advance(101);
    $r = cached(4, 'page.html');
    is($r->code, 200, 'asked for again');
    like($r->header('X-Cache'), qr/^REVALIDATE/, 'whether it still holds');
    is(fields($r), '4 3 3702', 'counted');
    fresh();
    $r = cached(4, 'page.html');
    is(how($r), 'HIT', 'holds');
    is(fields($r), '-', 'no fields');
    # Refusals are not stored
    fresh();
    $h->client(4)->get('/page.html', 'X-Forwarded-For' => "10.3.0.$client")
        for 1 .. 4;
    $r = cached(4, 'other.html');
    is($r->code, 429, 'refused and not cached');
    fresh();
    is(cached(4, 'other.html')->code, 200, 'the next client is not refused');

    my $stored = join '', map { slurp($_) }
        split /\n/, qx(find @{[$h->dir]}/cache3 @{[$h->dir]}/cache4 -type f);
    like($stored, qr/Cache-Control: max-age=100/, 'fields are stored');
    unlike($stored, qr/X-RateLimit|RateLimit|Retry-After/i, 'ours are not');
}

### A place that an internal redirect leads to takes the fields away only if it
### says so
{
    my $own = RateLimit::Httpd->start(children => 1, faketime => 1,
        files => { 'error.html' => 'E', 'none.html' => 'N' }, conf => <<'END');
RateLimitDefault "100 per hour"
ErrorDocument 404 /error.html
<Location "/told">
    RateLimit "5 per minute"
    RateLimitHeaders On
</Location>
<Location "/told/not">
    ErrorDocument 404 /none.html
</Location>
<Location "/none.html">
    RateLimitHeaders Off
</Location>
END
    my @limit = map { $own->client->get($_)->header('X-RateLimit-Limit') // '-' }
                '/told/a', '/told/not/a', '/untold';
    is("@limit", '5 - -', 'fields where an error document is counted too');
}
done_testing;
