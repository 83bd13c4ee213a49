# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# RateLimitStorage memcached://: the same answers as shared memory, exact counts
# over several servers, names that do not collide, and what is refused. What
# becomes of requests when it fails is in memcached_failure.t.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Load;
use RateLimit::Memcached ();

my @strategies = qw(fixed-window sliding-window-counter gcra);
my @memcached  = map { RateLimit::Memcached->start } 1 .. 2;
my $one        = $memcached[0]->uri;
my $two        = "$one,127.0.0.1:" . $memcached[1]->port;

### The same requests at the same times, with counters here and there

my $same = <<'END';
RateLimitKey %{req:X-Key}
RateLimitHeaders On
RateLimitApplication "40 per minute" strategy=gcra
END
for my $strategy (@strategies) {
    $same .= <<"END";
<Location "/$strategy">
    RateLimitStrategy $strategy
    RateLimit "5 per 10 seconds; 12 per minute"
</Location>
<Location "/in-order/$strategy">
    RateLimitStrategy $strategy
    RateLimitCharge in-order
    RateLimitShared "4 per 10 seconds" scope=in-a
    RateLimitShared "5 per 17 seconds" scope=in-b cost=%{req:X-Cost}
    RateLimitShared "9 per 40 seconds" scope=in-c
</Location>
<Location "/all/$strategy">
    RateLimitStrategy $strategy
    RateLimitCharge all
    RateLimit "4 per 10 seconds" cost=%{req:X-Cost}
    RateLimit "20 per 1 year"
</Location>
<Location "/later/$strategy">
    RateLimitStrategy $strategy
    RateLimit "3 per 20 seconds" deduct_when="%{REQUEST_STATUS} == 404"
</Location>
<Location "/reserved/$strategy">
    RateLimitStrategy $strategy
    RateLimit "3 per 20 seconds" deduct_when="%{REQUEST_STATUS} == 404" reserve=on
    RateLimit "9 per 30 seconds"
</Location>
END
}
$same .= <<'END';
<Location "/burst">
    RateLimit "6 per 10 seconds" strategy=gcra burst=3
</Location>
END

my @servers = map {
    RateLimit::Httpd->start(faketime => 1, conf => "RateLimitStorage $_\n$same")
} 'shm://', "$one timeout=5000", "$two timeout=5000\nRateLimitKeyPrefix two";
for my $h (@servers) {
    for my $dir ('', 'in-order/', 'all/', 'later/', 'reserved/') {
        $h->write("$dir$_/there", "x\n") for @strategies;
    }
}

