# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# mpm: any
#
# meta= of a limit, reckoned by hand: which refusals are charged to it, whom it
# blocks, where and until when.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(encode_base64);
use Test::More;
use RateLimit::Httpd ();

my $h = RateLimit::Httpd->start(
    faketime => 1,
    modules  => [qw(auth_basic authn_file authz_user)],
    files    => { 'd/index.html' => "i\n",
                  # jane, secret
                  '../users' => "jane:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", map { ("$_/x" => "x\n") } qw(
                  one other two two/in two/cut two/free default pool swim both
                  order all cost keys plan moving dry tries user early ht/a ht/b) },
    conf     => <<'END');
RateLimitHeaders On
RateLimitKey %{req:X-Key}
LogLevel ratelimit_ext:info
<Location "/one">
    RateLimit "1 per minute" meta="2 per hour" status=503 error_message="Not so fast"
</Location>
<Location "/other">
    RateLimit "1 per minute" meta="2 per hour"
</Location>
<Location "/two">
    RateLimit "1 per minute" meta="2 per hour"
</Location>
<Location "/two/in">
    RateLimit "100 per day" override_defaults=off
</Location>
<Location "/two/cut">
    RateLimit "100 per day"
</Location>
<Location "/two/free">
    RateLimitExempt meta
</Location>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName defaults
    RateLimitDefault "1 per minute" meta="2 per hour"
    <Location "/default">
        RateLimitEndpoint default
    </Location>
    RateLimitApplication "3 per minute" meta="1 per day"
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName fair
    RateLimitMeta "1 per day"
</VirtualHost>
<Location "/pool">
    RateLimitShared "1 per minute" scope=pool meta="1 per hour"
</Location>
<Location "/swim">
    RateLimitShared "1 per minute" scope=pool meta="1 per hour"
</Location>
<Location "/both">
    RateLimit "1 per minute" meta="1 per hour"
    RateLimit "2 per day" meta="1 per day"
</Location>
<Location "/order">
    RateLimitCharge in-order
    RateLimit "1 per minute; 1 per hour" meta="2 per day"
    RateLimit "1 per day" meta="1 per hour"
</Location>
<Location "/all">
    RateLimitCharge all
    RateLimit "1 per minute" meta="2 per day"
    RateLimit "1 per day" meta="1 per hour"
</Location>
<Location "/cost">
    RateLimit "3 per minute" cost=3 methods=GET per_method=on meta="2 per hour"
</Location>
<Location "/keys">
    RateLimit "1 per minute" key=%{req:X-Api} exempt_when="req('X-Free') == 'yes'" meta="1 per hour"
</Location>
<Location "/plan">
    RateLimit "%{req:X-Plan}" meta="%{req:X-Meta}"
</Location>
<Location "/moving">
    RateLimit "1 per minute" meta="2/hour;3/day" strategy=moving-window
</Location>
<Location "/dry">
    RateLimitEngine DryRun
    RateLimit "1 per day" meta="1 per hour"
</Location>
<Location "/tries">
    RateLimit "1 per day" dry_run=on meta="1 per hour"
</Location>
<Location "/early">
    AuthType Basic
    AuthName early
    AuthBasicProvider file
    AuthUserFile "@DIR@/users"
    Require valid-user
    RateLimit "1 per minute" phase=early meta="1 per hour"
</Location>
DirectoryIndex index.html
<Files "index.html">
    RateLimit "1 per minute" override_defaults=off meta="2 per hour"
</Files>
<Location "/user">
    RateLimit "0 per day" meta="2 per hour"
</Location>
<Directory "@DOCROOT@/ht">
    AllowOverride Limit
</Directory>
END
$h->write("ht/$_/.htaccess", qq(RateLimitShared "1 per minute" scope=s meta="1 per hour"\n))
    for qw(a b);

my $zero = 1_800_000_000;
my %client = map { $_ => $h->client($_) } 1, 2;

# A request so many seconds after the beginning.
sub at {
    my ($after, $key, $path, %headers) = @_;
    my $port = delete $headers{port} // 1;
    my $method = delete $headers{method} // 'GET';
    $h->set_time($zero + $after);
    return $client{$port}->request($method, "$path/x", { 'X-Key' => $key, %headers });
}
sub code { at(@_)->code }

### Counted, and blocked

