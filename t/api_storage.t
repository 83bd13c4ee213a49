# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# Limits of another module in a storage that takes names and may fail,
# mod_ratelimit_toy: RateLimitStorageFailure holds for them too.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Use;

my $h = use_server(RateLimit::Httpd->start(
    faketime => 1, modules => [qw(ratelimit_use ratelimit_toy)], conf => <<'END'));
LogLevel ratelimit_ext:debug
UseLog On
RateLimitKeyPrefix pre
RateLimitStorage toy:// down=@DIR@/down
<Location "/u">
    SetHandler ratelimit-use
</Location>
<Location "/dry">
    SetHandler ratelimit-use
    RateLimitEngine DryRun
</Location>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName allows
    RateLimitStorageFailure allow
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT3@>
    ServerName denies
    UseLog On
    RateLimitStorageFailure deny
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT4@>
    ServerName falls
    UseLog On
    RateLimitFallback "5 per day"
    RateLimitMeta "1 per day"
    RateLimitDefault "7 per day"
</VirtualHost>
END
my ($o, @o);
my $ab = 'limits=2/hour&scope=a:b&key=k';
is(left(use_it('/u', $ab)), 'allowed 1', 'another storage');
like($h->error_log, qr/pre:_main:module:a%3Ab:::/, 'is given the name in parts');
is(left(use_it('/u', 'limits=2/hour&scope=a%253Ab&key=k')), 'allowed 1',
   'which no two scopes share');
@o = use_at(1, '/u', "$ab&back=1");
is(lefts($o[1]), 'allowed 1', 'given back there too');

$h->write('../down', '');
$o = use_it('/u', $ab);
is("$o->{rc} " . left($o), '0 fallback 1', 'it cannot answer: the same limits, elsewhere');
@o = use_at(1, '/u', "$ab&back=1");
is(lefts($o[0]) . ', ' . lefts($o[1]), 'fallback 0, fallback 1', 'where they are given back as well');
is(left(use_it('/u', $ab)), 'fallback 0', 'one is left');
breaches();
is((use_it('/u', "$ab&refuse=1"), $response->code)[1], 429, 'and refused');
like((breaches())[0], qr/^refused .*kind=module status=429/, 'as ever');
for (['/u', '&refuse=1'], ['/dry', '&refuse=1']) {
    ($o) = use_at(2, $_->[0], $ab . $_->[1]);
    isnt($o->{rc}, 0, "allow, $_->[0]: an error");
    is("$o->{result} $o->{allowed} $o->{n} " . $response->code, 'error 1 0 200', 'which allows');
}
($o) = use_at(3, '/u', $ab);
isnt($o->{rc}, 0, 'deny: an error');
is("$o->{result} $o->{allowed} $o->{n} $o->{status} $o->{retry}", 'error 0 0 503 1', 'which does not');
use_at(3, '/u/denied', "$ab&refuse=1");
is($response->code . ' ' . $response->header('Retry-After'), '503 1', 'and is made so');
like((logged('use: /u/denied is', 1))[0], qr/is error allowed=0 n=0 breached=- kind=- status=503 retry=1/,
     'and seen so');
for (['/dry', ''], ['/u', '&dry=1']) {
    ($o) = use_at(3, $_->[0], "$ab$_->[1]&refuse=1");
    is("$o->{result} $o->{allowed} $o->{n} " . $response->code, 'error 1 0 200', 'but for dry runs');
}
is_deeply([breaches()], [], 'none of this is a breach');
@o = use_at(4, '/u', 'limits=1/hour&scope=f&key=k&decisions=1&times=2');
is(left($o[0]), 'refused 0', 'RateLimitFallback leaves them as they are');
is("$o[1]{result} $o[1]{n} $o[1]{list}[0]{kind} $o[1]{list}[0]{limit}", 'fallback 1 fallback 5 per 1 day',
   'and is among what was decided');
for my $n (1, 2) {
    use_at(4, '/u', 'limits=1/hour&scope=f&key=k&refuse=1');
    is($response->code, 429, "refused: meta limits are out of force ($n)");
}
unlike($h->error_log, qr/\[ratelimit_ext:(?:error|warn)/, 'the log is not filled');

unlink $h->dir . '/down' or die;
$h->advance(60);
is(left(use_it('/u', $ab)), 'allowed 0', 'it answers again: as it stood');
$h->write('../down', 'give_back');
@o = use_at(1, '/u', 'limits=2/hour&scope=g&key=k&back=2');
isnt($o[1]{rc}, 'back 0', 'it cannot give back: an error');
is($o[2]{rc}, 'back 0', 'which is not tried again');
like($response->body, qr/cost=1 room=1 charged=0/, 'and counts as done');

done_testing;
