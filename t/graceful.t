# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# A graceful restart forgets nothing and fails nobody, also while requests are
# on their way; what begins anew is what was changed.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use IO::Socket::INET ();
use Time::HiRes qw(sleep time);
use RateLimit::Httpd;
use RateLimit::Load;

my @strategies = qw(fixed-window moving-window sliding-window-counter gcra);
my %files = map { $_ => "x\n" } @strategies, qw(slow plain named two);

# The configuration, with what a test changes.
sub conf {
    my (%with) = (storage => 'shm:// size=1M', plain => 3, named => 3, @_);
    return join '', <<"END", map { <<"END" } @strategies;
# Room for a new generation beside the old one: else each restart takes long.
<IfModule !mpm_prefork_module>
    MaxRequestWorkers 80
    MaxSpareThreads 40
</IfModule>
RateLimitStorage $with{storage}
<Location "/plain">
    RateLimit "$with{plain} per day"
</Location>
<Location "/named">
    RateLimit "$with{named} per day" name=login
</Location>
<Location "/two">
    RateLimit "40 per day; 100 per month"
</Location>
<Location "/slow">
    RateLimit "4 per day"
</Location>
END
<Location "/$_">
    RateLimit "1200 per day" strategy=$_
</Location>
END
}

my $h = RateLimit::Httpd->start(conf => conf(), files => \%files);

# How $n requests fare, one after the other: "200 200 429".
sub fare {
    my ($path, $n) = @_;
    my $client = $h->client;
    return join ' ', map { $client->get($path)->code } 1 .. $n;
}

### Load during three restarts

# Each request on a connection of its own: a kept one may rightly be closed
# by a child that goes, just when the next request is on its way.
sub client_run {
    my ($path, $stop) = @_;
    return $h->client->parallel(1, sub { !-e $stop }, $path,
                                { Connection => 'close' });
}

# The head of a request begun before a restart, its end sent after it: the
# old child decides, while the new ones are at work. Returns the status.
sub half_a_request {
    my ($path) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $h->port) or die $!;
    print $socket "GET $path HTTP/1.1\r\nHost: localhost\r\n";
    $socket->flush;
    return sub {
        print $socket "Connection: close\r\n\r\n";
        $socket->flush;
        my $answer = join '', readline $socket;
        return $answer =~ m{^HTTP/1\.1 (\d+)} ? $1 : "none: $answer";
    };
}

my $stop = $h->dir . '/stop';
my $wait_for_load = crew(map { my $path = "/$_"; sub { client_run($path, $stop) } }
                         @strategies, @strategies);
my @slow;
for my $nth (1 .. 3) {
    my $mark = $h->mark;
    my $finish = half_a_request('/slow');
    # Ends a second after the restart began.
    my $wait = crew(sub { sleep 1; $finish->() });
    undef $finish;
    sleep 0.2;
    ok($h->graceful, "restart $nth");
    push @slow, $wait->();
    unlike($h->error_log($mark), qr/begin anew/, 'nothing was forgotten');
}
open my $fh, '>', $stop or die $!;
close $fh;
my @counts = $wait_for_load->();
my $all = total(@counts);
diag join ', ', map { "$_: $all->{$_}" } sort keys %$all;
is_deeply([ grep { !/^(?:200|429)$/ } keys %$all ], [],
          'no request failed in three restarts');
is("@slow", '200 200 200', 'nor did those that began before and ended after');
is(fare('/slow', 2), '200 429', 'and each of them was counted');

for my $i (0 .. $#strategies) {
    my $n = total(@counts[ $i, $i + @strategies ],
                  $h->client->parallel(4, 1250, "/$strategies[$i]"));
    is($n->{200}, 1200, "$strategies[$i]: 1200 pass over all restarts");
    is(fare("/$strategies[$i]", 1), '429', 'and no more');
}

### Restarts in between: each counter is where it was

is_deeply($h->client->parallel(4, 30, '/two'), { 200 => 30 }, '30 of 40');
$h->graceful;
is_deeply($h->client->parallel(4, 30, '/two'), { 200 => 10, 429 => 20 },
          'the other ten');
$h->graceful;
is(fare('/two', 1), '429', 'and still none');
is(fare("/$_", 1), '429', "$_: still none") for @strategies;

### Edited limits

is(fare('/plain', 4), '200 200 200 429', 'a limit without a name is used up');
is(fare('/named', 4), '200 200 200 429', 'one with a name as well');
$h->set_conf(conf(plain => 5, named => 5));
$h->graceful;
is(fare('/plain', 6), '200 200 200 200 200 429', 'edited: another counter');
is(fare('/named', 3), '200 200 429', 'edited, named: three of five were used');
$h->set_conf(conf(plain => 3, named => 4));
$h->graceful;
is(fare('/plain', 1), '429', 'edited back: the counter it had');
is(fare('/named', 1), '429', 'named, made smaller than what was used');

### A changed storage

my $mark = $h->mark;
$h->set_conf(conf(storage => 'shm:// size=2M'));
$h->graceful;
like($h->error_log($mark), qr/:notice\].*size=.*begin anew/,
     'a notice tells of the changed size');
is(fare('/plain', 4), '200 200 200 429', 'counters begin anew');
is(fare('/named', 4), '200 200 200 429', 'named ones too');
$h->graceful;
is(fare('/plain', 1), '429', 'and are kept again');

my @bad = $h->error_log =~ /^.*\[ratelimit_ext:(?:warn|error|crit|alert|emerg)\].*/mg;
is_deeply(\@bad, [], "nothing to complain of");
is(() = $h->error_log =~ /exit signal/g, 0, 'no child crashed');
done_testing;
