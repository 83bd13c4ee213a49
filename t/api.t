# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# What other modules may do (include/ratelimit_ext.h), by way of a module that
# does all of it, t/modules/mod_ratelimit_use.c. Figures are reckoned by hand,
# under a clock that the test sets.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();

my $h = RateLimit::Httpd->start(
    faketime => 1,
    modules  => [qw(ratelimit_use include rewrite)],
    files    => {
        'index.html' => "i\n", 'd/page.html' => "p\n", 'sorry.html' => "so sorry\n",
        's/a.shtml'  => '<!--#include virtual="/u?limits=1/hour&scope=ssi&refuse=1" -->;'
                      . '<!--#include virtual="/u?limits=1/hour&scope=ssi" -->;'
                      . '<!--#include virtual="/u?limits=1/hour&scope=ssi&refuse=1" -->'
                      . "end\n",
        's/b.shtml'  => '<!--#include virtual="/u?limits=1/hour&scope=b&decisions=1" -->',
    },
    conf     => <<'END');
LogLevel ratelimit_ext:debug
LogFormat "%U %>s %{RATELIMIT_RESULT}e %{RATELIMIT_SCOPE}e" result
CustomLog "@DIR@/result_log" result
RateLimitHeaders On
UseLog On
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
<Location "/all">
    SetHandler ratelimit-use
    RateLimit "9 per minute"
    RateLimitCharge all
</Location>
<Location "/document">
    SetHandler ratelimit-use
    RateLimit "1 per hour"
    ErrorDocument 429 "/u?limits=1/hour&scope=document&times=2&refuse=1&key=d"
</Location>
<Location "/page">
    SetHandler ratelimit-use
    ErrorDocument 429 /sorry.html
</Location>
<Location "/tries">
    SetHandler ratelimit-use
    RateLimit "1 per hour" dry_run=on name=tries
</Location>
<Location "/pending">
    SetHandler ratelimit-use
    RateLimit "5 per hour" deduct_when=true
</Location>
<Location "/early">
    SetHandler ratelimit-use
    RateLimit "1 per hour" phase=early
</Location>
<Location "/trial">
    SetHandler ratelimit-use
    RateLimit "1 per hour"
    RateLimitEngine DryRun
</Location>
<Location "/s">
    Options +Includes
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
    RateLimit "100 per hour"
</Location>
<Location "/passing">
    RateLimitRequestFilter true
    RateLimit "1000 per hour"
    RewriteEngine On
    RewriteRule .* /u?limits=9/hour&scope=passing [PT]
</Location>
<Location "/jump">
    RateLimitEngine Off
    RewriteEngine On
    RewriteRule .* /mine?limits=9/hour&scope=jump [PT]
</Location>
<Location "/rewritten">
    RewriteEngine On
    RewriteRule .* /mine?limits=9/hour&scope=rewritten&decisions=1 [PT]
</Location>

<VirtualHost 127.0.0.1:@PORT2@>
    ServerName other
    UseLog On
    RateLimitStrategy gcra
    <Location "/u">
        SetHandler ratelimit-use
    </Location>
    <Location "/fixed">
        SetHandler ratelimit-use
        RateLimitStrategy fixed-window
    </Location>
    <Location "/many">
        SetHandler ratelimit-use
        RateLimit "7 per minute" override_defaults=off
        RateLimitShared "50 per hour" scope=S name=team override_defaults=off
    </Location>
    RateLimitDefault "8 per minute"
    RateLimitApplication "100 per day"
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT3@>
    ServerName early
    UseGate early "2 per minute"
    UseStrikes "2 per day"
    UseLog On
    RateLimitMeta "2 per hour" status=403 name=meta
    <Location "/closed">
        Require all denied
    </Location>
    <Location "/u">
        SetHandler ratelimit-use
    </Location>
    <Location "/free">
        SetHandler ratelimit-use
        RateLimitExempt meta
    </Location>
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT4@>
    ServerName access
    UseGate access "2 per minute"
    UseLog On
    ErrorDocument 429 /sorry.html
    <Location "/closed">
        Require all denied
    </Location>
    <Location "/open">
        RateLimitEngine Off
    </Location>
    <Location "/own">
        RateLimit "1 per hour"
    </Location>
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT5@>
    ServerName toy
    RateLimitStorage shm://second log_max=100
    RateLimitStrategy moving-window
    RateLimitDefault "2/minute" scope=a strategy=fixed-window key=%{req:X-Default}
    <Location "/u">
        SetHandler ratelimit-use
    </Location>
