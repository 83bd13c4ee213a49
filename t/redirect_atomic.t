# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# RateLimitCharge atomic over DirectoryIndex and redirects: a request that is
# refused by a limit of the place that it was led to is charged nothing at the
# place where it came from.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();

my $h = RateLimit::Httpd->start(
    faketime => 1,
    modules  => ['rewrite'],
    files    => { 'd/index.html' => "i\n", 'other' => "o\n", 'there' => "t\n" },
    conf     => <<'END');
RateLimitHeaders On
RateLimitDefault "10/hour"
DirectoryIndex index.html
<Files "index.html">
    RateLimit "1/minute" override_defaults=off
    RateLimitEndpoint index
</Files>
<Location "/from">
    RewriteEngine On
    RewriteRule . /there
</Location>
<Location "/there">
    RateLimit "1/minute"
</Location>
END
$h->set_time(1_800_000_000);
my $client = $h->client;

is($client->get('/d/')->code, 200, 'the index has room once');
is($client->get('/d/')->code, 429, 'and no more') for 1 .. 4;
my $r = $client->get('/other');
is($r->code, 200, 'the rest of the site');
is($r->header('X-RateLimit-Remaining'), 8, 'was charged what passed and no more');

# What was given back is there again when the window of the index is over.
$h->advance(60);
is($client->get('/d/')->code, 200, 'the index again');
is($client->get('/other')->header('X-RateLimit-Remaining'), 6, 'two more');

# The same by mod_rewrite's internal redirect.
is($client->get('/from')->code, 200, 'a redirect: there is room where it leads');
is($client->get('/from')->code, 429, 'and no more') for 1 .. 3;
is($client->get('/other')->header('X-RateLimit-Remaining'), 4, 'two more');

done_testing;
