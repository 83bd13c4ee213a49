# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
# sanitized: no
#
# The demo answers as Flask-Limiter's quick start does, and stops when told to.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Client ();
use RateLimit::Place qw(free_port port_is_free);
use Time::HiRes qw(sleep time);

my $port = free_port();
my $pid = open my $out, '-|', 'env', "DEMO_PORT=$port",
    "$FindBin::Bin/../build-aux/demo.sh" or die "demo.sh: $!";
my $said = '';
while (my $line = <$out>) {
    $said .= $line;
    last if $line =~ /Ctrl-C/;
}
like($said, qr{curl -i http://127\.0\.0\.1:$port/slow }, 'it says what to try');

like($said, qr{^http://127\.0\.0\.1:$port/limiter-status$}m, 'and where to look');

my $c = RateLimit::Client->new(port => $port);
my $r = $c->get('/slow');
is($r->code, 200, '/slow: once a day');
is($r->body, ":(\n", 'with its answer');
is($r->header('X-RateLimit-Limit'), 1, 'its own limit in place of the defaults');
is($r->header('X-RateLimit-Remaining'), 0, 'nothing is left');
$r = $c->get('/slow');
is($r->code, 429, 'the second is refused');
like($r->header('Retry-After'), qr/^86(?:400|399|398)$/, 'until tomorrow');
like($r->body, qr/1 per 1 day/, 'and says by what');

# Two in one second, wherever the second begins.
my %code;
my $start = time;
$code{ $c->get('/medium')->code }++ for 1 .. 3;
ok($code{200} <= 1 + (time - $start), '/medium: once a second');
cmp_ok($code{429} // 0, '>=', 1, 'and refused in between');
sleep 1.1;
is($c->get('/medium')->code, 200, 'a second later it passes again');

$r = $c->get('/fast');
is($r->body, ":)\n", '/fast answers');
is($r->header('X-RateLimit-Limit'), 50, 'by the shorter default');
is($r->header('X-RateLimit-Remaining'), 49, 'counted apart from the others');
is_deeply($c->parallel(2, 50, '/fast'), { 200 => 49, 429 => 1 },
          'fifty an hour');

is_deeply($c->parallel(2, 60, '/ping'), { 200 => 60 }, '/ping: exempt');
$r = $c->get('/ping');
is($r->body, "PONG\n", 'with its answer');
is($r->header('X-RateLimit-Limit'), undef, 'and no limit to speak of');

$r = $c->get('/limiter-status', Accept => 'text/html');
is($r->code, 200, 'the page is there');
like($r->body, qr/<title>Rate limits of localhost/, 'for a browser');

kill TERM => $pid;
{ local $/; $said .= <$out> // ''; }
close $out;
is($?, 0, 'it stops when told to');
like($said, qr/^stopped$/m, 'and says so');
ok(port_is_free($port), 'the port is free again');
ok(!-e "$FindBin::Bin/../build/demo/$port", 'and its files are gone');
done_testing;
