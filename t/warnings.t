# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# Warnings of what never comes to anything and of what lets clients past
# limits: each where it is meant, and none where the configuration is right.
# Those of other kinds are in dump.t.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Dump;
use RateLimit::Httpd;

### Sections that no request meets

warns('paths that no URL has', <<'END_CONF', [ 1, 4, 7, 10 ],
<Location "api">
    RateLimit 5/minute
</Location>
<Location "/a?b=c">
    RateLimit 5/minute
</Location>
<Location "/a%20b">
    RateLimit 5/minute
</Location>
<Files "x/y.php">
    RateLimit 5/minute
</Files>
END_CONF
      qr{<Location "api"> meets no request: .*slash\n    mend: <Location "/api">},
      qr{query string}, qr{decoded}, qr{<Files "x/y\.php"> meets no request.*\n    mend: <Directory>});
silent('paths that URLs have', <<'END_CONF');
<Location "/a b">
    RateLimit 5/minute
</Location>
<Location "/a?c">
    RateLimit 5/minute
</Location>
<Location "/100%">
    RateLimit 5/minute
</Location>
<Location "*">
    RateLimit 5/minute
</Location>
<Location "http://a.example/">
    RateLimit 5/minute
</Location>
<Location "a.example:443">
    RateLimit 5/minute
</Location>
<Location ~ "^/b">
    RateLimit 5/minute
</Location>
<Location "nothing-of-ours">
    Require all granted
</Location>
<Files "*.php">
    RateLimit 5/minute
</Files>
<Files ~ "a/b">
    RateLimit 5/minute
</Files>
END_CONF

### RateLimitEngine Off

warns('a server that is switched off', <<'END_CONF', [ 1 ],
RateLimitEngine Off
RateLimitDefault 5/minute
<Location "/a">
    RateLimit 5/minute
</Location>
END_CONF
      qr/RateLimitEngine Off: no limit of _main is looked at\n    mend: .*DryRun/);
warns('a virtual host, and a section', <<'END_CONF', [ 8, 3 ],
<VirtualHost *:8080>
    ServerName one
    RateLimitEngine Off
    <Location "/a">
        RateLimit 5/minute
    </Location>
</VirtualHost>
<Location "/b">
    RateLimitEngine Off
    RateLimit 5/minute
</Location>
END_CONF
      qr/no limit of one:8080 is looked at/, qr{the limits of <Location /b> are never looked at});
silent('switched off where there is none, or on elsewhere', <<'END_CONF');
RateLimitDefault 5/minute
<VirtualHost *:8080>
    ServerName one
    RateLimitEngine Off
</VirtualHost>
<VirtualHost *:8080>
    ServerName two
    RateLimitEngine Off
    <Location "/a">
        RateLimit 5/minute
        RateLimitEngine On
    </Location>
</VirtualHost>
<Location "/b">
    RateLimitEngine Off
    RateLimit 5/minute
    <If "%{QUERY_STRING} == 'x'">
        RateLimitEngine DryRun
    </If>
</Location>
<Location "/status">
    RateLimitEngine Off
</Location>
END_CONF
silent('the main server alone is switched off', <<'END_CONF');
RateLimitEngine Off
RateLimitDefault 5/minute
<VirtualHost *:8080>
    ServerName one
    RateLimitEngine On
</VirtualHost>
END_CONF

### Limits beside each other

warns('a limit that a shorter one covers', <<'END_CONF', [ 1, 3 ],
RateLimitDefault "100/hour; 1000/minute"
<Location "/a">
    RateLimit 700000/day
    RateLimit 100/minute
</Location>
END_CONF
      qr/"1000 per 1 minute" never refuses a request: "100 per 1 hour" \(line 1\) beside it/);
silent('limits that add to each other', <<'END_CONF');
RateLimitDefault "10/second; 100/minute; 1000/hour; 5000/day"
RateLimitApplication "100/hour; 150/minute"
<Location "/a">
    RateLimit "1000/minute" key=%{HTTP_HOST}
    RateLimit "100/hour"
