# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# Limits of another module: what is charged, tested and given back through
# include/ratelimit_ext.h, by way of t/modules/mod_ratelimit_use.c. Figures are
# reckoned by hand, under a clock that the test sets.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Use;

my $h = use_server(RateLimit::Httpd->start(
    faketime => 1, modules => ['ratelimit_use'], conf => <<'END'));
LogLevel ratelimit_ext:debug
RateLimitHeaders On
<Location "/u">
    SetHandler ratelimit-use
</Location>
<Location "/keyed">
    SetHandler ratelimit-use
    RateLimitKey %{req:X-Key}
</Location>
<Location "/gcra">
    SetHandler ratelimit-use
    RateLimitStrategy gcra
</Location>
<Location "/off">
    SetHandler ratelimit-use
    RateLimitEngine Off
</Location>
<Location "/dry">
    SetHandler ratelimit-use
    RateLimitEngine DryRun
</Location>
<Location "/filtered">
    SetHandler ratelimit-use
    RateLimitRequestFilter "%{req:X-Pass} == 'yes'"
    RateLimit "1000 per hour"
</Location>
<Location "/mine">
    SetHandler ratelimit-use
    RateLimit "2 per minute"
    RateLimitStatus 420
</Location>
<Location "/shared">
    SetHandler ratelimit-use
    RateLimitShared "2 per minute" scope=S
</Location>
<Location "/shown">
    SetHandler ratelimit-use
    RateLimitKeyDisplay plain
    RateLimitHeaders ietf
    RateLimitErrorBody text
</Location>

<VirtualHost 127.0.0.1:@PORT2@>
    ServerName other
    RateLimitStrategy gcra
    <Location "/u">
        SetHandler ratelimit-use
    </Location>
    <Location "/fixed">
        SetHandler ratelimit-use
        RateLimitStrategy fixed-window
    </Location>
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT3@>
    ServerName second
    RateLimitStorage shm://second log_max=100
    RateLimitStrategy moving-window
    RateLimitDefault "2/minute" scope=a strategy=fixed-window key=%{req:X-Default}
    <Location "/u">
        SetHandler ratelimit-use
    </Location>
</VirtualHost>
END
my $o;

### Charging

