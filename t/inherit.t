# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Which limits hold where: DESIGN section 3, case by case, worked out by hand.
# t/resolve_model.t compares random configurations with a model of it.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Example qw($NESTED);
use RateLimit::Httpd;
use RateLimit::Plan;

my $LOG = "LogLevel ratelimit_ext:debug\n";

# Starts a server, compares limits in force for [ path, [ limits ], %how ].
sub holds {
    my ($what, $conf, $cases, %start) = @_;
    my $httpd = RateLimit::Httpd->start(conf => $LOG . $conf, children => 1,
                                        %start);
    my $plan = RateLimit::Plan->new($httpd);
    for my $case (@$cases) {
        my ($path, $limits, %how) = @$case;
        my $name = join ' ', $what, delete $how{note} // (), $how{method} // (),
                        $how{host} // (), $path;
        my $endpoint = delete $how{endpoint};
        is_deeply($plan->of($path, %how), $limits, $name)
            or diag("endpoint " . $plan->endpoint);
        is($plan->endpoint, $endpoint, "$name: endpoint")
            if defined $endpoint;
    }
    return $httpd;
}

### The example of DESIGN section 3

holds('example', $NESTED, [
    [ '/', [ '100 per 1 minute [application]',
             '100 per 1 hour [-] from default' ], endpoint => '-' ],
    [ '/parent', [ '100 per 1 minute [application]',
                   '2 per 1 minute [Location /parent]' ],
      endpoint => 'Location /parent' ],
    [ '/parent/other', [ '100 per 1 minute [application]',
                         '2 per 1 minute [Location /parent]' ] ],
    [ '/parent/child',
      [ '1 per 1 second [Location /parent/child]',
        '100 per 1 minute [application]',
        '2 per 1 minute [Location /parent/child] from Location /parent' ] ],
    [ '/parent/child/grandchild',
      [ '100 per 1 minute [application]',
        '10 per 1 minute [Location /parent/child/grandchild]' ] ],
    [ '/parent/health', [] ],
    [ '/parent/child/health', [] ],
    [ '/parent/child/grandchild/health', [] ],
]);

### Flask-Limiter's quick start, with real counting

{
    my $httpd = RateLimit::Httpd->start(faketime => 1, children => 1,
                                        conf => <<'END');
RateLimitDefault "200 per day, 50 per hour"
<Location "/slow">
    RateLimit "1 per day"
</Location>
<Location "/medium">
    RateLimit "1/second" override_defaults=off
</Location>
<Location "/ping">
    RateLimitExempt
</Location>
END
    $httpd->write($_, 'ok') for qw(slow medium fast ping);
    my $c = $httpd->client;
    my $code = sub { $c->get($_[0])->code };
    is($code->('/slow'), 200, 'quick start: /slow once');
    is($code->('/slow'), 429, 'and no second time');
    is($code->('/medium'), 200, '/medium once');
    is($code->('/medium'), 429, 'not twice in a second');
    $httpd->advance(1);
    is($code->('/medium'), 200, 'again after a second');
    is($code->('/slow'), 429, '/slow still not');
    for (1 .. 48) {
        $httpd->advance(1);
        $code->('/medium') == 200 or fail("/medium, $_");
    }
    $httpd->advance(1);
    is($code->('/medium'), 429, '/medium has the default of 50 per hour');
    is($code->('/fast'), 200, 'which /fast counts for itself');
    my $n = grep { $code->('/fast') == 200 } 1 .. 60;
    is($n, 49, '/fast: 50 in an hour');
    $n = grep { $code->('/ping') == 200 } 1 .. 300;
    is($n, 300, '/ping is exempt');
    $httpd->advance(86400);
    is($code->('/slow'), 200, '/slow again after a day');
}

### Overriding

my @D = ('5 per 1 hour', '50 per 1 day');
my $DEFAULT = qq(RateLimitDefault "50/day, 5/hour"\n);

sub default_at { my ($e) = @_; map { "$_ [$e] from default" } @D }

