# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# httpd -t -D DUMP_RATELIMIT: what is configured, what holds where and why; and
# warnings of what is probably a mistake, also once in the log.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Dump;
use RateLimit::Example qw($NESTED);
use RateLimit::Httpd;
use RateLimit::Place ();

### The example of DESIGN section 3

my $dump = dump_of($NESTED);
is(part($dump, 'Limits'), <<'END', 'the example: nested as they inherit');
  _main
    application:
      100 per 1 minute, fixed-window  (line 2)
    default:
      100 per 1 hour, fixed-window  (line 1)
    Location /parent  (line 3)
      own:
        2 per 1 minute, fixed-window  (line 4)
      effective:
        100 per 1 minute, fixed-window [application]  (line 2)
        2 per 1 minute, fixed-window [own]  (line 4)
      Location /parent/child  (line 6)
        own:
          1 per 1 second, fixed-window override_defaults=off  (line 7)
        effective:
          1 per 1 second, fixed-window override_defaults=off [own]  (line 7)
          100 per 1 minute, fixed-window [application]  (line 2)
          2 per 1 minute, fixed-window [inherited from Location /parent]  (line 4)
        Location /parent/child/grandchild  (line 9)
          own:
            10 per 1 minute, fixed-window  (line 10)
          effective:
            100 per 1 minute, fixed-window [application]  (line 2)
            10 per 1 minute, fixed-window [own]  (line 10)
          Location /parent/child/grandchild/health  (line 18)
            exempt: application default ancestors
            effective: none
        Location /parent/child/health  (line 15)
          exempt: application default ancestors
          effective: none
      Location /parent/health  (line 12)
        exempt: application default ancestors
        effective: none
END
like($dump, qr/^Warnings: none$/m, 'and nothing to warn of');

### Virtual hosts, and every kind of section

$dump = dump_of(<<'END');
RateLimitStrategy gcra
<Location "/a">
    RateLimit "5/minute" methods=POST key=%{HTTP_HOST} name=posts
    <If "%{QUERY_STRING} == 'x'">
        RateLimit "1/hour" override_defaults=off
    </If>
</Location>
<LocationMatch "^/a/b[0-9]">
    RateLimit "%{env:PLAN}"
</LocationMatch>
<LocationMatch "^/ab*">
    RateLimit "3/day"
</LocationMatch>
<Directory "/srv">
    <Files "x y">
        RateLimitShared "4/hour" scope=z dry_run=on
    </Files>
</Directory>
<VirtualHost *:8080>
    ServerName one
    RateLimitDefault "9/day"
    <Location "/a/c">
        RateLimitStrategy fixed-window
        RateLimitExempt default
    </Location>
</VirtualHost>
<VirtualHost *:8080>
    ServerName two
    RateLimitMeta "2/hour"
    <Proxy "http://127.0.0.1:1/">
        RateLimit "6/day" burst=2 status=503 error_message="Slow \"down\""
        RateLimitEngine DryRun
    </Proxy>
</VirtualHost>
END
my ($main, $one, $two) = part($dump, 'Limits')
    =~ /^  _main\n(.*)^  one:8080\n(.*)^  two:8080\n(.*)/ms;
is($main, <<'END', 'the main server: what a path meets and comes later is inside');
    Files x y  (line 15)
      within: Directory /srv
      own:
        4 per 1 hour, gcra scope=z dry_run=on  (line 16)
      effective:
        4 per 1 hour, gcra scope=z dry_run=on [own]  (line 16)
    Location /a  (line 2)
      own:
        5 per 1 minute, gcra key=%{HTTP_HOST} methods=POST name=posts  (line 3)
      effective:
        3 per 1 day, gcra [overridden by LocationMatch ^/ab*]  (line 12)
      If %{QUERY_STRING} == 'x'  (line 4)
        own:
          1 per 1 hour, gcra override_defaults=off  (line 5)
        effective:
          1 per 1 hour, gcra override_defaults=off [own]  (line 5)
          3 per 1 day, gcra [inherited from LocationMatch ^/ab*]  (line 12)
      LocationMatch ^/a/b[0-9]  (line 8)
        own:
          %{env:PLAN}, gcra  (line 9)
        effective:
          %{env:PLAN}, gcra [own]  (line 9)
    LocationMatch ^/ab*  (line 11)
      own:
        3 per 1 day, gcra  (line 12)
      effective:
        3 per 1 day, gcra [own]  (line 12)
