# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Who is counted, and under what: addresses and their prefixes, expressions,
# methods, scopes, endpoints, servers; and that no two keys ever meet, whatever
# bytes they hold. Two requests are one client's if the second finds one less.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use MIME::Base64 qw(encode_base64);
use RateLimit::Httpd;
use RateLimit::Suite;

my $s = RateLimit::Suite->new('keys');
my %port = map { $_ => RateLimit::Suite->new("keys_$_")->port }
           qw(other 0 48 56 61 128);
$s->write('page.html', "page\n");
$s->write('users', "jane:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"
                   . "john:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");   # secret

# New in each run, so that a second one on the same server finds no counters.
my $run = sprintf '%04x%04x', rand 0xffff, rand 0xffff;
my $net = "2001:db8:" . substr $run, 0, 4;
my $serial = 0;
sub new_name { return "$run-" . ++$serial }

# One request; "limit remaining", or - without fields.
my $client = RateLimit::Client->new(port => $s->port);
my %other = map { $_ => RateLimit::Client->new(port => $port{$_}) } keys %port;
sub ask {
    my ($address, $method, $path, %headers) = @_;
    my $c = $client;
    $c = $other{$1} if $path =~ s/^(\w+)://;
    my $r = $c->request($method, $path,
                        { 'X-Forwarded-For' => $address, %headers });
    my $limit = $r->header('X-RateLimit-Limit') // return '-';
    return "$limit " . $r->header('X-RateLimit-Remaining');
}
sub get { my ($address, $path, @headers) = @_;
          return ask($address, GET => $path, @headers) }

# Of two requests [address, path, headers], does the second find one less?
sub same {
    my ($what, $one, $two) = @_;
    my ($first, $second) = (get(@$one), get(@$two));
    my ($left) = $first =~ /^\d+ (\d+)$/ or return fail("$what: $first");
    $second =~ /^\d+ (\d+)$/ or return fail("$what: $second");
    is($1, $left - 1, "$what: one client");
}
sub apart {
    my ($what, $one, $two) = @_;
    my ($first, $second) = (get(@$one), get(@$two));
    like($first, qr/^(\d+) \d+$/, "$what: counted");
    is($second, $first, "$what: two clients");
}

### Addresses
my $v4 = $s->net;
same('IPv4', ["$v4.1", '/address'], ["$v4.1", '/address']);
apart('IPv4', ["$v4.2", '/address'], ["$v4.3", '/address']);
same('IPv4 in IPv6', ["$v4.4", '/address'], ["::ffff:$v4.4", '/address']);
apart('IPv4 in IPv6', ["::ffff:$v4.5", '/address'], ["::ffff:$v4.6", '/address']);
same('64 bits', ["$net:1::1", '/address'], ["$net:1:ffff:ffff:ffff:fffe", '/address']);
apart('64 bits', ["$net:2::1", '/address'], ["$net:3::1", '/address']);
same('other letters', ["$net:a::1", '/address'],
     [uc("$net:000a:0:0:0:1"), '/address']);
same('48 bits', ["$net:1::1", '48:/'], ["$net:fffe::1", '48:/']);
my ($low, $high) = map { sprintf '%04x', hex(substr $run, 0, 4) ^ $_ } 0, 1;
$_ = "2001:db9:$_" for $low, $high;
apart('48 bits', ["$low:1::1", '48:/'], ["$high:1::1", '48:/']);
same('56 bits', ["$net:0100::1", '56:/'], ["$net:01ff::1", '56:/']);
apart('56 bits', ["$net:0200::1", '56:/'], ["$net:0300::1", '56:/']);
same('61 bits', ["$net:0108::1", '61:/'], ["$net:010f::1", '61:/']);
apart('61 bits', ["$net:0110::1", '61:/'], ["$net:0118::1", '61:/']);
same('128 bits', ["$net:1::1", '128:/'], ["$net:1::1", '128:/']);
apart('128 bits', ["$net:1::2", '128:/'], ["$net:1::3", '128:/']);
same('0 bits', ["$net:1::1", '0:/'], ["fe80::1", '0:/']);
apart('0 bits, but IPv4', ["$v4.7", '0:/'], ["$v4.8", '0:/']);
# A chain: the last one is the client of our proxy, what it claims is its own
same('a claimed address', ["9.9.9.9, $v4.9", '/address'], ["8.8.8.8, $v4.9", '/address']);