</VirtualHost>
END
my $zero = 1_800_000_000;
my $c = $h->client;
my @client = (undef, $c, map { $h->client($_) } 2 .. 5);
sub at { $h->set_time($zero + $_[0]) }

# Asks the handler of the module: path, parameters. Returns the response, and
# what it says as a list of hashes, an outcome each; a decision is a hash too.
my $response;
sub use_at {
    my ($n, $path, $query, @headers) = @_;
    $query =~ s/ /+/g;
    $response = $client[$n]->get("$path?$query", @headers);
    my @outcomes;
    for (split /\n/, $response->body) {
        if (/^(back \S+|request|\S+) (\S+) (allowed=.*)$/) {
            push @outcomes, { rc => $1, result => $2, fields($3), list => [] };
        }
        elsif (/^  (".*)$/) {
            push @{ $outcomes[-1]{list} }, { fields("limit=$1") };
        }
    }
    return @outcomes;
}
sub use_it { return (use_at(1, @_))[0] || { result => 'none shown' } }

sub fields {
    my ($text) = @_;
    my %field;
    while ($text =~ /(\w+)=("(?:[^"]*)"|.*?)(?=$| \w+=)/g) {
        my ($name, $value) = ($1, $2);
        $field{$name} = $value =~ s/^"|"$//gr;
    }
    return %field;
}