holds('override', $DEFAULT . <<'END', [
<Location "/on">
    RateLimit 1/minute
    RateLimit 2/second override_defaults=off
</Location>
<Location "/on/plain">
    RateLimitEndpoint plain
</Location>
<Location "/on/adds">
    RateLimit 7/minute override_defaults=off
</Location>
<Location "/off">
    RateLimit 1/minute override_defaults=off
</Location>
<Location "/off/on">
    RateLimit 3/minute
</Location>
<Location "/off/on/off">
    RateLimit 4/second override_defaults=off
</Location>
<Location "/post">
    RateLimit 1/minute methods=POST
</Location>
<Location "/post/off">
    RateLimit 2/minute override_defaults=off
    RateLimit 3/second methods=PUT,DELETE
</Location>
<Location "/get">
    RateLimit 1/minute methods=GET
</Location>
<Location "/head">
    RateLimit 1/minute methods=HEAD
</Location>
<Location "/shared">
    RateLimitShared 1/minute scope=pool
</Location>
<Location "/shared/off">
    RateLimitShared 2/minute scope="%{HTTP_HOST} x" override_defaults=off
</Location>
<Location "/two">
    RateLimit 2/second
</Location>
<Location "/two">
    RateLimit 3/second override_defaults=off
</Location>
<Location "/setting">
    RateLimitStatus 503
    RateLimitHeaders On
</Location>
END
    [ '/', [ default_at('-') ], endpoint => '-' ],
    [ '/setting', [ default_at('-') ], endpoint => '-',
      note => 'settings make no endpoint' ],
    [ '/on', [ '2 per 1 second [Location /on]', '1 per 1 minute [Location /on]' ],
      note => 'one of two overrides' ],
    [ '/on/plain', [ '2 per 1 second [Location /on/plain] from Location /on',
                     '1 per 1 minute [Location /on/plain] from Location /on' ],
      endpoint => 'Location /on/plain', note => 'cut off for what is nested' ],
    [ '/on/adds', [ '2 per 1 second [Location /on/adds] from Location /on',
                    '7 per 1 minute [Location /on/adds]',
                    '1 per 1 minute [Location /on/adds] from Location /on' ],
      note => 'among equals the inner one first' ],
    [ '/off', [ '1 per 1 minute [Location /off]', default_at('Location /off') ] ],
    [ '/off/on', [ '3 per 1 minute [Location /off/on]' ] ],
    [ '/off/on/off',
      [ '4 per 1 second [Location /off/on/off]',
        '3 per 1 minute [Location /off/on/off] from Location /off/on' ] ],
    [ '/post', [ '1 per 1 minute [Location /post]' ], method => 'POST' ],
    [ '/post', [ default_at('Location /post') ], endpoint => 'Location /post',
      note => 'other methods are not overridden' ],
    [ '/post/off', [ '2 per 1 minute [Location /post/off]',
                     default_at('Location /post/off') ] ],
    [ '/post/off', [ '2 per 1 minute [Location /post/off]',
                     '1 per 1 minute [Location /post/off] from Location /post' ],
      method => 'POST' ],
    [ '/post/off', [ '3 per 1 second [Location /post/off]',
                     '2 per 1 minute [Location /post/off]' ], method => 'PUT' ],
    [ '/get', [ '1 per 1 minute [Location /get]' ], method => 'HEAD',
      note => 'GET is HEAD too' ],
    [ '/head', [ '1 per 1 minute [Location /head]' ], method => 'HEAD' ],
    [ '/head', [ default_at('Location /head') ], endpoint => 'Location /head',
      note => 'HEAD is not GET' ],
    [ '/get', [ default_at('Location /get') ], method => 'OPTIONS' ],
    [ '/get', [ default_at('Location /get') ], method => 'BREW',
      note => 'a method that httpd does not know' ],
    [ '/shared', [ '1 per 1 minute [shared pool] from Location /shared' ] ],
    [ '/shared/off',
      [ '2 per 1 minute [shared %{HTTP_HOST} x] from Location /shared/off',
        '1 per 1 minute [shared pool] from Location /shared' ] ],
    [ '/two', [ '3 per 1 second [Location /two]',
                '2 per 1 second [Location /two] from Location /two' ],
      note => 'the second of two alike is the inner one' ],
]);