# One connection, that of a proxy which does not always say for whom it asks
{
    my $c = RateLimit::Client->new(port => $s->port);
    my $left = sub { $c->get('/address', @_)->header('X-RateLimit-Remaining') };
    my $own = $left->();
    is($left->('X-Forwarded-For' => "$v4.60"), 99, 'for a client');
    is($left->(), $own - 1, 'for itself again');
    is($left->('X-Forwarded-For' => "$v4.61"), 99, 'for another client');
    is($left->('X-Forwarded-For' => "$v4.60"), 98, 'for the first again');
    is($left->(), $own - 2, 'and for itself');
}

### %{RATELIMIT_CLIENT}
for my $path ('/client-setting', '/client-option') {
    same($path, ["$net:1::1", $path], ["$net:1::2", $path]);
    apart($path, ["$net:2::1", $path], ["$net:3::1", $path]);
}
is($client->get('/', 'X-Forwarded-For' => '2001:db8:5:6:7:8:9:a')
   ->header('X-Client'), '2001:db8:5:6::', 'in another module, cut');
is($client->get('/', 'X-Forwarded-For' => '192.0.2.7')->header('X-Client'),
   '192.0.2.7', 'whole where it is IPv4');
like(get('2001:db8:77::5', '/client-if'), qr/^7 /, 'in <If>');
like(get("$v4.10", '/client-if'), qr/^50 /, 'for nobody else');
same('with more', ["$net:1::1", '/client-and-more', 'User-Agent' => 'a'],
     ["$net:1::2", '/client-and-more', 'User-Agent' => 'a']);
apart('with more', ["$net:2::1", '/client-and-more', 'User-Agent' => 'a'],
      ["$net:2::1", '/client-and-more', 'User-Agent' => 'b']);

### Expressions
same('fixed text', ["$v4.11", '/everybody'], ["$v4.12", '/everybody']);
my ($a, $b) = (new_name(), new_name());
same('a field', ["$v4.13", '/header', 'X-Key' => $a], ["$v4.14", '/header', 'X-Key' => $a]);
apart('a field', ["$v4.13", '/header', 'X-Key' => $b],
      ["$v4.13", '/header', 'X-Key' => new_name()]);
is(get("$v4.15", '/header'), '-', 'no field: the limit is skipped');
is(get("$v4.15", '/header', 'X-Key' => ''), '-', 'nor an empty one');

same('the first key', ["$v4.16", '/fallback', 'X-Key' => $a, 'X-Other' => $b],
     ["$v4.17", '/fallback', 'X-Key' => $a]);
same('the second key', ["$v4.16", '/fallback', 'X-Other' => $b],
     ["$v4.17", '/fallback', 'X-Other' => $b]);
same('the third key', ["$v4.18", '/fallback'], ["$v4.18", '/fallback']);
apart('the third key', ["$v4.19", '/fallback'], ["$v4.20", '/fallback']);

my $mark = $s->mark;
is(get("$v4.21", '/two-limits'), '200 199', 'one limit skipped, the other holds');
like($s->error_log($mark), qr/RLX0011: no key for 100 per 1 day /,
     'which the debug log says');
is(get("$v4.21", '/two-limits', 'X-Key' => new_name()), '100 99', 'both hold');

same('RateLimitKey', ["$v4.22", '/setting', 'X-Key' => $a],
     ["$v4.23", '/setting', 'X-Key' => $a]);
is(get("$v4.22", '/setting'), '-', 'RateLimitKey that is empty');
apart('RateLimitKey of an inner section',
      ["$v4.22", '/setting/inner', 'X-Key' => $a, 'X-Inner' => new_name()],
      ["$v4.22", '/setting/inner', 'X-Key' => $a, 'X-Inner' => new_name()]);

sub login { return Authorization => 'Basic ' . encode_base64("$_[0]:secret", '') }
same('a user', ["$v4.24", '/user', login('jane')], ["$v4.25", '/user', login('jane')]);
{
    my ($jane) = get("$v4.24", '/user', login('jane')) =~ / (\d+)/;
    get("$v4.24", '/user', login('john')) for 1 .. 3;
    is(get("$v4.24", '/user', login('jane')), '100 ' . ($jane - 1),
       'another user: another client');
    is(get("$v4.24", '/user'), '-', 'nobody: refused before it counts');
}

### The environment
same('SetEnvIfExpr', ["$v4.26", '/env-expr'], ["$v4.27", '/env-expr']);
same('SetEnvIf', ["$v4.28", '/env-if', 'X-Plan' => $a], ["$v4.29", '/env-if', 'X-Plan' => $a]);
apart('SetEnvIf', ["$v4.28", '/env-if', 'X-Plan' => $b],
      ["$v4.28", '/env-if', 'X-Plan' => new_name()]);
