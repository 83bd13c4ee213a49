# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# The harness proves itself: what the other tests lean on must hold.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use HTTP::Date qw(str2time);
use RateLimit::Httpd;

my $h = RateLimit::Httpd->start(
    faketime => 1,
    files => { 'a/hello.txt' => "hi\n" },
    conf => <<'END');
Header set X-Time "%t"
<Location "/chunked">
    SetHandler server-status
</Location>
END
my $c = $h->client;

# Starting, children, files
cmp_ok(scalar($h->children), '>=', 2, 'several children');
is($h->mpm, $ENV{MPM} || 'event', 'the MPM asked for');
my $r = $c->get('/a/hello.txt');
is($r->code, 200, 'it serves a file');
is($r->body, "hi\n", 'whole');
is($c->get('/nothing')->code, 404, 'and nothing else');
is($c->head('/a/hello.txt')->body, '', 'HEAD has no body');
is($c->get($h->url('/a/hello.txt'))->code, 200, 'by URL');
like($c->get('/chunked')->body, qr{Server uptime.*</html>}s, 'a chunked body');
is($c->get('/a/hello.txt')->code, 200, 'the connection is still in step');
is($c->raw("GET / HTTP/1.1\r\n\r\n")->code, 400, 'raw bytes go as they are');
is($h->write('a/late.txt', 'late') && $c->get('/a/late.txt')->body, 'late',
   'a file written later');

# The clock: stands still, moves with the file, in parts of a second as well
is(str2time($c->get('/')->header('Date')), 1_800_000_000, 'the time it began at');
sleep 1;
is(str2time($c->get('/')->header('Date')), 1_800_000_000, 'does not run');
$h->advance(3600);
is(str2time($c->get('/')->header('date')), 1_800_003_600, 'an hour later');
$h->set_time(1_800_007_200.25);
is($c->get('/')->header('X-Time'), 't=1800007200250000', 'to the microsecond');
$h->set_time(1_800_000_001);
is(str2time($c->get('/')->header('Date')), 1_800_000_001, 'and backwards');

# Many at once
my $got = $c->parallel(8, 200, '/a/hello.txt');
is_deeply($got, { 200 => 200 }, '200 requests over 8 connections');
my $seen = 0;
$got = $c->parallel(4, 30, '/', sub { ('X-Forwarded-For' => "10.0.0.$_[0]") },
                    each => sub { $seen++ });
is_deeply($got, { 200 => 30 }, 'headers by number');
is($seen, 30, 'each response seen');
# A line is written when the response is out, so the last may be late.
my %clients;
for (1 .. 100) {
    %clients = map { $_ => 1 } $h->access_log =~ /^(10\.0\.0\.\d+) /mg;
    last if keys %clients == 30;
    select undef, undef, undef, 0.05;
}
is(scalar keys %clients, 30, 'thirty clients by X-Forwarded-For');

# Graceful restart: the parent stays, the children are new
my ($pid, @old) = ($h->pid, $h->children);
$h->graceful;
is($h->pid, $pid, 'graceful restart keeps the parent');
my %old = map { $_ => 1 } @old;
is(scalar(grep { $old{$_} } $h->children), 0, 'and no child');
is($c->get('/')->code, 200, 'the new generation answers');
is(str2time($c->get('/')->header('Date')), 1_800_000_001, 'at the same time');

# A server that can not start says why
my $failed = !eval { RateLimit::Httpd->start(conf => "NoSuchThing on\n"); 1 };
ok($failed, 'a wrong configuration does not start');
like($@, qr/NoSuchThing/, 'and says why');

# Two servers do not meet
my $second = RateLimit::Httpd->start(
    conf => "<VirtualHost *:\@PORT2\@>\nHeader set X-Port 2\n</VirtualHost>\n");
isnt($second->port, $h->port, 'another port');
is($second->client(2)->get('/')->header('X-Port'), 2, 'and a second port');
is($second->client->get('/')->header('X-Port'), undef, 'beside the first');

# Stopping
my @gone = ($second->pid, $second->children);
$second->stop;
is(kill(0 => @gone), 0, 'nothing of a stopped server is left');

# What fails a test though all of it passed: a child or the parent that ends by
# a signal, a report of a sanitizer
sub exit_of {
    my ($code) = @_;
    my $script = 'use RateLimit::Httpd; my $h = RateLimit::Httpd->start(children => 1); '
               . "$code; \$h->stop; exit 0";
    system("$^X -I'$FindBin::Bin/lib' -e '$script' >/dev/null 2>&1");
    return $? >> 8;
}
is(exit_of('1'), 0, 'nothing happened');
isnt(exit_of('kill SEGV => ($h->children)[0]; sleep 1'), 0, 'a child crashed');
isnt(exit_of('kill KILL => $h->pid, $h->children'), 0, 'the parent ended by a signal');
isnt(exit_of('open my $log, ">>", $h->dir . "/error_log"; '
             . 'print $log "==1==ERROR: AddressSanitizer: x\n"; close $log'), 0,
     'a sanitizer has something to say');

# Configuration tests
my ($exit, $output) = RateLimit::Httpd->config_test("ServerAdmin me\n");
is($exit, 0, 'a good configuration passes') or diag $output;
($exit, $output) = RateLimit::Httpd->config_test("ServerAdmin\n");
isnt($exit, 0, 'a bad one does not');
like($output, qr/ServerAdmin/, 'and is named');
($exit, $output) = RateLimit::Httpd->config_test(
    "<IfDefine ONE>\nNonsense\n</IfDefine>\n", 'ONE');
isnt($exit, 0, 'a define reaches httpd');
($exit, $output) = RateLimit::Httpd->config_test(
    "RewriteEngine on\n", { modules => ['rewrite'] });
is($exit, 0, 'with a further module') or diag $output;
done_testing;