### Exemptions

holds('exempt', $DEFAULT . <<'END', [
RateLimitApplication 9/minute
<Location "/none">
    RateLimitExempt Off
</Location>
<Location "/default">
    RateLimitExempt default
</Location>
<Location "/default/in">
    RateLimit 1/second override_defaults=off
</Location>
<Location "/application">
    RateLimitExempt application
</Location>
<Location "/meta">
    RateLimitExempt meta
</Location>
<Location "/own">
    RateLimitExempt All
    RateLimit 1/second
</Location>
<Location "/own/in">
    RateLimit 2/second override_defaults=off
</Location>
<Location "/own/in/in">
    RateLimitEndpoint x
</Location>
<Location "/a">
    RateLimit 1/second override_defaults=off
</Location>
<Location "/a/anc">
    RateLimitExempt ancestors
    RateLimit 2/second override_defaults=off
</Location>
<Location "/a/anc/in">
    RateLimit 3/second override_defaults=off
</Location>
<Location "/a/desc">
    RateLimitExempt descendants
    RateLimit 4/second
</Location>
<Location "/a/desc/in">
    RateLimit 5/second override_defaults=off
</Location>
<Location "/a/cut">
    RateLimitExempt descendents ancestors
</Location>
<Location "/a/cut/in">
    RateLimit 6/second override_defaults=off
</Location>
<Location "/repeat">
    RateLimitExempt default
    RateLimitExempt application
</Location>
<Location "/cleared">
    RateLimitExempt All
    RateLimitExempt Off
    RateLimitExempt application
</Location>
<Location "/over">
    RateLimit 1/second
</Location>
<Location "/over/anc">
    RateLimitExempt ancestors
</Location>
<Location "/deep">
    RateLimitExempt default application descendents
</Location>
<Location "/deep/mid">
    RateLimit 1/second
</Location>
<Location "/deep/mid/in">
    RateLimit 2/second override_defaults=off
</Location>
END
    [ '/none', [ '9 per 1 minute [application]', default_at('Location /none') ],
      endpoint => 'Location /none' ],
    [ '/default', [ '9 per 1 minute [application]' ] ],
    [ '/default/in', [ '1 per 1 second [Location /default/in]',
                       '9 per 1 minute [application]',
                       default_at('Location /default/in') ],
      note => 'no descendents, so not for what is nested' ],
    [ '/default/elsewhere', [ '9 per 1 minute [application]' ],
      note => 'the innermost that speaks' ],
    [ '/application', [ default_at('Location /application') ] ],
    [ '/meta', [ '9 per 1 minute [application]', default_at('Location /meta') ] ],
    [ '/own', [ '1 per 1 second [Location /own]' ],
      note => 'own limits apply in any case' ],
    [ '/own/in', [ '2 per 1 second [Location /own/in]' ],
      note => 'exempt with what is nested' ],
    [ '/own/in/in', [ '2 per 1 second [Location /own/in/in] from Location /own/in' ] ],
    [ '/a/anc', [ '2 per 1 second [Location /a/anc]',
                  '9 per 1 minute [application]', default_at('Location /a/anc') ],
      note => 'the defaults are no ancestors' ],
    [ '/a/anc/in', [ '3 per 1 second [Location /a/anc/in]',
                     '2 per 1 second [Location /a/anc/in] from Location /a/anc',
                     '1 per 1 second [Location /a/anc/in] from Location /a',
                     '9 per 1 minute [application]',
                     default_at('Location /a/anc/in') ] ],
    [ '/a/desc', [ '4 per 1 second [Location /a/desc]',
                   '9 per 1 minute [application]' ] ],
    [ '/a/desc/in', [ '5 per 1 second [Location /a/desc/in]',
                      '1 per 1 second [Location /a/desc/in] from Location /a',
                      '9 per 1 minute [application]',
                      default_at('Location /a/desc/in') ],
      note => 'limits of the exempt section neither hold nor override' ],
    [ '/a/cut/in', [ '6 per 1 second [Location /a/cut/in]',
                     '9 per 1 minute [application]',
                     default_at('Location /a/cut/in') ] ],
    [ '/repeat', [] ],
    [ '/cleared', [ default_at('Location /cleared') ] ],
    [ '/over/anc', [ '9 per 1 minute [application]',
                     default_at('Location /over/anc') ],
      note => 'what ancestors override is none of its business' ],
    [ '/deep/mid/in', [ '2 per 1 second [Location /deep/mid/in]',
                        '1 per 1 second [Location /deep/mid/in] from Location /deep/mid' ],
      note => 'two levels below' ],
]);