for (['/env-rewrite', 'X-Tenant'], ['/env-rewrite-dir', 'X-Team']) {
    my ($path, $field) = @$_;
    same("$path [E=]", ["$v4.30", $path, $field => $a], ["$v4.31", $path, $field => $a]);
    apart("$path [E=]", ["$v4.30", $path, $field => $b],
          ["$v4.30", $path, $field => new_name()]);
}
same('SetEnv', ["$v4.32", '/env-set'], ["$v4.33", '/env-set']);
same('RequestHeader', ["$v4.34", '/request-header', 'X-From' => $a],
     ["$v4.35", '/request-header', 'X-From' => $a]);
apart('RequestHeader', ["$v4.34", '/request-header', 'X-From' => $b],
      ["$v4.34", '/request-header', 'X-From' => new_name()]);

### Methods
my $c = "$v4.40";
is(ask($c, GET => '/together'), '100 99', 'GET');
is(ask($c, HEAD => '/together'), '100 98', 'HEAD counts with it');
is(ask($c, POST => '/together'), '100 97', 'POST too');
is(ask($c, GET => '/per-method'), '100 99', 'per_method: GET');
is(ask($c, GET => '/per-method'), '100 98', 'GET again');
is(ask($c, HEAD => '/per-method'), '100 99', 'HEAD by itself');
is(ask($c, POST => '/per-method'), '100 99', 'POST by itself');
is(ask($c, GET => '/per-method'), '100 97', 'GET where it was');
is(ask($c, GET => '/get'), '100 99', 'methods=GET');
is(ask($c, HEAD => '/get'), '100 98', 'is HEAD as well');
is(ask($c, POST => '/get'), '50 49', 'another: the default holds');
is(ask($c, GET => '/get'), '100 97', 'it was not counted here');
is(ask($c, POST => '/post'), '100 99', 'methods=post,PUT');
is(ask($c, PUT => '/post'), '100 98', 'PUT');
is(ask($c, GET => '/post'), '50 49', 'GET is not overridden');
is(ask($c, DELETE => '/post'), '50 48', 'nor DELETE');
is(ask($c, UNHEARDOF => '/post'), '50 47', 'nor what nobody knows');
is(ask($c, UNHEARDOF => '/together'), '100 96', 'which counts as well');

### Scopes, endpoints, servers
$c = "$v4.41";
is(get($c, '/scope/a'), '100 99', 'a scope');
is(get($c, '/scope/b'), '100 99', 'is part of its section');
is(get($c, '/scope/a'), '100 98', 'which counts on');
is(get($c, '/scope/expr?1'), '100 99', 'scope by expression');
is(get($c, '/scope/expr?2'), '100 99', 'another');
is(get($c, '/scope/expr?1'), '100 98', 'the same');
is(get($c, '/scope/expr'), '100 99', 'none');
my @scope = ('X-Scope' => new_name());
is(get($c, '/shared/a', @scope), '100 99', 'shared');
is(get($c, '/shared/b', @scope), '100 98', 'by both sections');
is(get($c, '/shared/a', 'X-Scope' => new_name()), '100 99', 'another scope');
is(get($c, '/shared/method', @scope), '100 99', 'shared, per method');
is(ask($c, POST => '/shared/method', @scope), '100 99', 'POST');
is(get($c, '/shared/method', @scope), '100 98', 'GET');
is(get($c, 'other:/shared/a', @scope), '100 99', 'another server: another counter');
is(get("$v4.42", '/shared/a', @scope), '100 99', 'another client too');
is(get($c, '/endpoint/a'), '100 99', 'an endpoint');
is(get($c, '/endpoint/b'), '100 98', 'of the same name');
is(get($c, '/endpoint/c'), '100 99', 'a section without');
is(get($c, 'other:/endpoint/a'), '100 99', 'the name on another server');
is(get($c, '/endpoint/expr?x'), '100 99', 'endpoint by expression');
is(get($c, '/endpoint/expr?y'), '100 99', 'another');
is(get($c, '/endpoint/expr?the-one'), '100 97', 'the name of the first');
is(get($c, '/endpoint/expr'), '100 99', 'none: the section itself');
is(get($c, '/address'), '100 99', 'a section');
is(get($c, 'other:/address'), '100 99', 'of the same name on another server');
is(get($c, '/default'), '50 49', 'the default');
is(get($c, 'other:/default'), '50 49', 'of another server');
is(get($c, '/other'), '50 48', 'of all that has no section');

