# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Not one request more than a limit has, and not one less: parallel load on
# several processes, every strategy, several limits on one request. Windows
# are so long that none ends while the test runs, and nothing depends on how
# fast the machine is. The expected numbers are worked out by hand.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Load;

my @strategies = qw(fixed-window moving-window sliding-window-counter gcra);

my $conf = <<'END';
LogFormat "%P %U" pids
CustomLog "@DIR@/pid_log" pids

# One counter over this server and the virtual host, for those that ask with
# the field; without a key it is skipped.
RateLimitApplication "150 per day" key=%{req:X-App}
<VirtualHost *:@PORT2@>
    ServerName second
</VirtualHost>
<VirtualHost *:@PORT3@>
    ServerName third
    RateLimitApplication "20 per day" key=%{req:X-App}
</VirtualHost>

# Two limits, of which one is probed alone afterwards.
<Location "/pair">
    RateLimitShared "200 per hour" scope=pair-hour
    RateLimitShared "150 per day" scope=pair-day
</Location>
<Location "/pair-hour">
    RateLimitShared "200 per hour" scope=pair-hour
</Location>
<Location "/crossed">
    RateLimitShared "100 per day" scope=crossed-a key=%{req:X-A}
    RateLimitShared "60 per day" scope=crossed-b key=%{req:X-B}
</Location>

<Location "/shared/one">
    RateLimitShared "150 per day" scope=both
</Location>
<Location "/shared/two">
    RateLimitShared "150 per day" scope=both
</Location>
<Location "/several">
    RateLimit "300 per day, 200 per hour; 150 per month"
</Location>
<Location "/crowd">
    RateLimit "20000 per day"
</Location>
<Location "/crowds">
    RateLimitShared "10000 per hour" scope=crowds-hour
    RateLimitShared "10001 per year" scope=crowds-year strategy=gcra
</Location>
<Location "/crowds-year">
    RateLimitShared "10001 per year" scope=crowds-year strategy=gcra
</Location>
<Location "/closing">
    RateLimit "150 per day"
</Location>
END

