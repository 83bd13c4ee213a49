# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# What is counted about requests, over all children and graceful restarts: each
# once in total and once for each limit, every number worked out by hand; the
# most refused keys; what limits would do that only try; mod_status.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Place qw(httpd_path);
use RateLimit::Redis ();

my $zero = 1_800_000_000;
my $redis = RateLimit::Redis->start;
my $uri = $redis->uri;
my $conf = <<'END';
RateLimitKey %{req:X-Key}
RateLimitKeyDisplay plain
DirectoryIndex index.html
<Location "/status">
    SetHandler limiter-status
    RateLimitEngine Off
</Location>
<Location "/server-status">
    SetHandler server-status
    RateLimitEngine Off
</Location>
<Location "/a">
    RateLimit "5 per hour"
</Location>
<Location "/flood">
    RateLimit "0 per hour"
</Location>
<Location "/many">
    RateLimit "150 per hour" name=many
</Location>
<Location "/two">
    RateLimit "2 per minute; 100 per hour"
</Location>
<Location "/when">
    RateLimit "1 per hour" exempt_when="%{req:X-Pass} == 'yes'"
</Location>
<Location "/filtered">
    RateLimitRequestFilter "%{req:X-Pass} == 'yes'"
    RateLimit "9 per hour"
</Location>
<Location "/dry">
    RateLimit "2 per hour" dry_run=on
</Location>
<Location "/tried">
    RateLimitEngine DryRun
    RateLimit "1 per day"
</Location>
<Location "/early">
    RateLimit "1 per hour" phase=early
    Require all denied
</Location>
<Location "/login">
    RateLimit "1 per hour" deduct_when="%{REQUEST_STATUS} == 404" dry_run=on
</Location>
<Location "/dynamic">
    RateLimit "%{req:X-Limit}"
</Location>
<Location "/meta">
    RateLimit "1 per hour" meta="1 per day"
</Location>
<Directory "@DOCROOT@/d">
    RateLimit "5 per minute"
</Directory>
<Directory "@DOCROOT@/h">
    AllowOverride Limit
</Directory>
<Directory "@DOCROOT@/i">
    AllowOverride Limit FileInfo
</Directory>
<Location "/i">
    RateLimit "7 per hour"
</Location>
<Location "/same">
    RateLimit "3 per hour"
</Location>
<Files "index.html">
    RateLimit "2 per minute" override_defaults=off
</Files>
<Location "/missing">
    RateLimit "6 per hour"
    ErrorDocument 404 /sorry.html
</Location>
<Location "/sorry.html">
    RateLimit "1 per hour"
</Location>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName defaults
    RateLimitDefault "3 per hour"
    RateLimitApplication "4 per hour"
    RateLimitMeta "2 per hour"
    <Location "/free">
        RateLimitExempt
    </Location>
    <Location "/use">
        SetHandler ratelimit-use
        RateLimitExempt
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT3@>
    ServerName falls
    RateLimitStorage "REDIS" timeout=2000
    <Location "/a">
        RateLimit "2 per hour"
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT4@>
    ServerName fallback
    RateLimitStorage "REDIS" timeout=2000
    RateLimitFallback "1 per day"
    <Location "/a">
        RateLimit "2 per hour"
        RateLimit "9 per day" exempt_when=true
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT5@>
    ServerName denies
    RateLimitStorage "REDIS" timeout=2000
    RateLimitStorageFailure deny
    <Location "/a">
        RateLimit "2 per hour"
    </Location>
</VirtualHost>
END
$conf =~ s/"REDIS"/"$uri"/g;

my $h = RateLimit::Httpd->start(
    faketime => $zero,
    modules  => ['ratelimit_use'],
    files    => { map({ ($_ => "$_\n") } qw(a many two when filtered dry tried early
                        login dynamic meta free sorry.html plain h/x i/x same)),
                  'd/index.html' => "i\n",
                  'i/.htaccess' => qq(RateLimit "0 per hour"\nErrorDocument 429 /same\n),
                  'h/.htaccess' => qq(RateLimit "2 per hour"\n) },
    conf     => $conf);
my @client = (undef, map { $h->client($_) } 1 .. 5);
my %n;