</Location>
<Location "/b">
    RateLimit "1000/minute"
    RateLimit "100/hour" methods=POST
</Location>
<Location "/c">
    RateLimit "1000/minute"
    RateLimit "100/hour" exempt_when="%{HTTP_HOST} == 'a'"
</Location>
<Location "/d">
    RateLimit "1000/minute"
    RateLimit "100/hour" dry_run=on
</Location>
<Location "/e">
    RateLimit "1000/minute" cost=20
    RateLimit "100/hour"
</Location>
<Location "/f">
    RateLimit "1000/minute" strategy=gcra burst=5
    RateLimit "100/hour"
</Location>
<Location "/g">
    RateLimit "1000/minute" phase=early
    RateLimit "100/hour"
</Location>
<Location "/h">
    RateLimitEngine DryRun
    RateLimit "1000/minute"
    RateLimit "100/hour"
</Location>
END_CONF
silent('refused requests are charged', <<'END_CONF');
RateLimitCharge in-order
RateLimitDefault "100/hour; 1000/minute"
END_CONF

# That it never refuses is so: all that a minute of the hour's end and the next
# one's begin can bring is 200.
my $h = RateLimit::Httpd->start(faketime => 1, children => 1, conf => <<'END_CONF');
RateLimitDefault "10/hour; 40/minute"
END_CONF
my $c = $h->client;
my ($passed, $refused) = (0, 0);
$c->get('/')->code == 200 ? $passed++ : $refused++ for 1 .. 15;
$h->advance(3600);
$c->get('/')->code == 200 ? $passed++ : $refused++ for 1 .. 45;
is($passed, 20, 'the covered limit lets all through that the other does');
unlike($h->error_log, qr/limit "40 per 1 minute"/, 'and refuses none');
like($h->error_log, qr/RLX0140: .*"40 per 1 minute" never refuses/, 'as the log says at start');
$h->stop;

warns('the same limit twice', <<'END_CONF', [ 2 ],
RateLimitDefault 5/minute
RateLimitDefault "5 per 60 seconds, 5 per minute"
<Location "/a">
    RateLimit 5/minute methods=GET
    RateLimit 5/minute methods=POST
    RateLimit 5/minute methods=PUT key=%{HTTP_HOST}
</Location>
<Location "/b">
    RateLimit 5/minute
    RateLimitShared 5/minute scope=x
    RateLimit 5/minute strategy=gcra
</Location>
END_CONF
      qr/"5 per 1 minute" stands here for the second time \(first: line 1\)/);

warns('one name for two limits', <<'END_CONF', [ 3, 2 ],
<Location "/a">
    RateLimit 5/minute name=login
    RateLimit 20/hour name=login
</Location>
<Location "/a/b">
    RateLimit 1/second name=login override_defaults=off
</Location>
<Location "/c">
    RateLimit 5/minute name=login
    RateLimit 7/hour name=get methods=GET
    RateLimit 6/hour name=get methods=POST
</Location>
END_CONF
      qr/"20 per 1 hour" and "5 per 1 minute" \(line 2\) hold for the same requests and are both called "login"/);

### What a <Location "/"> takes the place of

warns('defaults that never hold', <<'END_CONF', [ 1, 3 ],
RateLimitDefault 100/hour
<VirtualHost *:8080>
RateLimitDefault 200/hour
ServerName one
<Location "/a">
RateLimit 1/minute
</Location>
</VirtualHost>
<Location "/">
    RateLimit 10/minute
</Location>
END_CONF
      qr{"100 per 1 hour" of RateLimitDefault never holds: <Location "/"> \(line 9\)});
warns('an exemption of everybody', <<'END_CONF', [ 1, 2 ], qr{RateLimitApplication never holds});
RateLimitDefault 100/hour
RateLimitApplication 1000/hour
<Location "/">
    RateLimitExempt All
</Location>
END_CONF
silent('defaults that hold somewhere', <<'END_CONF');
RateLimitDefault 100/hour
<Location "/">
    RateLimit 10/minute methods=POST
