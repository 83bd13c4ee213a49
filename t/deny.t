# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# The deny cache before Redis, under a clock that the test sets: how often
# Redis is asked, what clients see meanwhile, and what ends it.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use IO::Socket::INET ();
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Load qw(at_once total);
use RateLimit::Redis ();

my @strategies = qw(fixed-window moving-window sliding-window-counter gcra);

# The application behind the limits that wait for its answer.
my $backend = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
    or die "listen: $!";
my $redis = RateLimit::Redis->prepare;
my $uri = $redis->uri;
my $conf = <<"END";
LogLevel ratelimit_ext:debug
RateLimitHeaders x-ratelimit ietf
RateLimitKey %{req:X-Key}
RateLimitStorage $uri timeout=5000
@{[map { qq(<Location "/$_">\n  RateLimit "2 per minute" strategy=$_\n</Location>\n) }
   @strategies]}
<Location "/costs">
    RateLimit "5 per minute" cost=%{req:X-Cost}
</Location>
<Location "/in-order">
    RateLimitCharge in-order
    RateLimit "2 per minute; 5 per hour"
</Location>
<Location "/all">
    RateLimitCharge all
    RateLimit "2 per minute; 5 per hour"
</Location>
<Location "/nothing">
    RateLimit "0 per minute"
</Location>
<Location "/tried">
    RateLimit "9 per minute"
    RateLimit "2 per hour" dry_run=on
</Location>
ProxyPass "/slow" "http://127.0.0.1:@{[$backend->sockport]}/"
<Location "/slow">
    RateLimit "1 per hour" reserve=on deduct_when="%{REQUEST_STATUS} == 401"
</Location>
<VirtualHost 127.0.0.1:\@PORT2\@>
    ServerName three
    RateLimitApplication "9 per hour"
    RateLimitDefault "2 per minute"
    <Location "/own">
        RateLimit "5 per day" override_defaults=off
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:\@PORT3\@>
    ServerName banned
    RateLimitMeta "2 per hour"
    RateLimitDefault "1 per minute"
</VirtualHost>
<VirtualHost 127.0.0.1:\@PORT4\@>
    ServerName off
    RateLimitStorage $uri timeout=5000 deny_cache=off
    RateLimitDefault "1 per minute"
</VirtualHost>
<VirtualHost 127.0.0.1:\@PORT5\@>
    ServerName longer
    RateLimitStorage $uri timeout=5000 deny_cache=64K deny_cache_time=5000
    RateLimitDefault "1 per minute"
</VirtualHost>
END
my %files = map { ($_ => "$_\n") } @strategies,
    qw(costs in-order all nothing tried own x);
my @modules = qw(proxy proxy_http);
my $h = RateLimit::Httpd->start(faketime => 1, conf => $conf,
                                files => \%files, modules => \@modules);
$redis->launch(clock => $h);
my @client = map { $h->client($_) } 1 .. 5;

