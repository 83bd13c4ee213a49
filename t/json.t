# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# limiter-status as JSON: it fits docs/status.schema.json whatever the
# configuration, and says what is configured and what holds where.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);
use RateLimit::Example qw($NESTED);
use RateLimit::Httpd;
use RateLimit::Json qw(status fits limits_of sections_of);
use RateLimit::Place qw(slurp);
use RateLimit::Redis;

my $handler = <<'END';
<Location "/limiter-status">
    SetHandler limiter-status
</Location>
END

# A server with a configuration whose first line is line 1 in what follows.
# %more: modules => [], files => {} and so on
sub serve {
    my ($conf, %more) = @_;
    my $h = RateLimit::Httpd->start(conf => "Include \"\@DIR\@/conf\"\n",
        files => { '../conf' => $conf, %{ delete $more{files} || {} } }, %more);
    return $h;
}
# "file:line" as "line 4"
sub line { my ($at) = @_; return defined $at ? $at =~ s{.*/conf:(\d+)$}{line $1}r : undef }

### The example of DESIGN section 3

my $h = serve("$NESTED$handler", faketime => 1);
my $json = status($h->client);
is_deeply([ grep { !exists $json->{$_} } qw(version server config storage counters
                                            servers top_refused warnings) ],
          [], 'what is always there');
ok(!exists $json->{path} && !exists $json->{key}, 'what was not asked for is not');
like($json->{version}, qr/^\d+\.\d+\.\d+/, 'the version');
is($json->{server}{now}, '2027-01-15T08:00:00Z', 'the time');
is($json->{server}{started}, '2027-01-15T08:00:00Z', 'and since when');
is($json->{server}{name}, 'localhost', 'a name');
is($json->{server}{mpm}, $h->mpm, 'the MPM');
is(@{ $json->{servers} }, 1, 'one server');
my $main = $json->{servers}[0];
is($main->{name}, '_main', 'which is the main server');
is_deeply([ limits_of($main->{application}) ], [ '100 per 1 minute [application]' ],
          'application');
is_deeply([ limits_of($main->{default}) ], [ '100 per 1 hour [default]' ], 'default');
is_deeply([ @$main{qw(meta fallback)} ], [ [], [] ], 'neither meta nor fallback');
is_deeply([ limits_of($main->{effective}) ],
          [ '100 per 1 minute [application]', '100 per 1 hour [default]' ],
          'what holds elsewhere');
is_deeply([ map { $_->{path} } @{ $main->{sections} } ], [ '/parent' ],
          'one section is outermost');
my ($parent) = @{ $main->{sections} };
is_deeply([ map { $_->{path} } @{ $parent->{sections} } ],
          [ '/parent/child', '/parent/health' ], 'two are nested in it');
my %section = sections_of($main);
my @health = qw(application default ancestors);
my $all = '100 per 1 minute [application]';
my %wanted = (
    '/parent' => [ 3, [ '2 per 1 minute [own]' ], [], $all, '2 per 1 minute [own]' ],
    '/parent/child' => [ 6, [ '1 per 1 second [own]' ], [], '1 per 1 second [own]', $all,
                         '2 per 1 minute [inherited from Location /parent]' ],
    '/parent/child/grandchild' => [ 9, [ '10 per 1 minute [own]' ], [], $all,
                                    '10 per 1 minute [own]' ],
    '/parent/health'                  => [ 12, [], \@health ],
    '/parent/child/health'            => [ 15, [], \@health ],
    '/parent/child/grandchild/health' => [ 18, [], \@health ],
);
is(keys %section, keys %wanted, 'six sections');
for my $path (sort keys %wanted) {
    my ($line, $own, $exempt, @effective) = @{ $wanted{$path} };
    my $it = $section{"Location $path"};
    is(line($it->{declared_at}), "line $line", "$path: where it is");
    is_deeply([ limits_of($it->{own}) ], $own, "$path: own");
    is_deeply($it->{exempt}, $exempt, "$path: exempt");
    is_deeply([ limits_of($it->{effective}) ], \@effective, "$path: effective");
}
my ($own) = @{ $section{'Location /parent/child'}{own} };
is(line(delete $own->{declared_at}), 'line 7', 'a limit: where it is');
is_deeply($own, { limit => '1 per 1 second', count => 1, window => 1,
                  strategy => 'fixed-window', source => 'own',
                  override_defaults => JSON::PP::false },
          'a limit: all else, flags as booleans');