$o = use_it('/u', 'limits=2/minute&scope=a&key=k');
is($o->{rc}, 0, 'the call succeeds');
is(left($o), 'allowed 1', 'first of two');
is($o->{n}, 1, 'one limit');
my %first = %{ $o->{list}[0] };
is($first{limit}, '2 per 1 minute', 'canonical text');
is($first{policy}, '2 per 1 minute', 'which is its name');
is($first{kind}, 'module', 'kind');
is($first{scope}, 'a', 'scope');
like($first{key}, qr/^#[0-9a-f]{16}$/, 'a key of unknown kind is shown hashed');
is("$first{cost} $first{room} $first{charged} $first{dry}", '1 1 1 0',
   'cost, room, charged, not dry');
is($first{reset}, 60_000_000, 'the window ends after a minute');
is($first{retry}, 0, 'there was room at once');
at(20);
is(left(use_it('/u', 'limits=2/minute&scope=a&key=k')), 'allowed 0', 'second of two');
at(29.5);
$o = use_it('/u', 'limits=2/minute&scope=a&key=k');
is(left($o), 'refused 0', 'no third');
is("$o->{allowed} $o->{status} $o->{retry}", '0 429 31',
   'not allowed; 30.5 seconds are rounded up');
is($o->{breached}, '2 per 1 minute', 'and the limit is named');
is($o->{list}[0]{charged}, 0, 'nothing is charged');
is($o->{list}[0]{retry}, 30_500_000, 'room in 30.5 seconds');
is($response->code, 200, 'the request itself is not refused');
is($response->header('X-RateLimit-Limit'), undef, 'and has no fields');
is_deeply([map { /kind=(\S+)/ } breaches()], ['module'], 'a listener hears of it');
at(60);
is(left(use_it('/u', 'limits=2/minute&scope=a&key=k')), 'allowed 1', 'the next window');

# Each call charges; another request-long copy of the limit is the same one.
$o = use_it('/u', 'limits=5 per 60 seconds&scope=times&times=3&key=k');
is(left($o), 'allowed 2', 'three calls of one request charge three times');
is(left(use_it('/u', 'limits=5/60s&scope=times&key=k')), 'allowed 1',
   'the same limit, written in another way');

### Several limits: the shortest first, all or none

at(100);
my $two = 'limits=5/hour, 2/minute&scope=two&key=k';
is(lefts(use_it('/u', $two)), 'allowed 1 4', 'both are charged');
is(lefts(use_it('/u', $two)), 'allowed 0 3', 'both again');
$o = use_it('/u', $two);
is(lefts($o), 'refused 0 3', 'the minute refuses, the hour keeps what it has');
is(join(' ', map { "$_->{limit} $_->{room} $_->{charged}" } @{ $o->{list} }),
   '2 per 1 minute 0 0 5 per 1 hour 1 0', 'each for itself');
at(160);
is(lefts(use_it('/u', "$two&times=2")), 'allowed 0 1', 'the next minute');
at(220);
is(lefts(use_it('/u', $two)), 'allowed 1 0', 'the last of the hour');
$o = use_it('/u', $two);
is(lefts($o), 'refused 1 0', 'the hour refuses, the minute keeps what it has');
is($o->{breached}, '5 per 1 hour', 'and the breached one is not the first');
is($o->{retry}, 3600 - 120, 'when the hour is over');
$o = use_it('/u', 'limits=2/minute; 2 per 60 seconds | 2/minute&scope=once&key=k');
is("$o->{n} " . left($o), '2 allowed 1', 'a limit that stands twice counts once')
    or diag($response->body);

### Cost, and tests

at(300);
my $five = 'limits=5/hour&scope=cost&key=k';
is(left(use_it('/u', "$five&cost=3")), 'allowed 2', 'cost 3 of 5');
is(left(use_it('/u', "$five&cost=3")), 'refused 2', 'no room for 3 more');
is(left(use_it('/u', "$five&cost=0")), 'allowed 2', 'cost 0 takes nothing');
is(left(use_it('/u', "$five&cost=2")), 'allowed 0', 'but for 2');
$o = use_it('/u', 'limits=5/minute&scope=dear&key=k&cost=6');
is(left($o), 'refused 5', 'more than the limit has never has room');
is("$o->{list}[0]{retry} $o->{retry}", '-1 60', 'never; a window is told');
is(left(use_it('/u', 'limits=0/minute&scope=zero&key=k')), 'refused 0', 'count 0');
breaches();
my $test = 'limits=2/hour&scope=test&key=k';
is(left(use_it('/u', "$test&test=1&times=5")), 'allowed 2', 'a test takes nothing');
is(use_it('/u', "$test&test=1")->{list}[0]{charged}, 0, 'and says so');
is(left(use_it('/u', "$test&test=1&cost=3")), 'refused 2', 'no room for 3');
is(left(use_it('/u', "$test&cost=2")), 'allowed 0', 'there is for 2');
is(left(use_it('/u', "$test&test=1")), 'refused 0', 'then for none');
is_deeply([breaches()], [], 'nobody hears of tests');
is((use_it('/u', "$test&test=1&refuse=1"), $response->code)[1], 429,
   'a test may be made a refusal');
is(scalar(breaches()), 1, 'of which they hear');

### Strategies

# strategy, then [seconds, cost, result left retry_after] from the beginning on
for (
    [0, 'fixed-window', [0, 1, 'allowed 1 0'], [30, 1, 'allowed 0 0'],
        [59, 1, 'refused 0 1'], [60, 1, 'allowed 1 0']],
    [1, 'moving-window', [0, 1, 'allowed 1 0'], [30, 1, 'allowed 0 0'],
        [59, 1, 'refused 0 1'], [60, 1, 'allowed 0 0'], [61, 1, 'refused 0 29']],
    # At 60 the bucket of the first minute counts 2 * 60/60, at 90 2 * 30/60.
    [2, 'sliding-window-counter', [0, 2, 'allowed 0 0'], [59, 1, 'refused 0 2'],
        [60, 1, 'refused 0 1'], [90, 1, 'allowed 0 0']],
    # One each 30 seconds, two at once.
    [3, 'gcra', [0, 2, 'allowed 0 0'], [10, 1, 'refused 0 20'],
        [30, 1, 'allowed 0 0'], [90, 2, 'allowed 0 0']],
) {
    my ($strategy, $name, @steps) = @$_;
    for my $step (@steps) {
        my ($after, $cost, $want) = @$step;
        at(1000 * ($strategy + 1) + $after);
        my $o = use_it('/u', "limits=2/minute&scope=s&key=k&cost=$cost&strategy=$strategy");
        is(left($o) . " $o->{retry}", $want, "$name after $after s");
        is($o->{list}[0]{strategy}, $strategy, '... by that strategy') if !$after;
    }
}
at(5000);
my $burst = 'limits=60/minute&scope=burst&key=k&strategy=3&burst=2';
is(left(use_it('/u', "$burst&times=2")), 'allowed 0', 'a burst of two');
is(use_it('/u', $burst)->{retry}, 1, 'then one a second');

is(use_it('/gcra', 'limits=2/minute&scope=of&key=k')->{list}[0]{strategy}, 0,
   'without one: that of the server, not of the section');
for ('/u', '/fixed') {
    is((use_at(2, $_, 'limits=2/minute&scope=of&key=k'))[0]{list}[0]{strategy}, 3,
       "the server's, $_");
}
($o) = use_at(3, '/u', 'limits=100/minute&scope=of&key=k');
is($o->{list}[0]{strategy}, 1, 'a log that the storage keeps');
($o) = use_at(3, '/u', 'limits=101/minute&scope=of&key=k');
is($o->{list}[0]{strategy}, 2, 'one that it does not keep is counted in two windows');
use_at(3, '/u', 'limits=101/minute&scope=of&key=k&strategy=1');
like($response->body, qr/^error "101 per 1 minute" as a moving-window .* log_max=.*, limits -$/m,
     'one that was asked for is an error');
($o) = use_at(3, '/u', 'limits=101/minute&scope=of&key=k&strategy=1&unasked=1');
is("$o->{rc} $o->{result} $o->{allowed} $o->{n}", '70023 error 1 0',
   'APR_ENOTIMPL where the storage was not asked before');

### Scopes: apart from each other, from directives, from other servers

at(6000);
my $me = '10.6.0.1';
my @me = ('X-Forwarded-For' => $me);
for my $round (1, 0) {
    for (['/u', 'a'], ['/u', 'b'], ['/u', 'S'], ['/u', 'Location /mine'], ['/gcra', 'c']) {
        my ($path, $scope) = @$_;
        is(left(use_it($path, "limits=2/minute&scope=$scope", @me)), "allowed $round",
           "scope $scope counts by itself");
    }
    is((use_it('/mine', 'limits=9/hour&scope=x', @me),
        $response->header('X-RateLimit-Remaining'))[1], $round, 'so does a section');
    is((use_it('/shared', 'limits=9/hour&scope=x', @me),
        $response->header('X-RateLimit-Remaining'))[1], $round, 'and a shared scope');
    is(left((use_at(3, '/u', 'limits=2/minute&scope=a&strategy=0', @me,
                    'X-Default' => $me))[0]),
       "allowed $round", 'and another virtual host, and its default');
}
is(left(use_it('/gcra', 'limits=2/minute&scope=a', @me)), 'refused 0',
   'a scope is one over all sections');

### Keys

at(7000);
my $keys = 'limits=9/minute&scope=keys';
is(use_it('/u', $keys, @me)->{list}[0]{key}, $me, 'no key: the client');
is(left(use_it('/u', "$keys&key=$me")), 'allowed 7', 'who may be given by hand');
is(left(use_it('/u', $keys, 'X-Forwarded-For' => '10.6.0.2')), 'allowed 8', 'others count apart');
$o = use_it('/keyed', $keys, 'X-Key' => 'secret', @me);
is(left($o), 'allowed 8', 'RateLimitKey is heeded');
like($o->{list}[0]{key}, qr/^#/, 'and not shown');
is(left(use_it('/u', "$keys&key=secret", @me)), 'allowed 7', 'the same key');
is(use_it('/u', "$keys&key=bob&public=1")->{list}[0]{key}, 'bob', 'a public key is shown');
is(use_it('/shown', "$keys&key=secret")->{list}[0]{key}, 'secret', 'RateLimitKeyDisplay plain');
$o = use_it('/keyed', $keys, @me);
is("$o->{rc} $o->{result} $o->{allowed} $o->{n}", '0 none 1 0', 'RateLimitKey is empty');
is(use_it('/u', "$keys&key=")->{result}, 'none', 'the key is empty');

### Giving back

at(8000);
my @o = use_at(1, '/u', 'limits=3/minute,5/hour&scope=back&key=k&cost=2&back=2');
is(lefts($o[0]), 'allowed 1 3', 'charged');
is(lefts($o[1]), 'allowed 3 5', 'given back');
is("$o[1]{rc} $o[1]{list}[0]{charged}$o[1]{list}[1]{charged}", 'back 0 00', 'and not charged any more');
is(lefts($o[2]), 'allowed 3 5', 'once');
is(lefts(use_it('/u', 'limits=3/minute,5/hour&scope=back&key=k')), 'allowed 2 4',
   'the storage has it back');
@o = use_at(1, '/u', 'limits=3/minute,5/hour&scope=back&key=k&cost=3&back=1');
is(lefts($o[0]) . ', ' . lefts($o[1]), 'refused 2 4, refused 2 4',
   'what was not charged is not given back');
is(lefts(use_it('/u', 'limits=3/minute,5/hour&scope=back&key=k')), 'allowed 1 3', 'nor there');
use_at(1, '/mine', 'limits=9/minute&scope=wrong&back_request=1', @me);
like($response->body, qr/^back request 22$/m, 'only the outcome of a charge can be given back');
use_at(1, '/u', 'limits=9/minute&scope=wrong&back_request=1');
like($response->body, qr/^back request 0$/m, 'nothing decided, nothing given back');

### Engine and filters

at(9000);
breaches();
my $engine = 'limits=2/minute&scope=engine&key=k';
$o = use_it('/off', "$engine&times=5");
is("$o->{rc} $o->{result} $o->{allowed} $o->{n}", '0 none 1 0', 'Off: nothing is looked at');
$o = use_it('/filtered', "$engine&times=5", 'X-Pass' => 'yes');
is("$o->{rc} $o->{result} $o->{allowed} $o->{n}", '0 exempt 1 0', 'nor where a filter holds');
is(left(use_it('/filtered', $engine, 'X-Pass' => 'no')), 'allowed 1', 'where none does, it is');
is(left(use_it('/dry', $engine)), 'allowed 0', 'DryRun counts');
is_deeply([breaches()], [], 'no breach so far');
$o = use_it('/dry', "$engine");
is(left($o), 'dry-run 0', 'and tells');
is("$o->{allowed} $o->{breached} $o->{status} $o->{list}[0]{dry}", '1 2 per 1 minute 0 0', 'and allows');
is_deeply([map { /^(\S+)/ } breaches()], ['dry-run'], 'listeners hear of it');
is(scalar(log_lines('RLX0001')), 0, 'the log does not yet');
use_it('/dry', "$engine&refuse=1&decisions=1");
is($response->code, 200, 'nothing is refused');
like(join("\n", log_lines('RLX0001')),
     qr/would be refused \(dry run\): client \S+ limit "2 per 1 minute" key "#\w+" scope "engine"/,
     'the log says what would be');
is_deeply([map { /^(\S+)/ } breaches()], ['dry-run'], 'listeners hear of it once');
like($response->body, qr/^request dry-run allowed=1 n=1 breached=2 per 1 minute kind=module/m,
     'and the request is marked');
is($response->header('X-RateLimit-Remaining'), 0, 'and has the fields');
is(left(use_it('/u', $engine)), 'refused 0', 'On refuses');
my $dry = 'limits=1/minute&scope=drylimit&key=k&dry=1';
is(left(use_it('/u', $dry)), 'allowed 0', 'a limit that only tries');
$o = use_it('/u', $dry);
is("$o->{result} $o->{allowed} $o->{list}[0]{dry}", 'dry-run 1 1', 'never refuses');
is((use_it('/u', "$dry&refuse=1"), $response->code)[1], 200, 'not even so');

### What is wrong

for (
    ['scope=x', 'the limits are missing, as in "10 per hour"'],
    ['limits=1/hour', 'the scope is missing: a text that names what is limited'],
    ['limits=1/hour&scope=', 'the scope is missing: a text that names what is limited'],
    ['limits=1/fortnight&scope=x', '"1/fortnight" is not a limit: the unit "fortnight" is not known'],
    ['limits=&scope=x', 'the limit string is empty'],
    ['limits=1/hour&scope=x&strategy=4', '4 is not a strategy: use RLX_FIXED_WINDOW'],
    ['limits=1/hour&scope=x&strategy=-2', '-2 is not a strategy'],
    ['limits=1/hour&scope=x&burst=2', 'a burst of 2 is for RLX_GCRA alone'],
    ['limits=1/hour&scope=x&status=200', '200 is not a status from 400 to 599'],
    ['limits=1/hour&scope=x&name=a%20b', '"a b" is not a name: up to 128 printable'],
    ['limits=1/hour&scope=x&name=', '"" is not a name'],
    ['limits=1/hour,1/day&scope=x&name=n', 'the name "n" belongs to one limit, and there are 2'],
    ['limits=1/hour&scope=x&size=1', 'the size of the spec is not set: begin it with RLX_EXT_SPEC_INIT'],
) {
    my ($query, $error) = @$_;
    use_it('/u', $query);
    like($response->body, qr/^error \Q$error\E.*, limits -$/m, "error: $query");
}
for (['cost=2147483648', 'cost'], ['flags=4', 'flag']) {
    $o = use_it('/u', "limits=1/hour&scope=x&$_->[0]");
    is("$o->{rc} $o->{result} $o->{allowed} $o->{n}", '22 error 1 0', "APR_EINVAL: $_->[1]");
}

done_testing;