# What the status page says now.
sub status { return $h->client->get('/status?format=text')->body }
# A part of it.
sub part {
    my ($name, $text) = @_;
    return ($text // status()) =~ /^\Q$name\E\n(.*?)(?:^$|\z)/ms ? $1 : '';
}
# "seen 3, allowed 2, refused 1": the numbers of a line that are not 0.
sub numbers {
    my ($line) = @_;
    return join ', ', grep { !/ 0$/ } split /, /, $line;
}
sub fates {
    my ($what) = @_;
    return part('Counters') =~ /^  \Q$what\E(?:  \(.*\))?\n    (.*)$/m
        ? numbers($1) : 'no such line';
}
# The same, as far as it has changed since it was asked last.
my %before;
sub news {
    my ($what) = @_;
    my %now = map { /^(.*) (\d+)$/ ? ($1 => $2) : () } split /, /, fates($what);
    my $news = join ', ', map { "$_ " . ($now{$_} - ($before{$what}{$_} // 0)) }
        grep { ($now{$_} // 0) != ($before{$what}{$_} // 0) }
        'seen', 'allowed', 'refused', 'exempt', 'dry run', 'storage errors';
    $before{$what} = { map { $_ => $now{$_} // 0 } 'seen', 'allowed', 'refused',
                       'exempt', 'dry run', 'storage errors' };
    return $news;
}
# Codes of requests to a virtual host.
sub codes {
    my ($n, $times, $path, $key, @headers) = @_;
    return join ' ', map { $client[$n]->get($path, 'X-Key' => $key, @headers)->code }
        1 .. $times;
}

### Totals, and each limit

like(part('Counters'), qr/^  since: 2027-01-15 08:00:00 UTC\n  all requests\n    seen 0,/,
     'nothing yet, since the start');
is(codes(1, 3, '/plain', 'k'), '200 200 200', 'where no limit holds');
is(news('all requests'), '', 'nothing is counted');
is(codes(1, 6, '/a', 'k'), '200 200 200 200 200 429', 'five of six are allowed');
is(news('all requests'), 'seen 6, allowed 5, refused 1', 'in total');
is(fates('_main, Location /a: 5 per 1 hour'), 'seen 6, allowed 5, refused 1',
   'by the limit');
is_deeply($h->client->parallel(8, 400, '/many', { 'X-Key' => 'k' }),
          { 200 => 150, 429 => 250 }, 'by eight connections, to all children');
is(news('all requests'), 'seen 400, allowed 150, refused 250', 'none is lost');
is(fates('_main, Location /many: 150 per 1 hour name=many'),
   'seen 400, allowed 150, refused 250', 'by the limit too');

is(codes(1, 3, '/two', 'k'), '200 200 429', 'two limits');
is(news('all requests'), 'seen 3, allowed 2, refused 1', 'each request once');
is(fates('_main, Location /two: 2 per 1 minute'), 'seen 3, allowed 2, refused 1',
   'the limit that refused');
is(fates('_main, Location /two: 100 per 1 hour'), 'seen 3, allowed 3',
   'the other one had room');

is(codes(1, 2, '/when', 'k', 'X-Pass' => 'yes'), '200 200', 'exempt_when');
is(codes(1, 2, '/when', 'k'), '200 429', 'and not');
is(news('all requests'), 'seen 4, allowed 1, refused 1, exempt 2', 'exempt, in total');
is(fates('_main, Location /when: 1 per 1 hour'),
   'seen 4, allowed 1, refused 1, exempt 2', 'and to the limit');
codes(1, 2, '/filtered', 'k', 'X-Pass' => 'yes');
is(news('all requests'), 'seen 2, exempt 2', 'a request filter exempts');
is(fates('_main, Location /filtered: 9 per 1 hour'), '', 'and asks no limit');

is(codes(1, 2, '/early', 'k'), '403 429', 'an early limit, and access control');
is(news('all requests'), 'seen 2, allowed 1, refused 1', 'what 403 ends was allowed by limits');
is(codes(1, 2, '/dynamic', 'k', 'X-Limit' => '1/minute; 5/hour'), '200 429',
   'two limits that an expression gives');
is(news('all requests'), 'seen 2, allowed 1, refused 1', 'a request each');
is(fates('_main, Location /dynamic: %{req:X-Limit}'), 'seen 2, allowed 1, refused 1',
   'to the directive as well');

is(codes(1, 3, '/meta', 'k'), '200 429 429', 'a limit with its own meta limit');
is(news('all requests'), 'seen 3, allowed 1, refused 2', 'in total');
is(fates('_main, Location /meta: 1 per 1 hour'), 'seen 2, allowed 1, refused 1',
   'the limit was not asked any more');
is(fates('_main, Location /meta, meta=: 1 per 1 day'), 'seen 3, allowed 2, refused 1',
   'the meta limit always');

### Redirects

is(codes(1, 3, '/d/', 'k'), '200 200 429', 'DirectoryIndex leads to a further limit');
is(news('all requests'), 'seen 3, allowed 2, refused 1',
   'a request that was allowed at first is refused in the end');
is(fates("_main, Directory @{[ $h->docroot ]}/d: 5 per 1 minute"), 'seen 3, allowed 3',
   'the outer limit has seen each once, under both endpoints');
is(fates('_main, Files index.html: 2 per 1 minute'), 'seen 3, allowed 2, refused 1',
   'the inner one too');
codes(1, 2, '/missing', 'k');
is(news('all requests'), 'seen 2, allowed 1, refused 1', 'an error document with a limit');
is(fates('_main, Location /missing: 6 per 1 hour'), 'seen 2, allowed 2', 'the first place');
is(fates('_main, Location /sorry.html: 1 per 1 hour'), 'seen 2, allowed 1, refused 1',
   'the second');

### .htaccess

codes(1, 3, '/h/x', 'k');
is(news('all requests'), 'seen 3, allowed 2, refused 1', 'a limit of .htaccess');
codes(1, 2, '/i/x', 'k');
is(news('all requests'), 'seen 2, refused 2', 'a refusal by .htaccess, with its own document');
is(fates('_main, Location /i: 7 per 1 hour'), 'seen 2, allowed 2', 'the limit around it');
is(fates('_main, Location /same: 3 per 1 hour'), 'seen 2, allowed 2', 'and that of the document');
is(fates('other limits of .htaccess files'), 'no such line',
   'which has figures of its own');

### A server's limits

is(codes(2, 5, '/plain', 'k'), '200 200 200 429 429', 'defaults and application');
is(codes(2, 1, '/free', 'k'), '200', 'exempt');
is(codes(2, 1, '/plain', 'k'), '429', 'closed by the meta limit');
is(news('all requests'), 'seen 7, allowed 3, refused 3, exempt 1', 'in total');
my $default = 'defaults:' . $h->port(2);
is(fates("$default, default: 3 per 1 hour"), 'seen 5, allowed 3, refused 2', 'the default');
is(fates("$default, application: 4 per 1 hour"), 'seen 5, allowed 5', 'the application');
is(fates("$default, meta: 2 per 1 hour"), 'seen 6, allowed 5, refused 1', 'the meta limit');

### Other modules

$client[2]->get('/use?limits=1/hour&scope=s&key=k&times=2&refuse=1');
is(fates('limits of other modules'), 'seen 2, allowed 1, refused 1', 'what a module charges');
is(news('all requests'), 'seen 1, refused 1', 'and the request that it refuses');

### Only trying

is(codes(1, 3, '/tried', 'k'), '200 200 200', 'RateLimitEngine DryRun');
is(news('all requests'), 'seen 3, allowed 1, dry run 2', 'would have been refused');
is(fates('_main, Location /tried: 1 per 1 day'), 'seen 3, allowed 1, dry run 2', 'by the limit');
codes(1, 1, '/dry', "k$_") for 0 .. 99;
codes(1, 5, '/dry', 'k0');
codes(1, 3, '/dry', 'k1');
is(news('all requests'), 'seen 108, allowed 102, dry run 6', 'dry_run=on');
my $trials = part('Trials');
like($trials, qr{^  _main, Location /dry: 2 per 1 hour  \(\S+:\d+\)
    requests that would have been refused: 6 of 108
    keys that would have been refused: 2 of 100
    refuses no more than 1 % of keys: 4 per 1 hour
    refuses no more than 0\.1 % of keys: not known before 1000 keys are watched
    last request: 2027-01-15 08:00:00 UTC
}m, 'what would have been, and a count that refuses one key of a hundred');
like($trials, qr{^  _main, Location /tried: 1 per 1 day  .*
    requests that would have been refused: 2 of 3
    keys that would have been refused: 1 of 1
    refuses no more than 1 % of keys: not known before 100 keys are watched
}m, 'RateLimitEngine DryRun is a trial as well');
codes(1, 2, '/login', "k$_") for 0 .. 98;
codes(1, 3, '/login/no', 'k99');
like(part('Trials'), qr{^  _main, Location /login: .*
    requests .*: 2 of 201
    keys .*: 1 of 100
    refuses no more than 1 % of keys: 1 per 1 hour
}m, 'deduct_when= takes what the response says');
unlike($trials, qr{Location /a:}, 'a limit that is enforced is no trial');
news('all requests');

### Who was refused

my @top = split /\n/, part('Most refused keys');
is(scalar @top, 2, 'one key by each server');
like($top[0], qr/^  "k": 2\d\d, last 2027-01-15 08:00:00 UTC by \S.* in _main$/, 'the most first');
like($top[1], qr/^  "k": 4, last .* by 1 per 1 hour in \Q$default\E$/, 'the other server');
$h->advance(10);
codes(1, 1, '/many', 'k');
like(part('Most refused keys'),
     qr/^  "k": 2\d\d, last 2027-01-15 08:00:10 UTC by 150 per 1 hour name=many in _main\n/,
     'the last limit and time');
codes(1, 7, '/a', '<b>' . "\xe2\x82\xac" x 60);
like(part('Most refused keys'), qr/^  "<b>(?:\xe2\x82\xac){41}": 2, last/m,
     'a long key is cut where a character ends');
# More keys than there is room for: a busy one is seen among them.
my $key = 0;
is_deeply($h->client->parallel(4, 3000, '/flood', sub {
    return ('X-Key' => ++$key % 3 ? "flood$key" : 'busy');
}), { 429 => 3000 }, 'a flood of keys');
my ($least, $most) = part('Most refused keys') =~ /^  "busy": (\d+)(?: to (\d+))?, /;
ok($least && $least <= 1000 && ($most // $least) >= 1000, 'a busy key among them, 1000 times');
is(scalar(() = part('Most refused keys') =~ /^  "/mg), 50, 'fifty keys are shown');
news('all requests');

### A graceful restart, and an edit elsewhere

$h->advance(60);
$h->set_conf("<Location \"/new\">\n    RateLimit \"5 per hour\"\n</Location>\n" . $conf);
$h->graceful;
@client = (undef, map { $h->client($_) } 1 .. 5);
is(news('all requests'), '', 'a graceful restart keeps the numbers');
like(part('Counters'), qr/^  since: 2027-01-15 08:00:00 UTC\n/, 'and since when');
is(fates('_main, Location /a: 5 per 1 hour'), 'seen 13, allowed 10, refused 3',
   'of a limit that has moved in the file');
is(fates('_main, Location /new: 5 per 1 hour'), '', 'a new one begins with none');
like(part('Most refused keys'), qr/^  "busy": \d+.*\n  "k": 2/, 'the keys are kept');
like(part('Trials'), qr{Location /dry: .*\n.*: 6 of 108\n.*: 2 of 100\n}, 'and the trials');
codes(1, 1, '/new', 'k');
is(news('all requests'), 'seen 1, allowed 1', 'and counting goes on');

# So many limits that the figures need more room.
$h->set_conf($conf =~ s/dry_run=on$|RateLimitEngine DryRun$//gmr . join '', map
    { qq(<Location "/l$_">\nRateLimit "5 per hour"\n</Location>\n) } 1 .. 1200);
$h->graceful;
@client = (undef, map { $h->client($_) } 1 .. 5);
is(news('all requests'), '', 'a thousand further limits: numbers are carried over');
is(fates('_main, Location /many: 150 per 1 hour name=many'),
   'seen 401, allowed 150, refused 251', 'of each limit');
codes(1, 1, $_, 'k') for '/l1', '/l1200';
is(news('all requests'), 'seen 2, allowed 2', 'and counting goes on');
is(fates("_main, Location $_: 5 per 1 hour"), 'seen 1, allowed 1', 'also in the new ones')
    for '/l1', '/l1200';
unlike(part('Trials'), qr{Location /dry:}, 'a limit that is enforced is tried no longer');
$h->set_conf($conf);
$h->graceful;
@client = (undef, map { $h->client($_) } 1 .. 5);
is(fates('_main, Location /a: 5 per 1 hour'), 'seen 13, allowed 10, refused 3',
   'with fewer again, too');

### The storage does not answer

is(codes($_, 1, '/a', 'k'), '200', 'Redis answers') for 3, 4, 5;
is(news('all requests'), 'seen 3, allowed 3', 'as ever');
$redis->kill;
is(codes(3, 3, '/a', 'k'), '200 200 429', 'counted in shared memory');
is(news('all requests'), 'seen 3, storage errors 3', 'errors, also where one is refused');
is(fates('falls:' . $h->port(3) . ', Location /a: 2 per 1 hour'),
   'seen 4, allowed 1, storage errors 3', 'to the limit as well');
is(codes(4, 2, '/a', 'k'), '200 429', 'RateLimitFallback');
is(news('all requests'), 'seen 2, storage errors 2', 'errors in total');
my $fallback = 'fallback:' . $h->port(4);
is(fates("$fallback, Location /a: 2 per 1 hour"), 'seen 3, allowed 1, storage errors 2',
   'to the limit that could not be asked');
is(fates("$fallback, Location /a: 9 per 1 day"), 'seen 3, exempt 3', 'not to one that is exempt');
is(fates("$fallback, fallback: 1 per 1 day"), 'seen 2, allowed 1, refused 1',
   'the limit in its place says what it did');
is(codes(5, 1, '/a', 'k'), '503', 'RateLimitStorageFailure deny');
is(news('all requests'), 'seen 1, storage errors 1', 'an error');
is(fates('denies:' . $h->port(5) . ', Location /a: 2 per 1 hour'),
   'seen 2, allowed 1, storage errors 1', 'to the limit');

### mod_status

my $auto = $client[1]->get('/server-status?auto')->body;
my ($all) = part('Counters') =~ /all requests\n    (.*)/;
my %number = map { /^(.*) (\d+)$/ } split /, /, $all;
like($auto, qr/^RateLimit\u$_->[0]: $number{$_->[1]}$/m, "?auto: $_->[0]")
    for map({ [$_, $_] } qw(seen allowed refused exempt)), ['DryRun', 'dry run'], ['Errors', 'storage errors'];
like($auto, qr/^RateLimitStorages: 2\nRateLimitStoragesDown: 1$/m, '?auto: storages');
my $page = $client[1]->get('/server-status')->body;
like($page, qr/<h2>Rate limits<.*Requests: $number{seen} seen, $number{allowed} allowed,/s,
     'a section on its page');
like($page, qr{Storage redis://.*: does not answer</dt>}, 'and the storage');
unlike($auto, qr/<h2>Rate/, 'none of it in ?auto');

### The same as the dump

my $dir = $h->dir;
my $dump = do {
    local $ENV{LANG} = 'C';
    qx('@{[ httpd_path() ]}' -t -d '$dir' -f '$dir/httpd.conf' -DDUMP_RATELIMIT 2>&1);
};
my $served = status();
sub warnings_of { return $_[0] =~ /^(Warnings.*?)(?:^$|^Syntax OK|\z)/ms ? $1 : '' }
for my $part ('Configuration', 'Limits') {
    ok(length part($part, $dump) > 200, "the dump has a part $part");
    is(part($part, $served), part($part, $dump), 'and the handler says the same');
}
ok(length warnings_of($dump), 'so has it warnings');
is(warnings_of($served), warnings_of($dump), 'and the handler the same');
unlike($dump, qr/^(?:Counters|Trials|Most refused keys)/m, 'the dump has no figures');

### How keys are shown changes

$conf =~ s/KeyDisplay plain/KeyDisplay hash/;
$h->set_conf($conf);
$h->graceful;
@client = (undef, map { $h->client($_) } 1 .. 5);
is(part('Most refused keys'), '', 'keys that were to be shown otherwise are gone');
like(status(), qr/^Most refused keys: none$/m, 'which it says');
codes(1, 1, '/many', 'k');
like(part('Most refused keys'), qr/^  "#[0-9a-f]{16}": 1, last /, 'now hashed');

$h->restart;
@client = (undef, map { $h->client($_) } 1 .. 5);
unlike(fates('all requests'), qr/^$/, 'a restart of the children keeps them too');

### Killed children

my $killed = RateLimit::Httpd->start(crash_ok => 1, conf => <<'KILLED');
RateLimitApplication "2000000 per day; 300 per day"
<Location "/status">
    SetHandler limiter-status
    RateLimitEngine Off
</Location>
KILLED
my $codes = $killed->client->parallel(6, 3000, '/', undef, each => sub {
    kill KILL => ($killed->children)[0] if ++$n{answers} % 500 == 0;
});
my $text = $killed->client->get('/status?format=text')->body;
my ($seen, $allowed, $refused) = $text
    =~ /all requests\n    seen (\d+), allowed (\d+), refused (\d+),/;
my $broken = $codes->{error} // 0;
diag join ', ', map { "$_: $codes->{$_}" } sort keys %$codes;
ok($allowed >= $codes->{200} && $allowed <= $codes->{200} + $broken,
   "killed children: $allowed allowed");
ok($refused >= $codes->{429} && $refused <= $codes->{429} + $broken,
   "and $refused refused, but for requests that broke");
like($text, qr/^Most refused keys\n  "127\.0\.0\.1": /m, 'the key is shown');

done_testing;