is($section{'Location /parent/child'}{effective}[2]{from}, 'Location /parent',
   'a limit: the section that it is inherited from');
my ($default) = grep { $_->{directive} eq 'RateLimitStatus' } @{ $json->{config} };
is_deeply($default, { directive => 'RateLimitStatus', value => '429', server => '_main',
                      section => undef, declared_at => undef }, 'a setting that is not set');
my ($store) = @{ $json->{storage} };
is_deeply([ @$store{qw(uri kind servers fallback healthy error)} ],
          [ 'shm://', 'shm', [ '_main' ], JSON::PP::false, JSON::PP::true, undef ],
          'the storage');
cmp_ok($store->{bytes}, '>=', 32 << 20, 'its size');
is_deeply($json->{warnings}, [], 'no warning');

### Options, methods, dynamic limits

my $first_options = 'methods=POST,PUT per_method=on key=%{req:X-A} key=%{req:X-B} cost=2 name=in'
    . ' status=403 dry_run=on deduct_when="%{REQUEST_STATUS} == 401" reserve=on phase=early'
    . ' meta="3/hour"';
my $second_options = 'strategy=gcra burst=7 methods=GET cost="%{req:X-Cost}" scope=s'
    . q( exempt_when="-n req('X-Free')" error_message="no \\"more\\"" on_breach=/slow.html)
    . ' override_defaults=off';
$h = serve(<<"END");
RateLimitDefault "9/day"
RateLimitStrategy moving-window
RateLimitStatus 503
<Location "/login">
    RateLimit "5/minute" $first_options
    RateLimit "2147483647 per 100 years" $second_options
</Location>
<Location "/plan">
    RateLimit "%{env:PLAN}"
    RateLimitEndpoint "%{req:X-End}"
</Location>
<Location "/try">
    RateLimitEngine DryRun
    RateLimitShared "4 per month; 0/second" scope=%{HTTP_HOST}
    RateLimitExempt All
</Location>
<Location "/login/later">
    RateLimitExempt
</Location>
$handler
END
$json = status($h->client);
%section = sections_of($json->{servers}[0]);
my ($first, $second) = @{ $section{'Location /login'}{own} };
delete $_->{declared_at} for $first, $second;
is_deeply($first, {
    limit => '5 per 1 minute', count => 5, window => 60, strategy => 'moving-window',
    source => 'own', key => [ '%{req:X-A}', '%{req:X-B}' ], methods => [ 'PUT', 'POST' ],
    per_method => JSON::PP::true, cost => 2, deduct_when => '%{REQUEST_STATUS} == 401',
    reserve => JSON::PP::true, phase => 'early', name => 'in', status => 403,
    meta => '3 per 1 hour', dry_run => JSON::PP::true }, 'options');
is_deeply($second, {
    limit => '2147483647 per 100 year', count => 2147483647, window => 3110400000,
    strategy => 'gcra', source => 'own', methods => [ 'GET' ], scope => 's', burst => 7,
    cost => '%{req:X-Cost}', exempt_when => q(-n req('X-Free')),
    override_defaults => JSON::PP::false, error_message => 'no "more"',
    on_breach => '/slow.html' }, 'the other options; large numbers in full');
my ($nine) = grep { $_->{limit} eq '9 per 1 day' }
    @{ $section{'Location /login'}{effective} };
is_deeply($nine->{holds_for_all_but}, [ 'PUT', 'POST' ],
          'the default holds where nothing overrides it');
