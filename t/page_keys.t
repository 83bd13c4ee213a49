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

my $h = RateLimit::Httpd->start(children => 2, files => {
    a => "a\n", try => "try\n",
    'own/x' => "x\n", 'own/.htaccess' => "RateLimit 3/hour name=own\n",
    'wrong/x' => "x\n", 'wrong/.htaccess' => "RateLimit 3/moon\n" },
                                conf => <<'END');
RateLimitKeyDisplay plain
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitExempt All
</Location>
<Directory "@DOCROOT@">
    AllowOverride All
    RateLimitAllowOverride All
</Directory>
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

$c->get("/$_/x") for qw(own wrong);

my $b = RateLimit::Browser->start;
$b->open($h->url('/limiter-status'));
is_deeply([ $b->console ], [], 'the console is empty');
is($b->dialogue, undef, 'nothing is run');
my $requests = $b->text('#requests');
like($requests, qr/^Allowed\s+6\b/m, 'allowed: 2, 2, 1 and that of a .htaccess file');
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
like($b->text('nav'), qr/\bTrials\b/, 'the menu tells of trials');
like($b->text('#trials'), qr/1 per 1 day.*\b3\s+\(75\.0.%\)\s+1 of 1\b/s, 'a limit that is tried');
like($b->text('#limits'), qr/13 refused/, 'its section says so, folded as it is');
like($b->text('#limits'), qr{\.htaccess \S+/own/ 1 limit\n}, 'a .htaccess file that was seen');
like($b->text('#limits'), qr{\.htaccess \S+/wrong/ wrong: 500$}m, 'and a wrong one');
unlike($b->text('#limits'), qr/moon/, 'in a line each');
$b->click('#limits .node:last-of-type > summary');
like($b->text('#limits'), qr/3\/moon" is not a limit/, 'unfolded it says what is wrong');
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

# A storage that does not answer, and the table that stands in for it
# What is cut is nobody's key.
$c->get('/a', 'X-User' => 'k' x 130) for 1 .. 3;
$c->get('/a', 'X-User' => 'j' x 123) for 1 .. 3;
my $page = $c->get('/limiter-status?format=html')->body;
my ($k, $j) = ('k' x 127, 'j' x 123);
like($page, qr{<span class="key">$k</span>\xe2\x80\xa6}, 'a key that is cut leads nowhere');
like($page, qr{<a class="key" href="[^"]*key=$j">$j</a>}, 'one that is whole does');

# The limits that refuse most come first, wherever they stand.
$h->stop;
$h = RateLimit::Httpd->start(children => 1, conf => <<'END');
<Location "/limiter-status">
    SetHandler limiter-status
</Location>
<Location "/few">
    RateLimit "1 per day"
</Location>
<Location "/most">
    RateLimit "2 per day"
</Location>
<Location "/some">
    RateLimit "3 per day"
</Location>
END
$c = $h->client;
$c->get('/few') for 1 .. 2;
$c->get('/most') for 1 .. 7;
$c->get('/some') for 1 .. 6;
$page = $c->get('/limiter-status?format=html')->body;
my ($refusing) = $page =~ m{<section id="refusing"(.*?)</section>}s;
is(join(' ', $refusing =~ m{class="path">(/\w+)<}g), '/most /some /few', 'the most first');

$h->stop;
$h = RateLimit::Httpd->start(children => 1, files => { a => "a\n" }, conf => <<'END');
RateLimitStorage redis://anna:s3cret@127.0.0.1:1/0
RateLimitDefault "2 per day"
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitExempt All
</Location>
END
$b->screen(1280, 900);
# Nobody has found out yet but the page.
$b->open($h->url('/limiter-status'));
like($b->text('#storage'), qr/^redis does not answer$/m, 'a storage that does not answer');
unlike($b->text('.storage'), qr/answers for|answered for/i, 'since when is not known');
$h->client->get('/a');
$b->open($h->url('/limiter-status'));
like($b->text('#storage'), qr/redis does not answer/i, 'it does not answer a request');
like($b->text('.storage'), qr/has not answered for/i, 'and for how long is known');
like($b->text('nav'), qr/Storage does not answer/, 'which is told at the top');
like($b->text('.storage'), qr{Until it answers, requests are counted in shm://fallback\.},
     'and what requests get meanwhile');
like($b->text('#storage'), qr{redis://\S*127\.0\.0\.1:1/0}, 'which it is');
like($b->text('#storage'), qr/shm answers/i, 'the one that stands in for it');
unlike($b->run('return document.documentElement.outerHTML'), qr/s3cret|anna/, 'no secret');
like($b->text('#requests'), qr/^Undecided\s+1\b/m, 'what it did not decide');

# What else they may get
for ([ 'RateLimitStorageFailure allow' => 'pass and are not counted' ],
     [ 'RateLimitStorageFailure deny' => 'get 503 where a limit holds' ],
     [ 'RateLimitFallback 1/hour' => 'are held to RateLimitFallback, counted in shm://fallback' ],
     [ "<VirtualHost *:1>\nServerName v\nRateLimitStorageFailure deny\n</VirtualHost>"
       => 'get what RateLimitStorageFailure of their server says' ]) {
    my ($line, $says) = @$_;
    $h->set_conf("RateLimitStorage redis://127.0.0.1:1/0\nRateLimitDefault 2/day\n"
                 . "<Location /limiter-status>\nSetHandler limiter-status\n"
                 . "RateLimitExempt All\n</Location>\n$line\n");
    $h->graceful;
    like($h->client->get('/limiter-status?format=html')->body,
         qr/Until it answers, requests \Q$says\E\./, $says);
}
done_testing;