END
like($one, qr/^    default:\n      9 per 1 day, gcra  \(line 21\)\n/m,
     'a virtual host has defaults of its own, and inherits the strategy');
like($one, qr{^      Location /a/c  \(line 22\)\n        exempt: default\n}m,
     'its section is nested in one of the main server');
like($two, qr/^    meta:\n      2 per 1 hour, gcra  \(line 29\)\n/m, 'meta limits');
like($two, qr{^    Proxy http://127\.0\.0\.1:1/  \(line 30\)\n      engine: DryRun\n}m,
     'a <Proxy>, which only mod_proxy knows of');
like($two, qr{6 per 1 day, gcra burst=2 error_message="Slow \\"down\\"" status=503 \[own\]},
     'options as they would be written');
unlike($one, qr/Proxy/, 'and not in the other virtual host');

# Which methods a limit is for, where another one overrides it.
$dump = dump_of(<<'END');
RateLimitDefault "9/day"
<Location "/login">
    RateLimit "5/minute" methods=POST,PUT
    RateLimit "7/minute" methods=GET override_defaults=off
</Location>
END
is(part($dump, 'Limits') =~ s/.*effective:\n//sr, <<'END', 'methods');
        5 per 1 minute, fixed-window methods=PUT,POST [own]  (line 3)
        7 per 1 minute, fixed-window methods=GET override_defaults=off [own]  (line 4)
        9 per 1 day, fixed-window, for all but PUT, POST [default]  (line 1)
END

# <Directory> sections: the shorter path is outside, wherever it stands; a
# pattern is compared with the directories on the way.
$dump = dump_of(<<'END');
<Directory "/srv/www/one/in">
    RateLimit "1/hour" override_defaults=off
</Directory>
<Directory "/srv/www">
    RateLimit "2/hour" override_defaults=off
</Directory>
<Directory "/srv/*/one">
    RateLimit "3/hour" override_defaults=off
</Directory>
<Directory "/srv/www2">
    RateLimit "4/hour"
</Directory>
END
is(join('', grep { /Directory/ && !/inherited/ }
            part($dump, 'Limits') =~ /^(.*\n)/mg), <<'END', 'directories');
    Directory /srv/www  (line 4)
    Directory /srv/www2  (line 10)
    Directory /srv/*/one  (line 7)
      Directory /srv/www/one/in  (line 1)
END

### What a macro brings: its line, and who uses it

$dump = dump_of(<<'END', 'macro');
<Macro Slow $path $limit>
    <Location "$path">
        RateLimit "$limit"
        RateLimitStatus 503
        RateLimit 5/hour cost=6
    </Location>
</Macro>
<Macro Both>
    Use Slow /b 2/hour
</Macro>
Use Slow /a 1/hour
Use Both
END
like(part($dump, 'Limits'), qr{^    Location /a  \(line 2, used at line 11\)
      own:\n        1 per 1 hour, fixed-window  \(line 3, used at line 11\)\n}m,
     'a section and a limit of a macro');
like(part($dump, 'Limits'), qr{^    Location /b  \(line 2, used at line 9, used at line 12\)\n}m,
     'of a macro that another one uses');
like(part($dump, 'Configuration'),
     qr{^  RateLimitStatus          503  \(line 4, used at line 11\) in _main, Location /a$}m,
     'a setting');
like(part($dump, 'Warnings'), qr{^  at: line 5, used at line 11$}m, 'a warning');
unlike($dump, qr/macro '/, 'and nowhere the words of mod_macro');

### Settings

$dump = dump_of(<<'END', 'ratelimit_toy');
RateLimitStatus 503
RateLimitStatus 429
RateLimitStorage toy://admin:hunter2@127.0.0.1/1
RateLimitRequestFilter "%{HTTP_HOST} == 'a'"
RateLimitRequestFilter "%{HTTP_HOST} == 'b'"
RateLimitDefault 1/hour
<VirtualHost *:8080>
    ServerName one
    RateLimitStorage toy://:s3cret@127.0.0.1/2
    <Location "/x">
        RateLimitEngine Off
    </Location>
</VirtualHost>
END
my $settings = part($dump, 'Configuration');
like($settings, qr/^  RateLimitStatus          429  \(line 2\)$/m,
     'a setting, and where it is set: what a later line undoes is left out');
unlike($settings, qr/503/, 'that is');
like($settings, qr/^  RateLimitEngine          On  \(default\)$/m,
     'one that is not set');
is(() = $settings =~ /^  RateLimitRequestFilter /mg, 2, 'filters add up');
like($settings, qr{^  RateLimitEngine          Off  \(line 11\) in one:8080, Location /x$}m,
     'in a section');
like($settings, qr{^  RateLimitStorage         toy://\*\*\*\@127\.0\.0\.1/1  \(line 3\)$}m,
     'a storage');
like($settings, qr{^  RateLimitStorage         toy://\*\*\*\@127\.0\.0\.1/2  \(line 9\) in one:8080$}m,
     'another');
unlike($dump, qr/hunter2|s3cret|admin/, 'and no secret anywhere');
like(part($dump, 'Storage'), qr{^  toy://\*\*\*\@127\.0\.0\.1/1\n    for: _main\n}m,
     'storages, and who counts there');

### Warnings: each with what is right, or meant

warns('a longer <Location> before its shorter one', <<'END', [ 1 ],
<Location "/api/slow">
    RateLimit "1/minute"
</Location>
<Location "/api">
    RateLimit "100/minute"
</Location>
END
      qr{<Location "/api/slow"> stands before <Location "/api"> \(line 4\)},
      qr{mend: put <Location "/api/slow"> below <Location "/api">});
warns('the same, exempt', <<'END', [ 1 ]);
<Location "/health">
    RateLimitExempt All
</Location>
<Location "/">
    RateLimit "100/minute"
</Location>
END
silent('the right order', <<'END');
<Location "/api">
    RateLimit "100/minute"
</Location>
<Location "/api/slow">
    RateLimit "1/minute"
</Location>
<Location "/apis">
    RateLimit "1/minute"
</Location>
END
# Nothing is lost here, but /api would be the endpoint of both.
warns('an order that adds', <<'END', [ 1, 7 ]);
<Location "/api/slow">
    RateLimit "1/minute" override_defaults=off
</Location>
<Location "/api">
    RateLimit "100/minute" override_defaults=off
</Location>
<Location "/b/c">
    RateLimitEndpoint c
</Location>
<Location "/b">
    RateLimit "100/minute"
</Location>
END
warns('a longer one of the main server', <<'END', [ 1 ],
<Location "/api/slow">
    RateLimit "1/minute"
</Location>
<VirtualHost *:8080>
    ServerName one
    <Location "/api">
        RateLimit "100/minute"
    </Location>
</VirtualHost>
END
      qr{mend: put <Location "/api/slow"> into that virtual host, below <Location "/api">});

warns('exempt, and still limited from around', <<'END', [ 4 ],
<Location "/">
    RateLimit "100/minute"
</Location>
<Location "/health">
    RateLimitExempt
</Location>
END
      qr/what <Location \/> around it sets \(100 per 1 minute, line 2\)/,
      qr/mend: .*ancestors/);
warns('exempt from defaults that are overridden', <<'END', [ 4 ], qr/ancestors/);
<Location "/a">
    RateLimit "100/minute"
</Location>
<Location "/a/health">
    RateLimitExempt default
</Location>
END
silent('exempt from defaults that are not', <<'END');
<Location "/a">
    RateLimit "100/minute" override_defaults=off
</Location>
<Location "/a/health">
    RateLimitExempt default
</Location>
END
warns('exempt, and still limited by a directory', <<'END', [ 5, 13 ],
DocumentRoot /srv
<Directory "/srv">
    RateLimit "100/minute"
</Directory>
<Location "/health">
    RateLimitExempt
</Location>
<Location "/other">
    RateLimitExempt All
</Location>
<VirtualHost *:8080>
    ServerName one
    <Location "/health">
        RateLimitExempt
    </Location>
</VirtualHost>
<VirtualHost *:8081>
    ServerName two
    DocumentRoot /www
    <Location "/health">
        RateLimitExempt
    </Location>
</VirtualHost>
END
      qr{does not lift what <Directory /srv> around its files sets \(line 2\)});
silent('exempt, and files elsewhere', <<'END');
DocumentRoot /srv
Alias /health /www
<Directory "/srv">
    RateLimit "100/minute"
</Directory>
<Location "/health">
    RateLimitExempt
</Location>
END
silent('exempt from all', <<'END');
<Location "/">
    RateLimit "100/minute"
</Location>
<Location "/health">
    RateLimitExempt All
</Location>
<Location "/other">
    RateLimitExempt application
</Location>
END
silent('exempt, and nothing around', <<'END');
RateLimitDefault 1/hour
<Location "/health">
    RateLimitExempt
</Location>
END

warns('a user before there is one', <<'END', [ 3, 4, 5 ], qr/REMOTE_USER/,
RateLimitKey %{REMOTE_USER}
<Location "/a">
    RateLimit "5/minute" phase=early
    RateLimit "5/minute" phase=early key=%{REMOTE_USER} key=%{REMOTE_ADDR}
    RateLimit "5/minute" phase=early key=%{REMOTE_ADDR} exempt_when="%{REMOTE_USER} == 'me'"
    RateLimit "5/minute" phase=early key=%{REMOTE_ADDR}
    RateLimit "5/minute"
</Location>
END
      qr/mend: leave phase=early out/);

warns('a user in what is inherited', <<'END', [ 8, 2 ], qr/scope= of a limit/);
<Location "/a">
    RateLimit "5/minute" phase=early
</Location>
<Location "/a/b">
    RateLimitKey %{REMOTE_USER}
    RateLimitEndpoint b
    RateLimit "6/minute" override_defaults=off
    RateLimitShared "5/minute" phase=early key=%{REMOTE_ADDR} scope=%{REMOTE_USER} override_defaults=off
</Location>
END
warns('wrong passwords, looked for too late', <<'END', [ 3 ], qr/mend: add phase=early/);
<Location "/a">
    AuthType Basic
    RateLimit "5/minute" deduct_when="%{REQUEST_STATUS} == 401"
    RateLimit "6/minute" deduct_when="%{REQUEST_STATUS} == 401" phase=early
    RateLimit "7/minute" deduct_when="%{REQUEST_STATUS} == 404"
</Location>
<Location "/application">
    RateLimit "5/minute" deduct_when="%{REQUEST_STATUS} == 401"
</Location>
END
warns('everybody is believed', <<'END', [ 1 ], qr/RemoteIPHeader X-Forwarded-For/);
RemoteIPHeader X-Forwarded-For
RateLimitDefault 1/hour
END
silent('nobody but the proxy is', <<'END');
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 10.0.0.5
RateLimitDefault 1/hour
<VirtualHost *:8080>
    ServerName one
    RemoteIPHeader X-Real-IP
</VirtualHost>
END
silent('everybody is, and nothing limited', "RemoteIPHeader X-Real-IP\n");

warns('a cache before limits', <<'END', [ 2 ], qr/mend: CacheQuickHandler Off/);
RateLimitDefault 1/hour
CacheEnable disk /
END
silent('a cache behind them', <<'END');
RateLimitDefault 1/hour
CacheEnable disk /
CacheQuickHandler off
END

warns('<Directory> limits of what is proxied', <<'END', [ 3, 9 ],
DocumentRoot /srv
ProxyPass /app http://127.0.0.1:1/
<Directory "/srv/app">
    RateLimit 1/hour
</Directory>
<VirtualHost *:8080>
    DocumentRoot /www
    ProxyPass / http://127.0.0.1:1/
    <Directory "/www">
        RateLimit 1/hour
    </Directory>
</VirtualHost>
END
      qr{ProxyPass /app http://127\.0\.0\.1:1/ \(line 2\)}, qr/mend: .*<Location>/);
warns('the same, said otherwise', <<'END', [ 24, 14, 17, 2 ]);
DocumentRoot /srv
<Directory "/srv/app">
    RateLimit 1/hour
</Directory>
<VirtualHost *:8080>
    ServerName one
    ProxyPass /app http://127.0.0.1:1/
</VirtualHost>
<VirtualHost *:8081>
    DocumentRoot /www
    <Location "/a">
        ProxyPass http://127.0.0.1:1/
    </Location>
    <Directory "/www/a">
        RateLimit 1/hour
    </Directory>
    <Directory "/www/b">
        RateLimit 1/hour
    </Directory>
    ProxyPassMatch "^/b/(.*)$" http://127.0.0.1:1/$1
</VirtualHost>
<VirtualHost *:8082>
    DocumentRoot /www
    <Directory "/">
        RateLimit 1/hour
    </Directory>
    ProxyPass / http://127.0.0.1:1/
</VirtualHost>
END
silent('<Directory> limits of what is not', <<'END');
DocumentRoot /srv
ProxyPass /app http://127.0.0.1:1/
<Directory "/srv">
    RateLimit 1/hour
</Directory>
<Directory "/srv/apple">
    RateLimit 1/hour
</Directory>
<Directory "/srv/b">
    RateLimit 1/hour
</Directory>
ProxyPassMatch "^/b/(.*\.php)$" http://127.0.0.1:1/$1
<VirtualHost *:8080>
    DocumentRoot /www
    ProxyPass /static !
    ProxyPass / http://127.0.0.1:1/
    <Directory "/www">
        RateLimit 1/hour
    </Directory>
</VirtualHost>
END

warns('limits that refuse everything', <<'END', [ 1, 3 ],
RateLimitDefault 0/hour
<Location "/a">
    RateLimit 5/hour cost=6
    RateLimit 5/hour cost=5
    RateLimit 0/hour methods=DELETE
    RateLimit 0/hour exempt_when="%{HTTP_HOST} == 'a'"
    <If "%{HTTP_HOST} == 'a'">
        RateLimit 0/hour
    </If>
</Location>
END
      qr/"0 per 1 hour" refuses every request/, qr/cost=6 is more than "5 per 1 hour"/);

# What administrators copy is right.
chdir RateLimit::Place::top() or die;
for my $file (glob('conf.d/*.conf conf.d/recipes/*.conf')) {
    open my $fh, '<', $file or die "$file: $!";
    my $conf = do { local $/; readline $fh };
    $conf =~ s/^\s*LoadModule\s.*\n//mg;
    $conf =~ s{^(\s*RewriteMap \w+ "?(?:txt|prg):)[^\s"]+}{$1/dev/null}mg;
    like(dump_of($conf), qr/^Warnings: none$/m, $file);
}

### In the log

my $wrong = <<'END';
RateLimitDefault 0/hour
<VirtualHost *:@PORT@>
    ServerName one
</VirtualHost>
END
my ($exit, $output) = RateLimit::Httpd->config_test($wrong =~ s/\@PORT@/8080/r);
is($exit, 0, 'httpd -t alone');
unlike($output, qr/refuses every|RLX/, 'says nothing');
my $h = RateLimit::Httpd->start(conf => $wrong, children => 1);
my @lines = grep { /RLX0140/ } split /\n/, $h->error_log;
is(@lines, 1, 'the log has each warning once at start');
like($lines[0], qr/:warn\].*RLX0140: \S+httpd\.conf:\d+: "0 per 1 hour" refuses every request\. Mend: \S/,
     'with where it is and what would be right')
    or diag $lines[0];
my $mark = $h->mark;
$h->graceful;
is(() = $h->error_log($mark) =~ /RLX0140/g, 1, 'and once at a restart');
done_testing;
