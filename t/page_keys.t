# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
# sanitized: no
#
# What became of requests, on the page in a browser: figures, bars, keys that
# were refused most, trials; a key that is markup is shown and leads to its
# counters.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Browser;
use RateLimit::Httpd;

my $h = RateLimit::Httpd->start(children => 2, files => { a => "a\n", try => "try\n" },
                                conf => <<'END');
RateLimitKeyDisplay plain
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitExempt All
</Location>
<Location "/a">
    RateLimit "2 per day" name=short key=%{HTTP:X-User}
</Location>
<Location "/try">
    RateLimit "1 per day" dry_run=on
</Location>
END
my $c = $h->client;
my $key = '<script>alert(1)</script>';
$c->get('/a', 'X-User' => $key) for 1 .. 12;      # 10 refused
$c->get('/a', 'X-User' => 'jane doe+&') for 1 .. 5;      # 3 refused
$c->get('/try') for 1 .. 4;                       # 3 would be

my $b = RateLimit::Browser->start;
$b->open($h->url('/limiter-status'));
is_deeply([ $b->console ], [], 'the console is empty');
is($b->dialogue, undef, 'nothing is run');
my $requests = $b->text('#requests');
like($requests, qr/^Allowed\s+5\b/m, 'allowed: 2, 2 and 1');
like($requests, qr/^Refused\s+13\b/m, 'refused: 10 and 3');
like($requests, qr/^Dry run\s+3\b/m, 'would be: 3');
my $wide = $b->run('return Number(document.querySelector("rect.refused").getAttribute("width"))');
my ($seen) = $requests =~ /(\d+) requests since/;
cmp_ok(abs($wide - 1300 / $seen), '<', 0.01, 'the bar is as long as its share');
is($b->text('#keys tbody tr:first-child th'), $key, 'the key refused most');
like($b->text('#keys tbody tr:first-child'), qr/2 per 1 day\s+short.*\b10\b/s, 'by what, and how often');
is($b->text('#keys tbody tr:nth-child(2) th'), 'jane doe+&', 'the next');
is($b->count('script:not([nonce])'), 0, 'is no element');
like($b->text('#refusing'), qr/2 per 1 day.*\b17\s+13\s+76\.5/s, 'a limit that refuses');
like($b->text('#trials'), qr/1 per 1 day.*\b3\s+\(75\.0.%\)\s+1 of 1\b/s, 'a limit that is tried');
like($b->text('#limits'), qr/13 refused/, 'its section says so, folded as it is');
$b->click('#keys tbody tr:nth-child(2) a');
ok($b->wait_for('document.querySelector(".answer")'), 'a key leads to its counters');
is($b->text('.answer h2'), 'Key jane doe+&', 'whatever is in it');
$b->open($h->url('/limiter-status'));
$b->click('#keys tbody tr:first-child a');
ok($b->wait_for('document.querySelector(".answer")'), 'so does markup');
is($b->text('.answer h2'), "Key $key", 'which is shown');
is($b->dialogue, undef, 'and not run');
$b->screen(360, 740);
$b->open($h->url('/limiter-status'));
is($b->run('return document.documentElement.scrollWidth'), 360, 'on a phone');
is_deeply([ $b->console ], [], 'the console is still empty');
$b->picture('figures-phone');
done_testing;
