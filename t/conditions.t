# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# What expressions decide for each request: whether limits are looked at at
# all, what a request costs, what a refusal says; and limits that only try.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use JSON::PP ();
use RateLimit::Httpd;
use RateLimit::Visitor qw(visit fresh get codes field);

my $h = RateLimit::Httpd->start(
    modules => ['rewrite'],
    files => { map { ("$_/x" => "x\n") } qw(filter filter/inner filter/index
                   exempt cost message dry dry/all dry/order status big) },
    conf => <<'END');
RateLimitRequestFilter "req('X-Free') == 'outer'"
RateLimitHeaders On
RateLimitKey "%{REMOTE_ADDR}"
RateLimitApplication "1000 per hour" name=umbrella

<Location "/filter">
    RateLimit "1 per hour"
    RateLimitRequestFilter "req('X-Free') == 'one'"
    RateLimitRequestFilter "req('X-Free') == 'two'"
</Location>
<Location "/filter/inner">
    RateLimitRequestFilter "req('X-Free') == 'inner'"
</Location>
<Location "/filter/env">
    SetEnvIf X-Free env IS_FREE
    RateLimitRequestFilter "-n reqenv('IS_FREE')"
    RewriteEngine On
    RewriteRule ^ /filter/x [PT]
</Location>

<Location "/exempt">
    RateLimit "1 per hour" exempt_when="req('X-Free') == 'hour'"
    RateLimit "2 per day" exempt_when="req('X-Free') in { 'day', 'hour' }"
    RateLimitExempt application
</Location>
RateLimitDefault "0 per year" exempt_when="! %{REQUEST_URI} -strmatch '/defaults*'"

<Location "/cost">
    RateLimit "10 per hour" cost=%{req:X-Cost}
</Location>
<Location "/message">
    RateLimit "0 per hour" error_message="%{REQUEST_METHOD} of %{req:X-Who}: 100%"
</Location>
<Location "/message/empty">
    RateLimit "0 per hour" error_message="%{req:X-Who}"
</Location>

<Location "/dry">
    RateLimit "3 per hour"
    RateLimit "1 per day" dry_run=on name=tried
</Location>
<Location "/dry/all">
    RateLimitCharge all
</Location>
<Location "/dry/order">
    RateLimitCharge in-order
</Location>
<Location "/dry/alone">
    RateLimit "0 per day" dry_run=on
</Location>

<Location "/status">
    RateLimitStatus 503
    RateLimit "1 per hour" status=409
    RateLimit "2 per day"
    ErrorDocument 409 "a teapot"
</Location>
END

visit($h);
sub remaining { return field('Remaining', @_) }

### Request filters

fresh;
is(codes(2, '/filter/x'), '200 429', 'without a filter that holds: limited');
for my $free (qw(outer one two)) {
    my $r = get('/filter/x', 'X-Free' => $free);
    is($r->code, 200, "$free: passes");
    is($r->header('X-RateLimit-Limit'), undef, 'and no limit is looked at');
}
is(codes(1, '/filter/x', 'X-Free' => 'inner'), '429',
   'a filter further inside does not hold here');
is(codes(1, '/filter/inner/x', 'X-Free' => $_), '200', "inside: $_")
    for qw(outer one two inner);
is(codes(1, '/filter/inner/x'), '429', 'and without any') ;
is(codes(2, '/elsewhere'), '404 404', 'a place without limits');
fresh;
is(codes(3, '/filter/env', 'X-Free' => 'env'), '200 200 200',
   'the filter holds for what the request is redirected to');
is(codes(2, '/filter/x'), '200 429', 'which was charged to nothing');

### exempt_when

fresh;
is(codes(3, '/exempt/x', 'X-Free' => 'hour'), '200 200 200', 'exempt from both');
is(get('/exempt/x', 'X-Free' => 'hour')->header('X-RateLimit-Limit'), undef,
   'and nothing was looked at');
is(get('/exempt/x', 'X-Free' => 'day')->header('X-RateLimit-Limit'), 1,
   'exempt from one');
is(codes(1, '/exempt/x', 'X-Free' => 'day'), '429', 'the other counts');
is(codes(1, '/defaults'), '429', 'a default that is looked at');
is(codes(1, '/other'), '404', 'and not');

### cost

fresh;
is(remaining('/cost/x', 'X-Cost' => 3), 7, 'a cost of 3');
is(remaining('/cost/x', 'X-Cost' => 0), 7, 'a cost of 0');
my $mark = $h->mark;
for my $wrong ('', 'two', '-1', '1.5', '99999999999999999999', '2147483648',
               "1\t2", '0x2') {
    fresh;
    is(remaining('/cost/x', length $wrong ? ('X-Cost' => $wrong) : ()), 9,
       "a cost of '$wrong' is 1");
}
my @said = $h->error_log($mark) =~ /RLX0032: (.*)/g;
cmp_ok(scalar @said, '>=', 1, 'it is said');
cmp_ok(scalar @said, '<=', 2, 'once by each child');
like($said[0], qr/cost=%\{req:X-Cost\} \(\S+:\d+\) gives ".*", which is not a whole number from 0 to 2147483647/,
     'in so many words');
fresh;
is(codes(1, '/cost/x', 'X-Cost' => 11), '429', 'more than the limit has');
is(codes(1, '/cost/x', 'X-Cost' => 2147483647), '429', 'the highest cost');
is(remaining('/cost/x', 'X-Cost' => 10), 0, 'all of it');

### error_message

my $json = JSON::PP->new;
my $r = get('/message/x', 'X-Who' => 'Anna "<b>"');
is($json->decode($r->body)->{detail}, 'GET of Anna "<b>": 100%',
   'a message by expression') or diag $r->body;
$r = get('/message/x', 'X-Who' => '<b>', Accept => 'text/html');
like($r->body, qr/GET of &lt;b&gt;: 100%/, 'escaped');
$r = get('/message/empty/x');
is($json->decode($r->body)->{detail}, '0 per 1 hour',
   'one that gives nothing: the limit');

### dry_run

for my $place (['', 'atomic', 0], ['/all', 'all', 1], ['/order', 'in-order', 0]) {
    my ($path, $mode) = @$place;
    fresh;
    $mark = $h->mark;
    is(codes(5, "/dry$path/x"), '200 200 200 429 429', "$mode: others refuse");
    my @lines = $h->error_log($mark) =~ /RLX0001: (.*?): client \S+ limit "(.*?)"/g;
    is("@lines", 'would be refused (dry run) tried would be refused (dry run) '
       . 'tried refused 3 per 1 hour refused 3 per 1 hour',
       'the log says what would be refused and what is');
}
fresh;
get('/dry/x') for 1 .. 3;
$r = get('/dry/x');
is_deeply($json->decode($r->body)->{'violated-policies'}, ['3 per 1 hour'],
          'a limit that only tries is not violated');
cmp_ok($r->header('Retry-After'), '<=', 3600, 'nor waited for');
fresh;
is(codes(3, '/dry/alone/x'), '404 404 404', 'alone');


### status

fresh;
is(codes(2, '/status/x'), '200 409', 'status= of the limit');
is(get('/status/x')->body, 'a teapot', 'with its ErrorDocument');
fresh;

$h->stop;
done_testing;
