# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# RateLimitStorage memcached:// when it hangs, dies, comes back, is full or
# talks nonsense, and when one of several servers does: requests are counted
# here meanwhile, none waits for long, none gets an error, and counting goes on
# over there by itself.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use RateLimit::Httpd ();
use RateLimit::Outage;
use RateLimit::Memcached ();
use RateLimit::Place qw(free_port);

my @limits = (files => { a => "x\n" }, conf => <<'END');
RateLimitKey %{req:X-Key}
RateLimitHeaders On
Header always set X-Result "%{RATELIMIT_RESULT}e"
<Location "/a">
    RateLimit "3 per hour"
</Location>
END

sub server {
    my ($storage, %more) = @_;
    my %arg = (@limits, %more);
    $arg{conf} = "RateLimitStorage $storage\n$arg{conf}";
    return RateLimit::Httpd->start(%arg);
}

# What a request gets, "200 allowed 2": the status, how it fared, what is left.
# No request may take longer than the storage's time and what a busy machine
# adds to it.
my $longest = 0;
sub ask {
    my ($client, $key) = @_;
    my $start = time();
    my $r = $client->get('/a', 'X-Key' => $key);
    my $sec = time() - $start;
    $longest = $sec if $sec > $longest;
    return join ' ', $r->code, $r->header('X-Result'),
        $r->header('X-RateLimit-Remaining') // '-';
}

sub count { my ($text, $pattern) = @_; my $n = () = $text =~ /$pattern/g; return $n }

### One server that hangs, dies and comes back

my $m = RateLimit::Memcached->start;
my $h = server($m->uri . ' timeout=400', faketime => 1);
my $c = $h->client;
is(ask($c, 'k'), '200 allowed 2', 'counted there');
$m->freeze;
is(ask($c, 'k'), '200 fallback 2', 'it hangs: counted here');
is(ask($c, 'k'), "200 fallback $_", 'and on') for 1, 0;
is(ask($c, 'k'), '429 refused 0', 'up to the limit');
is(count($h->error_log, qr/RLX0051.*memcached.*cannot answer/), 1,
   'the log has it once');
$h->advance(1.1);
is(ask($c, 'k'), '429 refused 0', 'asked again, it still hangs');
$m->thaw;
$h->advance(2.1);
is(ask($c, 'k'), '200 allowed 1', 'asked again, it goes on with its count');
is(count($h->error_log, qr/RLX0053.*answers again/), 1, 'the log has that too');

$m->kill;
is(ask($c, 'k'), '429 refused 0', 'it is gone: the count of the last time here');
$m->start_again or die;
$h->advance(1.1);
is(ask($c, 'k'), '200 allowed 2', 'it is back, and empty');

# All connections of the pools are dead, and nobody has noticed.
$h->client->parallel(8, 40, '/a', sub { ('X-Key' => "n$_[0]") });
my $mark = $h->mark;
$m->kill;
$m->start_again or die;
is(ask($h->client, 'k'), '200 allowed 2', 'restarted between two requests');
is(count($h->error_log($mark), qr/cannot answer/), 0, 'that is no failure');

# A value that is none of ours counts as none.
my ($name) = grep { !/!/ } $m->names;
$m->say("set $name 0 0 5", 'hello');
is(ask($c, 'k'), '200 allowed 2', 'nonsense in place of a counter is replaced');
is(ask($c, 'k'), '200 allowed 1', 'by a counter');
cmp_ok($longest, '<', 3, sprintf 'no request took long: %.3f s', $longest);
$h->stop;

### Full

my $small = RateLimit::Memcached->start(megabytes => 2, options => ['-M']);
$h = server($small->uri . ' timeout=5000', faketime => 1);
$c = $h->client;
is(ask($c, 'k'), '200 allowed 2', 'there is room');
my ($full, $n) = ('', 0);
# As long as one of ours, so that they take the same memory.
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $small->port);
until ($full =~ /SERVER_ERROR/ || $n > 200_000) {
    print $socket map { sprintf "set x%-80s 0 0 20\r\n%s\r\n", $n++ . 'x' x (75 - length $n), '1' x 20 } 1 .. 100;
    $socket->flush;
    $full .= readline $socket for 1 .. 100;
    $full = substr $full, -1000 if $full !~ /SERVER_ERROR/;
}
like($full, qr/SERVER_ERROR out of memory/, 'it is full');
# It has no place for the new value of a counter either.
is(ask($c, 'k'), '200 fallback 2', 'what it cannot keep is counted here');
like($h->error_log, qr/server 127\.0\.0\.1:\d+ said "SERVER_ERROR out of memory/,
     'the log has the reason');
$small->say('flush_all');
sleep 1.1;
$h->advance(1.1);
is(ask($c, 'k'), '200 allowed 2', 'emptied, it goes on');
$h->stop;
$small->kill;

### Nonsense

