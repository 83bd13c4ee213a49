# Licensed under the Apache License, Version 2.0; see LICENSE.
# seconds: 15
# mpm: any
#
# Clearing by POST to limiter-status: on every storage what is cleared begins
# anew, exactly, and all else stays; who may, and who may not; one line in the
# log for each.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Key qw(counters notes);
use RateLimit::Load qw(at_once total);
use RateLimit::Memcached ();
use RateLimit::Place ();
use RateLimit::Redis ();
use RateLimit::Redis::Cluster ();
use RateLimit::Redis::Sentinel ();

my @strategies = qw(fixed-window moving-window sliding-window-counter gcra);
my $conf = <<'END';
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitEngine Off
    RateLimitStatusControl On
</Location>
<Location "/two">
    RateLimit "3 per hour" name=hourly
    RateLimit "5 per day"
</Location>
<Location "/user">
    RateLimit "2 per hour" key=%{req:X-User}
</Location>
<Location "/once">
    RateLimit "1 per hour" meta="2 per day"
</Location>
END
my ($h, $client);

sub limits {
    return map { (qq(<Location "/$_">\n  RateLimit "3 per hour" strategy=$_\n</Location>\n),
                  qq(<Location "/busy/$_">\n  RateLimit "150 per hour" strategy=$_\n</Location>\n)) } @_;
}
sub codes {
    my ($n, $address, $path, %more) = @_;
    return join ' ', map {
        $client->get($path, 'X-Forwarded-For' => $address, %more)->code
    } 1 .. $n;
}
sub encoded {
    my (%field) = @_;
    return join '&', map {
        my $value = $field{$_} =~ s/([^\w.-])/sprintf '%%%02X', ord $1/ger;
        "$_=$value";
    } sort keys %field;
}
sub clear {
    my ($field, %headers) = @_;
    return $client->post('/limiter-status?format=json',
                         ref $field ? encoded(%$field) : $field, %headers);
}
sub cleared {
    my $r = clear({ @_ });
    is($r->code, 200, 'cleared') or diag $r->body;
    return JSON::PP::decode_json($r->body)->{cleared};
}
sub has {
    my ($key) = @_;
    return counters($client->get("/limiter-status?format=text&key=$key")->body);
}

### Every storage

# Counters of three keys, of which one is cleared.
sub exactly {
    my ($name, @with) = @_;
    note $name;
    for my $strategy (@with) {
        is(codes(4, '192.0.2.1', "/$strategy"), '200 200 200 429',
           "$name, $strategy: at its limit");
        is(codes(2, '192.0.2.2', "/$strategy"), '200 200',
           'another key has one left');
    }
    is(scalar(has('192.0.2.1')), scalar @with, 'it has a counter of each');
    is(cleared(action => 'clear', key => '192.0.2.1'), scalar @with,
       'all of them are cleared');
    is(scalar(has('192.0.2.1')), 0, 'and are as new');
    is(scalar(has('192.0.2.2')), scalar @with, 'the other key keeps its own');
    for my $strategy (@with) {
        is(codes(4, '192.0.2.1', "/$strategy"), '200 200 200 429',
           "$strategy: anew, and exactly");
        is(codes(2, '192.0.2.2', "/$strategy"), '200 429', 'not so the other');
    }
    is(cleared(action => 'clear', key => '192.0.2.9'), 0,
       'of a key that was never seen nothing is cleared');

    is(codes(4, '192.0.2.3', '/two'), '200 200 200 429', 'two limits');
    is(cleared(action => 'clear', key => '192.0.2.3', limit => 'hourly'), 1,
       'one of them is cleared by its name');
    is(codes(3, '192.0.2.3', '/two'), '200 200 429', 'then the other refuses');
    is(cleared(action => 'clear', key => '192.0.2.3', limit => '5/d'), 1,
       'which is cleared by its text, however written');
    is(codes(2, '192.0.2.3', '/two'), '200 429', 'and now the first again');

    is(codes(3, '192.0.2.4', '/user', 'X-User' => 'Jörg = %:{}*'),
       '200 200 429', 'a key that is no address');
    is(cleared(action => 'clear', key => 'Jörg = %:{}*'), 1, 'is cleared');
    is(codes(1, '192.0.2.4', '/user', 'X-User' => 'Jörg = %:{}*'), 200,
       'and passes');

    is(codes(4, '192.0.2.5', '/once'), '200 429 429 429', 'a meta limit');
    is(cleared(action => 'clear', key => '192.0.2.5'), 2, 'is cleared too');
    is(codes(2, '192.0.2.5', '/once'), '200 429', 'so that it passes');

    is(cleared(action => 'clear-all'), undef, 'everything is cleared');
    for my $strategy (@with) {
        is(codes(4, "192.0.2.$_", "/$strategy"), '200 200 200 429',
           "$strategy: every key begins anew") for 1, 2;
    }
}
sub start {
    my ($storage, $with, %more) = @_;
    $h = RateLimit::Httpd->start(
        conf => join('', "RateLimitStorage $storage\n", $conf, limits(@$with)),
        files => { map { $_ => '' } @$with, (map { "busy/$_" } @$with),
                   qw(two user once) }, %more);
    return $client = $h->client;
}