my $plan = $section{'Location /plan'};
is_deeply([ @{ $plan->{own}[0] }{qw(limit count window)} ],
          [ '%{env:PLAN}', undef, undef ], 'a dynamic limit');
is($plan->{endpoint}, '%{req:X-End}', 'an endpoint');
my $try = $section{'Location /try'};
is($try->{engine}, 'DryRun', 'the engine in force');
is_deeply([ map { [ @$_{qw(limit window scope)} ] } @{ $try->{own} } ],
          [ [ '4 per 1 month', 2592000, '%{HTTP_HOST}' ],
            [ '0 per 1 second', 1, '%{HTTP_HOST}' ] ], 'several limits of a line');
is_deeply($try->{exempt}, [ qw(application default meta ancestors descendents) ], 'exempt All');
is_deeply($section{'Location /login/later'}{exempt_in_force},
          [ qw(application default meta) ], 'what is exempt in force');
my ($set) = grep { $_->{directive} eq 'RateLimitEngine' && $_->{section} }
    @{ $json->{config} };
is_deeply([ @$set{qw(value server section)}, line($set->{declared_at}) ],
          [ 'DryRun', '_main', 'Location /try', 'line 13' ], 'a setting of a section');
is_deeply([ map { [ @$_{qw(limit name kind server section)}, line($_->{declared_at}) ] }
            @{ $json->{counters}{limits} } ],
          [ [ '9 per 1 day', undef, 'default', '_main', undef, 'line 1' ],
            [ '5 per 1 minute', 'in', 'section', '_main', 'Location /login', 'line 5' ],
            [ '3 per 1 hour', undef, 'meta', '_main', 'Location /login', 'line 5' ],
            [ '2147483647 per 100 year', undef, 'section', '_main', 'Location /login', 'line 6' ],
            [ '%{env:PLAN}', undef, 'section', '_main', 'Location /plan', 'line 9' ],
            [ '4 per 1 month', undef, 'shared', '_main', 'Location /try', 'line 14' ],
            [ '0 per 1 second', undef, 'shared', '_main', 'Location /try', 'line 14' ] ],
          'every limit once, where it is declared');

### Three virtual hosts, thirty sections of every kind; names that are hostile

my @kinds = ([ Location => '/l%d' ], [ LocationMatch => '^/m%d/[a-z]+$' ],
             [ Directory => '/srv/d%d' ], [ DirectoryMatch => '^/srv/e%d' ],
             [ Files => 'f%d.html' ], [ FilesMatch => '\.g%d$' ],
             [ If => q(%%{QUERY_STRING} == 'x%d') ], [ Proxy => 'http://127.0.0.1:1%d/' ],
             [ ProxyMatch => '^http://p%d/' ], [ Location => '/l%d/</script>&é' ]);