# How often Redis was asked for what a piece of code does.
sub asked(&) {
    my ($code) = @_;
    $redis->reset_stats;
    $code->();
    my $stats = $redis->stats;
    return ($stats->{evalsha} // 0) + ($stats->{eval} // 0);
}

# A request at a port: status, Remaining, seconds to Reset, Retry-After.
sub show {
    my ($port, $path, $key, @more) = @_;
    my $r = $client[ $port - 1 ]->get($path, 'X-Key' => $key, @more);
    return join ' ', $r->code, $r->header('X-RateLimit-Remaining') // '-',
        defined $r->header('X-RateLimit-Reset')
            ? $r->header('X-RateLimit-Reset') - $h->now : '-',
        $r->header('Retry-After') // '-';
}
sub code { return (split / /, show(@_))[0] }
sub codes { my ($n, @request) = @_; return join ' ', map { code(@request) } 1 .. $n }

# One limit, by each strategy: not asked for a second, the fields as ever.
for my $s (@strategies) {
    code(1, "/$s", 'one') for 1, 2;
    my ($first, @later);
    is(asked { $first = show(1, "/$s", 'one') }, 1, "$s: the first refusal");
    like($first, qr/^429 0 /, 'is one');
    is(asked { @later = map { show(1, "/$s", 'one') } 1 .. 20 }, 0,
       'twenty more: Redis is not asked');
    is_deeply(\@later, [($first) x 20], 'with the same fields');
    is(asked { code(1, "/$s", 'two') }, 1, 'it is, for another key');
    $h->advance(0.5);
    is(asked { @later = show(1, "/$s", 'one') }, 0, 'a little later');
    my ($reset, $wait) = (split / /, $first)[2, 3];
    # 60 seconds and a bit of a sliding window round up to 61, and 59.5 to 60.
    is($later[0], '429 0 ' . ($reset - 0.5) . ' ' . ($wait == 61 ? 60 : $wait),
       'it resets when it did');
    $h->advance(0.5);
    is(asked { $later[0] = show(1, "/$s", 'one'); code(1, "/$s", 'one') }, 1,
       'after a second it is asked again, once');
    is($later[0], '429 0 ' . join(' ', $reset - 1, $wait - 1), 'and says the same');
    $h->advance(121);
    is(code(1, "/$s", 'one'), 200, 'when the window is over: passed');
}

# Costs: each by itself; what a smaller one takes is seen.
code(1, '/costs', 'c', 'X-Cost' => 3);
is(asked { is(codes(3, 1, '/costs', 'c', 'X-Cost' => 3), '429 429 429',
              'a cost that does not fit') }, 1, 'is asked for once');
is(show(1, '/costs', 'c', 'X-Cost' => 1), '200 1 60 -', 'a smaller one fits');
is(show(1, '/costs', 'c', 'X-Cost' => 3), '429 1 60 60',
   'and the larger one is told what is left now');

# Three limits of three kinds: all that is said of them is known.
is(codes(2, 2, '/own', 'k'), '200 200', 'three limits: two pass');
my (@first, @later);
sub ietf { my $r = $client[ $_[0] - 1 ]->get($_[1], 'X-Key' => $_[2]);
           return map { $r->header($_) } 'RateLimit', 'RateLimit-Policy', 'Retry-After' }
is(asked { @first = ietf(2, '/own', 'k') }, 1, 'the next is refused by the default');
is(asked { @later = ietf(2, '/own', 'k') for 1 .. 10 }, 0, 'ten more: not asked');
is_deeply(\@later, \@first, 'all limits are told of as before');
like($first[0], qr/"9 per 1 hour";r=7;t=3600.*"5 per 1 day";r=3;t=86400/, 'which was right');
is(code(2, '/x', 'k'), 200, 'elsewhere the key has room');
@later = ();
is(asked { @later = ietf(2, '/own', 'k') }, 1,
   'a limit that both share was charged: asked again');
like($later[0], qr/"9 per 1 hour";r=6;t=3600/, 'and told of rightly');
is(asked { ietf(2, '/own', 'k') }, 0, 'and known again');

# Where others are to be charged it is asked.
is(codes(3, 1, '/in-order', 'k'), '200 200 429', 'in-order');
is(asked { code(1, '/in-order', 'k') for 1 .. 10 }, 0,
   'the first of the limits is full: not asked');
is(codes(3, 1, '/all', 'k'), '200 200 429', 'all');
is(asked { is(codes(2, 1, '/all', 'k'), '429 429',
              'while another limit is still charged') }, 4,
   'it is asked, also when that will have room');
is(asked { code(1, '/all', 'k') for 1 .. 10 }, 0,
   'which told that both are full now');
$h->advance(60);
is(show(1, '/all', 'k'), '429 0 3540 3540', 'the refusals were charged');

is(asked { is(codes(3, 1, '/nothing', 'k'), '429 429 429', '0 per minute') }, 0,
   'is never asked for');
is(codes(3, 1, '/tried', 'k'), '200 200 200', 'dry_run, beyond its count');
is(asked { code(1, '/tried', 'k') for 1 .. 5 }, 5,
   'then only the limit that can refuse is asked for');

# Meta limits: charged with each refusal, and then themselves a refusal.
is(codes(3, 3, '/', 'm'), '200 429 429', 'meta');
is(asked { is(codes(10, 3, '/', 'm'), join(' ', (429) x 10), 'banned') }, 0,
   'not asked');
$h->advance(60);
is(asked { is(codes(10, 3, '/', 'm'), join(' ', (429) x 10),
              'and for longer than its limit') }, 1, 'which is asked for');

# Options.
codes(2, 4, '/x', 'k');
is(asked { codes(5, 4, '/x', 'k') }, 5, 'deny_cache=off: asked each time');
$h->advance(60);
codes(2, 5, '/x', 'k');
$h->advance(4.5);
is(asked { codes(5, 5, '/x', 'k') }, 0, 'deny_cache_time=5000');
$h->graceful;
is(asked { codes(5, 5, '/x', 'k') }, 0, 'kept over a graceful restart');
$h->advance(0.5);
is(asked { codes(5, 5, '/x', 'k') }, 1, 'and asked when the time is over');

# What an administrator does to Redis itself is seen when the time is over,
# or when a clock that was set back says so.
codes(3, 1, '/fixed-window', 'del');
$redis->call('FLUSHALL');
is(code(1, '/fixed-window', 'del'), 429, 'FLUSHALL is not heard of');
$h->advance(1);
is(code(1, '/fixed-window', 'del'), 200, 'for a second');
codes(2, 1, '/fixed-window', 'del');
$redis->call('FLUSHALL');
$h->advance(-3600);
is(code(1, '/fixed-window', 'del'), 200, 'no longer where the clock steps back');

# A request to the application, on its way; the application's answer to it.
sub begin {
    my ($server, $key) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $server->port);
    $socket->print("GET /slow HTTP/1.1\r\nHost: x\r\nX-Key: $key\r\n"
                   . "Connection: close\r\n\r\n");
    local $SIG{ALRM} = sub { die "nothing comes to the application\n" };
    alarm 20;
    my $request = $backend->accept;
    while (defined(my $line = readline $request)) { last if $line =~ /^\r?$/ }
    alarm 0;
    return [$socket, $request];
}

