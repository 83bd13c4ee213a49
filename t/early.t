# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# phase=early: limits that are looked at before access control and
# authentication, and the login guard that they make with deduct_when and
# reserve.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(encode_base64);
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Load qw(at_once total);

my $mpm = $ENV{MPM} || 'event';
# A password that takes some milliseconds to check, so that checks overlap.
my $hash = crypt 'secret', '$2y$10$abcdefghijklmnopqrstuu';
my $h = RateLimit::Httpd->start(
    faketime => 1, children => 6,
    modules => [qw(auth_basic authn_file authz_user access_compat rewrite),
                $mpm eq 'prefork' ? 'cgi' : 'cgid'],
    files => {
        (map { ("$_/page.html" => "page\n", "$_/index.html" => "index\n") }
            qw(guard basic any denied both user order atomic dry meta meta/open
               filter setenv parallel plain index files shown htaccess doc)),
        '401.html' => "who are you?\n",
        '429.html' => "too often\n",
        'htaccess/.htaccess' => "RateLimit 1/hour phase=early deduct_when=\"%{REQUEST_STATUS} == 401\"\n",
        '../users' => "jane:$hash\n",
    },
    conf => <<'END');
RateLimitHeaders ietf
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
<LocationMatch "^/(guard|basic|any|both|user|order|atomic|parallel|plain|shown|htaccess|doc|meta(?!/open))/">
    AuthType Basic
    AuthName "here"
    AuthUserFile "@DIR@/users"
    Require valid-user
</LocationMatch>
<Location "/plain">
    RateLimit "2/hour"
</Location>
<Location "/guard">
    RateLimit "3/hour" phase=early reserve=on deduct_when="%{REQUEST_STATUS} == 401"
</Location>
<Location "/parallel">
    RateLimit "3/hour" phase=early reserve=on deduct_when="%{REQUEST_STATUS} == 401"
</Location>
<Location "/basic">
    RateLimit "3/hour" phase=early
</Location>
<Location "/any">
    RateLimit "2/hour" phase=early
    Satisfy Any
    Order allow,deny
    Allow from all
</Location>
<Location "/denied">
    RateLimit "2/hour" phase=early
    Require all denied
</Location>
<Location "/both">
    RateLimit "3/hour" phase=early name=early
    RateLimit "2/hour" name=late
</Location>
<Location "/atomic">
    RateLimit "9/hour" phase=early name=early
    RateLimit "1/hour" name=late
</Location>
<Location "/order">
    RateLimitCharge in-order
    RateLimit "9/hour" phase=early name=early
    RateLimit "1/hour" name=late
</Location>
<Location "/user">
    RateLimit "2/hour" phase=early key=%{REMOTE_USER} key=%{RATELIMIT_CLIENT}
    RateLimit "9/hour" phase=early key=%{REMOTE_USER} name=userless
</Location>
<Location "/dry">
    RateLimit "1/hour" phase=early dry_run=on
</Location>
<Location "/filter">
    RateLimitRequestFilter "req('X-Free') == 'yes'"
    RateLimit "1/hour" phase=early
</Location>
<Location "/setenv">
    SetEnvIf X-Who "(.+)" WHO=$1
    RateLimit "1/hour" phase=early key=%{reqenv:WHO} key=nobody
</Location>
<Location "/index">
    DirectoryIndex index.html
    RateLimit "2/hour" phase=early
</Location>
<Files "index.html">
    <If "%{REQUEST_URI} =~ m#^/files/#">
        RateLimit "1/hour" phase=early
    </If>
</Files>
<Location "/files">
    DirectoryIndex index.html
</Location>
<Location "/shown">
    RateLimit "2/hour" phase=early
    RateLimitHeaders x-ratelimit ietf
</Location>
<Location "/doc">
    RateLimit "2/hour" phase=early
    ErrorDocument 401 /401.html
    ErrorDocument 429 /429.html
</Location>
<Location "/429.html">
    RateLimit "0/hour" phase=early
</Location>

<VirtualHost 127.0.0.1:@PORT2@>
    RateLimitMeta "1/hour"
    <Location "/meta">
        RateLimit "1/minute" phase=early
    </Location>
    <Location "/meta/open">
        RateLimit "9/minute" phase=early
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT3@>
    RateLimitMeta "1/hour" phase=early
    <Location "/meta/open">
        RateLimit "1/minute"
    </Location>
    RateLimitDefault "7/hour" phase=early name=default
    RateLimitApplication "5/hour" phase=early name=umbrella
</VirtualHost>
END

my $last = 0;
my $who;
sub fresh { return $who = '10.3.0.' . ++$last }
my $c = $h->client;
my @user = (Authorization => 'Basic ' . encode_base64('jane:secret', ''));
my @wrong = (Authorization => 'Basic ' . encode_base64('jane:guess', ''));
sub ask { my ($path, %headers) = @_;
          return $c->get($path, 'X-Forwarded-For' => $who, %headers) }
sub codes { my ($path, $n, @headers) = @_;
            return join ' ', map { ask($path, @headers)->code } 1 .. $n }

### Without it, what is turned away does not count
fresh;
is(codes('/plain/page.html', 4, @wrong), '401 401 401 401', 'fixups: 401 is not counted');
is(codes('/plain/page.html', 3, @user), '200 200 429', 'what is let in is');

