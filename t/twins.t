# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# mpm: any
#
# One counter, several limits: what makes a counter is the place, the key, the
# limit and the strategy, so limits that differ in something else alone
# (deduct_when, cost, phase, dry_run) are about the same. A request is charged
# to it once, and none of them is without effect because of another.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();

my @places = (
    # [name, limits]
    ['error-plain', 'RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404"', 'RateLimit "3/hour"'],
    ['plain-error', 'RateLimit "3/hour"', 'RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404"'],
    ['free-plain', 'RateLimit "3/hour" cost=0', 'RateLimit "3/hour"'],
    ['plain-dear', 'RateLimit "3/hour"', 'RateLimit "3/hour" cost=2'],
    ['dear-plain', 'RateLimit "3/hour" cost=2', 'RateLimit "3/hour"'],
    ['errors', map { qq(RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == $_") } 403, 404],
    ['errors-kept', map { qq(RateLimit "3/hour" reserve=on deduct_when="%{REQUEST_STATUS} == $_") } 403, 404],
    ['errors-both', 'RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 403"',
        'RateLimit "3/hour" reserve=on deduct_when="%{REQUEST_STATUS} == 404"'],
    ['free-error', 'RateLimit "3/hour" cost=0', 'RateLimit "3/hour" deduct_when="%{REQUEST_STATUS} == 404"'],
    ['early-error', 'RateLimit "3/hour" phase=early deduct_when="%{REQUEST_STATUS} == 403"', 'RateLimit "3/hour"'],
    ['early-kept', 'RateLimit "3/hour" phase=early reserve=on deduct_when="%{REQUEST_STATUS} == 403"', 'RateLimit "3/hour"'],
    ['early-free', 'RateLimit "3/hour" phase=early cost=0', 'RateLimit "3/hour"'],
    ['early-plain', 'RateLimit "3/hour" phase=early', 'RateLimit "3/hour"'],
);
my $h = RateLimit::Httpd->start(
    faketime => 1,
    files => { map { ("$_/page.html" => 'page', "$_/closed/page.html" => 'never') }
               'shared', 'shared/dear', map { $_->[0] } @places },
    conf => join "\n", 'RateLimitHeaders x-ratelimit', map({
        my ($name, @limits) = @$_;
        qq(<Location "/$name">), @limits, '</Location>' } @places),
    '<LocationMatch "/closed/">', 'Redirect 403', '</LocationMatch>', <<'END');
<Location "/shared">
    RateLimitShared "3/hour" scope=s cost=0
</Location>
<Location "/shared/dear">
    RateLimitShared "3/hour" scope=s override_defaults=off
</Location>
END
my $c = $h->client;
my ($last, $who) = 0;
sub fresh { return $who = '10.4.0.' . ++$last }
sub ask { return $c->get($_[0], 'X-Forwarded-For' => $who) }
sub codes { return join ' ', map { ask($_)->code } @_ }
sub left { my ($r) = @_; return $r->code . ':' . $r->header('X-RateLimit-Remaining') }

# What is fine, what is not there.
sub place { my ($name, $what, $fine, $missing) = @_;
    fresh;
    is(join(' ', map { left(ask("/$name/page.html")) } 1 .. 4), $fine, "$name: $what");
    fresh;
    is(join(' ', map { left(ask("/$name/none")) } 1 .. 4), $missing, "$name, 404");
}
my $every = '200:2 200:1 200:0 429:0';
my $never = '200:3 200:3 200:3 200:3';
my $missing = '404:2 404:1 404:0 429:0';
place('error-plain', 'every request counts, and once', $every, $missing);
place('plain-error', 'whichever is written first', $every, $missing);
place('free-plain', 'one that costs nothing does not make all free', $every, $missing);
place('plain-dear', 'the dearest is what it costs', '200:1 429:1 429:1 429:1', '404:1 429:1 429:1 429:1');
place('dear-plain', 'whichever is written first', '200:1 429:1 429:1 429:1', '404:1 429:1 429:1 429:1');
place($_, 'what is fine costs nothing', $never, $missing) for qw(errors errors-kept errors-both free-error);
place('early-error', 'an early limit by the response does not stand for a later one', $every, $missing);
place('early-kept', 'nor with its reservation', $every, $missing);
place('early-free', 'nor one that costs nothing', $every, $missing);
place('early-plain', 'a charge is a charge', $every, $missing);

fresh;
is(codes(map { "/shared/dear/page.html" } 1 .. 4), '200 200 200 429', 'a shared counter that is inherited for nothing, and paid for inside');

done_testing;