### No two keys meet: each is new once and known then
my $long = 'k' x 7000;
my %hostile = map { $_ => 1 } (
    'a', 'A', 'aa', 'a:b', 'a%3Ab', 'a%3ab', 'a%253Ab', ':', '::', '%', '%%',
    '%25', '{a}', '{a', 'a}', '{}', 'a"b', "a'b", 'a\\b', 'a\\\\b', 'a b',
    "a\tb", 'a  b', 'a/b', 'a|b', 'a,b', 'a;b', '0', '00', '1 per 1 day',
    '%00', "a%00b", '%{REMOTE_ADDR}', '$1', '*', '?', '#', '~', "\x7e\xc2\xa0",
    "\x80", "\xff", "\xfe\xff", "\xc3\x28", "\xc3\xa9", "\xe9", "\xc0\xaf",
    "\xed\xa0\x80", "\xf4\x90\x80\x80", $long, $long . 'k', "l$long",
    substr($long, 1) . 'l', $long . "\xff", 'location /hostile', '127.0.0.1',
);
for my $pass (1, 2) {
    my %code;
    for my $key (sort keys %hostile) {
        # The client's own address is no part of it.
        my $r = $client->get('/hostile', 'X-Forwarded-For' => "$v4.50",
                             'X-Key' => "$run$key");
        push @{ $code{ $r->code } }, $key =~ s/[^ -~]/?/gr;
    }
    my $want = $pass == 1 ? 200 : 429;
    is(scalar @{ $code{$want} || [] }, scalar keys %hostile,
       $pass == 1 ? 'hostile keys: none meets another' : 'each is known again')
        or diag "but these gave $_: @{$code{$_}}"
        for grep { $_ != $want } keys %code, 0;
}
for my $pass (1, 2) {
    my $want = $pass == 1 ? 200 : 429;
    my @paths = map { "/hostile-uri/$run$_" } '%01', '%02', '%1b', '%0a', '%0d',
        '%0a%0a', '%7f', '%20', '%ff', '%fe', '', 'a%01', '%01a', '%2501', '%09';
    my @got = map { $client->get($_, 'X-Forwarded-For' => "$v4.51")->code } @paths;
    is("@got", join(' ', ($want) x @paths),
       $pass == 1 ? 'control bytes: none meets another' : 'each is known again');
}
# What belongs to one part of a name is not taken for another's.
{
    my @parts = (['a', 'b', 'c'], ['ab', '', 'c'], ['', 'ab', 'c'],
                 ['a', 'bc', 'x'], ['b', 'a', 'c'], ['c', 'b', 'a'],
                 ['a', 'c', 'b'], ['a:b', '', 'c'], ['a', ':b', 'c'],
                 ['a', 'b:', 'c'], ['', '', 'abc'], ['', '', 'a:b:c'],
                 ['a', 'b', ':c'], ['', 'a:b', 'c'], ['a:b:c', '', 'a']);
    for my $pass (1, 2) {
        my @got = map {
            my ($endpoint, $scope, $key) = @$_;
            $client->get('/hostile-parts', 'X-Forwarded-For' => "$v4.52",
                'X-Key' => $key . $run,
                length $scope ? ('X-Scope' => $scope) : (),
                length $endpoint ? ('X-Endpoint' => $endpoint) : ())->code;
        } @parts;
        my $want = $pass == 1 ? 200 : 429;
        is("@got", join(' ', ($want) x @parts), $pass == 1
           ? 'endpoint, scope, key: none runs into the next' : 'known again');
    }
}

### RateLimitKeyPrefix: other counters, and the old ones where it comes back
{
    my $conf = <<'END';
RateLimitKeyPrefix PREFIX
RateLimitDefault "1 per day"
END
    my $h = RateLimit::Httpd->start(conf => $conf =~ s/PREFIX/a/r);
    my $c = $h->client;
    is($c->get('/')->code, 200, 'a prefix');
    is($c->get('/')->code, 429, 'one request');
    $h->set_conf($conf =~ s/PREFIX/b/r);
    $h->graceful;
    is($c->get('/')->code, 200, 'another prefix');
    is($c->get('/')->code, 429, 'one request');
    $h->set_conf($conf =~ s/PREFIX/a/r);
    $h->graceful;
    is($c->get('/')->code, 429, 'the first again');
}
done_testing;
