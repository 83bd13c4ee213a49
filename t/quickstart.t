# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# conf.d/quickstart.conf does what Flask-Limiter's quick start says of its own:
# a default of 200 per day and 50 per hour on all routes; slow overrides it with
# 1 per day; medium inherits it and adds 1 per second; ping is exempt.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Place ();

my $file = RateLimit::Place::top() . '/conf.d/quickstart.conf';
open my $fh, '<', $file or die "$file: $!";
my $conf = do { local $/; readline $fh };
my $h = RateLimit::Httpd->start(
    faketime => 1, conf => $conf,
    files => { slow => ':(', medium => ':|', fast => ':)', ping => 'PONG' });
my $c = $h->client;
my $zero = $h->now;
my $hour = 3600;

# A client's requests at a time: "2x200 1x429", and the last response.
my $last;
sub codes {
    my ($client, $after, $n, $path) = @_;
    $h->set_time($zero + $after);
    my %count;
    for (1 .. $n) {
        $last = $c->get($path, 'X-Forwarded-For' => "10.2.0.$client");
        $count{ $last->code }++;
    }
    return join ' ', map { "$count{$_}x$_" } sort keys %count;
}

# Limit, remaining, reset in seconds from the beginning, Retry-After
sub fields {
    return join ' ', map { $_ // '-' }
        $last->header('X-RateLimit-Limit'), $last->header('X-RateLimit-Remaining'),
        ($last->header('X-RateLimit-Reset') // $zero) - $zero,
        $last->header('Retry-After');
}

### slow: 1 per day, and nothing else
is(codes(1, 0, 1, '/slow'), '1x200', 'slow: the first passes');
is($last->body, ':(', 'and is served');
is(fields(), '1 0 86400 -', 'the last of the day');
is(codes(1, 0, 60, '/slow'), '60x429', 'no more');
is(fields(), '1 0 86400 86400', 'until tomorrow');
like($last->body, qr/"detail":"1 per 1 day"/, 'says which limit');
is(codes(2, 0, 1, '/slow'), '1x200', 'another client is another');
is(codes(1, 86399, 1, '/slow'), '1x429', 'a second short of a day');
is(fields(), '1 0 86400 1', 'a second to wait');
is(codes(1, 86400, 2, '/slow'), '1x200 1x429', 'the next day');

### fast: the defaults, counted apart from the rest
$zero += 10 * 86400;
is(codes(3, 0, 1, '/fast'), '1x200', 'fast passes');
is(fields(), "50 49 $hour -", 'of two defaults the shorter speaks');
is(codes(3, 0, 60, '/fast'), '49x200 11x429', '50 per hour');
is(fields(), "50 0 $hour $hour", 'until the hour is over');
is(codes(3, 10, 60, '/'), '50x200 10x429', 'the rest of the site has its own');
is(codes(3, 10, 1, '/nothing'), '1x429', 'all of it together');
is(codes(3, $hour - 1, 1, '/fast'), '1x429', 'a second short of an hour');
is(codes(3, $_ * $hour, 60, '/fast'), '50x200 10x429', "hour $_") for 1 .. 3;
is(codes(3, 4 * $hour, 60, '/fast'), '60x429', 'the 200 of the day are used');
is(fields(), '200 0 86400 72000', 'which what was refused did not touch');
is(codes(3, 86400, 60, '/fast'), '50x200 10x429', 'the next day');

### medium: the defaults and 1 per second
$zero += 10 * 86400;
is(codes(4, 0, 3, '/medium'), '1x200 2x429', 'medium: one a second');
is(fields(), '1 0 1 1', 'a second to wait');
is(codes(4, 0.999999, 1, '/medium'), '1x429', 'a whole one');
is(join(' ', map { codes(4, $_, 2, '/medium') } 1 .. 49),
   join(' ', ('1x200 1x429') x 49), 'one in each of 49 more');
is(codes(4, 50, 2, '/medium'), '2x429', '50 in the hour');
is(fields(), "50 0 $hour 3550", 'by the default, which refusals did not eat');
is(codes(4, 50, 1, '/fast'), '1x200', 'others are not concerned');
is(codes(4, $hour, 2, '/medium'), '1x200 1x429', 'the next hour');

### ping: exempt
is(codes(5, 0, 260, '/ping'), '260x200', 'ping always answers');
is($last->body, 'PONG', 'PONG');
is(fields(), '- - 0 -', 'without fields');

### limiter-status: for this machine alone
$last = $c->get('/limiter-status');
is($last->code, 200, 'limiter-status, from here');
like($last->body, qr/200 per 1 day/, 'says what is configured');
$last = $c->get('/limiter-status?path=/slow&key=10.2.0.1&refresh=5', Accept => 'text/html');
is($last->code, 200, 'and to a browser');
like($last->body, qr{<h2 id="h-path">What applies to <code>/slow</code>.*</html>\n\z}s, 'as a page');
is(codes(6, 0, 1, '/limiter-status'), '1x403', 'and not to others');
done_testing;