start('shm://', \@strategies, faketime => 1);
exactly('shared memory', @strategies);

### A clearing while requests run

for my $strategy (@strategies) {
    my $key = '192.0.2.30';
    my $counts = total(at_once(
        sub { $h->client->parallel(8, 1600, "/busy/$strategy",
                                   { 'X-Forwarded-For' => $key }) },
        sub {
            my $c = $h->client;
            my $n = 0;
            for (1 .. 4) {
                select undef, undef, undef, 0.02;
                $n++ if $c->post('/limiter-status', "action=clear&key=$key")
                    ->code == 200;
            }
            return { cleared => $n };
        }));
    is($counts->{cleared}, 4, "$strategy: cleared four times among requests");
    cmp_ok($counts->{200}, '<=', 5 * 150, 'never more than five windows');
    cmp_ok($counts->{200}, '>=', 150, 'and one at least');
    is($counts->{200} + $counts->{429}, 1600, 'every request was answered');
    cleared(action => 'clear', key => $key);
    is_deeply($h->client->parallel(8, 400, "/busy/$strategy",
                                   { 'X-Forwarded-For' => $key }),
              { 200 => 150, 429 => 250 }, 'one more begins a window, exactly');
}

### Who may

my %table = (
    '' => 200,
    'Origin=http://localhost' => 200,
    'Origin=HTTP://LocalHost:80' => 200,
    'Origin=http://localhost, Sec-Fetch-Site=same-origin' => 200,
    'Sec-Fetch-Site=same-origin' => 200,
    'Sec-Fetch-Site=none' => 200,
    'Host=x.example:8080, Origin=http://x.example:8080' => 200,
    'Host=x.example:80, Origin=http://x.example' => 200,
    'Host=x.example, Origin=http://x.example:80' => 200,
    'Host=[2001:db8::1]:8080, Origin=http://[2001:db8::1]:8080' => 200,
    'Host=x.example:8080, Origin=http://x.example' => 403,
    'Host=x.example, Origin=http://x.example:8080' => 403,
    'Host=x.example:443, Origin=http://x.example' => 403,
    'Origin=https://localhost' => 403,
    'Origin=http://localhost.example' => 403,
    'Origin=http://evil.example' => 403,
    'Origin=http://localhost@evil.example' => 403,
    'Origin=http://localhost/' => 403,
    'Origin=localhost' => 403,
    'Origin=null' => 403,
    'Origin=' => 403,
    'Sec-Fetch-Site=same-site' => 403,
    'Sec-Fetch-Site=cross-site' => 403,
    'Sec-Fetch-Site=same-origin; x' => 403,
    'Sec-Fetch-Site=' => 403,
    'Origin=http://localhost, Sec-Fetch-Site=cross-site' => 403,
    'Origin=http://evil.example, Sec-Fetch-Site=same-origin' => 403,
);
for my $fields (sort keys %table) {
    cleared(action => 'clear', key => '192.0.2.40');
    codes(1, '192.0.2.40', '/fixed-window');
    my %headers = map { split /=/, $_, 2 } split /, /, $fields;
    my $r = clear('action=clear&key=192.0.2.40', %headers);
    is($r->code, $table{$fields}, "from \"$fields\": $table{$fields}");
    is(scalar(has('192.0.2.40')), $table{$fields} == 200 ? 0 : 1,
       'and the counter is as that says');
}
my $r;
for my $two ('Origin: http://localhost', 'Sec-Fetch-Site: same-origin') {
    my ($name) = $two =~ /^([\w-]+)/;
    $r = $client->raw("POST /limiter-status HTTP/1.1\r\nHost: localhost\r\n"
        . "$two\r\n$name: http://evil.example\r\nContent-Length: 23\r\n"
        . "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        . 'action=clear&key=1.2.3.', 'POST');
    is($r->code, 403, "a second $name does not help");
}

$r = $client->raw("POST /limiter-status HTTP/1.0\r\n"
    . "Origin: http://localhost\r\nContent-Length: 16\r\n"
    . "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    . 'action=clear-all', 'POST');
is($r->code, 403, 'an Origin, and no Host to compare it with');

### What is asked for

codes(1, '192.0.2.41', '/fixed-window');
my $type = 'application/x-www-form-urlencoded';
for my $try (
    ['', 400, 'action= is missing'],
    ['action', 400, 'neither clear nor clear-all'],
    ['action=', 400, 'neither clear nor clear-all'],
    ['action=forget&key=192.0.2.41', 400, 'neither clear nor clear-all'],
    ['action=Clear&key=192.0.2.41', 400, 'neither clear nor clear-all'],
    ['action=clear', 400, 'key= is missing'],
    ['action=clear&key=', 400, 'key= is missing'],
    ['action=clear&limit=hourly', 400, 'key= is missing'],
    ['action=clear&key=192.0.2.41&limit=', 400, 'limit= is empty'],
    ['action=clear&key=192.0.2.41&limit=nothing', 400, 'neither the name'],
    ['key=192.0.2.41', 400, 'action= is missing'],
    ['action=clear&key=192.0.2.41&key=192.0.2.41', 400, 'twice'],
    ['action=clear&action=clear-all&key=192.0.2.41', 400, 'twice'],
    ['action=clear-all&key=192.0.2.41', 400, 'neither key= nor limit='],
    ['action=clear-all&limit=hourly', 400, 'neither key= nor limit='],
    ['action=clear&key=192.0.2.41&keys=x', 400, 'none of action, key'],
    ['action=clear&key=192.0.2.41%00x', 400, 'not encoded'],
    ['action=clear&key=192.0.2.4%1', 400, 'not encoded'],
    ["action=clear&key=192.0.2.41\0x", 400, 'cannot be read'],
    ['action=clear&key=192.0.2.41', 415, 'not application', 'text/plain'],
    ['action=clear&key=192.0.2.41', 415, 'not application', "${type}d"],
    ['action=clear&key=192.0.2.41', 415, 'not application',
     'multipart/form-data; boundary=x'],
    ['{"action":"clear-all"}', 415, 'not application', 'application/json'],
    ['action=clear&key=192.0.2.41&x=' . 'y' x 9000, 413, 'longer than 8192'],
) {
    my ($body, $code, $why, $given) = @$try;
    my $r = clear($body, 'Content-Type' => $given // $type);
    my $shown = (length $body > 60 ? 'a long body' : $body) =~ s/\0/\\0/r;
    is($r->code, $code, "$code: $shown");
    like(JSON::PP::decode_json($r->body)->{error} // '', qr/\Q$why/,
         'with a sentence');
}
is(clear('action=clear&key=192.0.2.41', 'Content-Encoding' => 'gzip')->code,
   415, 'a body that is encoded');
my $chunk = 'action=clear&key=192.0.2.41&x=' . 'y' x 5000;
$r = $client->raw(join("\r\n", 'POST /limiter-status HTTP/1.1',
    'Host: localhost', "Content-Type: $type", 'Transfer-Encoding: chunked',
    'Connection: close', '', (map { sprintf('%x', length $chunk), $chunk }
    1, 2), '0', '', ''), 'POST');
is($r->code, 413, 'a long body in chunks');
is($client->get('/limiter-status?format=text&action=clear&key=192.0.2.41')
   ->code, 200, 'a GET that looks like a clearing');
is($client->get('/limiter-status?format=text&action=clear-all')->code, 200,
   'and another');
is($client->post('/limiter-status?action=clear-all', '')->code, 400,
   'the query of a POST says nothing');
$r = $client->request('PUT', '/limiter-status', {}, 'action=clear-all');
# httpd adds TRACE.
is($r->code . ' ' . join(' ', sort split /, */, $r->header('Allow')),
   '405 GET HEAD POST TRACE', 'PUT, and what is allowed instead');
is(scalar(has('192.0.2.41')), 1, 'none of them cleared anything');
is(clear('action=clear&key=192.0.2.41', 'Content-Type' => "$type; charset=utf-8")
   ->code, 200, 'a charset is fine');
is(scalar(has('192.0.2.41')), 0, 'that did');
codes(1, '192.0.2.41', '/fixed-window');
my @part = ('action=clea', 'r&key=192.0.2.41');
$r = $client->raw(join("\r\n", 'POST /limiter-status HTTP/1.1',
    'Host: localhost', "Content-Type: $type", 'Transfer-Encoding: chunked',
    'Connection: close', '', (map { sprintf('%x', length), $_ } @part), '0', '',
    ''), 'POST');
is($r->code . ' ' . $r->body, "200 1 counter is cleared.\n",
   'a body in chunks, and the answer as text');

### What is answered

codes(2, '192.0.2.42', '/two');
$r = $client->post('/limiter-status?key=192.0.2.42&done=x&refresh=5&cleared=7',
                   'action=clear&key=192.0.2.42', Accept => 'text/html');
is($r->code, 303, 'a browser is sent back');
is($r->header('Location'),
   '/limiter-status?key=192.0.2.42&refresh=5&done=clear&cleared=2',
   'to where it was, with what was done');
is($r->header('Cache-Control'), 'no-store', 'which nobody stores');
$r = $client->post('/limiter-status', 'action=clear-all',
                   Accept => 'text/html');
is($r->header('Location'), '/limiter-status?done=clear-all', 'all');
for my $path ('//evil.example/limiter-status', '//limiter-status') {
    $r = $client->post($path, 'action=clear-all', Accept => 'text/html');
    unlike($r->header('Location') // '', qr{^//|^\w+:}, "$path: never elsewhere");
}
is_deeply(JSON::PP::decode_json(clear('action=clear-all')->body),
          { action => 'clear-all', cleared => undef, failed => [],
            notes => [] }, 'JSON of all');

### The log

sub logged {
    my ($code) = @_;
    my $mark = $h->mark;
    $code->();
    return grep { /RLX015\d/ } split /\n/, $h->error_log($mark);
}
codes(2, '192.0.2.43', '/two');
my @lines = logged(sub { clear('action=clear&key=192.0.2.43') });
is(scalar @lines, 1, 'one line for a clearing');
like($lines[0], qr/\[ratelimit_ext:notice\].*\[client 127\.0\.0\.1:\d+\] RLX0151: user "-" cleared 2 counters of key "192\.0\.2\.43"$/,
     'with client, user and what');
@lines = logged(sub { clear({ action => 'clear', limit => 'hourly',
                              key => "s3cret\n[notice] RLX0152: \"x" }) });
is(scalar @lines, 1, 'one line, whatever the key');
like($lines[0], qr/cleared 0 counters of key "#[0-9a-f]{16}", limit "hourly"$/,
     'a key that may be a secret is hashed');
@lines = logged(sub { clear('action=clear-all') });
like("@lines", qr/RLX0152: user "-" cleared every counter of every key$/,
     'all');
@lines = logged(sub { clear('action=clear-all', Origin => 'http://a.example') });
like("@lines", qr/RLX0153: nothing was cleared for user "-" \(status 403\): the request comes from a page of another site$/,
     'a refused try');
is(scalar @lines, 1, 'in one line');
@lines = logged(sub { clear('action=x') });
like("@lines", qr/RLX0153: .*\(status 400\): action= is neither/, 'another');

### Where it is Off, and whose key is shown how

start("shm://\n<VirtualHost 127.0.0.1:\@PORT2\@>\n</VirtualHost>",
      ['fixed-window'], modules => ['auth_basic', 'authn_file',
                                              'authz_user'],
      faketime => 1);
$h->write('../users', "admin:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n");
$h->set_conf(join '', $conf, limits('fixed-window'), <<'END');
<Location "/limiter-status">
    RateLimitKeyDisplay plain
</Location>
<Location "/limiter-status/off">
    RateLimitStatusControl Off
</Location>
<Location "/limiter-status/below">
    RateLimitKeyDisplay hash
    AuthType Basic
    AuthName x
    AuthUserFile "@DIR@/users"
    Require valid-user
</Location>
<Location "/read-only">
    SetHandler limiter-status
</Location>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName https://www.example.org
</VirtualHost>
END
$h->graceful;
$client = $h->client;
for my $path ('/read-only', '/limiter-status/off') {
    codes(1, '192.0.2.44', '/fixed-window');
    $r = $client->post($path, 'action=clear-all');
    is($r->code, 403, "$path: Off");
    like($r->body, qr/RateLimitStatusControl is Off/, 'and says so');
    cmp_ok(scalar(has('192.0.2.44')), '==', 1, 'nothing is changed');
}
@lines = logged(sub { $client->post('/limiter-status/below', 'action=clear-all') });
is(scalar @lines, 0, 'who is no user gets 401 from httpd');
@lines = logged(sub {
    $r = $client->post('/limiter-status/below', 'action=clear&key=192.0.2.44',
                       Authorization => 'Basic YWRtaW46cGFzc3dvcmQ=');
});
is($r->code, 200, 'On is inherited');
like("@lines", qr/RLX0151: user "admin" cleared 1 counter of key "#[0-9a-f]{16}"$/,
     'the user; RateLimitKeyDisplay hash');
@lines = logged(sub { clear({ action => 'clear', key => "a\"\n\e[31mb" }) });
is(scalar @lines, 1, 'RateLimitKeyDisplay plain: one line');
like($lines[0], qr/of key "a\\+"\\+n\\+x1b\[31mb"$/, 'and everything is escaped');

for my $try (['https://www.example.org', 200], ['http://www.example.org', 403]) {
    my ($origin, $code) = @$try;
    is($h->client(2)->post('/limiter-status', 'action=clear-all',
                           Host => 'www.example.org', Origin => $origin)->code,
       $code, "behind a proxy that ends TLS, ServerName https: $origin");
}

### Far away

my $redis = RateLimit::Redis->prepare;
start($redis->uri . ' timeout=5000', \@strategies, faketime => 1);
$redis->launch(clock => $h);
exactly('Redis, and its deny cache', @strategies);
is(codes(4, '192.0.2.1', '/fixed-window'), '429 429 429 429', 'full');
my @names = $redis->keys_there;
has('192.0.2.50');
is_deeply([$redis->keys_there], \@names, 'to look makes no name in Redis');
$redis->call('SET', 'rlx:other:{192.0.2.1}:x:f1/1hour', 'kept');
$redis->call('SET', 'mine', 'kept');
cleared(action => 'clear-all');
is_deeply([$redis->keys_there], ['mine', 'rlx:other:{192.0.2.1}:x:f1/1hour'],
          'clear-all leaves what other prefixes and other programs have');

my $memcached = RateLimit::Memcached->start;
my @kept = grep { $_ ne 'moving-window' } @strategies;
start($memcached->uri . ' timeout=5000', \@kept);
exactly('memcached', @kept);

my $cluster = RateLimit::Redis::Cluster->start;
start($cluster->uri . ' timeout=5000', \@strategies);
exactly('a cluster', @strategies);

my $sentinel = RateLimit::Redis::Sentinel->start;
start($sentinel->uri . ' timeout=5000', \@strategies);
exactly('a master found by sentinels', @strategies);

### One that does not answer, and the table that stands in for it

my $nobody = RateLimit::Place::free_port();
start("redis://admin:S3cretX\@127.0.0.1:$nobody/0 timeout=100", \@strategies,
      faketime => 1);
for my $strategy (@strategies) {
    is(codes(4, '192.0.2.1', "/$strategy"), '200 200 200 429',
       "$strategy: counted here");
}
my $body = $client->get('/limiter-status?format=text&key=192.0.2.1')->body;
is(scalar(counters($body)), 4, 'which can be looked at');
like($body, qr{storage: shm://fallback}, 'and is named');
like(join("\n", notes($body)),
     qr{^storage redis://\*\*\*\@127\.0\.0\.1:$nobody/0 does not answer}m,
     'as is the storage that does not answer');
@lines = logged(sub { $r = clear('action=clear&key=192.0.2.1') });
is($r->code, 503, 'it is not cleared there');
my $answer = JSON::PP::decode_json($r->body);
is($answer->{cleared}, 4, 'but here');
is_deeply($answer->{failed}, ["redis://***\@127.0.0.1:$nobody/0"],
          'the answer names the storage');
like("@lines", qr{cleared 4 counters of key "192\.0\.2\.1"; no answer from redis://\*\*\*\@\S+, whose counters stay$},
     'so does the log');
is(codes(4, '192.0.2.1', "/$_"), '200 200 200 429', "$_: anew")
    for @strategies;
$r = $client->post('/limiter-status', 'action=clear-all', Accept => 'text/html');
is($r->code, 503, 'all');
like($r->body, qr{^Every counter of every key is cleared where a storage answers\.$}m,
     'no more is said than is done');
like($r->body, qr{storage redis://\*\*\*\@\S+ does not answer: what it counts stays},
     'with a sentence');
is(codes(1, '192.0.2.1', '/fixed-window'), 200, 'here it is cleared');
unlike($h->error_log . $r->body . $body, qr/S3cretX/, 'no secret is shown');

start(qq(redis://127.0.0.1:$nobody/0 timeout=100\nRateLimitFallback "2 per hour"),
      \@strategies, faketime => 1);
is(codes(3, '192.0.2.1', '/gcra'), '200 200 429', 'RateLimitFallback');
is_deeply([has('192.0.2.1')],
          ['2 per 1 hour fixed-window [fallback] | _main | 0, 3600 s, in 3600 s'],
          'is looked at in place of all others');
is(clear('action=clear&key=192.0.2.1')->code, 503, 'and is cleared');
is(codes(3, '192.0.2.1', '/gcra'), '200 200 429', 'here');
done_testing;