for my $strategy (@strategies) {
    $conf .= <<"END";
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

# For each way to charge: the hour refuses first, then the day refuses first.
for my $charge (qw(atomic in-order all)) {
    $conf .= <<"END";
<Location "/charge/$charge">
    RateLimitCharge $charge
</Location>
<Location "/charge/$charge/hour-tight">
    RateLimitShared "30 per hour" scope=$charge-1h
    RateLimitShared "50 per day" scope=$charge-1d
</Location>
<Location "/charge/$charge/hour-tight-day">
    RateLimitShared "50 per day" scope=$charge-1d
</Location>
<Location "/charge/$charge/day-tight">
    RateLimitShared "30 per day" scope=$charge-2d
    RateLimitShared "50 per hour" scope=$charge-2h
</Location>
<Location "/charge/$charge/day-tight-hour">
    RateLimitShared "50 per hour" scope=$charge-2h
</Location>
END
}

# Everything that is asked for is there, so what is let through is a 200.
my %files = map { $_ => "x\n" } qw(pair pair-hour crossed shared/one shared/two
                                   several closing open
                                   crowd crowds crowds-year), @strategies,
    (map { ("costly/$_", "cheap/$_") } @strategies),
    map { my $at = "charge/$_"; map { "$at/$_" } qw(hour-tight hour-tight-day
                                                    day-tight day-tight-hour) }
        qw(atomic in-order all);
my $h = RateLimit::Httpd->start(conf => $conf, files => \%files, children => 4);

# $n requests over 8 connections: how many got 200 and 429. With anything
# else the hash does not match.
sub load {
    my ($path, $n, %headers) = @_;
    return $h->client->parallel(8, $n, $path, \%headers);
}

# How many of $n pass now.
sub passes { load(@_)->{200} // 0 }

for my $strategy (@strategies) {
    is_deeply(load("/$strategy", 800), { 200 => 150, 429 => 650 },
              "$strategy: 150 of 800 pass");
}

# A new connection for each request: other children, other threads.
is_deeply(load('/closing', 400, Connection => 'close'),
          { 200 => 150, 429 => 250 }, 'each request on a connection of its own');

# As fast as the machine can, on all cores at once: two decisions that meet
# within some ten nanoseconds happen here.
sub crowd {
    my ($path, $n) = @_;
    return total(at_once(map {
        sub { pipelined($h->port, $path, $n / 8, sub { () }) }
    } 1 .. 8));
}
is_deeply(crowd('/crowd', 32_000), { 200 => 20_000, 429 => 12_000 },
          'a crowd of 32,000');
is_deeply(crowd('/crowds', 16_000), { 200 => 10_000, 429 => 6_000 },
          'a crowd, two limits');
is(passes('/crowds-year', 16), 1, 'of which the other has one left');

# Half of the load from another process, to another place.
sub two_places {
    my ($port_1, $path_1, $port_2, $path_2, %headers) = @_;
    return total(at_once(
        sub { $h->client($port_1)->parallel(4, 400, $path_1, \%headers) },
        sub { $h->client($port_2)->parallel(4, 400, $path_2, \%headers) }));
}

is_deeply(two_places(1, '/shared/one', 1, '/shared/two'),
          { 200 => 150, 429 => 650 }, 'one counter shared by two sections');
is_deeply(two_places(1, '/open', 2, '/open', 'X-App' => 'a'),
          { 200 => 150, 429 => 650 }, 'one counter over two virtual hosts');
is_deeply($h->client(3)->parallel(8, 100, '/open', { 'X-App' => 'a' }),
          { 200 => 20, 429 => 80 }, 'a virtual host with one of its own');
is_deeply(load('/open', 100), { 200 => 100 }, 'no key, no limit');

# Refusals by one limit eat nothing of the other
is_deeply(load('/pair', 800), { 200 => 150, 429 => 650 },
          'two limits: the tighter one decides');
is_deeply(load('/pair-hour', 200), { 200 => 50, 429 => 150 },
          'and the other gave 150, not more: 50 of 200 are left');
is_deeply(load('/several', 400), { 200 => 150, 429 => 250 },
          'three limits in one string');

# One key meets three others: a has 100, each b has 60.
{
    my $got = $h->client->parallel(8, 600, '/crossed',
        sub { ('X-A' => 'a', 'X-B' => 'b' . $_[0] % 3) });
    is_deeply($got, { 200 => 100, 429 => 500 }, 'two keys: one is used up');
    my $left = 0;
    $left += passes('/crossed', 100, 'X-A' => "new-$_", 'X-B' => "b$_")
        for 0 .. 2;
    is($left, 3 * 60 - 100, 'and its refusals took nothing from the other');
    is_deeply($h->client->parallel(8, 80, '/crossed',
        sub { ('X-A' => 'later', 'X-B' => "fresh-$_[0]") }),
              { 200 => 80 }, 'a key that only others refused has all it had');
    is_deeply($h->client->parallel(8, 80, '/crossed',
        sub { ('X-A' => 'later', 'X-B' => "fresh-$_[0]") }),
              { 200 => 20, 429 => 60 }, 'to the last unit');
}

# 40 requests against 30 and 50: what the ten refused ones were charged to.
my %left = (              # atomic: nothing of it, so 30 of 50 are used
    atomic     => { 'hour-tight-day' => 20, 'day-tight-hour' => 20 },
    # The hour comes first. Where it refuses the day is not charged; where the
    # day refuses, the hour has been.
    'in-order' => { 'hour-tight-day' => 20, 'day-tight-hour' => 10 },
    all        => { 'hour-tight-day' => 10, 'day-tight-hour' => 10 },
);
for my $charge (sort keys %left) {
    my $at = "/charge/$charge";
    is_deeply(load("$at/hour-tight", 40), { 200 => 30, 429 => 10 },
              "$charge: 30 of 40 pass by the hour");
    is_deeply(load("$at/day-tight", 40), { 200 => 30, 429 => 10 },
              "$charge: 30 of 40 pass by the day");
    for my $other (sort keys %{ $left{$charge} }) {
        is(passes("$at/$other", 40), $left{$charge}{$other},
           "$charge: what $other has left");
    }
}

# 66 * 3 = 198 of 200: two single ones are left.
for my $strategy (@strategies) {
    is_deeply(load("/costly/$strategy", 120), { 200 => 66, 429 => 54 },
              "$strategy: cost=3");
    is_deeply(load("/cheap/$strategy", 16), { 200 => 2, 429 => 14 },
              "$strategy: the rest for who asks for less");
}

# All this was decided by several processes, none of which did it alone.
{
    open my $log, '<', $h->dir . '/pid_log' or die $!;
    my %by_pid;
    while (<$log>) { $by_pid{$1}++ if /^(\d+) / }
    my @busy = grep { $by_pid{$_} >= 50 } keys %by_pid;
    cmp_ok(scalar @busy, '>=', 2, 'several children took part')
        or diag explain \%by_pid;
}

my @bad = $h->error_log =~ /^.*\[ratelimit_ext:(?:warn|error|crit|alert|emerg)\].*/mg;
is_deeply(\@bad, [], "nothing to complain of");
done_testing;