</Location>
<VirtualHost *:8080>
    ServerName one
    RateLimitDefault 100/hour
    <Location "/">
        RateLimit 10/minute override_defaults=off
    </Location>
</VirtualHost>
<VirtualHost *:8080>
    ServerName two
    RateLimitDefault 100/hour
    RateLimitApplication 1000/hour
    <Location "/">
        RateLimitExempt default
    </Location>
    <Location "/a">
        RateLimit 1/minute override_defaults=off
    </Location>
</VirtualHost>
END_CONF
silent('the main server has them for others', <<'END_CONF');
RateLimitDefault 100/hour
<VirtualHost *:8080>
    ServerName one
    <Location "/">
        RateLimit 10/minute
    </Location>
</VirtualHost>
END_CONF
warns('directories below a <Location> of all', <<'END_CONF', [ 1, 4 ],
<Directory "/srv/www">
    RateLimit 5/minute
</Directory>
<FilesMatch "php$">
    RateLimit 5/minute
</FilesMatch>
<Location "/">
    RateLimit 10/minute
</Location>
<Location "/a">
    RateLimit 1/minute
</Location>
END_CONF
      qr{the limits of <Directory /srv/www> never hold: httpd merges <Location "/"> \(line 7\) later});
silent('directories that hold', <<'END_CONF');
<Directory "/srv/www">
    RateLimit 5/minute
</Directory>
<Location "/">
    RateLimit 10/minute override_defaults=off
</Location>
<VirtualHost *:8080>
    ServerName one
    <Location "/">
        RateLimit 10/minute
    </Location>
</VirtualHost>
<VirtualHost *:8080>
    ServerName two
    <Directory "/srv/two">
        RateLimit 5/minute
    </Directory>
</VirtualHost>
END_CONF

# An exemption that nested sections do not share lifts nothing there.
silent("RateLimitExempt $_", <<"END_CONF")
<Directory "/srv/www">
    RateLimit 5/minute
</Directory>
<Location "/">
    RateLimitExempt $_
</Location>
<Location "/a">
    RateLimitEndpoint a
</Location>
END_CONF
    for 'ancestors', 'meta descendents';
warns('RateLimitExempt All', <<'END_CONF', [ 1 ]);
<Directory "/srv/www">
    RateLimit 5/minute
</Directory>
<Location "/">
    RateLimitExempt All
</Location>
END_CONF

# As it is said, so it is.
$h = RateLimit::Httpd->start(children => 1, conf => <<'END_CONF');
RateLimitDefault 1/hour
<Directory "@DOCROOT@">
    RateLimit 2/hour
</Directory>
<Location "/">
    RateLimit 3/hour
</Location>
END_CONF
$c = $h->client;
is(join(' ', map { $c->get('/')->code } 1 .. 4), '200 200 200 429', 'neither holds');
is(() = $h->error_log =~ /RLX0140/g, 2, 'and both are warned of');
$h->stop;

### Keys

warns('what clients say of themselves', <<'END_CONF', [ 1, 3, 4, 5 ],
RateLimitKey %{HTTP:X-Forwarded-For}
<Location "/a">
    RateLimit 5/minute key=%{req:x-real-ip}
    RateLimit 6/minute key=%{REMOTE_USER} key="%{req_novary:Forwarded}"
    RateLimit 7/minute key="%{HTTP_HOST} %{HTTP:CF-Connecting-IP}"
    RateLimit 8/minute key=%{HTTP:X-Forwarded-Host}
    RateLimit 9/minute key=%{HTTP:X-Api-Key}
</Location>
END_CONF
      qr/RateLimitKey %\{HTTP:X-Forwarded-For\} counts by what the client says/,
      qr/mend: RemoteIPHeader X-Real-IP with RemoteIPInternalProxy/);
