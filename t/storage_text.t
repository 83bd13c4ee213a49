# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# The names that counters have in a storage that is shared with other machines
# (mod_ratelimit_toy logs them): readable, and no two counters have the same,
# whatever a client or an administrator puts into them. Each request here is
# the first of its counter, so each has room for one; a shared name would
# refuse it.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();

my $h = RateLimit::Httpd->start(
    modules => ['ratelimit_toy'],
    files   => {
        map({ ("$_/x" => "x\n") } qw(endpoint section named scoped plain methods
                                     shared ht1 ht2 app none owned owned-named)),
        'ht1/.htaccess' => qq(RateLimitShared "1 per hour" scope=s\n),
        'ht2/.htaccess' => qq(RateLimitShared "1 per hour" scope=s\n),
    },
    conf    => <<'END');
LogLevel ratelimit_ext:debug
RateLimitStorage toy://
RateLimitKeyPrefix "pre:fix"
RateLimitKey %{req:X-Key}
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
<Location "/endpoint">
    RateLimit "1 per hour"
    RateLimitEndpoint "Location /section"
</Location>
<Location "/section">
    RateLimit "1 per hour"
</Location>
<Location "/named">
    RateLimit "1 per hour" name=n
    RateLimitEndpoint e
</Location>
<Location "/scoped">
    RateLimit "1 per hour" scope=%{req:X-Scope}
    RateLimitEndpoint %{req:X-Endpoint}
</Location>
<Location "/plain">
    RateLimit "1 per hour"
    RateLimitEndpoint e
</Location>
<Location "/methods">
    RateLimit "1 per hour" per_method=on
    RateLimitEndpoint e
</Location>
<Location "/shared">
    RateLimitShared "1 per hour" scope=%{req:X-Scope}
</Location>
<Location "/app">
    RateLimitExempt default
</Location>
<Location "/owned">
    RateLimit "1 per hour" scope=%{req:X-Scope} meta="5 per day"
</Location>
<Location "/owned-named">
    RateLimit "1 per hour" name=n:1 meta="5 per day"
</Location>
RateLimitApplication "1 per hour" key=%{req:X-App}
RateLimitDefault "1 per hour"
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName a
</VirtualHost>
END
my ($client, $other) = ($h->client, $h->client(2));

# A request that has room, and the scope that it was charged to.
sub scope {
    my ($path, $headers, $c) = @_;
    my $mark = $h->mark;
    my $r = ($c // $client)->get("/$path/x", 'X-Key' => 'k', %{ $headers || {} });
    my @scopes = $h->error_log($mark) =~ /toy storage: 1 to scope <(.*?)> key </g;
    return $r->code == 200 ? join ' and ', @scopes : $r->code;
}

my $p = 'pre%3Afix:_main:';
my $port = $h->port(2);
my @cases = (
    # A given endpoint is no section, and neither is the server itself.
    ['none',     {},                                     "${p}server::::"],
    ['endpoint', {},                                     "${p}endpoint:Location /section:::"],
    ['section',  {},                                     "${p}section:Location /section:::"],
    ['scoped',   { 'X-Endpoint' => '_main' },            "${p}endpoint:_main:=::"],
    # A name, a method and a scope are not each other, nor nothing.
    ['plain',    {},                                     "${p}endpoint:e:::"],
    ['named',    {},                                     "${p}endpoint:e:::n"],
    ['methods',  {},                                     "${p}endpoint:e::GET:"],
    ['scoped',   { 'X-Endpoint' => 'e' },                "${p}endpoint:e:=::"],
    ['scoped',   { 'X-Endpoint' => 'e', 'X-Scope' => 'GET' }, "${p}endpoint:e:=GET::"],
    # What separates parts is escaped in them, and so is what escapes.
    ['scoped',   { 'X-Endpoint' => 'e:=', 'X-Scope' => ''   }, "${p}endpoint:e%3A%3D:=::"],
    ['scoped',   { 'X-Endpoint' => 'e%3A', 'X-Scope' => ':' }, "${p}endpoint:e%253A:=%3A::"],
    ['scoped',   { 'X-Endpoint' => 'e:', 'X-Scope' => '%3A' }, "${p}endpoint:e%3A:=%253A::"],
    # Shared scopes: one for the server, one for each directory.
    ['shared',   { 'X-Scope' => 's' },                   "${p}shared:s:::"],
    ['shared',   { 'X-Scope' => 's=Directory' },         "${p}shared:s%3DDirectory:::"],
    # Umbrellas.
    ['app',      { 'X-App' => 'k' },                     "${p}application::::"],
    # Another server, another key.
    ['none',     {},                                     "pre%3Afix:a%3A$port:server::::", $other],
    ['none',     { 'X-Key' => 'k:' },                    "${p}server::::"],
);
is(scope(@$_[0, 1, 3]), $_->[2], "$_->[0]: $_->[2]") for @cases;
for my $dir (qw(ht1 ht2)) {
    # The default holds beside what the file adds.
    like(scope($dir, { 'X-Key' => $dir }),
         qr{ \Q${p}\Eshared-in:s=Htaccess /\S*/$dir/:::$}, "$dir: a scope of its own");
}
my ($key) = $h->error_log =~ /key <(k:)>/;
is($key, 'k:', 'the key is given as it is');
is($client->get('/plain/x', 'X-Key' => 'k')->code, 429, 'the second of a counter is refused');

# Meta limits of one limit: named after it.
for my $case (['owned', 's', 'meta-of:1 per 1 hour of Location /owned:=s::'],
              ['owned-named', '', 'meta-of:n%3A1 of Location /owned-named:::']) {
    my ($path, $scope, $name) = @$case;
    my $mark = $h->mark;
    $client->get("/$path/x", 'X-Key' => 'k', 'X-Scope' => $scope) for 1 .. 2;
    my ($said) = $h->error_log($mark) =~ /toy storage: 1 to scope <(\S*:meta-of.*?)> key <k>/;
    is($said, "$p$name", "$path: $name");
}

# What a provider cannot keep is an error that it words.
my ($exit, $output) = RateLimit::Httpd->config_test(<<'END', { modules => ['ratelimit_toy'] });
RateLimitStorage toy://
RateLimitDefault "5 per minute" strategy=gcra
END
isnt($exit, 0, 'a strategy that the storage does not have');
like($output, qr/RateLimitDefault on line \d+ .*"5 per 1 minute": toy:\/\/ counts by fixed-window alone/,
     'is refused in its words');
($exit, $output) = RateLimit::Httpd->config_test(<<'END', { modules => ['ratelimit_toy'] });
RateLimitStorage toy://
RateLimitDefault "5 per minute"
RateLimitFallback "5 per minute" strategy=gcra
END
is($exit, 0, 'but not for RateLimitFallback, which it never sees') or diag($output);
($exit, $output) = RateLimit::Httpd->config_test(<<'END', { modules => ['ratelimit_toy'] });
RateLimitStorage toy://
RateLimitFallback "20000 per minute" strategy=moving-window
END
isnt($exit, 0, 'which has what shared memory keeps');
like($output, qr/RateLimitFallback on line \d+ .*"20000 per 1 minute" as a moving-window/, 'and no more');
done_testing;