my $many = <<'END';
ServerName "main.example"
RateLimitApplication "1000/minute"
RateLimitMeta "10/hour"
RateLimitFallback "5/minute"
END
for my $host (1 .. 3) {
    $many .= "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName h$host.example\n$handler";
    $many .= "RateLimitDefault \"$host/day\"\n" if $host > 1;
    for my $i (0 .. 9) {
        my ($kind, $path) = @{ $kinds[$i] };
        $path = sprintf $path, $host;
        $many .= qq(<$kind "$path">\nRateLimit "$i/hour" name=n$i override_defaults=) .
            ($i % 2 ? 'on' : 'off') . "\n" . ($i % 3 ? '' : "RateLimitExempt meta\n") .
            ($i == 0 ? qq(<If "true">\nRateLimit "1/second"\n</If>\n<Else>\n) .
                       qq(RateLimit "2/second"\n</Else>\n) : '') . "</$kind>\n";
    }
    $many .= "</VirtualHost>\n";
}
$h = RateLimit::Httpd->start(modules => [qw(proxy proxy_http)], conf => $many);
my $c = $h->client;
$json = status($c, '?', Host => 'h2.example');
is_deeply([ map { $_->{name} =~ s/:\d+$//r } @{ $json->{servers} } ],
          [ qw(_main h1.example h2.example h3.example) ], 'servers in file order');
is($json->{server}{name}, 'main.example', 'the main server has a name too');
my (undef, @hosts) = @{ $json->{servers} };
is_deeply([ map { scalar @{ [ sections_of($_) ] } / 2 } @hosts ], [ 12, 12, 12 ],
          'the sections of each');
is_deeply([ map { [ limits_of($_->{default}) ] } @hosts ],
          [ [], [ '2 per 1 day [default]' ], [ '3 per 1 day [default]' ] ],
          'the defaults of each');
is(scalar(grep { $_->{kind} eq 'application' } @{ $json->{counters}{limits} }), 1,
   'what all inherit is counted once');
my %of_h3 = sections_of($hosts[2]);
is_deeply([ sort grep { /3/ } keys %of_h3 ],
          [ sort map { my ($kind, $path) = @$_;
                       sprintf("$kind $path", 3) =~ s/é/\x{e9}/r } @kinds ],
          'of every kind, in the words of the configuration');
is_deeply([ limits_of($of_h3{'Proxy http://127.0.0.1:13/'}{own}) ], [ '7 per 1 hour [own]' ],
          'one of them');
status($c, '?path=/l1/a&method=POST', Host => 'h1.example');
status($c, '?path=/nowhere%3Cscript%3E%22%00%ff', Host => 'h1.example');
status($c, '?key=192.0.2.1');
status($c, '?key=%3Cscript%3E%22%5C%01%7f%ff%e2%80%a8&path=/&refresh=9');

### Every byte, somewhere

my $bytes = join '', map { chr } grep { !/^(?:10|13|34|37|92)$/ } 1 .. 255;
my $long = 'x' x 5000;
$h = serve(<<"END");
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimit "1/hour" error_message="$bytes" name=n
    RateLimit "1/day" error_message="\xe2\x80\xa8\xe2\x80\xa9</script>\xf0\x9f\x98\x80"
    RateLimit "1/year" error_message="$long"
    RateLimitExempt All
    RateLimitEngine Off
</Location>
END
$json = status($h->client);
my $body = $h->client->get('/limiter-status?format=json')->body;
my $shown = join '', map { chr } grep { !/^(?:10|13|34|37|92)$/ } 1 .. 127;
my ($here) = @{ $json->{servers}[0]{sections} };
is($here->{own}[0]{error_message}, $shown . "\x{fffd}" x 128,
   'every byte: what is no UTF-8 is replaced, all else is as written');
is($here->{own}[1]{error_message}, "\x{2028}\x{2029}</script>\x{1f600}",
   'characters of several bytes');
is($here->{own}[2]{error_message}, $long, 'what is long');
unlike($body, qr/[\x00-\x09\x0b-\x1f\x7f<>&]|\xe2\x80[\xa8\xa9]/,
       'nothing that controls a terminal or ends a script');

### The quick start, and a .htaccess file with a limit of its own: what was counted

my $file = RateLimit::Place::top() . '/conf.d/quickstart.conf';
open my $fh, '<', $file or die "$file: $!";
$h = RateLimit::Httpd->start(faketime => 1,
    conf => do { local $/; readline $fh } . $handler . <<'END',
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
END
    files => { 'ht/.htaccess' => qq(RateLimit "3/hour"\n), 'ht/x' => "x\n", slow => 'x' });
$c = $h->client;
my @me = ('X-Forwarded-For' => '192.0.2.1');
is(join(' ', map { $c->get($_, @me)->code } qw(/slow /slow /slow /ht/x)), '200 429 429 200',
   'two are refused');
$json = status($c, '?key=192.0.2.1&path=/slow');
ok($json->{path} && $json->{key} && $json->{servers}, 'all that was asked for, at once');

my $path = $json->{path};
is_deeply([ @$path{qw(path server method status engine)} ],
          [ '/slow', '_main', 'GET', undef, 'On' ], 'the path');
is_deeply([ map { $_->{name} } @{ $path->{sections} } ], [ 'Location /slow' ], 'its section');
is_deeply([ sort map { "$_->{limit} " . ($_->{holds} ? 'holds' : 'does not') } @{ $path->{limits} } ],
          [ '1 per 1 day holds', '200 per 1 day does not', '50 per 1 hour does not' ],
          'its limits');
my ($added) = grep { $_->{source} =~ /^added by / }
    @{ status($c, '?path=/ht/x')->{path}{limits} };
is($added->{limit}, '3 per 1 hour', 'that of a .htaccess file');

my $key = $json->{key};
is_deeply([ @$key{qw(key counted_as)} ], [ ('192.0.2.1') x 2 ], 'the key');
is_deeply([ map { [ @$_{qw(limit remaining reset retry counted_under)} ] }
            grep { $_->{limit} =~ /^1 / } @{ $key->{counters} } ],
          [ [ '1 per 1 day', 0, 86400, 86400, 'Location /slow' ] ], 'its counter without room');
my ($rest) = grep { $_->{limit} =~ /^50 / } @{ $key->{counters} };
is_deeply([ @$rest{qw(remaining reset retry)}, !!$rest->{has_room} ], [ 49, 3600, 0, !!1 ],
          'and one with room');
is($key->{counters}[0]{storage}, 'shm://', 'where it is');

is_deeply([ map { [ @$_{qw(server seen status error)}, !!$_->{added},
                    map { limits_of($_->{own}) } @{ $_->{sections} } ] } @{ $json->{htaccess} } ],
          [ [ '_main', '2027-01-15T08:00:00Z', undef, undef, !!1, '3 per 1 hour [own]' ] ],
          'the file that was seen');
is($json->{htaccess_left_out}, 0, 'and no other');

my $counters = $json->{counters};
is($counters->{since}, '2027-01-15T08:00:00Z', 'since when is counted');
# The page for this is a request, too, and exempt.
is_deeply([ @$counters{qw(allowed refused exempt dry_run errors seen)} ], [ 2, 2, 1, 0, 0, 5 ],
          'what became of all');
my ($slow) = grep { $_->{section} && $_->{section} eq 'Location /slow' } @{ $counters->{limits} };
is_deeply([ @$slow{qw(seen allowed refused)} ], [ 3, 1, 2 ], 'one limit');
is_deeply($json->{top_refused}, [ {
    key => '192.0.2.1', server => '_main', limit => '1 per 1 day', name => undef,
    refused => 2, refused_at_least => 2, last => '2027-01-15T08:00:00Z' } ], 'who was refused');

### One view for all threads; another one after a restart; a handler of a .htaccess file

$h = serve($handler . <<'END', files => { 'st/.htaccess' => "SetHandler limiter-status\n" });
RateLimitDefault "5/minute"
RateLimitRequestFilter "%{REQUEST_URI} =~ /status/"
END
$c = $h->client;
is_deeply($c->parallel(8, 400, '/limiter-status?format=json&key=192.0.2.1'), { 200 => 400 },
          'many at once');
$json = status($c);
is_deeply([ limits_of($json->{servers}[0]{default}) ], [ '5 per 1 minute [default]' ], 'before');
$h->set_conf($handler . <<'END');
RateLimitDefault "6/minute"
RateLimitRequestFilter "%{REQUEST_URI} =~ /st/"
<Directory "@DOCROOT@">
    AllowOverride FileInfo
</Directory>
END
$h->graceful;
$c = $h->client;
$json = status($c);
is_deeply([ limits_of($json->{servers}[0]{default}) ], [ '6 per 1 minute [default]' ],
          'after a graceful restart');
$h->set_conf(<<'END');
RateLimitDefault "7/minute"
<Directory "@DOCROOT@">
    AllowOverride FileInfo
</Directory>
END
$h->graceful;
my $file_json = JSON::PP->new->utf8->decode($h->client->get('/st/?format=json')->body);
is_deeply([ limits_of($file_json->{servers}[0]{default}) ], [ '7 per 1 minute [default]' ],
          'a handler of a .htaccess file');

### A storage over the network, and how it fares

my $redis = RateLimit::Redis->start;
$h = RateLimit::Httpd->start(conf => $handler . 'RateLimitDefault "1000/hour"' . "\n"
    . 'RateLimitRequestFilter "%{REQUEST_URI} =~ /status/"' . "\n"
    . 'RateLimitStorage ' . $redis->uri . " timeout=200 deny_cache=off\n");
$c = $h->client;
$c->get('/') for 1 .. 5;
$json = status($c);
my ($far, $near) = @{ $json->{storage} };
is_deeply([ @$far{qw(kind breaker)}, !!$far->{healthy} ], [ 'redis', 'closed', !!1 ], 'it is well');
like($far->{since}, qr/^20\d\d-/, 'since it was opened');
my $trips = $far->{round_trips};
is_deeply([ @$trips{qw(answered failed)} ], [ 5, 0 ], 'five calls');
ok($trips->{average_usec} > 0 && $trips->{average_usec} <= $trips->{max_usec}
   && $trips->{recent_usec} <= $trips->{max_usec} && $trips->{max_usec} < 2e6, 'what they took')
   or diag explain $trips;
is_deeply([ @$near{qw(kind breaker round_trips)}, !!$near->{fallback} ],
          [ 'shm', undef, undef, !!1 ], 'memory has no such thing');
is($near->{since}, $json->{counters}{since}, 'and is there since the start');
$redis->kill;
$c->get('/') for 1 .. 5;
($far) = @{ status($c)->{storage} };
is_deeply([ @$far{qw(breaker retry keys)}, !!$far->{healthy} ], [ 'open', 1, undef, !!0 ],
          'it does not answer');
is($far->{round_trips}{failed}, 1, 'one call found out');

### Large

my $large = $handler . qq(RateLimitDefault "1000/hour, 10000/day"\n);
for my $host (1 .. 10) {
    $large .= "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName h$host\n$handler"
        . join('', map { my $at = int($_ / 10) . ($_ % 10 ? "/$_" : '');
                         qq(<Location "/s$at">\nRateLimit "5/minute, 50/hour" override_defaults=off)
                         . "\n</Location>\n" } 1 .. 100) . "</VirtualHost>\n";
}
$h = RateLimit::Httpd->start(conf => $large);
$c = $h->client;
my ($best, $told) = (99, 0);
for (1 .. 5) {
    my $from = time;
    my $r = $c->get('/limiter-status?format=json');
    my $took = time - $from;
    $best = $took if $took < $best;
    $told = () = $r->body =~ /"kind":"section"/g;
}
is($told, 2000, 'a thousand sections of two limits each');
cmp_ok($best, '<', 1, 'are told in less than a second');

### Nothing is shown that the schema does not know, nor the other way round

my $schema = JSON::PP->new->utf8->decode(slurp(RateLimit::Place::top() . '/docs/status.schema.json'));
my %known = %{ $schema->{'$defs'}{limit}{properties} };
delete @known{ @{ $schema->{'$defs'}{limit}{required} }, qw(from holds_for holds_for_all_but) };
my %added = map { $_ => 1 } slurp(RateLimit::Place::top() . '/src/report/view.c') =~ /\badd_\w+\(view, "(\w+)"/g;
is_deeply([ sort keys %known ], [ sort keys %added ], 'the options of a limit');
is_deeply([ sort 'path', 'key', keys %$json ], [ sort keys %{ $schema->{properties} } ], 'the top level');

ok(fits(), 'everything so far fits the schema');

done_testing;