warns('a variable without its braces', <<'END_CONF', [ 2, 3 ],
<Location "/a">
    RateLimit 5/minute key=REMOTE_ADDR
    RateLimit 6/minute key=$REMOTE_USER
    RateLimit 7/minute key=everybody
    RateLimit 8/minute key=%{REMOTE_ADDR}
</Location>
END_CONF
      qr/key=REMOTE_ADDR is the same for everybody/, qr/mend: .*%\{REMOTE_USER\}/);
warns('users that there are none of', <<'END_CONF', [ 1, 3 ], qr/is always empty/);
RateLimitKey %{REMOTE_USER}
<Location "/a">
    RateLimit 5/minute key=%{REMOTE_USER}
    RateLimit 6/minute key=%{REMOTE_USER} key=%{REMOTE_ADDR}
</Location>
END_CONF
for my $auth ("<Location /b>\nAuthType Basic\n</Location>",
              "<Directory /srv>\nAllowOverride AuthConfig\n</Directory>",
              "<Directory /srv>\nAllowOverride All\n</Directory>") {
    silent("users: $auth", "RateLimitKey %{REMOTE_USER}\nRateLimitDefault 5/minute\n$auth\n");
}
warns('conditions that are always the same', <<'END_CONF', [ 1, 3, 4 ],
RateLimitRequestFilter true
<Location "/a">
    RateLimit 5/minute exempt_when=true
    RateLimit 6/minute deduct_when=false
    RateLimit 7/minute exempt_when="%{HTTP_HOST} == 'true'"
</Location>
END_CONF
      qr/exempt_when=true: the limit is never looked at/);

# A proxy in front, as other lines know
warns("behind a proxy: $_", "$_\nRateLimitDefault 5/minute\n", [ 1 ],
      qr/all clients of that proxy are one\n    mend: RemoteIPHeader/)
    for 'LogFormat "%{X-Forwarded-For}i %t" behind',
        'SetEnvIf X-Forwarded-Proto "^https$" HTTPS=on',
        'SetEnvIfNoCase "^X-Forwarded-For$" "^10" inside',
        "RewriteCond %{HTTP:X-Forwarded-Proto} !https";
silent("behind a proxy: $_", "LogFormat \"%{X-Forwarded-For}i %t\" behind\n$_\n")
    for "RateLimitDefault 5/minute\nRemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 10.0.0.1",
        "RateLimitDefault 5/minute\nRemoteIPProxyProtocol On",
        'RateLimitDefault 5/minute key=%{HTTP:X-Key}',
        "RateLimitDefault 5/minute\nRateLimitKey %{HTTP:X-Key}",
        'RateLimitMeta 5/minute';
silent("not behind a proxy: $_", "$_\nRateLimitDefault 5/minute\n")
    for 'SetEnvIf User-Agent "X-Forwarded-For" odd', 'LogFormat "%a %t" usual';

### .htaccess files that are not read

warns('RateLimitAllowOverride without AllowOverride', <<'END_CONF', [ 2 ],
<Directory "/srv/www">
    RateLimitAllowOverride All
    AllowOverride None
</Directory>
<Directory "/srv/b">
    RateLimitAllowOverride None
    AllowOverride FileInfo Options
</Directory>
END_CONF
      qr/mend: AllowOverride Limit/);
for my $allow ('AllowOverride Limit', 'AllowOverride all', 'AllowOverrideList RateLimit Require') {
    silent($allow, "<Directory /srv>\nRateLimitAllowOverride All\n$allow\n</Directory>\n");
}

### limiter-status

my $open = "Listen 8081\n<Location \"/limiter-status\">\nSetHandler limiter-status\n%s</Location>\n%s";
warns('for everybody', sprintf($open, '', ''), [ 3 ],
      qr/limiter-status is for everybody here: anybody can see keys and configuration\n    mend: Require local/);
warns('the same, said in words', sprintf($open, "Require all granted\n", ''), [ 3 ]);
warns('and who may clear', sprintf($open, "RateLimitStatusControl On\n", ''), [ 3 ],
      qr/and clear counters/);
warns('where others are kept out of something else', sprintf($open, '', <<'END_CONF'), [ 3 ]);
DocumentRoot /usr/share
<Directory "/">
    Require all denied