is(code(0, 'a', '/one'), 200, 'room once');
my $r = at(10, 'a', '/one');
is($r->code, 503, 'the first refusal: the meta window begins at 10');
is($r->header('Retry-After'), 50, 'the limit says when to come again');
is($r->header('X-RateLimit-Limit'), 1, 'and speaks');
$r = at(20, 'a', '/one');
is($r->header('Retry-After'), 3590, 'the second refusal takes the last room: until 3610');
$r = at(70, 'a', '/one');
is($r->code, 503, 'the limit has room again, its meta limit has none');
like($r->body, qr/Not so fast/, 'a refusal looks as one by the limit');
is($r->header('X-RateLimit-Limit'), 2, 'but the meta limit speaks');
is($r->header('X-RateLimit-Reset'), $zero + 3610, 'and when it ends');
is(code(71, 'a', '/other'), 200, 'a limit that looks the same elsewhere has its own');
is(code(71, 'b', '/one'), 200, 'and so has another key');
is(code(3609, 'a', '/one'), 503, 'a second before the end');
is(code(3610, 'a', '/one'), 200, 'refusals by meta limits were charged to nothing');
like($h->error_log, qr/refused: client \S+ limit "2 per 1 hour" key "\S+" scope "1 per 1 minute of Location \/one"/,
     'the log says whose meta limit it is');

### Inherited

is(code(4000, 'a', '/two'), 200, 'at home: room once');
is(code(4000, 'a', '/two/in'), 200, 'inherited: counted by itself');
is(code(4001, 'a', '/two'), 429, 'a refusal at home');
is(code(4001, 'a', '/two/in'), 429, 'and one where it is inherited');
is(code(4061, 'a', '/two'), 429, 'are two by the same limit');
$r = at(4062, 'a', '/two/in');
is($r->code, 429, 'for both places');
is($r->header('Retry-After'), 3539, 'until 4001 + 3600');
is(code(4062, 'a', '/two/cut'), 200, 'not where the limit is overridden');
is(code(4062, 'a', '/two/free'), 200, 'nor where meta limits are exempt: the limit alone');
is(code(4063, 'a', '/two/free'), 429, 'which refuses');
is(code(7601, 'a', '/two/in'), 200, 'open again');
is(code(7602, 'a', '/two/free'), 200, 'exempt: room once');
is(code(7603, 'a', '/two/free'), 429, 'and refusals there') for 1 .. 3;
is(code(7604, 'a', '/two'), 200, 'are charged to no meta limit');

### Of a default, and of the application

my @vhost = (port => 2, Host => 'defaults');
is(code(8000, 'a', '/default', @vhost), 200, 'default: one endpoint');
is(code(8000, 'a', '/plain', @vhost), 404, 'another');
is(code(8001, 'a', '/default', @vhost), 429, 'refused at one');
is(code(8002, 'a', '/plain', @vhost), 429, 'and at the other');
is(code(8062, 'a', '/plain', @vhost), 429, 'are two by the default, everywhere');
is(code(8062, 'a', '/one', @vhost), 200, 'but where it is overridden');
is(code(8061, 'b', '/default', @vhost), 200, 'application: one');
is(code(8061, 'b', '/other', @vhost), 200, 'two');
is(code(8061, 'b', '/two', @vhost), 200, 'three');
is(code(8061, 'b', '/both', @vhost), 429, 'the fourth is refused');
$r = at(8121, 'b', '/default', @vhost);
is($r->code, 429, 'and everything for a day');
is($r->header('X-RateLimit-Limit'), 1, 'by its meta limit');
is($r->header('Retry-After'), 86340, 'until 8061 + 86400');

### Shared

is(code(10000, 'a', '/pool'), 200, 'shared: room once');
is(code(10001, 'a', '/swim'), 429, 'for both');
is(code(10061, 'a', '/pool'), 429, 'sections with the same scope and limit share the meta limit');
is(code(10061, 'a', '/one'), 200, 'elsewhere all is well');

### Which refusal is charged

is(code(20000, 'a', '/both'), 200, 'two limits: first');
is(code(20060, 'a', '/both'), 200, 'second, the day is full');
is(code(20061, 'a', '/both'), 429, 'both have no room: the minute is named');
$r = at(20120, 'a', '/both');
is($r->code, 429, 'and charged');
is($r->header('Retry-After'), 3541, 'its meta limit of an hour blocks');
is($r->header('X-RateLimit-Reset'), $zero + 23661, 'until 20061 + 3600');
$r = at(23661, 'a', '/both');
is($r->header('X-RateLimit-Limit'), 2, 'then the day refuses');
is($r->header('Retry-After'), 86400, 'and charges its own, which ends last');

is(code(30000, 'a', '/order'), 200, 'in-order: room once');
is(code(30001, 'a', '/order'), 429, 'one refusal by the first directive');
is(code(30060, 'a', '/order'), 429, 'two, by its other limit: one meta limit for both');
$r = at(33600, 'a', '/order');
is($r->header('X-RateLimit-Limit'), 2, 'blocked by that');
is($r->header('X-RateLimit-Reset'), $zero + 116401, 'until 30001 + 86400: what came behind was not charged');

is(code(40000, 'a', '/all'), 200, 'all: room once');
is(code(40001, 'a', '/all'), 429, 'both refuse');
$r = at(40061, 'a', '/all');
is($r->header('X-RateLimit-Limit'), 1, 'and both are charged: the day blocks');
is($r->header('X-RateLimit-Reset'), $zero + 43601, 'for its hour');