### All kinds of sections, and their names

{
    my $conf = <<'END';
<Directory "@DOCROOT@">
    RateLimit 1/hour override_defaults=off
</Directory>
<DirectoryMatch "/htdocs/[a-f]+/">
    RateLimit 2/hour override_defaults=off
</DirectoryMatch>
<Files "x.html">
    RateLimit 3/hour override_defaults=off
</Files>
<FilesMatch "\.html$">
    RateLimit 4/hour override_defaults=off
</FilesMatch>
<location '/ab'>
    RateLimit 6/hour override_defaults=off
</location>
<LocationMatch "^/ab/.*html">
    RateLimit 7/hour override_defaults=off
</LocationMatch>
<Location ~ "^/a">
    RateLimit 8/hour override_defaults=off
    <If "%{HTTP:X-Who} == 'me'">
        RateLimit 9/hour override_defaults=off
    </If>
    <ElseIf "%{HTTP:X-Who} == 'you'">
        RateLimit 10/hour override_defaults=off
    </ElseIf>
    <Else>
        RateLimit 11/hour override_defaults=off
    </Else>
</Location>
END
    my $httpd = RateLimit::Httpd->start(conf => $LOG . $conf, children => 1,
                                        files => { 'ab/x.html' => 'x' });
    my $plan = RateLimit::Plan->new($httpd);
    my $root = $httpd->docroot;
    for my $case (
        [ 'me', q(Location ~ ^/a, If %{HTTP:X-Who} == 'me'), 9 ],
        [ 'you', q(Location ~ ^/a, ElseIf %{HTTP:X-Who} == 'you'), 10 ],
        [ 'they', q(Location ~ ^/a, Else of ElseIf %{HTTP:X-Who} == 'you'), 11 ]) {
        my ($who, $innermost, $count) = @$case;
        is_deeply($plan->of('/ab/x.html', headers => { 'X-Who' => $who }), [
            "$count per 1 hour [$innermost]",
            (map { s/ from/ [$innermost] from/r }
             '8 per 1 hour from Location ~ ^/a',
             '7 per 1 hour from LocationMatch ^/ab/.*html',
             '6 per 1 hour from Location /ab',
             '4 per 1 hour from FilesMatch \.html$',
             '3 per 1 hour from Files x.html',
             '2 per 1 hour from DirectoryMatch /htdocs/[a-f]+/',
             "1 per 1 hour from Directory $root") ],
            "every kind of section, $who");
        is($plan->endpoint, $innermost, "the innermost, $who");
    }
}