</Directory>
<Directory "/usr/share">
    Require all granted
</Directory>
<FilesMatch "^\.ht">
    Require all denied
</FilesMatch>
<Location "/server-status">
    Require local
</Location>
<VirtualHost *:8081>
    ServerName one
    <Location "/">
        Require local
    </Location>
</VirtualHost>
END_CONF
silent("guarded: $_->[0]$_->[1]", sprintf($open, @$_))
    for [ "Require local\n", '' ], [ "<RequireAny>\nRequire ip 192.0.2.1\n</RequireAny>\n", '' ],
        [ "AuthType Basic\nAuthName x\nRequire valid-user\n", '' ],
        [ "<IfModule authz_core_module>\nRequire local\n</IfModule>\n", '' ],
        [ '', "<Location />\nRequire local\n</Location>\n" ],
        [ '', "<LocationMatch status>\n<RequireAll>\nRequire local\n</RequireAll>\n</LocationMatch>\n" ],
        [ '', "DocumentRoot /usr/share\n<Directory /usr>\nRequire local\n</Directory>\n" ];
silent('some requests alone', <<'END_CONF');
Listen 8081
<Location "/limiter-status">
    <If "-R '192.0.2.0/24'">
        SetHandler limiter-status
    </If>
</Location>
END_CONF
silent('nobody can come but this machine', sprintf($open, '', '') =~ s/^Listen.*\n//r);
silent('in a virtual host of this machine', <<'END_CONF');
Listen 8081
<VirtualHost 127.0.0.1:8081 [::1]:8081>
    ServerName one
    <Location "/limiter-status">
        SetHandler limiter-status
    </Location>
</VirtualHost>
END_CONF

# A proxy that has its URL as well does not take it away.
$h = RateLimit::Httpd->start(children => 1, modules => [qw(proxy proxy_http rewrite)], conf => <<'END_CONF');
ProxyPass / http://127.0.0.1:1/
RewriteEngine On
RewriteRule "^/(.*)" "http://127.0.0.1:1/$1" [P]
<Location "/limiter-status">
    SetHandler limiter-status
</Location>
<Location "/rewritten">
    SetHandler limiter-status
    RewriteEngine On
    RewriteRule "." "http://127.0.0.1:1/" [P]
</Location>
END_CONF
is($h->client->get('/limiter-status')->code, 200, 'behind a proxy for all it is seen');
is($h->client->get('/rewritten')->code, 503, 'but not where a section rewrites');
$h->set_conf(<<'END_CONF');
<Directory "@DOCROOT@">
    RewriteEngine On
    RewriteRule "." "http://127.0.0.1:1/" [P]
</Directory>
<Location "/limiter-status">
    SetHandler limiter-status
    RewriteEngine Off
</Location>
END_CONF
$h->graceful;
is($h->client->get('/limiter-status')->code, 200, 'unless its own does not');
$h->stop;

### [P]

my $rewritten = <<'END_CONF';
DocumentRoot /srv
RewriteEngine On
RewriteRule "^/app/(.*)$" "http://anna:s3cret@127.0.0.1:1/$1" [QSA,P,L]
<Directory "/srv/app">
    RateLimit 1/hour
</Directory>
END_CONF
warns('<Directory> limits of what is rewritten to a proxy', $rewritten, [ 4 ],
      qr{what RewriteRule \^/app/\(\.\*\)\$ http://\*\*\*\@127\.0\.0\.1:1/\$1 \(line 3\) serves});
silent('other rewriting', $rewritten =~ s/$_->[0]/$_->[1]/r)
    for [ qr/RewriteEngine On/ => 'RewriteEngine Off' ], [ qr/,P,L/ => ',PT,L' ],
        [ qr/^RewriteRule/m => "RewriteCond %{HTTP_HOST} a\nRewriteRule" ],
        [ qr/^RewriteRule/m => "RewriteRule ^/app/x - [L]\nRewriteRule" ],
        [ qr{\^/app/} => '^/other/' ];
done_testing;
