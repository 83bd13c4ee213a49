# Licensed under the Apache License, Version 2.0; see LICENSE.
# seconds: 15
# mpm: any
#
# RateLimitStorage redis+cluster://: exact over two servers, whether a
# request's counters share a slot or not; one call for each slot; while a slot
# is on its way from one server to another; and when a server is gone.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);
use RateLimit::Httpd ();
use RateLimit::Load qw(at_once crew total);
use RateLimit::Redis::Cluster ();

my @strategies = qw(fixed-window moving-window sliding-window-counter gcra);
my @modes = qw(atomic in-order all);

sub location {
    my ($path, @lines) = @_;
    return join "\n", "<Location /$path>", @lines, "</Location>\n";
}

my $budget_ms = 500;
my $cluster = RateLimit::Redis::Cluster->start;
my $conf = "RateLimitStorage @{[$cluster->uri]} timeout=$budget_ms\n"
    . (join '', map {
        my $s = $_;
        (location("one-$s", qq(RateLimit "20/hour; 40/day" strategy=$s)),
         map { location("two-$s-$_", "RateLimitCharge $_",
                        qq(RateLimit "50/hour" strategy=$s),
                        qq(RateLimitShared "20/hour" scope=all-$s-$_ )
                        . qq(key=everybody strategy=$s)) } @modes)
    } @strategies)
    . (join '', map {
        location("pair-$_", "RateLimitCharge $_", 'RateLimit "50/hour"',
                 'RateLimitShared "60/hour" scope=pair key=everybody')
    } @modes)
    . location('move', 'RateLimit "100/hour; 200/day; 300/7 days"')
    . location('new', 'RateLimit "5/hour; 10/day; 20/7 days"')
    . location('three', 'RateLimit "50/hour; 60/day" strategy=gcra',
               'RateLimit "70/minute" strategy=moving-window');
my @servers = map { RateLimit::Httpd->start(conf => $conf) } 1, 2;
my $h = $servers[0];
my $client = $h->client;