### With it, it does
fresh;
is(codes('/basic/page.html', 4), '401 401 401 429', 'early: every request is counted');
is(codes('/basic/page.html', 1, @user), 429, 'and refused before the password is looked at');
fresh;
is(codes('/any/page.html', 3), '200 200 429', 'Satisfy Any does not undo a refusal');
fresh;
is(codes('/denied/page.html', 3), '403 403 429', 'before access control');
fresh;
my $r = ask('/shown/page.html');
is($r->code, 401, 'a 401');
is($r->header('RateLimit'), '"2 per 1 hour";r=1;t=3600', 'has the response fields');
is($r->header('X-RateLimit-Remaining'), 1, 'of both kinds');
fresh;
is(ask('/doc/page.html')->body, "who are you?\n", 'ErrorDocument 401')
    for 1 .. 2;
$r = ask('/doc/page.html');
is($r->code . $r->body, "429too often\n", 'ErrorDocument 429, whose own limit does not hold');

fresh;
is(codes('/both/page.html', 2, @wrong), '401 401', 'two limits, one of them early');
is(ask('/both/page.html', @user)->header('RateLimit'),
   '"early";r=0;t=3600, "late";r=1;t=3600', 'each is charged in its phase, once');
is(codes('/both/page.html', 1, @user), 429, 'the early one is used up');

fresh;
is(codes('/atomic/page.html', 4, @user), '200 429 429 429', 'refused in fixups');
is(ask('/atomic/page.html', @wrong)->header('RateLimit'), '"early";r=7;t=3600',
   'atomic: given back to the early one');
fresh;
is(codes('/order/page.html', 4, @user), '200 429 429 429', 'in-order');
is(ask('/order/page.html', @wrong)->header('RateLimit'), '"early";r=4;t=3600',
   'in-order: the early one comes first and stays charged');

fresh;
is(ask('/user/page.html', @user)->header('RateLimit'), '"2 per 1 hour";r=1;t=3600',
   'a user is not known early, and not looked for later');
is(codes('/user/page.html', 2, @user), '200 429', 'the other key is who is counted');

fresh;
is(codes('/dry/page.html', 2), '200 200', 'dry_run');
like($h->error_log, qr/would be refused \(dry run\): client $who limit "1 per 1 hour"/, 'is logged');
fresh;
is(codes('/filter/page.html', 3, 'X-Free' => 'yes'), '200 200 200', 'a request filter');
is(codes('/filter/page.html', 2), '200 429', 'without it');
is(join(' ', map { ask('/setenv/page.html', 'X-Who' => $_)->code } qw(a b a b)),
   '200 200 429 429', 'SetEnvIf of the section comes before');
fresh;
is(ask('/index/')->header('RateLimit'), '"2 per 1 hour";r=1;t=3600', 'DirectoryIndex: charged once');
fresh;
is(codes('/files/', 3), '200 429 429', 'a limit of the index alone is found there');
fresh;
is(codes('/htaccess/page.html', 3, @wrong), '401 429 429', 'in .htaccess');
is(codes('/htaccess/page.html', 1, @user), '429', 'before the password');

### The login guard
fresh;
is(codes('/guard/page.html', 5, @user), '200 200 200 200 200', 'who knows the password is not counted');
is(codes('/guard/page.html', 4, @wrong), '401 401 401 429', 'who guesses is');
is(codes('/guard/page.html', 1, @user), 429, 'until the window ends, whatever the password');
$h->advance(3600);
is(codes('/guard/page.html', 2, @user), '200 200', 'then not any more');

my $client = fresh;
my $count = total(at_once(map { sub {
    my $mine = RateLimit::Client->new(port => $h->port);
    return $mine->parallel(10, 10, '/parallel/page.html',
                           { 'X-Forwarded-For' => $client, @wrong });
} } 1 .. 4));
is_deeply($count, { 401 => 3, 429 => 37 }, '40 guesses at once: 3 reach the password check');
$client = fresh;
$count = total(at_once(map { sub {
    my $mine = RateLimit::Client->new(port => $h->port);
    return $mine->parallel(10, 10, '/parallel/page.html',
                           { 'X-Forwarded-For' => $client, @user });
} } 1 .. 4));
cmp_ok($count->{200}, '>=', 3, 'with the right password at least as many');
is($count->{200} + $count->{429}, 40, 'and all are answered');
is(ask('/parallel/page.html', @user)->header('RateLimit'), '"3 per 1 hour";r=3;t=0',
   'what was reserved is back');

### Meta limits
$c = $h->client(2);
fresh;
is(codes('/meta/page.html', 2, @wrong), '401 429', 'an early refusal');
$h->advance(60);
is(codes('/meta/page.html', 1, @wrong), '429', 'is charged to the meta limit, which is looked at early');
is(codes('/page', 1), '429', 'and everywhere');
$c = $h->client(3);
fresh;
is(codes('/meta/open/page.html', 3), '200 429 429', 'a meta limit with phase=early');
$h->advance(60);
is(codes('/meta/page.html', 1), '429', 'refuses before the password');
fresh;
is(ask('/meta/page.html')->header('RateLimit'), '"umbrella";r=4;t=3600, "default";r=6;t=3600',
   'defaults and umbrellas may be early, too');

done_testing;