{
    my $conf = <<'END';
<Directory "@DOCROOT@">
    RateLimit 1/hour override_defaults=off
    <Files "x.html">
        RateLimit 2/hour override_defaults=off
        <If "true">
            RateLimit 3/hour override_defaults=off
        </If>
    </Files>
    <If "true">
        RateLimit 4/hour override_defaults=off
    </If>
</Directory>
<If "%{HTTP:X-Top} == 'yes'">
    RateLimit 5/hour override_defaults=off
</If>
<Else>
    RateLimit 6/hour override_defaults=off
</Else>
END
    my $httpd = RateLimit::Httpd->start(conf => $LOG . $conf, children => 1,
                                        files => { 'x.html' => 'x' });
    my $root = $httpd->docroot;
    my $plan = RateLimit::Plan->new($httpd);
    my @got = @{ $plan->of('/x.html') };
    my %from = map { /^(\d+) .*? from (.*)$/ } @got;
    is($from{1}, "Directory $root", 'a directory');
    is($from{2}, "Directory $root, Files x.html", 'Files inside');
    is($plan->endpoint, "Directory $root, Files x.html, If true", 'If inside');
    is($from{4}, "Directory $root, If true", 'If inside the directory');
    is($from{6}, q(Else of If %{HTTP:X-Top} == 'yes'), 'Else of the server');
    is(scalar(grep { / from .*\bFiles x\.html$/ } @got), 1, 'merged once');
}

{
    my $httpd = RateLimit::Httpd->start(conf => $LOG . <<'END', children => 1,
<Location "/back">
    RateLimit 1/hour override_defaults=off
</Location>
<Proxy "http://127.0.0.1:@PORT@/*">
    RateLimit 2/hour override_defaults=off
</Proxy>
<ProxyMatch "^http://127.0.0.1:@PORT@/in">
    RateLimit 3/hour override_defaults=off
</ProxyMatch>
ProxyPass "/back/" "http://127.0.0.1:@PORT@/"
END
        modules => [qw(proxy proxy_http)], files => { 'in.txt' => 'in' });
    my $plan = RateLimit::Plan->new($httpd);
    my $port = $httpd->port;
    # The inner request of the proxy, to /in.txt itself, has no limits.
    is_deeply($plan->of('/back/in.txt'), [
        '1 per 1 hour [Location /back]',
        "3 per 1 hour [Location /back] from ProxyMatch ^http://127.0.0.1:$port/in",
        "2 per 1 hour [Location /back] from Proxy http://127.0.0.1:$port/*" ],
        'Proxy and ProxyMatch');
    is($plan->response->body, 'in', 'and it is proxied');
}

### Virtual hosts

holds('hosts', <<'END', [
RateLimitDefault 1/hour
RateLimitApplication 2/hour
<Location "/main">
    RateLimit 3/hour override_defaults=off
</Location>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName inherits
    <Location "/own">
        RateLimit 4/hour override_defaults=off
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName bare
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName default
    RateLimitDefault 5/hour
    RateLimitDefault 6/day
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName application
    RateLimitApplication 7/hour
    <Location "/main">
        RateLimit 8/hour override_defaults=off
    </Location>
</VirtualHost>
END
    [ '/', [ '2 per 1 hour [application]', '1 per 1 hour [-] from default' ] ],
    [ '/', [ '2 per 1 hour [application]', '1 per 1 hour [-] from default' ],
      port => 2, host => 'inherits' ],
    [ '/', [ '2 per 1 hour [application]', '1 per 1 hour [-] from default' ],
      port => 2, host => 'bare' ],
    [ '/own', [ '2 per 1 hour [application]',
                '1 per 1 hour [Location /own] from default',
                '4 per 1 hour [Location /own]' ], port => 2, host => 'inherits' ],
    [ '/own', [ '2 per 1 hour [application]', '1 per 1 hour [-] from default' ],
      port => 2, host => 'bare' ],
    [ '/main', [ '2 per 1 hour [application]',
                 '1 per 1 hour [Location /main] from default',
                 '3 per 1 hour [Location /main]' ], port => 2, host => 'bare' ],
    [ '/', [ '2 per 1 hour [application]', '5 per 1 hour [-] from default',
             '6 per 1 day [-] from default' ], port => 2, host => 'default' ],
    [ '/main', [ '7 per 1 hour [application]',
                 '1 per 1 hour [Location /main] from default',
                 '8 per 1 hour [Location /main]',
                 '3 per 1 hour [Location /main] from Location /main' ],
      port => 2, host => 'application' ],
]);