my $port = free_port();
my $says = File::Temp->newdir('rlx-says-XXXXXX', TMPDIR => 1);
my $listener = fork // die "fork: $!";
if (!$listener) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50,
                                       LocalPort => $port, ReuseAddr => 1)
        or POSIX::_exit(1);
    while (my $peer = $server->accept) {
        sysread $peer, my $asked, 4096;
        open my $fh, '<', "$says/what" or next;
        my $answer = do { local $/; readline $fh };
        my ($names) = $asked =~ /^gets (.*?)\r\n/;
        my $wanted = (split / /, $names // '')[-1] // '';
        $answer =~ s/NAME/$wanted/g;
        $answer =~ s/LONG/'x' x 100_000/ge;
        local $SIG{PIPE} = 'IGNORE';
        syswrite $peer, $answer;
        $answer =~ /STAY/ ? sleep 0.2 : close $peer;
    }
    POSIX::_exit(0);
}
$h = server("memcached://127.0.0.1:$port timeout=100", faketime => 1);
$c = $h->client;
$longest = 0;
$n = 0;
for my $answer (
    '', "\r\n", "HELLO\r\n", "ERROR\r\n", "SERVER_ERROR busy\r\n", "\0\0\0\0",
    'LONG', "VALUE LONG 0 1 1\r\nx\r\nEND\r\n", "VALUE other 0 1 1\r\nx\r\nEND\r\n",
    "VALUE NAME 0 1 1\r\n", "VALUE NAME 0 100000 1\r\nLONGxxEND\r\n",
    "VALUE NAME 0 99999999999999999999 1\r\n", "VALUE NAME 0 5 1\r\nhelloEND\r\n",
    "VALUE NAME 0 5 1\r\n1 2 3\r\n", "VALUE NAME 0 5\r\n1 2 3\r\nEND\r\n",
    "STORED\r\n", "END\r\nSTAY", "END\r\nSTORED\r", "END\r\nHELLO\r\n",
    "END\r\n", "VALUE NAME 0 5 1\r\n1 2 3\r\nEND\r\nNOT_FOUND\r\n",
) {
    open my $fh, '>', "$says/what" or die;
    print $fh $answer;
    close $fh or die;
    $h->advance(40);
    my $shown = $answer =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger;
    is(ask($c, 'key' . $n++), '200 fallback 2', "'$shown' is no answer");
}
cmp_ok($longest, '<', 3, sprintf 'no request took long: %.3f s', $longest);
cmp_ok(count($h->error_log, qr/cannot answer/), '<=', $n + 1,
       'one line for each failure at most');
kill TERM => $listener;
waitpid $listener, 0;
$h->stop;

### Two servers, one of them dead

my @two = ($m, RateLimit::Memcached->start);
$h = server($m->uri . ',127.0.0.1:' . $two[1]->port . ' timeout=5000', faketime => 1);
$c = $h->client;
is(ask($c, "two$_"), '200 allowed 2', "key $_ is counted there") for 1 .. 12;
ask($c, "two$_") for 1 .. 12;
# By now each key has one left.
$two[1]->kill;
$mark = $h->mark;
my %fared;
$fared{ ask($c, "two$_") }++ for 1 .. 12;
my ($there, $here) = @fared{'200 allowed 0', '200 fallback 2'};
ok($there && $here && $there + $here == 12,
   'keys of the other go on there, the rest here')
    or diag(join "\n", %fared);
is(count($h->error_log($mark), qr/server 127\.0\.0\.1:\d+ cannot answer/), 1,
   'the log names the server, once');
is(count($h->error_log($mark), qr/RLX0051/), 0, 'the storage is not down');
$two[1]->start_again or die;
$h->advance(1.1);
%fared = ();
$fared{ ask($c, "two$_") }++ for 1 .. 12;
is_deeply(\%fared, { '429 refused 0' => $there, '200 allowed 2' => $here },
          'it is back, and empty');
like($h->error_log($mark), qr/server 127\.0\.0\.1:\d+ answers again/,
     'the log has it');
$h->stop;

### Under load, by the machine's clock

my $budget_ms = 200;
$h = server("@{[$m->uri]} timeout=$budget_ms", conf => <<'END');
RateLimitKey %{req:X-Key}
<Location "/a">
    RateLimit "1000000 per hour"
</Location>
END
for my $event (
    ['stopped' => sub { $m->freeze; sleep 0.8; $m->thaw }],
    ['killed and started again' => sub { $m->kill; sleep 0.5; $m->start_again }],
) {
    my ($what, $code) = @$event;
    my $load = outage($h, seconds => 2.2, path => '/a', between => 0.001,
                      headers => sub { ('X-Key' => $_[1] % 50) });
    sleep 0.5;
    $code->();
    my $met = $load->();
    $met->is_served($what);
    $met->waits($budget_ms, $what);
    my $start = time();
    sleep 0.1 until count($h->error_log, qr/RLX0053/) >= count($h->error_log, qr/RLX0051/)
        || time() - $start > 6
        || !$h->client->get('/a', 'X-Key' => 'x');
    is(count($h->error_log, qr/RLX0053/), count($h->error_log, qr/RLX0051/),
       'it goes on there by itself');
}

done_testing;