### Options of the limit

is(code(50000, 'a', '/cost'), 200, 'a cost of 3');
is(code(50001, 'a', '/cost'), 429, 'a refusal is one');
is(code(50060, 'a', '/cost'), 200, 'not three');
is(code(50061, 'a', '/cost'), 429, 'two');
is(code(50120, 'a', '/cost'), 429, 'blocked');
is(code(50120, 'a', '/cost', method => 'POST'), 200, 'not for a method that the limit is not for');

is(code(51000, 'a', '/keys', 'X-Api' => 'k'), 200, 'key=: room once');
is(code(51000, 'b', '/keys', 'X-Api' => 'k'), 429, 'for that key');
is(code(51061, 'c', '/keys', 'X-Api' => 'k'), 429, 'and its meta limit');
is(code(51061, 'a', '/keys', 'X-Api' => 'm'), 200, 'another');
is(code(51062, 'a', '/keys', 'X-Api' => 'k', 'X-Free' => 'yes'), 200, 'exempt_when');
is(code(51062, 'a', '/keys'), 200, 'no key');

my @plan = ('X-Plan' => '1/minute', 'X-Meta' => '1/hour');
is(code(52000, 'a', '/plan', @plan), 200, 'dynamic: room once');
is(code(52001, 'a', '/plan', @plan), 429, 'refused');
is(code(52061, 'a', '/plan', @plan), 429, 'blocked');
is(code(52061, 'a', '/plan', 'X-Plan' => '1/minute'), 200, 'an empty meta= is none');
is(code(52061, 'a', '/plan', 'X-Plan' => '5/minute', 'X-Meta' => '1/hour'), 429,
   'whatever the limit was, it was refused');

is(code(53000, 'a', '/moving'), 200, 'strategy=: room once');
is(code(53000, 'a', '/moving'), 429, 'refused');
is(code(53059.5, 'a', '/moving'), 429, 'twice');
is(code(56599.5, 'a', '/moving'), 429, 'blocked: two within the hour');
is(code(56600, 'a', '/moving'), 200, 'the first has left the window');
is(code(56600, 'a', '/moving'), 429, 'the third within a day');
is(code(60260, 'a', '/moving'), 429, 'blocked by that');

### No refusals

is(code(70000, 'a', $_), 200, "$_: no refusal") for ('/dry') x 4, ('/tries') x 4;

### .htaccess

is(code(80000, 'a', '/ht/a'), 200, '.htaccess: room once');
is(code(80000, 'a', '/ht/b'), 200, 'in each');
is(code(80001, 'a', '/ht/a'), 429, 'refused in one');
is(code(80061, 'a', '/ht/a'), 429, 'and blocked there');
is(code(80061, 'a', '/ht/b'), 200, 'but not in the other');

my @fair = (port => 2, Host => 'fair');
is(code(81000, 'b', '/ht/a', @fair), 200, 'beside RateLimitMeta: room once');
is(code(81001, 'b', '/ht/a', @fair), 429, 'refused');
is(code(81061, 'b', '/ht/a', @fair), 429, 'the file\'s own meta limit blocks its directory');
is(code(81061, 'b', '/ht/b', @fair), 200, 'alone');

### Looked at early, and again after DirectoryIndex

my @jane = (Authorization => 'Basic ' . encode_base64('jane:secret', ''));
is(code(91000, 'a', '/early'), 401, 'before authentication: room once');
is(code(91001, 'a', '/early', @jane), 429, 'refused');
is(code(91061, 'a', '/early', @jane), 429, 'blocked, the password is not looked at');
is(code(94601, 'a', '/early', @jane), 200, 'open again');
is(code(94602, 'a', '/early', @jane), 429, 'refused, and charged once');
is(code(94661, 'a', '/early', @jane), 429, 'blocked');

sub index_code {
    my ($after, $key, $path) = @_;
    $h->set_time($zero + $after);
    return $client{1}->get($path, 'X-Key' => $key)->code;
}
is(index_code(100000, 'a', '/d/'), 200, 'DirectoryIndex: room once');
is(index_code(100001, 'a', '/d/'), 429, 'refused by the file');
is(index_code(100060, 'a', '/d/'), 200, 'which is one refusal');
is(index_code(100061, 'a', '/d/index.html'), 429, 'two');
is(index_code(100120, 'a', '/d/'), 429, 'blocked by its meta limit');
is(index_code(100120, 'a', '/d/other.html'), 404, 'which is of the file alone');

### Nothing to be had

is(code(90000, 'a', '/user'), 429, 'a limit of 0 refuses') for 1 .. 2;
is(at(90000, 'a', '/user')->header('X-RateLimit-Limit'), 2, 'and charges');

unlike($h->error_log, qr/RLX0035|RLX0012/, 'the storage answered always');
done_testing;
