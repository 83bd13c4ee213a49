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
use RateLimit::Load qw(crew);
use RateLimit::Redis::Cluster ();

my $budget_ms = 300;
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

# Requests of many addresses, and so to all servers, for so many seconds.
sub load {
    my ($seconds) = @_;
    my $until = time() + $seconds;
    return crew(map {
        my $me = $_;
        sub {
            my $c = RateLimit::Client->new(port => $h->port);
            my (%codes, @ms);
            while (time() < $until) {
                my $start = time();
                $codes{ $c->get('/busy', 'X-Forwarded-For'
                    => "10.4.$me." . @ms % 200)->code }++;
                push @ms, 1000 * (time() - $start);
                sleep 0.001;
            }
            return [\%codes, \@ms];
        }
    } 1 .. 3);
}

# Returns once httpd counts on a server: after a failure of the cluster it tries
# each one again after 1, 2, 4 seconds.
sub wait_for_counts {
    my ($node) = @_;
    for (1 .. 500) {
        my $address = address_of($node);
        codes($address, 1);
        return if @{ $node->call('KEYS', "*{$address}*") };
        sleep 0.02;
    }
    die 'a server is not used: ', $h->error_log;
}

# The replica of a master takes over; $break sees to it.
sub takes_over {
    my ($what, $i, $seconds, $break) = @_;
    my ($old, $new) = map { $cluster->node($_) } $i, $i + 3;
    wait_for_counts($old);
    my $full = address_of($old);
    my $mark = $h->mark;
    is(codes($full, 6), $held, "$what: before");
    my $work = load($seconds);
    sleep 0.2;
    my $since = time();
    $break->($old, $new);
    is(codes(address_of($old), 6), $held, "$what: a limit holds meanwhile");
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
    } until @{ $new->call('KEYS', "*{$address}*") };
    my $back = time() - $since - $elected;
    like($new->call('GET', $new->call('KEYS', "*{$full}*")->[0] // ''), qr/ 5$/,
         "$what: the new master has his count");
    # Each child asks by itself who has the slots.
    sleep 0.02 while codes($full, 1) ne '429' && time() < $since + 30;
    is(codes($full, 5), '429 429 429 429 429',
       "$what: who was at his limit still is");
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
    unlike($h->error_log($mark), qr/RLX0051/,
           "$what: the storage as a whole is not down");
    note(sprintf '%s: %d requests, median %.2f ms, 99th percentile %.2f ms, '
        . 'longest %.2f ms; another master after %.1f s, used %.1f s later',
        $what, scalar @ms, $ms[@ms / 2], $p99, $ms[-1], $elected, $back);
    return;
}

takes_over('CLUSTER FAILOVER', 0, 1.5,
           sub { $_[1]->call('CLUSTER', 'FAILOVER') });
takes_over('SIGKILL', 1, 4, sub { $_[0]->kill });
takes_over('SIGSTOP', 2, 4, sub { $_[0]->freeze });

done_testing;