sub end {
    my ($socket, $request) = @{ $_[0] };
    $request->print("HTTP/1.0 200 OK\r\n\r\nyes\n");
    close $request;
    local $/;
    return (split / /, readline $socket)[1];
}

# Given back through this server: at once. Through another: within a second.
{
    my $other = RateLimit::Httpd->start(faketime => $h->now, conf => $conf,
                                        files => \%files,
                                        modules => \@modules);
    my $far = $other->client;
    my $slow = begin($h, 'r');
    is(code(1, '/slow', 'r'), 429, 'reserved by one that is on its way');
    is(asked { is(code(1, '/slow', 'r'), 429, 'still') }, 0, 'not asked');
    is($far->get('/slow', 'X-Key' => 'r')->code, 429, 'at the other server, too');
    is(end($slow), 200, 'it is answered: nothing is due');
    $slow = begin($h, 'r');
    is(end($slow), 200, 'here the next one passes at once');
    is(asked { is($far->get('/slow', 'X-Key' => 'r')->code, 429,
                  'the other server does not know yet') }, 0, 'and does not ask');
    $_->advance(1) for $h, $other;
    $slow = begin($other, 'r');
    is(end($slow), 200, 'for a second');
}
unlike($h->error_log, qr/cannot answer/, 'Redis answered all the time');
$redis->stop;

# Exact as ever, under load and over two servers; and Redis has little to do.
{
    my $busy = RateLimit::Redis->start;
    my $limits = "RateLimitStorage @{[$busy->uri]} timeout=5000\n"
        . join '', map { qq(<Location "/$_">\n  RateLimit "20/hour; 40/day" )
                         . "strategy=$_\n</Location>\n" } @strategies;
    my @servers = map { RateLimit::Httpd->start(conf => $limits) } 1, 2;
    for my $s (@strategies) {
        $busy->reset_stats;
        my $counts = total(at_once(map {
            my $server = $_;
            sub { $server->client->parallel(5, 300, "/$s") };
        } @servers));
        is_deeply($counts, { 404 => 20, 429 => 580 }, "20 of 600 pass, $s");
        my $n = $busy->stats->{evalsha};
        cmp_ok($n, '<', 150, "Redis was asked $n times");
    }
}

like($h->error_log, qr/RLX0021: storage \Q$uri\E need not be asked: its deny cache knows that it would refuse$/m,
     'the debug log says who answers');

done_testing;
