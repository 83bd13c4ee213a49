# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# limiter-status?path=: what applies to a URL and why, by a look-up that serves
# and charges nothing. t/resolve_model.t asks about random configurations.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Place ();

# Lines of the configuration are what "line 1" means.
my $dir = RateLimit::Place::public_tempdir('path');
open my $fh, '>', "$dir/conf" or die $!;
print $fh <<'END';
RateLimitDefault "100/hour"
RateLimitApplication "100/minute"
RateLimitMeta "50/day"
<Location "/parent">
    RateLimit "2/minute"
</Location>
<Location "/parent/child">
    RateLimit "1/second" override_defaults=off
    RateLimit "1/day" methods=POST
</Location>
<Location "/parent/child/grandchild">
    RateLimit "10/minute"
</Location>
<Location "/parent/child/grandchild/health">
    RateLimitExempt default application ancestors
</Location>
<Location "/exempt">
    RateLimit "9/hour" override_defaults=off
    RateLimitExempt application default meta descendents
</Location>
<Location "/exempt/inner">
    RateLimit "8/hour" override_defaults=off
</Location>
<Location "/off">
    RateLimitEngine Off
    RateLimit "7/hour"
</Location>
<Location "/dry">
    RateLimitEngine DryRun
</Location>
<Location "/who">
    RateLimit "%{env:PLAN}" override_defaults=off
    RateLimit "4/hour" exempt_when="%{REQUEST_URI} =~ /let/"
    RateLimit "5/hour" key=%{HTTP:X-Key}
    RateLimitKey %{REMOTE_USER}
    RateLimitEndpoint "e-%{REQUEST_METHOD}"
</Location>
<Location "/pass">
    RateLimitRequestFilter "%{QUERY_STRING} == 'free'"
</Location>
<Location "/denied">
    Require all denied
    RateLimit "3/day"
    RateLimit "4/day" phase=early
</Location>
<Location "/moved">
    RewriteEngine On
    RewriteRule ^ /new [R=301]
    RateLimit "3/day"
    RateLimit "4/day" phase=early
</Location>
<Location "/own">
    RateLimit "6/hour" meta="2/day" override_defaults=off
</Location>
<Location "/own/exempt">
    RateLimitExempt meta
</Location>
Redirect "/old" "/new"
SetEnvIf Request_URI "^/who/env" PLAN=7/minute
END
close $fh;

my $httpd = RateLimit::Httpd->start(
    children => 2, faketime => 1,
    modules => [ qw(rewrite negotiation proxy proxy_http) ],
    files => { map { ($_ => "x\n") } qw(d/index.html d/e.html d/x.txt r/a.html
                                        w/a.html n/a.html q/a.html z/index.html
                                        y/index.html y/try/index.html) },
    conf => <<"END" . <<'END');
Include "$dir/conf"
END
<Location "/status">
    SetHandler limiter-status
    RateLimit "1000/minute"
    RateLimitHeaders On
</Location>
<Location "/look">
    SetHandler limiter-status
    RateLimitEngine Off
    Require env looks
</Location>
SetEnvIf X-Look . looks
DirectoryIndex index.html
<Directory "/">
    AllowOverride All
</Directory>
<Directory "@DOCROOT@/d">
    Options +MultiViews
    RateLimit "50/minute"
    <Files index.html>
        RateLimit "6/minute"
    </Files>
</Directory>
<Location "/z">
    RateLimitEngine DryRun
</Location>
<Location "/z/index.html">
    RateLimitEngine On
</Location>
<LocationMatch "^/y/(index\.html|try/)">
    RateLimitEngine DryRun
</LocationMatch>
<Directory "@DOCROOT@/q">
    Require all denied
    RateLimit "4/hour"
</Directory>
ProxyPass "/px/" "http://u:secret@127.0.0.1:1/y/"
<Proxy "http://u:*">
    RateLimit "9/day"
</Proxy>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName v.example
    ServerAlias *.v.example
    RateLimitDefault "3/day"
    RewriteEngine On
    RewriteCond %{HTTP_HOST} !^v\.example
    RewriteRule ^/a - [F]
</VirtualHost>
END
my $root = $httpd->docroot;

