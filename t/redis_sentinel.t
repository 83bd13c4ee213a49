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
use RateLimit::Load qw(at_once total);
use RateLimit::Outage;
use RateLimit::Redis::Sentinel ();

my $budget_ms = 400;
my $password = 'S3nt1nelX';
my $redis = RateLimit::Redis::Sentinel->start(password => $password);
my @strategies = qw(fixed-window moving-window sliding-window-counter gcra);
sub conf {
    my ($timeout_ms) = @_;
    return <<"END" . join '', map { <<"LIMIT" } @strategies;
RateLimitStorage @{[$redis->uri]} timeout=$timeout_ms sentinel_password=$password
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
}
my @servers = map { RateLimit::Httpd->start(conf => conf(5000)) } 1, 2;
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

# From now on the master may be too late with its answer.
for my $server (@servers) {
    $server->set_conf(conf($budget_ms));
    $server->graceful;
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
            if $master->counter_of($address) ne '';
        die 'not found again: ', $servers[$i]->error_log
            if time() > $since + 30;
        sleep 0.02;
    }
}

# Who is at his limit, and counted on the master and on all that may follow it.
sub full {
    my @running = grep { $_->pid } $redis->servers;
    for (1 .. 100) {
        my $address = fresh();
        my $codes = codes(0, $address, 6);
        sleep 0.1;
        return $address
            if $codes eq $held && !grep { $_->counter_of($address) !~ / 5$/ } @running;
    }
    die 'nobody is counted everywhere: ', $servers[0]->error_log;
}

# Another master comes under load.
sub fails_over {
    my ($what, $break, $seconds) = @_;
    my $old = $redis->master;
    my $full = full();
    my $load = outage(\@servers, seconds => $seconds, path => '/busy',
                      clients => 4, between => 0.001);
    sleep 0.2;
    my $since = time();
    $break->($old);
    for my $i (0, 1) {
        holds(sub { codes($i, fresh(), 6) }, $held, "$what: a limit holds meanwhile");
    }
    my $new = $redis->wait_for_another($old);
    my $elected = time() - $since;
    my @back = map { seconds_until_seen($_, $new) } 0, 1;
    like($new->counter_of($full), qr/ 5$/, "$what: the new master has his count");
    for my $i (0, 1) {
        # Each child asks by itself who the master is.
        sleep 0.02 while codes($i, $full, 1) ne '429' && time() < $since + 30;
        is(codes($i, $full, 5), '429 429 429 429 429',
           "$what: who was at his limit still is");
    }
    my $met = $load->();
    $met->is_served($what);
    $met->waits($budget_ms, $what);
    note(sprintf '%s: another master after %.1f s, which both servers use '
        . '%.1f and %.1f s later', $what, $elected, @back);
    return $old;
}

fails_over('SENTINEL FAILOVER', sub { $redis->failover }, 2.5);
# The sentinel that is asked first is gone, too, and stays so.
my ($sentinel) = $redis->sentinels;
fails_over('SIGKILL', sub { $_[0]->kill; $sentinel->kill }, 3.5);
$servers[0]->graceful;
holds(sub { codes(0, fresh(), 6) }, $held, 'after a restart of httpd, one sentinel gone');
my $frozen = fails_over('SIGSTOP', sub { $_[0]->freeze }, 3.5);
$frozen->thaw;
holds(sub { codes(0, fresh(), 6) }, $held, 'the old master is back');
unlike($_->error_log, qr/\Q$password\E/, 'no password in the log')
    for @servers;

done_testing;