sub answer {
    my ($client, @request) = @_;
    my $r = $client->get(@request);
    return join "\n", $r->code, map { "$_: " . ($r->header($_) // '-') }
        qw(X-RateLimit-Limit X-RateLimit-Remaining X-RateLimit-Reset Retry-After);
}

srand 20260101;
my @paths = (map({ ("/$_/there", "/in-order/$_/there", "/all/$_/there",
                    "/later/$_/there", "/later/$_/x", "/reserved/$_/there",
                    "/reserved/$_/x") } @strategies), '/burst');
my @clients = map { $_->client } @servers;
my (%seen, @different);
for my $n (1 .. 700) {
    my @request = ($paths[rand @paths], 'X-Key' => 'k' . int rand 2,
                   'X-Cost' => int rand 4);
    my @answers = map { answer($_, @request) } @clients;
    $seen{ substr $answers[0], 0, 3 }++;
    push @different, "$n @request at " . $servers[0]->now . "\n"
        . join "\n--\n", @answers
        if grep { $_ ne $answers[0] } @answers;
    my $sec = (0, 0, 0, 0, 0.000001, 0.3, 1, 2)[rand 8];
    $_->advance($sec) for @servers;
}
is(scalar @different, 0, '700 requests have the answers of shared memory')
    or diag($different[0]);
cmp_ok($seen{$_} // 0, '>', 50, "$_ among them: $seen{$_}") for 200, 404, 429;
$clients[2]->get('/burst', 'X-Key' => "other $_") for 1 .. 40;
cmp_ok(scalar(grep { /two:/ } $_->names), '>', 10, 'both servers keep counters')
    for @memcached;
$_->stop for @servers;

### Exactly as many as a limit has, over two servers

my $limits = <<'END';
RateLimitKey %{req:X-Key}
RateLimitDefault "2 per 77 minutes" methods=POST
<Location "/by-strategy">
    RateLimitStrategy moving-window
</Location>
<Location "/pair">
    RateLimitShared "200 per hour" scope=pair-hour
    RateLimitShared "150 per day" scope=pair-day
</Location>
<Location "/pair-hour">
    RateLimitShared "200 per hour" scope=pair-hour
</Location>
<Location "/moving">
    RateLimit "%{env:LIMIT}" strategy=moving-window
    SetEnvIf X-Limit (.*) LIMIT=$1
</Location>
<Location "/inherited">
    RateLimit "%{req:X-Limit}"
</Location>
END
for my $strategy (@strategies) {
    $limits .= <<"END";
<Location "/$strategy">
    RateLimit "150 per day" strategy=$strategy
</Location>
<Location "/costly/$strategy">
    RateLimitShared "200 per day" scope=cost strategy=$strategy cost=3
</Location>
<Location "/cheap/$strategy">
    RateLimitShared "200 per day" scope=cost strategy=$strategy
</Location>
END
}
my ($h, $other) = map {
    RateLimit::Httpd->start(conf => "RateLimitStorage $two timeout=5000\n$limits")
} 1 .. 2;
for my $server ($h, $other) {
    $server->write($_, "x\n") for qw(pair pair-hour inherited);
    for my $strategy (@strategies) {
        $server->write("$_$strategy", "x\n") for '', 'costly/', 'cheap/';
    }
}

# Eight connections to each server at once.
sub both {
    my ($n, $path, $key) = @_;
    my @counts = at_once(map {
        my $server = $_;
        sub { $server->client->parallel(8, $n / 2, $path, { 'X-Key' => $key }) }
    } $h, $other);
    return total(@counts);
}

for my $strategy (@strategies) {
    is_deeply(both(1500, "/$strategy", 'a'), { 200 => 150, 429 => 1350 },
              "$strategy: 150 of 1500");
    is_deeply(both(600, "/costly/$strategy", 'a'), { 200 => 66, 429 => 534 },
              "$strategy: 66 times 3 of 200");
    is_deeply(both(60, "/cheap/$strategy", 'a'), { 200 => 2, 429 => 58 },
              "$strategy: and 2 are left");
}
# Who is refused by the day is charged by the hour for a moment; never does a
# request more pass. Without anybody beside him the rest is there.
my $pair = both(1500, '/pair', 'a');
cmp_ok($pair->{200}, '<=', 150, "two limits: $pair->{200} of 1500 by 150");
cmp_ok($pair->{200}, '>=', 140, 'and nearly all of those');
is_deeply($h->client->parallel(1, 100, '/pair', { 'X-Key' => 'a' }), {
    429 => 100 - (150 - $pair->{200}), 150 - $pair->{200} ? (200 => 150 - $pair->{200}) : (),
}, 'the rest of the 150 passes afterwards');
is_deeply($other->client->parallel(1, 60, '/pair-hour', { 'X-Key' => 'a' }),
          { 200 => 50, 429 => 10 }, 'the other limit was charged 150 in all');

my %before = map { $_->port => $_->stats->{cmd_set} } @memcached;
$h->client->get('/fixed-window', 'X-Key' => 'a') for 1 .. 5;
is_deeply({ map { $_->port => $_->stats->{cmd_set} } @memcached }, \%before,
          'a refused request writes nothing');

### Names

# Whatever bytes a key has, it has a counter of its own.
my @keys = ('a b', 'a%20b', 'a|b', 'a%7cb', '#', '%', '#' . 'a' x 40,
            "\xc3\xa9", "\xe9", "\t.", 'x' x 300, 'x' x 299 . 'y', 'x' x 301,
            'get x', 'A', 'END', '0', '--', "tab\there", '{}', '"');
my $c = $h->client;
is($c->get('/inherited', 'X-Key' => $_, 'X-Limit' => '1 per hour')->code, 200,
   "a counter for '" . substr($_, 0, 20) . q(')) for @keys;
is($c->get('/inherited', 'X-Key' => $_, 'X-Limit' => '1 per hour')->code, 429,
   "the same for '" . substr($_, 0, 20) . q(')) for @keys;
my @names = map { $_->names } @memcached;
is(scalar(grep { m{/inherited} } @names), scalar @keys, 'each has a name');
is(scalar(grep { !/^rlx1\|[!-~]{1,240}\z/ } @names), 0,
   'of signs that memcached takes, and not too long') or diag("@names");
is(scalar(grep { /x{20}|get|tab|END/ } @names), 0,
   'keys that may be secrets do not stand in them') or diag("@names");

my $shown = RateLimit::Httpd->start(files => { x => "x\n" }, conf => <<"END");
RateLimitStorage $one store_keys=plain
RateLimitKeyPrefix shop
<Location "/x">
    RateLimit "1 per hour" key=%{req:X-Key}
    RateLimit "7 per day" name=daily
</Location>
END
$shown->client->get('/x', 'X-Key' => 'k1');
is_deeply([ grep { /shop/ } $memcached[0]->names ],
          [ 'rlx1|f1/3600|shop:_main:section:Location%20/x:::|k1',
            'rlx1|fn/86400|shop:_main:section:Location%20/x:::daily|127.0.0.1' ],
          'store_keys=plain shows them; a prefix, a named limit, an address');
$shown->stop;

### What it cannot keep

sub refused {
    my ($what, $conf, $sentence) = @_;
    my ($code, $output) = RateLimit::Httpd->config_test($conf);
    isnt($code, 0, "$what: does not start");
    like($output, $sentence, "$what: says why");
}

refused('moving-window', <<'END', qr/RateLimitDefault on line \d+ .*"5 per 1 minute" as a moving-window .*sliding-window-counter/);
RateLimitStorage memcached://127.0.0.1
RateLimitDefault "5 per minute" strategy=moving-window
END
refused('moving-window by RateLimitStrategy', <<'END', qr/RateLimit on line \d+ .*as a moving-window .*sliding-window-counter/);
RateLimitStorage memcached://127.0.0.1
RateLimitStrategy moving-window
<Location /x>
    RateLimit "5 per minute"
</Location>
END
is($c->get('/moving', 'X-Key' => 'm', 'X-Limit' => '1 per hour')->code, 404,
   'a limit that is known only now and cannot be kept is none') for 1 .. 2;
like($h->error_log, qr/1 per 1 hour" as a moving-window/, 'which is logged');

is_deeply([ map { $c->post('/by-strategy', '', 'X-Key' => 's')->code } 1 .. 3 ],
          [404, 404, 429], 'an inherited limit in a section with moving-window');
is(scalar(grep { m{^rlx1\|s2/4620\|} } map { $_->names } @memcached), 1,
   'is counted by sliding-window-counter');

for my $case (
    ['memcached://', qr/names no server; write memcached:\/\/host:port/],
    ['memcached://a:b', qr/"a:b" in "memcached:\/\/a:b" is not a server/],
    ['memcached://joe:secret@a', qr/memcached:\/\/ has no user and no password/],
    ['memcached://a timeout=0', qr/timeout=0 is not a number from 1 to 10000/],
    ['memcached://a pool_max=x', qr/pool_max=x is not a number from 1 to 1000/],
    ['memcached://a store_keys=x', qr/store_keys=x is neither hashed nor plain/],
    ['memcached://a size=1M', qr/no option "size"; it has timeout=, pool_max= and store_keys=/],
) {
    my ($uri, $sentence) = @$case;
    my ($code, $output) = RateLimit::Httpd->config_test("RateLimitStorage $uri");
    isnt($code, 0, "$uri does not start");
    like($output, $sentence, "$uri: says why");
    unlike($output, qr/secret/, "$uri: without the password");
}

done_testing;
