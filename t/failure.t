# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# RateLimitStorageFailure and RateLimitFallback: what requests get while the
# storage cannot answer, and that it goes on where it stood afterwards. The
# storage is mod_ratelimit_toy, which fails while a file exists; the clock is
# the test's, and every number is reckoned by hand.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep);
use RateLimit::Httpd ();

my $zero = 1_800_000_000;
my $h = RateLimit::Httpd->start(
    faketime => 1,
    modules  => [qw(ratelimit_toy rewrite cgid)],
    files    => { map({ ($_ => "$_\n") } qw(free a b c dry taken early sorry.html)),
                  'd/index.html' => "i\n",
                  'fine.cgi' => "#!/bin/sh\nprintf 'Status: 200 Fine\\n"
                      . "Retry-After: 999\\nContent-Type: text/plain\\n\\nfine\\n'\n" },
    conf     => <<'END');
RateLimitStorage toy:// down=@DIR@/down
RateLimitKey %{req:X-Key}
RateLimitHeaders On
Header always set X-Result "%{RATELIMIT_RESULT}e"
DirectoryIndex index.html
<Location "/a">
    RateLimit "5 per hour"
</Location>
<Location "/b">
    RateLimit "5 per hour" name=b
</Location>
<Location "/c">
    RateLimit "2 per minute; 100 per hour"
    RateLimitCharge all
</Location>
<Directory "@DOCROOT@/d">
    RateLimit "5 per day"
    RateLimitHeaders x-ratelimit ietf
</Directory>
<Files "index.html">
    RateLimit "1 per minute" override_defaults=off
    RateLimitEndpoint index
</Files>
<Location "/dry">
    RateLimit "1 per hour" dry_run=on
</Location>

<Location "/missing">
    RateLimit "2 per hour" deduct_when="%{REQUEST_STATUS} == 404"
</Location>
<Location "/taken">
    RateLimit "2 per hour" deduct_when="%{REQUEST_STATUS} == 404" reserve=on
</Location>
<Location "/early">
    RateLimit "1 per hour" phase=early
    Require all denied
</Location>

<VirtualHost 127.0.0.1:@PORT2@>
    RateLimitStorageFailure allow
    RateLimitFallback "1 per day"
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT3@>
    RateLimitStorageFailure deny
    ErrorDocument 503 /sorry.html
    <Location "/sorry.html">
        RateLimit "1 per day"
    </Location>
    <Location "/a/fine">
        ErrorDocument 503 /fine.cgi
    </Location>
    <Files "*.cgi">
        Options +ExecCGI
        SetHandler cgi-script
    </Files>
    <Location "/b">
        RateLimitEngine DryRun
    </Location>
    <Location "/c">
        ErrorDocument 503 default
        RateLimitRetryAfter http-date
    </Location>
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT4@>
    RateLimitFallback "3 per hour; 100 per day" error_message="Emergency"
    RateLimitFallback "1 per hour" methods=POST status=403
    <Location "/free">
        RateLimitExempt
    </Location>
    <Location "/b">
        RateLimitRequestFilter "%{req:X-Key} == 'friend'"
    </Location>
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT5@>
    RateLimitStorage shm://
    RateLimitStorageFailure deny
    RateLimitFallback "0 per day"
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT6@>
    RateLimitMeta "2 per hour" status=403
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT8@>
    RateLimitStorage toy://more down=@DIR@/more pretend=on
    RateLimitKeyPrefix x
    RateLimitDefault "20000 per hour" strategy=moving-window
    RateLimitDefault "20 per minute" strategy=gcra burst=2
    <Location "/b">
        RateLimit "%{req:X-Limit}" strategy=moving-window
    </Location>
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT7@>
    RateLimitMeta "1 per hour" status=403
    RateLimitFallback "1 per minute"
</VirtualHost>
END
chmod 0755, $h->docroot . '/fine.cgi';
my @client = (undef, map { $h->client($_) } 1 .. 8);
my $file = $h->dir . '/down';

