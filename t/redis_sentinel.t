# Licensed under the Apache License, Version 2.0; see LICENSE.
# seconds: 14
# mpm: any
#
# RateLimitStorage redis+sentinel://: exact over two servers; and what a
# failover under load costs, by command, by a master that is killed, and by one
# that stands still. Prints it.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);
use RateLimit::Httpd ();
use RateLimit::Load qw(at_once crew total);
use RateLimit::Redis::Sentinel ();

my $budget_ms = 300;
my $password = 'S3nt1nelX';
my $redis = RateLimit::Redis::Sentinel->start(password => $password);
my @strategies = qw(fixed-window moving-window sliding-window-counter gcra);
my $conf = <<"END" . join '', map { <<"LIMIT" } @strategies;
RateLimitStorage @{[$redis->uri]} timeout=$budget_ms sentinel_password=$password
<Location /busy>
    RateLimit "1000000/hour; 2000000/day"
</Location>
<Location /tight>
    RateLimit "5/hour"
</Location>
END
<Location /$_>
    RateLimit "20/hour; 40/day" strategy=$_
</Location>
LIMIT
my @servers = map { RateLimit::Httpd->start(conf => $conf) } 1, 2;
for my $server (@servers) {
    $server->write($_, "x\n") for qw(busy tight), @strategies;
}

for my $path (@strategies) {
    my $counts = total(at_once(map {
        my $server = $_;
        sub { $server->client->parallel(5, 100, "/$path") };
    } @servers));
    is_deeply($counts, { 200 => 20, 429 => 180 },
              "20 of 200 over two servers, $path");
}

# Six requests of a client that is new, of which five are due.
my $hosts = 0;
my @clients = map { $_->client } @servers;
sub fresh { return '10.2.' . int(++$hosts / 250) . '.' . (1 + $hosts % 250) }
sub codes {
    my ($i, $address, $n) = @_;
    return join ' ', map {
        $clients[$i]->get('/tight', 'X-Forwarded-For' => $address)->code
    } 1 .. $n;
}
my $held = '200 200 200 200 200 429';

# How long until what a server counts is seen on a master.
sub seconds_until_seen {
    my ($i, $master) = @_;
    my $since = time();
    for (;;) {
        my $address = fresh();
        codes($i, $address, 1);
        return time() - $since
            if @{ $master->call('KEYS', "*{$address}*") };
        die 'not found again: ', $servers[$i]->error_log
            if time() > $since + 30;
        sleep 0.02;
    }
}

# Requests to both servers for so many seconds.
sub load {
    my ($seconds) = @_;
    my $until = time() + $seconds;
    return crew(map {
        my $server = $servers[$_ % 2];
        sub {
            my $c = RateLimit::Client->new(port => $server->port);
            my (%codes, @ms);
            while (time() < $until) {
                my $start = time();
                $codes{ $c->get('/busy')->code }++;
                push @ms, 1000 * (time() - $start);
                sleep 0.001;
            }
            return [\%codes, \@ms];
        }
    } 0 .. 3);
}

# Another master comes under load.
sub fails_over {
    my ($what, $break, $seconds) = @_;
    my $full = fresh();
    is(codes(0, $full, 6), $held, "$what: before");
    my $old = $redis->master;
    my $work = load($seconds);
    sleep 0.2;
    my $since = time();
    $break->($old);
    is(codes($_, fresh(), 6), $held, "$what: a limit holds meanwhile")
        for 0, 1;
    my $new = $redis->wait_for_another($old);
    my $elected = time() - $since;
    my @back = map { seconds_until_seen($_, $new) } 0, 1;
    like($new->call('GET', $new->call('KEYS', "*{$full}*")->[0] // ''), qr/ 5$/,
         "$what: the new master has his count");
    for my $i (0, 1) {
        # Each child asks by itself who the master is.
        sleep 0.02 while codes($i, $full, 1) ne '429' && time() < $since + 30;
        is(codes($i, $full, 5), '429 429 429 429 429',
           "$what: who was at his limit still is");
    }
    my (%codes, @ms);
    for my $result ($work->()) {
        $codes{$_} += $result->[0]{$_} for keys %{ $result->[0] };
        push @ms, @{ $result->[1] };
    }
    @ms = sort { $a <=> $b } @ms;
    is_deeply([keys %codes], [200], "$what: every request is served");
    my $p99 = $ms[0.99 * $#ms];
    cmp_ok($p99, '<', $budget_ms, "$what: the 99th percentile");
    cmp_ok($ms[-1], '<', $budget_ms + 200, "$what: and the longest");
    note(sprintf '%s: %d requests, median %.2f ms, 99th percentile %.2f ms, '
        . 'longest %.2f ms; another master after %.1f s, which both servers '
        . 'use %.1f and %.1f s later', $what, scalar @ms, $ms[@ms / 2], $p99,
        $ms[-1], $elected, @back);
    return $old;
}

fails_over('SENTINEL FAILOVER', sub { $redis->failover }, 2.5);
# The sentinel that is asked first is gone, too, and stays so.
my ($sentinel) = $redis->sentinels;
fails_over('SIGKILL', sub { $_[0]->kill; $sentinel->kill }, 3.5);
$servers[0]->graceful;
is(codes(0, fresh(), 6), $held, 'after a restart of httpd, one sentinel gone');
my $frozen = fails_over('SIGSTOP', sub { $_[0]->freeze }, 3.5);
$frozen->thaw;
is(codes(0, fresh(), 6), $held, 'the old master is back');
unlike($_->error_log, qr/\Q$password\E/, 'no password in the log')
    for @servers;

done_testing;