sub page {
    my ($question, %header) = @_;
    my $body = $httpd->client->get("/status?format=text&path=$question",
                                   %header)->body;
    return $body =~ s/\Q$dir\E\/conf:(\d+)/line $1/gr =~ s/\Q$root\E//gr;
}
# What holds and what does not, one line each: "limit: why".
sub limits {
    my ($question, %header) = @_;
    my $body = page($question, %header);
    return map {
        my ($part) = $body =~ /^$_\n(.*?)^$/ms;
        ($part // '') =~
            s/^  (\S.*?), .*\n    why: (.*)\n(?:    counts in: .*\n)?/$1: $2\n/gmr
    } 'Limits that hold', 'Limits that do not hold';
}
sub holds { my ($question, %header) = @_;
            return [ map { split /\n/ } (limits($question, %header))[0] ] }
sub not_so { my ($question, %header) = @_;
             return [ map { split /\n/ } (limits($question, %header))[1] ] }
sub notes { my ($body) = page(@_) =~ /^Notes\n(.*)/ms; return $body // '' }

### The whole answer

is(page('/parent/child'), <<'END', 'inherited, overridden, not for the method');
What applies to GET /parent/child
  server: _main
  leads to: /parent/child
  engine: On
  key: the client's address
  endpoint: Location /parent/child

Sections that speak of limits, the outermost first
  Location /parent  (line 4)
  Location /parent/child  (line 7)

Limits that hold
  50 per 1 day, fixed-window  (line 3)
    why: meta
    counts in: meta
  1 per 1 second, fixed-window override_defaults=off  (line 8)
    why: own
    counts in: Location /parent/child
  100 per 1 minute, fixed-window  (line 2)
    why: application
    counts in: application
  2 per 1 minute, fixed-window  (line 5)
    why: inherited from Location /parent
    counts in: Location /parent/child

Limits that do not hold
  1 per 1 day, fixed-window methods=POST  (line 9)
    why: not for GET: methods=POST
  100 per 1 hour, fixed-window  (line 1)
    why: overridden by Location /parent (line 5)

Notes
  there is no such file, and no handler is set: httpd answers 404 after limits are looked at
END

### Overriding, exempting, methods

my ($meta, $app, $default) = ('50 per 1 day: meta', '100 per 1 minute: application',
                              '100 per 1 hour: default');
is_deeply(holds('/parent/child&method=POST'),
          [ $meta, '1 per 1 second: own', $app, '1 per 1 day: own' ], 'POST');
is_deeply(not_so('/parent/child&method=post'),
          [ '2 per 1 minute: overridden by Location /parent/child (line 9)',
            '100 per 1 hour: overridden by Location /parent/child (line 9)' ],
          'what its limit cuts off');
is_deeply(not_so('/parent/child/grandchild/health'), [
    map({ "$_: cut off by RateLimitExempt ancestors of Location "
          . '/parent/child/grandchild/health (line 15)' }
        '10 per 1 minute', '1 per 1 second', '1 per 1 day', '2 per 1 minute'),
    '100 per 1 hour: exempt by RateLimitExempt default of Location '
    . '/parent/child/grandchild/health (line 15)',
    '100 per 1 minute: exempt by RateLimitExempt application of Location '
    . '/parent/child/grandchild/health (line 15)' ], 'exempt')
    or diag page('/parent/child/grandchild/health');
is_deeply([ limits('/exempt/inner') ], [ "8 per 1 hour: own\n",
    "9 per 1 hour: left out by RateLimitExempt descendents of Location /exempt (line 19)\n"
    . join '', map {
        "$_->[0]: exempt by RateLimitExempt $_->[1] of Location /exempt (line 19)\n"
    } [ '100 per 1 hour', 'default' ], [ '100 per 1 minute', 'application' ],
      [ '50 per 1 day', 'meta' ] ], 'an exemption for what is nested')
    or diag page('/exempt/inner');
is_deeply([ limits('/off') ], [ '', join '',
    map({ "$_: RateLimitEngine is Off\n" } '50 per 1 day', '100 per 1 minute',
        '7 per 1 hour'),
    "100 per 1 hour: overridden by Location /off (line 26)\n" ], 'Engine Off')
    or diag page('/off');
like(page('/dry'), qr/^  engine: DryRun\n.*^  RateLimitEngine is DryRun here: /ms, 'DryRun');
# Each place has its own: /z/ is tried, what it leads to is enforced, and the other way round.
like(notes('/z/'), qr{^  RateLimitEngine is DryRun here: .*^  RateLimitEngine is On at /z/index.html: limits refuse$}ms,
     'DryRun, then On');
like(notes('/y/'), qr{\A(?!.* is On).*^  RateLimitEngine is DryRun at /y/index.html: limits count}ms, 'On, then DryRun');
like(notes('/y/try/'), qr{\A(?!.* is On)(?!.*DryRun.*DryRun)}ms, 'twice the same is said once');
is_deeply(holds('/x&method=TRACE'), [], 'TRACE is never limited');
like(notes('/x&method=TRACE'), qr/httpd answers TRACE itself/, 'and it is said why');
like(notes('/x&method=a%20b'), qr/no method/, 'what is no method');
is_deeply(holds('/x&method=FOO'), [ $meta, $app, $default ], 'any method');

is_deeply(holds('/own'), [ $meta, '2 per 1 day: meta of the limit at line 53', $app,
                           $default, '6 per 1 hour: own' ], 'meta limits of a limit');
is_deeply(not_so('/own/exempt'), [ map {
    "$_ per 1 day: exempt by RateLimitExempt meta of Location /own/exempt (line 56)"
} 50, 2 ], 'and none');

### Expressions: as they come out for the look-up

my $keyless = ', but its key is empty for this look-up, which would skip it';
my $unless = ', unless exempt_when="%{REQUEST_URI} =~ /let/", which is false here';
is_deeply(holds('/who/env/x', 'X-Key' => 'k'), [ map { s/: (?:meta|application)\K$/$keyless/r }
    $meta, $app, "7 per 1 minute: own, given by %{env:PLAN}$keyless",
    "4 per 1 hour: own$unless$keyless", '5 per 1 hour: own' ],
    'a dynamic limit, by SetEnvIf; a condition; a key');
is_deeply([ grep { /exempt_when|expression/ } @{ not_so('/who/let', 'X-Key' => 'k') } ],
    [ '4 per 1 hour: exempt_when="%{REQUEST_URI} =~ /let/" holds for this look-up',
      '%{env:PLAN}: its expression gives no limit for this look-up' ],
    'what does not hold for this look-up');
like(page('/who/x&method=PUT', 'X-Key' => 'k'),
     qr/^  key: %\{REMOTE_USER\}\n  endpoint: e-PUT\n.*5 per 1 hour, .*\n    why: own\n    counts in: e-PUT$/ms,
     'key and endpoint');
is_deeply(holds('/pass/x'), [ $meta, $app, $default ], 'a filter that does not hold');
like(notes('/pass/x'), qr/^  RateLimitRequestFilter "%\{QUERY_STRING\} == 'free'" \(line 39\) does not hold/m,
     'is told');
is_deeply(holds('/pass/x%3Ffree'), [], 'one that does');
like(notes('/pass/x%3Ffree'), qr/ holds for this look-up: no limit is looked at/, 'is told');

### What httpd answers by itself

is_deeply(holds('/denied'), [ $meta, '4 per 1 day: own, before access control', $app,
                              '3 per 1 day: own' ], 'access control hides nothing');
like(page('/denied'), qr/^  answer: 403 Forbidden\n.*phase=early alone$/ms, 'but is told');
is_deeply(holds('/old'), [], 'a Redirect is not limited');
like(notes('/old'), qr{it is sent to http://.*/new}, 'it is told where to');
is_deeply(holds('/moved'), [ $meta, '4 per 1 day: own, before access control' ],
          'a rewrite to elsewhere is before limits, but for those that are early');
is($httpd->client->get('/moved/x')->code, 301, 'as for a request');
like(page('/a/../../x'), qr/^  answer: 400 Bad Request/m, 'out of the root');
like(page('/a%25zz'), qr/^  answer: 400 Bad Request/m, 'wrongly encoded');
like(page('/a%2500b'), qr/^  answer: 40[04] /m, 'a zero');
is(page('/pare%256et/child') =~ s/pare%6et/parent/r, page('/parent/child'), 'encoded');
is(page('/x/%252e%252e/parent//child') =~ s{/x/%2e%2e/parent//child}{/parent/child}r,
   page('/parent/child'), 'a way around');
like(page('/' . 'a' x 300), qr/^  answer: 403 Forbidden/m, 'a name that is too long');
is($httpd->client->get('/status?path=x')->code, 400, 'a path begins with a slash');
like(page('/%3Cb%3E%0a%1b%5B1m'), qr{^What applies to GET /<b>[^\n\x00-\x1f]+$}m,
     'a path is shown on one line, without control characters');

### Where it leads to

is_deeply(holds('/d/'), [ $meta, $app, '50 per 1 minute: own',
                          '6 per 1 minute: at /d/index.html: own' ], 'DirectoryIndex');
like(page('/d/'), qr{^  leads to: /d/index\.html$}m, 'leads to a file');
like(notes('/d'), qr{after limits are looked at, httpd answers 301 Moved Permanently: http://.*/d/$}m,
     'a directory without its slash');
like(page('/d/e'), qr{^  leads to: /d/e\.html$}m, 'MultiViews');
is_deeply(holds('/px/z'), [ $meta, $app, '9 per 1 day: own' ], 'what is passed on');
unlike(notes('/px/z'), qr/secret/, 'without a password');
$httpd->write('r/.htaccess', <<'END');
RateLimit "3/minute"
RewriteEngine On
RewriteRule ^b.html /d/e.html?x=1
END
is_deeply(holds('/r/b.html'), [ $meta, $app, '3 per 1 minute: added by /r/.htaccess', $default,
                                '50 per 1 minute: at /d/e.html: own' ], '.htaccess and a rewrite');
$httpd->write('w/.htaccess', qq(RateLimit "3/minute"\nRateLimit "oops"\n));
like(page('/w/a.html'), qr{^  answer: 500 .*/w/\.htaccess.*"oops" is not a limit.* \(/w/\.htaccess:2\)$}ms, 'a wrong .htaccess');
like(notes("/w$_"), qr{\Qw/.htaccess: RateLimit: "oops"\E.*:2\)$}m, "a wrong one on the way to /w$_")
    for '/', '/none', '/none/deeper', '/a.html/info';
is_deeply(holds("/q$_"), [ $meta, $app, '4 per 1 hour: own' ], "turned away, but walked: /q$_")
    for '/a.html', '/a.html/info/x', '/none', '/none/x', '/', '';
$httpd->write('n/.htaccess', qq(RateLimit "3/minute"\nRateLimitExempt\n));
like(notes('/n/a.html'), qr{/n/\.htaccess: RateLimitExempt \(line 2\): not allowed}, 'one that is not allowed');
is_deeply(holds('/n/a.html'), [], 'no limit then');

### Other servers

my $v = 'v.example:' . $httpd->port(2);
for my $name ($v, 'v.example', 'V.EXAMPLE', 'x.v.example') {
    is_deeply(holds("/x&server=$name"), [ $meta, $app, '3 per 1 day: default' ], "server=$name");
}
like((limits("/x&server=$v"))[1], qr/^100 per 1 hour: replaced: \Q$v\E has its own \(.*:\d+\)$/,
     'what its own replace');
is_deeply(holds("/a&server=$v"), [ $meta, $app, '3 per 1 day: default' ], 'it is asked by its name');
is_deeply(holds('/a&server=v.example'), [ $meta, $app, '3 per 1 day: default' ], 'or as one asks');
is_deeply(holds('/a&server=x.v.example'), [], 'which may make a difference');
like(page('/x&server=nope'), qr/^  answer: 404 .*there are: _main, \Q$v\E/ms, 'one that is not there');

### It charges nothing

my $mark = $httpd->mark;
$httpd->client->get('/parent/child');
my $left = sub { $httpd->client->get('/status')->header('X-RateLimit-Remaining') };
my $first = $left->();
$httpd->client->get("/look?path=$_", 'X-Look' => 1) for
    map({ ("/parent/child$_") x 5 } '', '&method=POST'), ('/status') x 5, '/denied', '/w/a.html',
    '/d/', '/r/b.html';
is($left->(), $first - 1, 'no limit of the page itself is charged by a look-up of it');
$httpd->advance(1);
is($httpd->client->get('/parent/child')->code, 404, 'one of two is left');
$httpd->advance(1);
is($httpd->client->get('/parent/child')->code, 429, 'and none more');
like(page('/parent/child'), qr/2 per 1 minute.*\n    why: inherited/, 'a look-up is not refused');
unlike($httpd->error_log($mark), qr/RLX0001.*\n.*RLX0001/, 'nothing else was refused');

### A storage that does not answer

my $down = RateLimit::Httpd->start(children => 1, conf => <<'END');
RateLimitStorage redis://127.0.0.1:1
RateLimitDefault "5/minute"
RateLimitFallback "3/minute"
<Location "/status">
    SetHandler limiter-status
    RateLimitEngine Off
</Location>
END
$down->client->get('/');
my $said = $down->client->get('/status?path=/x')->body;
like($said, qr/^  3 per 1 minute, .*\n    why: in place of all others while the storage cannot answer$/m,
     'RateLimitFallback');
like($said, qr/the storage does not answer at present.*RateLimitFallback$/m, 'and now is such a time');

done_testing();