# How often scripts were run, over all nodes, since the last reset.
sub reset_calls { $_->reset_stats for $cluster->nodes }
sub calls { my $n = 0; $n += $_->stats->{evalsha} // 0 for $cluster->nodes; $n }

sub exact {
    my ($path, $passes) = @_;
    my $counts = total(at_once(map {
        my $server = $_;
        sub { $server->client->parallel(5, $passes * 5, "/$path") };
    } @servers));
    is_deeply($counts, { 404 => $passes, 429 => 9 * $passes },
              "$passes of @{[10 * $passes]} over two servers, $path");
    return;
}

# An address whose counters are on a node, one of many.
my $host = 0;
sub address_on {
    my ($node) = @_;
    for (;;) {
        my $address = '10.1.' . int(++$host / 250) . '.' . (1 + $host % 250);
        return $address
            if $cluster->owner($cluster->slot("{$address}")) == $node;
    }
}

sub codes {
    my ($path, $address, $n) = @_;
    return join ' ', map {
        $client->get($path, 'X-Forwarded-For' => $address)->code
    } 1 .. $n;
}

# Exact, and in as many calls as there are slots.
exact("one-$_", 20) for @strategies;
for my $s (@strategies) {
    exact("two-$s-$_", 20) for @modes;
}
{
    my %key = map { $_ => 1 } map { $_->keys_there } $cluster->nodes;
    my ($key) = grep { /\{127\.0\.0\.1\}.*two-fixed-window-atomic/ } keys %key;
    my $has = $cluster->owner($cluster->slot($key))->call('GET', $key);
    like($has, qr/^\d+ 20$/, 'what a refused request was charged was given back');
    ($key) = grep { /\{127\.0\.0\.1\}.*two-fixed-window-all/ } keys %key;
    $has = $cluster->owner($cluster->slot($key))->call('GET', $key);
    like($has, qr/^\d+ 50$/, 'RateLimitCharge all: each that has room');
    ($key) = grep { /all-fixed-window-in-order/ } keys %key;
    $has = $cluster->owner($cluster->slot($key))->call('GET', $key);
    like($has, qr/^\d+ 20$/, 'in-order: the one that is full');

    $client->get('/three');
    reset_calls();
    $client->get('/three') for 1 .. 10;
    is(calls(), 10, 'three limits of one client are one call');
    for (['all', 20], ['in-order', 20], ['atomic', 30]) {
        my ($mode, $calls) = @$_;
        $client->get("/pair-$mode");
        reset_calls();
        $client->get("/pair-$mode") for 1 .. 10;
        is(calls(), $calls, "limits in two slots, $mode: $calls calls in all");
    }
    unlike($_->error_log, qr/cannot answer|RLX0054/, 'no failure') for @servers;
}

# A slot moves under load: its keys are on both servers for a while.
{
    my ($from, $to) = ($cluster->node(0), $cluster->node(1));
    my $address = address_on($from);
    my $slot = $cluster->slot("{$address}");
    my $mark = $h->mark;
    my $work = crew(map {
        my $server = $_;
        sub {
            my $n = 0;
            return $server->client->parallel(3, sub { sleep 0.002; $n++ < 500 },
                '/move', { 'X-Forwarded-For' => $address });
        };
    } @servers);
    sleep 0.1;
    $cluster->begin_move($slot, $from, $to);
    sleep 0.1;
    is($cluster->move_keys($slot, $from, $to, 1), 1, 'one of three keys moved');
    is(codes('/new', $address, 6), '404 404 404 404 404 429',
       'counters that are new while their slot moves');
    sleep 0.1;
    $cluster->end_move($slot, $from, $to);
    my $counts = total($work->());
    is_deeply($counts, { 404 => 100, 429 => 900 },
              'a slot that moves under load: exact');
    is(codes('/new', $address, 1), 429, 'and what was new is still counted');
    unlike($h->error_log($mark), qr/cannot answer|RLX0054/,
           'a slot that moves is no failure');
    $cluster->begin_move($slot, $to, $from);
    $cluster->end_move($slot, $to, $from);
    is(codes('/move', $address, 1), 429, 'back again');
}

# A server of three is gone: who is counted there is counted locally, all
# others as before; until the cluster as a whole gives up.
{
    my $dead = $cluster->node(2);
    my $there = address_on($dead);
    my $here = address_on($cluster->node(0));
    is(codes('/new', $there, 1), 404, 'before');
    is(codes('/new', $here, 1), 404, 'before, elsewhere');
    $_->call(qw(CONFIG SET cluster-require-full-coverage no))
        for @{ $cluster->{nodes} }[0, 1];
    my $mark = $h->mark;
    $dead->kill;
    my (@ms, %codes);
    my $until = time() + 2;
    while (time() < $until) {
        my $start = time();
        $codes{ $client->get('/three', 'X-Forwarded-For'
            => ($there, $here)[@ms % 2])->code }++;
        push @ms, 1000 * (time() - $start);
    }
    is_deeply([grep { !/404|429/ } keys %codes], [], 'every request is served');
    @ms = sort { $a <=> $b } @ms;
    cmp_ok($ms[0.99 * $#ms], '<', $budget_ms, 'the 99th percentile');
    note(sprintf 'a server gone: %d requests, median %.2f ms, 99th percentile '
        . '%.2f ms, longest %.2f ms', scalar @ms, $ms[@ms / 2],
        $ms[0.99 * $#ms], $ms[-1]);
    is(codes('/new', $there, 6), '404 404 404 404 404 429',
       'its limits go on locally');
    is(codes('/new', $here, 6), '404 404 404 404 429 429',
       'others where they were');
    my @lines = grep { /RLX0021/ } split /\n/, $h->error_log($mark);
    is(scalar @lines, 1, 'one line in the log');
    like($lines[0], qr/notice.* 127\.0\.0\.1:@{[$dead->port]} cannot answer \(/,
         'which names the server');
    unlike($h->error_log($mark), qr/RLX0051/, 'the storage is not down');

    # Back with its slots, though not with its counters.
    $dead->launch;
    my $back = time();
    $cluster->wait_until(sub { $cluster->is_ok($_[0]) });
    until ($h->error_log($mark) =~ /:@{[$dead->port]} answers again/) {
        die 'the server is not found again' if time() > $back + 30;
        codes('/three', $there, 1);
        sleep 0.05;
    }
    note(sprintf 'found again after %.1f s', time() - $back);
    is(codes('/new', $there, 6), '404 404 404 404 404 429', 'and counts anew');

    # The usual setting: a cluster that is not whole takes no calls.
    $_->call(qw(CONFIG SET cluster-require-full-coverage yes))
        for $cluster->nodes;
    $mark = $h->mark;
    $dead->kill;
    $here = address_on($cluster->node(1));
    $until = time() + 30;
    # On a busy machine it may be too slow to say so, which is told but once.
    until ($h->error_log($mark)
               =~ /:@{[$cluster->node(1)->port]} cannot answer \(it (?:says "CLUSTERDOWN|did not)/) {
        die 'no CLUSTERDOWN' if time() > $until;
        codes('/three', $here, 1);
        sleep 0.02;
    }
    is(codes('/new', $here, 6), '404 404 404 404 404 429',
       'CLUSTERDOWN: limits go on');
    $dead->launch;
    $back = time();
    until ($h->error_log($mark) =~ /:@{[$cluster->node(1)->port]} answers again/) {
        die 'the cluster is not found again' if time() > $back + 30;
        codes('/three', $here, 1);
        sleep 0.05;
    }
    note(sprintf 'the cluster is back after %.1f s', time() - $back);
    pass('and it is found again');
}

done_testing;
