# Licensed under the Apache License, Version 2.0; see LICENSE.
# seconds: 20
# mpm: any
#
# A cluster whose masters have replicas, under load: a replica takes over by
# command, for a master that is killed, and for one that stands still. Prints
# what that costs.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);
use RateLimit::Httpd ();
use RateLimit::Outage;
use RateLimit::Redis::Cluster ();

my $budget_ms = 400;
my $cluster = RateLimit::Redis::Cluster->start(replicas => 1);
my $h = RateLimit::Httpd->start(conf => <<"END");
RateLimitStorage @{[$cluster->uri]} timeout=$budget_ms
<Location /busy>
    RateLimit "1000000/hour; 2000000/day"
</Location>
<Location /tight>
    RateLimit "5/hour"
</Location>
END
$h->write($_, "x\n") for qw(busy tight);
my $client = $h->client;

my $hosts = 0;
sub address_of {
    my ($master) = @_;
    for (;;) {
        my $address = '10.3.' . int(++$hosts / 250) . '.' . (1 + $hosts % 250);
        return $address
            if $cluster->owner($cluster->slot("{$address}")) == $master;
    }
}
sub codes {
    my ($address, $n) = @_;
    return join ' ', map {
        $client->get('/tight', 'X-Forwarded-For' => $address)->code
    } 1 .. $n;
}
my $held = '200 200 200 200 200 429';

# Who is at his limit, and counted on a master and its replica: after a failure
# of the cluster httpd tries each one again after 1, 2, 4 seconds.
sub full_on {
    my ($master, $replica) = @_;
    for (1 .. 100) {
        my $address = address_of($master);
        my $codes = codes($address, 6);
        sleep 0.1;
        return $address
            if $codes eq $held && !grep { $_->counter_of($address) !~ / 5$/ } $master, $replica;
    }
    die 'a server is not used: ', $h->error_log;
}

# The replica of a master takes over; $break sees to it.
sub takes_over {
    my ($what, $i, $seconds, $break) = @_;
    my ($old, $new) = map { $cluster->node($_) } $i, $i + 3;
    my $full = full_on($old, $new);
    my $mark = $h->mark;
    # Requests of many addresses, and so to all servers.
    my $load = outage($h, seconds => $seconds, path => '/busy', between => 0.001,
        headers => sub { ('X-Forwarded-For' => "10.4.$_[0]." . $_[1] % 200) });
    sleep 0.2;
    my $since = time();
    $break->($old, $new);
    holds(sub { codes(address_of($old), 6) }, $held, "$what: a limit holds meanwhile");
    until ($new->call('ROLE')->[0] eq 'master') {
        die "$what: no new master" if time() > $since + 30;
        sleep 0.02;
    }
    my $elected = time() - $since;
    # Until what httpd counts is seen there.
    my $address;
    do {
        die "$what: not found again: ", $h->error_log($mark)
            if time() > $since + 30;
        codes($address = address_of($old), 1);
        sleep 0.02;
    } until $new->counter_of($address) ne '';
    my $back = time() - $since - $elected;
    like($new->counter_of($full), qr/ 5$/, "$what: the new master has his count");
    # Each child asks by itself who has the slots.
    sleep 0.02 while codes($full, 1) ne '429' && time() < $since + 30;
    is(codes($full, 5), '429 429 429 429 429',
       "$what: who was at his limit still is");
    my $met = $load->();
    $met->is_served($what);
    $met->waits($budget_ms, $what);
    unlike($h->error_log($mark), qr/RLX0051/,
           "$what: the storage as a whole is not down");
    note(sprintf '%s: another master after %.1f s, used %.1f s later', $what,
        $elected, $back);
    return;
}

takes_over('CLUSTER FAILOVER', 0, 1.5,
           sub { $_[1]->call('CLUSTER', 'FAILOVER') });
takes_over('SIGKILL', 1, 4, sub { $_[0]->kill });
takes_over('SIGSTOP', 2, 4, sub { $_[0]->freeze });

done_testing;