# Endpoints are counted for each virtual host, umbrella limits for the server
# that declares them; twins have names of their own.
{
    my $httpd = RateLimit::Httpd->start(children => 1, conf => <<'END');
RateLimitDefault 2/hour
<Location "/">
    RateLimitEndpoint all
</Location>
<Location "/umbrella">
    RateLimitExempt default
</Location>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName twin
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT3@>
    ServerName twin
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT3@>
    ServerName other
    RateLimitApplication 3/hour
    RateLimitKeyPrefix x
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT3@>
    RateLimitDefault 2/hour
</VirtualHost>
END
    my $two = sub {
        my ($what, $path, $client, $host) = @_;
        my @codes = map { $client->get($path, Host => $host)->code } 1 .. 3;
        is("@codes", '200 200 429', "two of three: $what");
    };
    $two->('the main server', '/', $httpd->client, 'localhost');
    $two->('a virtual host', '/', $httpd->client(2), 'twin');
    $two->('its twin', '/', $httpd->client(3), 'twin');
    $two->('another', '/', $httpd->client(3), 'other');
    is($httpd->client(3)->get('/umbrella/', Host => 'other')->code, 404,
       'the refused request was not charged to the umbrella');
    is($httpd->client(3)->get('/umbrella/', Host => 'other')->code, 429,
       'which has three');
}

# What servers are called, as the log says it of their umbrella limits.
{
    my $httpd = RateLimit::Httpd->start(children => 1, conf => <<'END');
RateLimitApplication 0/hour
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName WWW.Shop.example
    RateLimitApplication 0/hour
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName https://named.example:443
    RateLimitApplication 0/hour
</VirtualHost>
<VirtualHost *:@PORT2@ 127.0.0.1:@PORT2@>
    ServerName dup
    RateLimitApplication 0/hour
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName dup
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT3@>
    RateLimitApplication 0/hour
</VirtualHost>
END
    my ($two, $three) = map { $httpd->port($_) } 2, 3;
    for my $case ([ 1, 'any', '_main' ],
                  [ 2, 'www.shop.example', "www.shop.example:$two" ],
                  [ 2, 'named.example', 'named.example:443' ],
                  [ 2, 'dup', "dup:$two\@*:$two" ],
                  [ 3, 'any', "127.0.0.1:$three" ]) {
        my ($port, $host, $name) = @$case;
        my $mark = $httpd->mark;
        $httpd->client($port)->get('/', Host => $host);
        my ($got) = $httpd->error_log($mark) =~ /RLX0001: .*? scope "([^"]*)"/;
        is($got, $name, "a server's name: $name");
    }
}

### Settings are inherited one by one, the inner wins

{
    my $httpd = RateLimit::Httpd->start(children => 1, conf => <<'END');
RateLimitDefault 0/hour
RateLimitStatus 503
RateLimitHeaders On
<Location "/off">
    RateLimitEngine Off
</Location>
<Location "/off/on">
    RateLimitEngine On
    RateLimitStatus 420
</Location>
<Location "/dry">
    RateLimitEngine DryRun
</Location>
<Location "/quiet">
    RateLimitHeaders Off
</Location>
<VirtualHost 127.0.0.1:@PORT2@>
    RateLimitStatus 599
</VirtualHost>
END
    $httpd->write("$_/index.html", 'x') for qw(off off/on dry quiet);
    my $c = $httpd->client;
    is($c->get('/')->code, 503, 'status of the server');
    is($c->get('/off/')->code, 200, 'engine off');
    is($c->get('/off/on/')->code, 420, 'on again inside, with another status');
    is($c->get('/dry/')->code, 200, 'dry run');
    is($c->get('/')->header('X-RateLimit-Limit'), 0, 'fields');
    is($c->get('/quiet/')->header('X-RateLimit-Limit'), undef, 'none');
    is($c->get('/quiet/')->code, 503, 'but the status is inherited');
    my $v = $httpd->client(2)->get('/');
    is($v->code, 599, 'a virtual host has its own status');
    is($v->header('X-RateLimit-Limit'), 0, 'and inherits the rest');
}

done_testing();