# The first limit of an outcome in short: result and what is left.
sub left { my ($o) = @_; return "$o->{result} " . ($o->{list}[0]{remaining} // '-') }
sub lefts {
    my ($o) = @_;
    return join ' ', $o->{result}, map { $_->{remaining} } @{ $o->{list} };
}

# What the log says of breaches since a mark.
my $mark = 0;
sub breaches {
    my @lines = map { /use: breach (.*)/ ? $1 : () }
        split /\n/, $h->error_log($mark);
    $mark = $h->mark;
    return @lines;
}
sub log_lines {
    my ($pattern) = @_;
    return grep { /$pattern/ } split /\n/, $h->error_log($mark);
}

# The lines that match, once there are so many: a request is logged after its
# client has the response.
sub logged {
    my ($pattern, $n) = @_;
    for (1 .. 500) {
        my @lines = grep { /$pattern/ } split /\n/, $h->error_log;
        return @lines if @lines >= $n;
        select undef, undef, undef, 0.02;
    }
    return ('not logged');
}

### Charging

my $o = use_it('/u', 'limits=2/minute&scope=a&key=k');
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
($o) = use_at(5, '/u', 'limits=100/minute&scope=of&key=k');
is($o->{list}[0]{strategy}, 1, 'a log that the storage keeps');
($o) = use_at(5, '/u', 'limits=101/minute&scope=of&key=k');
is($o->{list}[0]{strategy}, 2, 'one that it does not keep is counted in two windows');
use_at(5, '/u', 'limits=101/minute&scope=of&key=k&strategy=1');
like($response->body, qr/^error "101 per 1 minute" as a moving-window .* log_max=.*, limits -$/m,
     'one that was asked for is an error');
($o) = use_at(5, '/u', 'limits=101/minute&scope=of&key=k&strategy=1&unasked=1');
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
    is(left((use_at(5, '/u', 'limits=2/minute&scope=a&strategy=0', @me,
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

### Refusing

at(10_000);
breaches();
my @who = ('X-Forwarded-For' => '10.10.0.1');
is((use_it('/u', 'limits=1/minute&scope=r1&refuse=1', @who), $response->code)[1], 200, 'there is room');
at(10_015);
$mark = $h->mark;
use_it('/u/r1', 'limits=1/minute&scope=r1&refuse=1', @who, Accept => 'text/plain');
is($response->code, 429, 'there is none');
is($response->reason, 'Too Many Requests', 'in words');
is($response->header('Retry-After'), 45, 'Retry-After');
is($response->header('Cache-Control'), 'no-store', 'not to be kept');
is($response->header('X-RateLimit-Limit'), 1, 'fields');
is($response->header('X-RateLimit-Reset'), $zero + 10_060, 'of that limit');
is($response->body, "429 Too Many Requests: 1 per 1 minute\n", 'the body');
like((log_lines('RLX0001'))[0], qr/RLX0001: refused: client 10\.10\.0\.1 limit "1 per 1 minute" key "10\.10\.0\.1" scope "r1"/,
     'one line in the log');
is(scalar(log_lines('RLX0001')), 1, 'and no more');
like((logged('use: /u/r1 is', 1))[0], qr/is refused allowed=0 n=1 breached=1 per 1 minute kind=module status=429 retry=45/,
     'and the request was refused by it');
is_deeply([breaches()], ['refused allowed=0 n=1 breached=1 per 1 minute kind=module status=429 retry=45 of 1, r1'],
          'listeners heard of it once');
use_it('/u', 'limits=1/minute&scope=r1&refuse=1&status=503&message=<No>&name=own', @who, Accept => 'text/html');
is($response->code, 200, 'a name makes another counter');
use_it('/u', 'limits=1/minute&scope=r1&refuse=1&status=503&message=<No>&name=own', @who, Accept => 'text/html');
is($response->code, 503, 'status of the limit');
like($response->body, qr/&lt;No&gt;/, 'error message, escaped');
use_it('/shown', 'limits=1/minute&scope=r1&refuse=1&name=own', @who);
is($response->header('RateLimit'), '"own";r=0;t=60', 'fields by name');
is($response->body, "429 Too Many Requests: 1 per 1 minute\n", 'RateLimitErrorBody is heeded');
is((use_it('/mine', 'limits=1/minute&scope=r1&refuse=1', @who), $response->code)[1], 420,
   'RateLimitStatus is heeded');
is((use_it('/page', 'limits=1/minute&scope=r1&refuse=1', @who), $response->body)[1], "so sorry\n",
   'ErrorDocument is heeded');
is($response->code, 429, 'with the status');
my $results = do { local (@ARGV, $/) = $h->dir . '/result_log'; <> };
like($results, qr{^/u/r1 429 refused r1$}m, 'variables');

# The error document of a refusal may charge, and is not refused.
is((use_it('/document', 'limits=9/hour&scope=x', @who), $response->code)[1], 200, 'room');
breaches();
use_it('/document', 'limits=9/hour&scope=x', @who);
is($response->code, 429, 'no room');
like($response->body, qr/^0 refused allowed=0 n=1/, 'its document charges, and goes on');
is_deeply([map { /kind=(\S+)/ } breaches()], ['section', 'module'], 'both are breaches');

# What directives had charged is given back, unless RateLimitCharge says else.
at(10_100);
is((use_it('/mine', 'limits=1/minute&scope=r2', @who), $response->header('X-RateLimit-Remaining'))[1], 1,
   'a directive charges');
use_it('/mine', 'limits=1/minute&scope=r2&refuse=1', @who);
is($response->code, 420, 'the module refuses');
use_it('/mine', 'limits=9/minute&scope=x', @who);
is($response->code, 200, 'which was not charged to the section');
use_it('/mine', 'limits=9/minute&scope=x', @who);
is($response->code, 420, 'whose two are used now');
is((use_it('/all', 'limits=1/minute&scope=r3&refuse=1', @who), $response->header('X-RateLimit-Remaining'))[1], 8, 'RateLimitCharge all');
is((use_it('/all', 'limits=1/minute&scope=r3&refuse=1', @who), $response->code)[1], 429, 'refused');
is((use_it('/all', 'limits=9/minute&scope=x', @who), $response->header('X-RateLimit-Remaining'))[1], 6,
   'stays charged');

### Subrequests

at(11_000);
breaches();
$response = $c->get('/s/a.shtml', @who);
is($response->code, 200, 'a subrequest that is refused does not refuse the page');
is($response->header('Retry-After'), undef, 'nor mark it');
is($response->header('X-RateLimit-Remaining'), 99, 'which has its own limits');
my @parts = split /;/, $response->body;
like($parts[0], qr/^0 allowed/, 'the first subrequest charges');
like($parts[1], qr/^0 refused/, 'the second has no room');
unlike($parts[2], qr/\d (?:allowed|refused)/, 'the third is refused');
like($parts[2], qr/end$/, 'and the page goes on');
is(scalar(log_lines('RLX0001')), 0, 'no request was refused');
is(scalar(breaches()), 2, 'each without room is a breach');
$response = $c->get('/s/b.shtml', @who);
like($response->body, qr/^request allowed allowed=1 n=1.*\n  "100 per 1 hour".* kind=section scope="Location \/s"/m,
     'a subrequest sees what was decided for the page');

### What was decided

at(12_000);
$mark = $h->mark;
(undef, $o) = use_at(2, '/many', 'limits=1/hour&scope=x&decisions=1', @who);
is("$o->{rc} $o->{result} $o->{allowed} $o->{n}", 'request allowed 1 4', 'in a handler');
my @shown = map { "$_->{limit}|$_->{policy}|$_->{kind}|$_->{scope}|$_->{key}|$_->{remaining}|$_->{charged}" } @{ $o->{list} };
is_deeply(\@shown, [
    '8 per 1 minute|8 per 1 minute|default|Location /many|10.10.0.1|7|1',
    '7 per 1 minute|7 per 1 minute|section|Location /many|10.10.0.1|6|1',
    '50 per 1 hour|team|shared|S|10.10.0.1|49|1',
    '100 per 1 day|100 per 1 day|application|other:' . $h->port(2) . '|10.10.0.1|99|1',
], 'every kind, in the order in which they were decided') or diag($response->body);
my @logged = map { s/.*use: \/many has //r } logged('use: /many has', 4);
is_deeply(\@logged, [map { s/^  //r } grep { /^  "/ && !/kind=module/ } split /\n/, $response->body],
          'the same when it is logged');
(undef, $o) = use_at(1, '/rewritten', '', 'X-Forwarded-For' => '10.12.0.1');
is("$o->{result} $o->{n} $o->{list}[0]{scope}", 'allowed 1 Location /mine', 'after a redirect')
    or diag($response->body);
$c->get('/page/r9?limits=1/minute&scope=r9&refuse=1', @who) for 1 .. 2;
like((logged('use: /page/r9 is', 2))[1], qr/is refused .* kind=module status=429/,
     'when it is logged, also what an error document was made for');
use_it('/u/r10', 'limits=1/minute&scope=r10', @who);
like((logged('use: /u/r10 is', 1))[0], qr/is none allowed=1 n=0/, 'a charge is not a decision on the request');
use_at(1, '/off', 'limits=1/minute&scope=r10&decisions=1', @who);
like($response->body, qr/^request none/m, 'Off: none');
use_at(1, '/filtered', 'limits=1/minute&scope=r10&decisions=1', @who, 'X-Pass' => 'yes');
like($response->body, qr/^request exempt allowed=1 n=0/m, 'a request filter: exempt');

is(use_it('/passing', '', @who)->{result}, 'exempt', 'which goes on after a redirect');
use_it('/jump', '', 'X-Forwarded-For' => '10.12.0.2');
like((logged('use: /jump is', 1))[0], qr/is allowed allowed=1 n=1/,
     'when it is logged, what was decided after a redirect');

# What the response decides: here it has not yet, there it has.
at(12_500);
my @p = ('X-Forwarded-For' => '10.12.5.1');
(undef, $o) = use_at(1, '/pending', 'limits=9/day&scope=x&decisions=1', @p);
is(join(' ', @{ $o->{list}[0] }{qw(charged pending remaining)}), '0 1 5', 'deduct_when: pending');
like((logged('use: /pending has', 1))[0], qr/charged=1 .*pending=0 remaining=4/, 'and charged');
is((use_it('/pending', 'limits=1/day&scope=p&refuse=1', @p), $response->code)[1], 200, 'charged again');
is((use_it('/pending', 'limits=1/day&scope=p&refuse=1', @p), $response->code)[1], 429, 'refused');
(undef, $o) = use_at(1, '/pending', 'limits=9/day&scope=x&decisions=1', @p);
is($o->{list}[0]{remaining}, 3, 'which is not charged for its response');

### Breaches of directives

at(13_000);
breaches();
my @b = ('X-Forwarded-For' => '10.13.0.1');
use_it('/mine', 'limits=9/minute&scope=x', @b) for 1 .. 3;
is_deeply([breaches()], ['refused allowed=0 n=1 breached=2 per 1 minute kind=section status=420 retry=60 of 1, Location /mine'],
          'a refusal by a section');
use_it('/tries', 'limits=9/minute&scope=x', @b) for 1 .. 2;
is_deeply([breaches()], ['dry-run allowed=1 n=1 breached=tries kind=section status=0 retry=0 of 1, Location /tries'],
          'one that would be, by a limit that tries');
use_it('/early', 'limits=9/minute&scope=x', @b) for 1 .. 2;
is_deeply([breaches()], ['refused allowed=0 n=1 breached=1 per 1 hour kind=section status=429 retry=3600 of 1, Location /early'],
          'a refusal before access control');
use_it('/trial', 'limits=9/minute&scope=x', @b) for 1 .. 2;
is_deeply([breaches()], ['dry-run allowed=1 n=1 breached=1 per 1 hour kind=section status=0 retry=0 of 1, Location /trial'],
          'or where refusing is off');
use_at(2, '/u', 'limits=9/minute&scope=x', @b) for 1 .. 9;
is_deeply([breaches()], ['refused allowed=0 n=2 breached=8 per 1 minute kind=default status=429 retry=8 of 2, other:' . $h->port(2)],
          'a refusal by a default');
at(13_060);
for (1 .. 13) {
    at(13_060 + 60 * $_);
    use_at(2, '/u', 'limits=9/minute&scope=x', @b) for 1 .. 8;
}
like((breaches())[-1], qr/^refused allowed=0 n=2 breached=100 per 1 day kind=application status=429/,
     'a refusal by an umbrella');

### At a gate, before sections are known; meta limits; listeners that charge

at(20_000);
breaches();
my $early = $client[3];
my @e = ('X-Forwarded-For' => '10.20.0.1');
is($early->get('/closed', @e)->code, 403, 'the gate lets pass: closed');
is($early->get('/d/page.html', @e)->code, 200, 'open');
my $r = $early->get('/closed', @e);
is($r->code, 429, 'the gate refuses before access control');
is($r->header('Retry-After'), 60, 'Retry-After');
like($r->header('Content-Type'), qr/problem\+json/, 'and the usual body');
like((logged('use: /closed is', 2))[1], qr/is refused .* kind=module/, 'marked');
is_deeply([map { /^(\S+).* kind=(\S+)/ } breaches()], ['refused', 'module'], 'one breach');
$r = $early->get('/d/page.html', @e);
is($r->code, 429, 'second breach');
is($r->header('Retry-After'), 3600, 'which took the last room of the meta limit');
at(20_060);
$r = $early->get('/d/page.html', @e);
is($r->code, 403, 'the gate lets pass again, the meta limit does not');
my @heard = breaches();
is(scalar(@heard), 2, 'each breach is heard of once');
like($heard[1], qr/^refused allowed=0 n=1 breached=meta kind=meta status=403/, 'that of the meta limit too');
is(scalar(grep { /use: client 10\.20\.0\.1 has had 2 breaches/ } split /\n/, $h->error_log), 1,
   'the third breach is one too many for the listener');
is((grep { /, ratelimit_use:strikes/ } @heard), 0, 'of which nobody is told');
unlike($h->error_log, qr/use: a listener refuses/, 'and which is no refusal');

is($early->get('/d/page.html', @e)->code, 403, 'likewise the second of the minute');
$r = $early->get('/d/page.html', @e);
is($r->code . ' ' . $r->header('Retry-After'), '429 3540',
   'the third is refused at the gate, until the meta limit has room');

# What a handler refuses is charged to the meta limits likewise, but where the
# section is exempt from them.
@e = ('X-Forwarded-For' => '10.20.0.2');
my $refuse = 'limits=1/day&scope=meta&refuse=1';
my @codes;
for (['/free', 200], ['/free', 429], ['/free', 429], ['/free', 429],
     ['/u', 429], ['/u', 429], ['/u', 403], ['/free', 429]) {
    my ($path, $want) = @$_;
    at(20_100 + 60 * @codes);
    use_at(3, $path, $refuse, @e);
    push @codes, $response->code;
    is($codes[-1], $want, "refusal $#codes, $path");
}

### In access control

at(21_000);
my $access = $client[4];
my @a = ('X-Forwarded-For' => '10.21.0.1');
is($access->get('/closed', @a)->code, 403, 'charged, then closed');
is($access->get('/own', @a)->code, 404, 'charged, and by a section');
$r = $access->get('/own', @a);
is($r->code . ' ' . $r->body, "429 so sorry\n", 'the gate refuses, with its document');
is($r->header('Retry-After'), 60, 'by the gate alone: the section was not looked at');
is($access->get('/open', @a)->code, 404, 'where the engine is off, it does not');

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

### A storage of another module, which takes names and may fail

$h = RateLimit::Httpd->start(
    faketime => 1, modules => [qw(ratelimit_use ratelimit_toy)], conf => <<'END');
LogLevel ratelimit_ext:debug
UseLog On
RateLimitKeyPrefix pre
RateLimitStorage toy:// down=@DIR@/down
<Location "/u">
    SetHandler ratelimit-use
</Location>
<Location "/dry">
    SetHandler ratelimit-use
    RateLimitEngine DryRun
</Location>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName allows
    RateLimitStorageFailure allow
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT3@>
    ServerName denies
    UseLog On
    RateLimitStorageFailure deny
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT4@>
    ServerName falls
    UseLog On
    RateLimitFallback "5 per day"
    RateLimitMeta "1 per day"
    RateLimitDefault "7 per day"
</VirtualHost>
END
@client = (undef, map { $h->client($_) } 1 .. 4);
$mark = 0;
my $ab = 'limits=2/hour&scope=a:b&key=k';
is(left(use_it('/u', $ab)), 'allowed 1', 'another storage');
like($h->error_log, qr/pre:_main:module:a%3Ab:::/, 'is given the name in parts');
is(left(use_it('/u', 'limits=2/hour&scope=a%253Ab&key=k')), 'allowed 1',
   'which no two scopes share');
@o = use_at(1, '/u', "$ab&back=1");
is(lefts($o[1]), 'allowed 1', 'given back there too');

$h->write('../down', '');
$o = use_it('/u', $ab);
is("$o->{rc} " . left($o), '0 fallback 1', 'it cannot answer: the same limits, elsewhere');
@o = use_at(1, '/u', "$ab&back=1");
is(lefts($o[0]) . ', ' . lefts($o[1]), 'fallback 0, fallback 1', 'where they are given back as well');
is(left(use_it('/u', $ab)), 'fallback 0', 'one is left');
breaches();
is((use_it('/u', "$ab&refuse=1"), $response->code)[1], 429, 'and refused');
like((breaches())[0], qr/^refused .*kind=module status=429/, 'as ever');
for (['/u', '&refuse=1'], ['/dry', '&refuse=1']) {
    ($o) = use_at(2, $_->[0], $ab . $_->[1]);
    isnt($o->{rc}, 0, "allow, $_->[0]: an error");
    is("$o->{result} $o->{allowed} $o->{n} " . $response->code, 'error 1 0 200', 'which allows');
}
($o) = use_at(3, '/u', $ab);
isnt($o->{rc}, 0, 'deny: an error');
is("$o->{result} $o->{allowed} $o->{n} $o->{status} $o->{retry}", 'error 0 0 503 1', 'which does not');
use_at(3, '/u/denied', "$ab&refuse=1");
is($response->code . ' ' . $response->header('Retry-After'), '503 1', 'and is made so');
like((logged('use: /u/denied is', 1))[0], qr/is error allowed=0 n=0 breached=- kind=- status=503 retry=1/,
     'and seen so');
for (['/dry', ''], ['/u', '&dry=1']) {
    ($o) = use_at(3, $_->[0], "$ab$_->[1]&refuse=1");
    is("$o->{result} $o->{allowed} $o->{n} " . $response->code, 'error 1 0 200', 'but for dry runs');
}
is_deeply([breaches()], [], 'none of this is a breach');
@o = use_at(4, '/u', 'limits=1/hour&scope=f&key=k&decisions=1&times=2');
is(left($o[0]), 'refused 0', 'RateLimitFallback leaves them as they are');
is("$o[1]{result} $o[1]{n} $o[1]{list}[0]{kind} $o[1]{list}[0]{limit}", 'fallback 1 fallback 5 per 1 day',
   'and is among what was decided');
for my $n (1, 2) {
    use_at(4, '/u', 'limits=1/hour&scope=f&key=k&refuse=1');
    is($response->code, 429, "refused: meta limits are out of force ($n)");
}
unlike($h->error_log, qr/\[ratelimit_ext:(?:error|warn)/, 'the log is not filled');

unlink $h->dir . '/down' or die;
$h->advance(60);
is(left(use_it('/u', $ab)), 'allowed 0', 'it answers again: as it stood');
$h->write('../down', 'give_back');
@o = use_at(1, '/u', 'limits=2/hour&scope=g&key=k&back=2');
isnt($o[1]{rc}, 'back 0', 'it cannot give back: an error');
is($o[2]{rc}, 'back 0', 'which is not tried again');
like($response->body, qr/cost=1 room=1 charged=0/, 'and counts as done');

done_testing;
