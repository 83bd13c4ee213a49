# Licensed under the Apache License, Version 2.0; see LICENSE.
# seconds: 14
# sanitized: no
#
# A child is killed every quarter of a second, in the middle of whatever it
# was doing, for twelve seconds under load. Nothing may hang, no limit may be
# overrun, no charge may be lost or counted twice, and the counters of one
# request must be charged together or not at all.
#
# What a killed child had in hand is known to the client only as "the
# connection broke": such a request was charged or it was not. So with p
# requests that passed and b broken ones, a counter holds from p to p + b.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use List::Util qw(shuffle);
use Time::HiRes qw(sleep time);
use RateLimit::Httpd;
use RateLimit::Load;

use constant { SECONDS => 12, CLIENTS => 8, LIMIT => 20, TOTAL => 1000 };

my @strategies = qw(fixed-window moving-window sliding-window-counter gcra);
my @batches = qw(pair triple wide);     # several counters in one request

# X-Key changes ten times a second, so that there is always something to be
# charged, and all clients use the same: each key is fought over.
my $conf = <<'END';
RateLimitKey %{req:X-Key}
RateLimitHeaders On
# One limit for the whole time.
<Location "/total">
    RateLimit "1000 per day" key=everybody
</Location>
# Two counters in one request, and three with a log among them.
<Location "/pair">
    RateLimitShared "20 per hour" scope=pair-key
    RateLimitShared "1000000 per day" scope=pair-sum key=everybody
</Location>
<Location "/triple">
    RateLimitShared "20 per hour" scope=triple-log strategy=moving-window
    RateLimitShared "20 per day" scope=triple-gcra strategy=gcra
    RateLimitShared "1000000 per day" scope=triple-sum key=everybody
</Location>
# So many that a child is often killed in the middle of them.
<Location "/wide">
    RateLimitShared "20 per hour" scope=wide-key
    RateLimitShared "1000000 per day" scope=wide-sum key=everybody
    RateLimitShared "@WIDE@" scope=wide-more key=everybody
</Location>
# How much each of those counters has left, without charging it.
<Location "/look/pair-key">
    RateLimitShared "20 per hour" scope=pair-key cost=0
</Location>
<Location "/look/pair-sum">
    RateLimitShared "1000000 per day" scope=pair-sum key=everybody cost=0
</Location>
<Location "/look/wide-key">
    RateLimitShared "20 per hour" scope=wide-key cost=0
</Location>
<Location "/look/wide-sum">
    RateLimitShared "1000000 per day" scope=wide-sum key=everybody cost=0
</Location>
<Location "/look/wide-more">
    RateLimitShared "1000000 per 31 days" scope=wide-more key=everybody cost=0
</Location>
<Location "/look/triple-log">
    RateLimitShared "20 per hour" scope=triple-log strategy=moving-window cost=0
</Location>
<Location "/look/triple-gcra">
    RateLimitShared "20 per day" scope=triple-gcra strategy=gcra cost=0
</Location>
<Location "/look/triple-sum">
    RateLimitShared "1000000 per day" scope=triple-sum key=everybody cost=0
</Location>
END
$conf .= <<"END" for @strategies;
<Location "/$_">
    RateLimit "20 per day" strategy=$_
</Location>
END

$conf =~ s/\@WIDE\@/join '; ', map { "1000000 per $_ days" } 2 .. 31/e;

my @paths = map { ($_, 'wide') } @strategies, qw(total pair triple);
my @looks = map { "look/$_" } qw(pair-key pair-sum triple-log triple-gcra
                                 triple-sum wide-key wide-sum wide-more);
# Many children: httpd makes new ones only once a second.
my $h = RateLimit::Httpd->start(
    conf => $conf, children => 12,
    files => { map { $_ => "x\n" } @paths, @looks });

# One client: asks for each path in turn until the time is up. Returns
# { path => { key => { 200 => n, 429 => n, broken => n } } }.
sub client_run {
    my ($begin) = @_;
    my $client = $h->client;
    my (%count, $turn);
    while ((my $age = time() - $begin) < SECONDS) {
        my $path = $paths[ $turn++ % @paths ];
        my $key = 'k' . int($age * 10);
        $count{$path}{$key}{ ask_once($client, $path, $key) }++;
    }
    return \%count;
}

# The status, or "broken". Never asks again, which $client->get would. A
# connection that no child takes in 30 s is a server that hangs: dies.
sub ask_once {
    my ($client, $path, $key) = @_;
    my $bytes = $client->request_bytes('GET', "/$path", { 'X-Key' => $key });
    my $r = eval { $client->_exchange($bytes, 'GET') };
    die $@ if $@ =~ /no answer/;
    return $r ? $r->code : 'broken';
}