# From now on all calls of the storage fail, or those that are named.
sub down { $h->write('../down', $_[0] // '') }
sub up   { unlink $file or die "$file: $!" }
# "status remaining result" of a request to a virtual host.
sub ask {
    my ($n, $path, $key, $method) = @_;
    my $r = $client[$n]->request($method // 'GET', $path, { 'X-Key' => $key });
    return join ' ', $r->code, $r->header('X-RateLimit-Remaining') // '-',
        $r->header('X-Result') =~ s/^\(null\)$/-/r;
}
# How often a line is in the log since a mark.
my $mark = $h->mark;
sub lines {
    my ($pattern) = @_;
    return scalar grep { /$pattern/ } split /\n/, $h->error_log($mark);
}
my $notice = qr/ratelimit_ext:notice.* RLX005[13]: /;
my $error  = qr/ratelimit_ext:(?:error|crit|alert|emerg)/;

### fallback: counting goes on in shared memory

is(ask(1, '/a', 'k1'), "200 $_ allowed", 'the storage counts') for 4, 3;
down();
is(ask(1, '/a', 'k1'), "200 $_ fallback", 'down: counted here, from the beginning')
    for 4, 3, 2, 1, 0;
is(ask(1, '/a', 'k1'), '429 0 refused', 'and refused when that is used up');
is(ask(1, '/b', 'k1'), "200 $_ fallback", 'a named limit too') for 4, 3;
is(ask(1, '/free', 'k1'), '200 - -', 'where no limit holds nothing happens');
is(lines($notice), 1, 'one notice');
is(lines(qr/notice.* RLX0051: storage toy:\/\/ cannot answer: .* in 1 second$/), 1,
   'which says so');
is(lines(qr/Connection refused.*RLX0051/), 1, 'and what the storage said');
is(lines($error), 0, 'and no error');
is(lines(qr/toy storage: decide fails/), 1, 'the storage was asked once');

$h->advance(0.999999);
ask(1, '/a', 'k2');
is(lines(qr/toy storage: decide fails/), 1, 'and is not asked within a second');
$h->advance(0.000001);
is(ask(1, '/a', 'k2'), '200 3 fallback', 'then one request asks, and is counted here');
is(ask(1, '/a', 'k2'), '200 2 fallback', 'the next one does not ask');
is(lines(qr/toy storage: decide fails/), 2, 'once');
is(lines(qr/info.* RLX0052: .* still cannot answer; .* in 2 seconds/), 1, 'still down');
up();
$h->advance(1.999999);
is(ask(1, '/a', 'k2'), '200 1 fallback', 'up, and not yet known');
$h->advance(0.000001);
is(ask(1, '/a', 'k2'), '200 4 allowed', 'known: the first in the storage');
is(ask(1, '/a', 'k1'), '200 2 allowed', 'whose counters were not touched meanwhile');
is(lines($notice), 2, 'two notices');
is(lines(qr/notice.* RLX0053: storage toy:\/\/ answers again, after 3 seconds$/), 1,
   'the second says how long it took');

# The next time it begins with a wait of a second again; what was counted here
# within the window still counts.
$mark = $h->mark;
down();
is(ask(1, '/a', 'k1'), '429 0 refused', 'down again: counted here before');
is(ask(1, '/b', 'k1'), '200 2 fallback', 'likewise');
up();
$h->advance(1);
is(ask(1, '/a', 'k1'), '200 1 allowed', 'up again');
is(lines($notice), 2, 'two more notices');

### All at once: exact, and one notice from all children

$mark = $h->mark;
down();
is_deeply($client[1]->parallel(8, 200, '/a', { 'X-Key' => 'many' }),
          { 200 => 5, 429 => 195 }, '200 requests at once, counted here: exact');
is(lines($notice), 1, 'one notice');
cmp_ok(lines(qr/decide fails/), '<=', 8, 'asked by no more than were on their way');

# A graceful restart changes nothing of that.
$h->graceful;
is(ask(1, '/a', 'many'), '429 0 refused', 'graceful: what was counted is there');
is(lines($notice), 1, 'and that it is down is known');

### allow

is(ask(2, '/a', 'k1'), '200 - error', 'allow: passes') for 1 .. 8;
is(ask(2, '/dry', 'k1'), '200 - error', 'also a limit that refuses nobody');

### deny

my $r = $client[3]->get('/a', 'X-Key' => 'k1');
is($r->code, 503, 'deny: 503');
is($r->body, "sorry.html\n", 'with the ErrorDocument, which is not denied');
is($r->header('Retry-After'), 1, 'until the storage is asked again');
is($r->header('Cache-Control'), 'no-store', 'and is not stored');
is($r->header('X-Result'), 'error', 'the result');
$r = $client[3]->get('/c', 'X-Key' => 'k1');
like($r->body, qr/503 Service Unavailable/, 'without an ErrorDocument: the page of httpd');
like($r->header('Retry-After'), qr/ GMT$/, 'RateLimitRetryAfter holds');
$r = $client[3]->get('/a/fine', 'X-Key' => 'k1');
is($r->code . ' ' . $r->body, "503 fine\n", 'an ErrorDocument that says 200');
is(join('|', $r->all('Retry-After')), 999, 'and a later time');
is(ask(3, '/c', 'k1', 'HEAD'), '503 - error', 'HEAD');
is(ask(3, '/b', 'k1'), '200 - error', 'RateLimitEngine DryRun: passes');
is(ask(3, '/dry', 'k1'), '200 - error', 'dry_run=on: passes');
is(ask(3, '/free', 'k1'), '200 - -', 'where no limit holds: passes');
is(ask(3, '/sorry.html', 'k1'), '503 - error', 'asked for by itself, the document is denied');

### RateLimitFallback

is(ask(4, $_->[0], 'k1'), $_->[1], "fallback limits: $_->[0]")
    for ['/a', '200 2 fallback'], ['/b', '200 1 fallback'], ['/c', '200 0 fallback'],
        ['/d/', '429 0 refused'], ['/a', '429 0 refused'];
like($client[4]->get('/a', 'X-Key' => 'k1', Accept => 'text/plain')->body,
     qr/Emergency/, 'with their options');
is($client[4]->get('/a', 'X-Key' => 'k2')->header('X-RateLimit-Limit'), 3, 'their count');
is(ask(4, '/a', 'k3', 'POST'), '200 2 fallback', 'those of the method');
is(ask(4, '/a', 'k3', 'POST'), '403 0 refused', 'with their status');
is(ask(4, '/a', 'k3'), '200 1 fallback', 'the others were charged nothing');
is(ask(4, '/free', 'k1'), '200 - exempt', 'none where no limit would hold');
is(ask(4, '/b', 'friend'), '200 - exempt', 'none where a filter holds');
is(ask(4, '/dry', 'k4'), '200 2 fallback', 'in place of any limit');

is(ask(4, '/early', 'k5'), $_, "also before access control: $_")
    for '403 2 fallback', '403 1 fallback', '403 0 fallback', '429 0 refused';

### Limits with phase=early and deduct_when=

is(ask(1, '/early', 'k1'), $_, "phase=early, counted here: $_")
    for '403 0 fallback', '429 0 refused';
is(ask(1, '/missing', 'k1'), $_, "deduct_when=, counted here: $_")
    for '404 1 fallback', '404 0 fallback', '429 0 refused';
is(ask(1, '/taken', 'k1'), '200 2 fallback', 'reserve=on, given back here') for 1, 2, 3;

### A storage that always answers

is(ask(5, '/a', 'k1'), "200 $_ allowed", 'shm:// is not concerned') for 4, 3;

### Limits that refuse nobody

is(ask(1, '/dry', 'k1'), "200 0 $_", "dry_run=on: $_") for qw(fallback dry-run);

is(lines($notice), 1, 'all that time one notice');
is(lines($error), 0, 'and no error');
up();
$h->advance(33);
is(ask(1, '/dry', 'k1'), "200 0 $_", "dry_run=on: $_") for qw(allowed dry-run);
is(ask(1, '/missing', 'k1'), '404 1 allowed', 'deduct_when=: the storage was charged nothing');

### Meta limits

is(ask(6, '/c', 'm'), $_, "meta: $_") for '200 1 allowed', '200 0 allowed',
                                          '429 0 refused';
down();
is(ask(6, '/c', 'm'), $_, "meta, counted here: $_")
    for '200 1 fallback', '200 0 fallback', '429 0 refused', '429 0 refused';
is(ask(6, '/a', 'm'), '403 0 refused', 'after two refusals: everything');
is(ask(7, '/c', 'm'), $_, "in place of meta limits too: $_")
    for '200 0 fallback', '429 0 refused', '429 0 refused', '429 0 refused';
up();
$h->advance(33);
is(ask(6, '/a', 'm'), '200 4 allowed', 'the storage knows of one refusal');

# Meta limits looked at in the storage, which then fails.
down('decide');
is(ask(6, '/c', 'n'), $_, "between meta limits and the others: $_")
    for '200 1 fallback', '200 0 fallback', '429 0 refused';
$h->advance(1);
is(ask(6, '/c', 'n'), '429 0 refused', 'the storage is asked for meta limits alone');
is(ask(6, '/a', 'n'), '403 0 refused', 'both refusals were charged here');
up();
$h->advance(33);
ask(6, '/a', 'n');

### Another storage, and limits that this server's memory would cut short

my $more = sub {
    my ($path, @headers) = @_;
    my $r = $client[8]->get($path, 'X-Key' => 'more', @headers);
    return join ' ', $r->code, $r->header('X-Result'), $r->header('X-RateLimit-Limit'),
        $r->header('X-RateLimit-Remaining');
};
$mark = $h->mark;
down();
is(ask(1, '/a', 'more'), '200 4 fallback', 'one storage is down');
is($more->('/free'), '200 allowed 20 19', 'the other is not');
$h->write('../more', '');
is($more->('/free'), "200 fallback 20 $_", "now it is: $_ of the burst") for 1, 0;
is($more->('/free'), '429 refused 20 0', 'refused by the burst');
is($more->('/b', 'X-Limit' => '20000 per hour'), '200 fallback 20000 19999',
   'more than a log in shared memory has room for');
is(lines(qr/RLX0051/), 2, 'a notice for each');
unlink $h->dir . '/more';
up();
$h->advance(33);
$more->('/free');
ask(1, '/a', 'more');
is(lines(qr/RLX0053/), 2, 'and when they answer again');

### Calls that fail later in a request

$mark = $h->mark;
sub left { [$client[1]->get('/d/', 'X-Key' => 'late')->header('RateLimit') =~ /;r=(\d+)/g] }
is_deeply(left(), [4, 0, 4], 'led from the directory to its index');
down('give_back');
is(ask(1, '/d/', 'late'), '429 0 refused', 'refused there');
is(lines(qr/give_back fails/), 1, 'and nothing could be given back');
is(lines(qr/RLX0051/), 1, 'which is told');
up();
$h->advance(61);
is_deeply(left(), [2, 0, 3], 'so the charge stands');

down('look');
is(ask(1, '/c', 'late'), $_, "RateLimitCharge all: $_")
    for '200 1 allowed', '200 0 allowed', '429 0 refused';
is(lines(qr/look fails/), 1, 'the time to come again could not be asked for');
is(lines(qr/RLX0051/), 2, 'which is told');
up();
$h->advance(61);

$mark = $h->mark;
down('give_back');
is(ask(1, '/taken', 'late'), '200 1 allowed', 'what was reserved cannot be given back');
up();
$h->advance(1);
is(ask(1, '/taken', 'late'), '200 1 allowed', 'so it stands');
is(lines(qr/RLX0051/), 1, 'which is told');
is(lines($error), 0, 'by a notice alone');

# The storage fails between two steps of one request.
ask(1, '/a', 'between');
$mark = $h->mark;
down('endpoint:index');
my $led = sub {
    my $r = $client[1]->get('/d/', 'X-Key' => 'between');
    return join ' ', $r->code, $r->header('X-Result'), $r->header('RateLimit') =~ /;r=(\d+)/g;
};
is($led->(), '200 fallback 4 0 4', 'the directory in the storage, its index here');
is($led->(), '429 refused 5 0 4', 'then both here, and the directory given back');
$h->advance(1);
is($led->(), '429 refused 3 0 4', 'the storage once more, which cannot take back');
is(lines(qr/RLX0051/), 2, 'down, up, down');
is(lines(qr/RLX0053/), 1, 'each told once');
is(lines($error), 0, 'and nothing else');
up();
$h->advance(61);
is($led->(), '200 allowed 2 0 4', 'the storage has what it was charged');

# A child is there before it has looked for its storages.
my $not_ready = qr/error.* RLX0002: a storage is not ready in this child/;
down('child_init');
$h->graceful;
for (1 .. 200) {
    last if lines($not_ready) >= $h->children;
    sleep 0.05;
}
up();
is(ask(1, '/a', 'late'), '200 4 fallback', 'not ready in the children: counted here');
is(lines(qr/RLX0051/), 2, 'of which each child has its own line');
cmp_ok(lines($not_ready), '>=', 2, 'at its start');
done_testing;
