# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# More limits on one request than a storage decides in one step.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();

my $limits = join "\n", map {
    qq(RateLimit "1000 per hour" scope=s$_)
} 1 .. 99;

my $h = RateLimit::Httpd->start(
    files => { x => "x\n", y => "y\n" },
    conf  => <<"END");
<Location "/x">
    RateLimitHeaders ietf
    $limits
    RateLimit "2 per day"
</Location>
<Location "/y">
    RateLimitCharge all
    $limits
    RateLimit "2 per day"
</Location>
END
my $client = $h->client;
is($client->get('/x')->code, 200, 'a hundred limits: there is room') for 1, 2;
is($client->get('/x')->code, 429, 'the hundredth has no more') for 1 .. 3;
my @left = $client->get('/x')->header('RateLimit') =~ /;r=(\d+)/g;
is_deeply(\@left, [(998) x 99, 0], 'and its refusals took nothing of the others');
is($client->get('/y')->code, 200, 'charged one by one: there is room') for 1, 2;
is($client->get('/y')->code, 429, 'the hundredth has no more');
done_testing;