# One of these processes, one that is running if there is any: it is then as
# likely as not in the middle of something.
sub someone_at_work {
    my @pids = shuffle(@_);
    for my $pid (@pids) {
        for my $file (glob "/proc/$pid/task/*/stat") {
            open my $fh, '<', $file or next;
            return $pid if (readline($fh) // '') =~ /\) R /;
        }
    }
    return $pids[0];
}

my $begin = time();
my $wait_for_clients = crew(map { sub { client_run($begin) } } 1 .. CLIENTS);
my $kills = 0;
while (time() - $begin < SECONDS) {
    sleep 0.25;
    my $victim = someone_at_work($h->children) // next;
    $kills += kill KILL => $victim;
}
my @results = eval { $wait_for_clients->() };
is($@, '', 'nothing hangs');
cmp_ok($kills, '>=', 20, 'children were killed') or diag $kills;

# { path => { key => { status => n } } }, of all clients
my %sum;
for my $count (@results) {
    for my $path (keys %$count) {
        for my $key (keys %{ $count->{$path} }) {
            $sum{$path}{$key} = total($sum{$path}{$key} // {},
                                      $count->{$path}{$key});
        }
    }
}
my $all = total(map { values %$_ } values %sum);
diag "$kills children killed, " . join ', ',
    map { "$_: $all->{$_}" } sort keys %$all;
is_deeply([ grep { !/^(?:200|429|broken)$/ } keys %$all ], [],
          'each request passed, was refused, or lost its child');
cmp_ok($all->{200}, '>=', 1000, 'there was something to decide');
cmp_ok($all->{429}, '>=', 1000, 'and something to refuse');

# No key gets more than its limit; who was refused had used it up.
for my $path (@strategies, @batches) {
    my (@over, @under);
    while (my ($key, $n) = each %{ $sum{$path} }) {
        my ($passed, $broken) = map { $n->{$_} // 0 } qw(200 broken);
        push @over, "$key: $passed passed" if $passed > LIMIT;
        push @under, "$key: $passed passed, $broken broke, others refused"
            if $n->{429} && $passed + $broken < LIMIT;
    }
    is_deeply(\@over, [], "$path: no key over its limit");
    is_deeply(\@under, [], "$path: no key refused before its limit");
}
{
    my $n = total(values %{ $sum{total} });
    cmp_ok($n->{200}, '<=', TOTAL, 'one limit over the whole time: not over');
    cmp_ok($n->{200} + ($n->{broken} // 0), '>=', TOTAL, 'nor refused early')
        if $n->{429};
}

# A new connection for each look: some of the old ones are dead. The last
# children may still be on their way up.
sub used {
    my ($look, $count, $key) = @_;
    my $left = $h->client->get("/look/$look", 'X-Key' => $key)
        ->header('X-RateLimit-Remaining');
    return defined $left ? $count - $left : 'unknown';
}

# All counters of a request were charged, or none: the sums agree.
my %parts = (pair => ['key'], triple => [qw(log gcra)], wide => ['key']);
for my $path (@batches) {
    my $total = used("$path-sum", 1_000_000, 'any');
    my $n = total(values %{ $sum{$path} });
    cmp_ok($total, '>=', $n->{200}, "$path: all that passed was charged");
    cmp_ok($total, '<=', $n->{200} + ($n->{broken} // 0), "$path: and no more");
    for my $part (@{ $parts{$path} }) {
        my $by_key = 0;
        $by_key += used("$path-$part", LIMIT, $_) for sort keys %{ $sum{$path} };
        is($by_key, $total, "$path: $part and the sum agree");
    }
}
is(used('wide-more', 1_000_000, 'any'), used('wide-sum', 1_000_000, 'any'),
   'wide: the last of many agrees as well');

# Life goes on
for my $path (@strategies, @batches) {
    my %got;
    $got{ ask_once($h->client, $path, 'later') }++ for 1 .. LIMIT + 5;
    is_deeply(\%got, { 200 => LIMIT, 429 => 5 }, "$path: a new key afterwards");
}
my ($refused) = map {
    my $path = $_;
    map { [$path, $_] } grep { $sum{$path}{$_}{429} } keys %{ $sum{$path} };
} @strategies, @batches;
is(ask_once($h->client, @$refused), 429, 'who was refused still is');

my @signals = $h->error_log =~ /exit signal (.*)/g;
is_deeply([ grep { !/^Killed/ } @signals ], [], 'no child crashed by itself');
done_testing;
