# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# RateLimitMeta under a clock that the test sets, reckoned by hand: what is
# charged to it, who is blocked, until when, and what that costs others.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();

my $h = RateLimit::Httpd->start(
    faketime => 1,
    ports    => 2,
    modules  => ['rewrite'],
    files    => { map({ ($_ => "$_\n") } qw(one free plain day tries dry)),
                  'd/index.html' => "i\n", 'there' => "t\n" },
    conf     => <<'END');
RateLimitHeaders On
RateLimitKey %{req:X-Key}
RateLimitMeta "2 per hour" name=meta status=403
DirectoryIndex index.html
<Location "/one">
    RateLimit "1 per minute"
</Location>
<Location "/day">
    RateLimit "10 per day"
</Location>
<Location "/free">
    RateLimit "1 per minute"
    RateLimitExempt meta
</Location>
<Location "/dry">
    RateLimit "1 per day"
    RateLimitEngine DryRun
</Location>
<Location "/tries">
    RateLimit "1 per day" dry_run=on
</Location>
<Files "index.html">
    RateLimit "1 per day" override_defaults=off
</Files>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName inherits
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName own
    RateLimitMeta "1 per day" error_message="Come back tomorrow"
</VirtualHost>
END
my $zero = 1_800_000_000;
my $c = $h->client;
my $c2 = $h->client(2);

# A request so many seconds after the beginning.
sub at {
    my ($after, $key, $path, $client, @more) = @_;
    $h->set_time($zero + $after);
    return ($client // $c)->get($path, 'X-Key' => $key, @more);
}

### Counted, and blocked until the window ends

is(at(0, 'a', '/one')->code, 200, 'there is room once');
my $r = at(10, 'a', '/one');
is($r->code, 429, 'first breach: the meta window begins at 10');
is($r->header('Retry-After'), 50, 'the limit says when to come again');
is($r->header('X-RateLimit-Limit'), 1, 'and it speaks, not the meta limit');
unlike($r->header('RateLimit') // '', qr/meta/, 'which is not shown');
$r = at(20, 'a', '/day');
is($r->code, 200, 'one breach is not enough');
is($r->header('X-RateLimit-Remaining'), 9, 'elsewhere 1 of 10 is taken');
unlike($r->header('RateLimit') // '', qr/meta/, 'nothing of meta there');
$r = at(30, 'a', '/one');
is($r->code, 429, 'second breach');
is($r->header('Retry-After'), 3580,
   'now only the end of the meta window is late enough');
is($r->header('X-RateLimit-Reset'), $zero + 60, 'the limit still speaks');
$r = at(40, 'a', '/day');
is($r->code, 403, 'everything is refused, with the status of the meta limit');
is($r->header('Retry-After'), 3570, 'until 3610');
is($r->header('X-RateLimit-Limit'), 2, 'the meta limit speaks');
is($r->header('X-RateLimit-Remaining'), 0, 'nothing left');
is($r->header('X-RateLimit-Reset'), $zero + 3610, 'its reset');
is(at(41, 'a', '/plain')->code, 403, 'also where there is no limit');
is(at(42, 'b', '/day')->code, 200, 'but not for another key');
is(at(42, 'b', '/one')->code, 200, 'anywhere');
is(at(3609, 'a', '/one')->code, 403, 'a second before the end');
$r = at(3610, 'a', '/day');
is($r->code, 200, 'open again after as many seconds as were told');
is($r->header('X-RateLimit-Remaining'), 8,
   'the refusals by meta were charged to nothing else');
is(at(3611, 'a', '/one')->code, 200, 'room once');
is(at(3612, 'a', '/one')->code, 429, 'a first breach of a new window');
is(at(3613, 'a', '/day')->code, 200, 'refusals by meta were no breaches');

### Exempt

is(at(4000, 'c', '/free')->code, 200, 'exempt section: room once');
is(at(4001, 'c', '/free')->code, 429, 'then its own limit') for 1 .. 5;
is(at(4002, 'c', '/day')->code, 200, 'nothing was charged to meta');
at(4003, 'c', '/one') for 1 .. 3;
is(at(4004, 'c', '/day')->code, 403, 'blocked');
is(at(4005, 'c', '/free')->code, 429, 'not there: refused by its own limit');
is(at(4065, 'c', '/free')->code, 200, 'where it passes again');

### What is no breach

is(at(5000, 'd', '/dry')->code, 200, 'DryRun') for 1 .. 5;
is(at(5000, 'd', '/tries')->code, 200, 'dry_run=on') for 1 .. 5;
is(at(5001, 'd', '/day')->code, 200, 'neither is charged to meta');
at(5002, 'd', '/one') for 1 .. 3;
is(at(5003, 'd', '/day')->code, 403, 'blocked');
is(at(5003, 'd', '/dry')->code, 200, 'not with DryRun');

### Internal redirects

is(at(6000, 'e', '/d/')->code, 200, 'DirectoryIndex: room once');
is(at(6001, 'e', '/d/')->code, 429, 'refused by the index');
is(at(6002, 'e', '/day')->code, 200, 'that was one breach');
is(at(6003, 'e', '/d/')->code, 429, 'refused again');
is(at(6004, 'e', '/day')->code, 403, 'two');
is(at(9601, 'e', '/d/index.html')->code, 429, 'the meta window is over');

### Virtual hosts

my @inherits = (Host => 'inherits');
my @own = (Host => 'own');
at(10000, 'f', '/one', $c2, @inherits) for 1 .. 2;
at(10000, 'f', '/one') for 1 .. 2;
is(at(10001, 'f', '/day')->code, 403, 'a breach in each: one counter');
is(at(10001, 'f', '/day', $c2, @inherits)->code, 403, 'for both');
is(at(10001, 'f', '/day', $c2, @own)->code, 200, 'one with its own: not');
at(10002, 'g', '/one', $c2, @own) for 1 .. 2;
$r = at(10003, 'g', '/plain', $c2, @own);
is($r->code, 429, 'it blocks after one');
like($r->content, qr/Come back tomorrow/, 'and says so');
is(at(10003, 'g', '/day')->code, 200, 'the main server is not concerned');
is(at(10002 + 86399, 'g', '/plain', $c2, @own)->code, 429, 'for a day');
is(at(10002 + 86400, 'g', '/plain', $c2, @own)->code, 200, 'and no longer');

unlike($h->error_log, qr/RLX0035|RLX0012/, 'the storage answered always');
done_testing;
