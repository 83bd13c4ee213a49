# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# What logs in to a storage, or to a backend that a section or a warning names, is
# shown nowhere: not in any form of limiter-status, not in the dump, not in a log,
# not in an error, whichever storage it is, and whether it answers.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Json qw(status fits);
use RateLimit::Place ();
use RateLimit::Redis;

# All that must not be seen has this in it, or this as it is in a URI.
my $secret = qr/hunter|hunt%65r/;

my $redis = RateLimit::Redis->start(conf => "requirepass hunter0\n");
my $port = $redis->{port};
my @storages = (
    'redis://:hunter0@127.0.0.1:' . $port,                      # lets us in
    "redis://:hunter1\@127.0.0.1:$port/1",                      # does not
    'redis://user-hunter2:hunter2@127.0.0.1:1/2 timeout=20',    # is not there
    'valkey://user:hunt%65r3@127.0.0.1:1',
    'redis+unix://user:hunter5@/nowhere.sock?db=1',
    'redis+sentinel://user:hunter6@127.0.0.1:1,127.0.0.1:2/mymaster?db=2'
        . ' sentinel_user=hunter7 sentinel_password=hunter8',
    'redis+sentinel://127.0.0.1:1/other "sentinel_password=a hunter9"',
    'redis+cluster://user:hunter10@127.0.0.1:1,127.0.0.1:2 deny_cache=off store_keys=plain',
    '"redis://user:a hunter11 b@127.0.0.1:1/3"',
    'redis://user:p@hunter12@127.0.0.1:1/4',
    'toy://user:hunter13@127.0.0.1/5 down=@DIR@/down',
    'memcached://127.0.0.1:1',                                  # has no password
);
my $conf = "LogLevel debug ratelimit_ext:trace8\n";
for my $i (0 .. $#storages) {
    $conf .= "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName h$i\nRateLimitStorage $storages[$i]\n"
        . qq(RateLimitDefault "5/minute"\nRateLimitFallback "3/minute"\n)
        . qq(<Location "/limiter-status">\nSetHandler limiter-status\n)
        . qq(RateLimitExempt All\nRateLimitEngine Off\n</Location>\n</VirtualHost>\n);
}
# Not a storage's, but just as secret.
$conf .= <<'END';
ProxyPass "/app" "http://user:hunter14@127.0.0.1:1/" secret=hunter15
<Location "/pass">
    ProxyPass "http://user:hunter14@127.0.0.1:1/x" secret=hunter15
</Location>
<Directory "@DOCROOT@/app">
    RateLimit "5/minute"
</Directory>
<Directory "@DOCROOT@/pass">
    RateLimit "5/minute"
</Directory>
<Proxy "http://user:hunter14@127.0.0.1:1/">
    RateLimit "2/minute" override_defaults=off
</Proxy>
<ProxyMatch "^http://user:hunter14@127.0.0.1:1/y">
    RateLimit "2/minute" override_defaults=off
</ProxyMatch>
END
my $h = RateLimit::Httpd->start(conf => $conf, modules => ['ratelimit_toy', 'proxy', 'proxy_http'],
                                files => { '../down' => "1\n" });
my $c = $h->client;
my %code;
for my $i (0 .. $#storages) {
    for my $n (1 .. 6) {
        my $r = $c->get('/', Host => "h$i", 'X-Forwarded-For' => '192.0.2.1');
        $code{$i} = $r->code;
        unlike(join('', %{ $r->{headers} || {} }, $r->body), $secret, "h$i: a response")
            if $n == 6;
    }
}
is($code{0}, 429, 'the password is the right one, where one is asked for');

for my $form (qw(text html json prometheus)) {
    for my $more ('', '&path=/a', '&path=/app/x', '&path=/pass/x', '&key=192.0.2.1') {
        my $r = $c->get("/limiter-status?format=$form$more", Host => 'h0');
        is($r->code, 200, "$form$more is there");
        unlike($r->body, $secret, "$form$more tells nothing");
    }
}
my $r = $c->get('/limiter-status', Host => 'h0', Accept => 'application/openmetrics-text');
unlike($r->body, $secret, 'nor OpenMetrics');
$c->post('/limiter-status', $_, Host => 'h0', 'Content-Type' => 'application/x-www-form-urlencoded')
    for 'action=clear&key=192.0.2.1', 'action=clear-all';

my $json = status($c, '?', Host => 'h0');
is_deeply([ sort map { $_->{uri} } grep { $_->{kind} !~ /shm/ } @{ $json->{storage} } ], [ sort
    "redis://***\@127.0.0.1:$port", "redis://***\@127.0.0.1:$port/1", 'redis://***@127.0.0.1:1/2',
    'valkey://***@127.0.0.1:1', 'redis+unix://***@/nowhere.sock?db=1',
    'redis+sentinel://***@127.0.0.1:1,127.0.0.1:2/mymaster?db=2', 'redis+sentinel://127.0.0.1:1/other',
    'redis+cluster://***@127.0.0.1:1,127.0.0.1:2', 'redis://***@127.0.0.1:1/3',
    'redis://***@127.0.0.1:1/4', 'toy://***@127.0.0.1/5', 'memcached://127.0.0.1:1' ],
    'the storages are told apart by what is no secret');
my ($sentinel) = grep { $_->{value} =~ /mymaster/ } @{ $json->{config} };
is($sentinel->{value}, 'redis+sentinel://***@127.0.0.1:1,127.0.0.1:2/mymaster?db=2'
   . ' sentinel_user=*** sentinel_password=***', 'options, too');
my ($cluster) = grep { $_->{value} =~ /cluster/ } @{ $json->{config} };
is($cluster->{value}, 'redis+cluster://***@127.0.0.1:1,127.0.0.1:2 deny_cache=off store_keys=plain',
   'those that are no secret are shown');
ok(fits(), 'and it fits the schema');

# mod_proxy tells its own.
sub without_proxy { return join '', grep { !/ \[proxy(?:_\w+)?:/ } split /^/, join '', @_ }

my $dir = $h->dir;
my $dump = without_proxy(qx('@{[RateLimit::Place::httpd_path()]}' -t -D DUMP_RATELIMIT -d '$dir' -f '$dir/httpd.conf' 2>&1));
like($dump, qr/^Storage$/m, 'the dump is there');
unlike($dump, $secret, 'and tells nothing');
$h->graceful;
$c = $h->client;
$c->get('/', Host => "h$_") for 0 .. $#storages;
like($h->error_log, qr/RLX/, 'the log is there');
sub error_log { return without_proxy($h->error_log) }
like(error_log(), qr{do not hold for what ProxyPass /app http://\*\*\*\@127\.0\.0\.1:1/ \(}, 'a backend');
like(error_log(), qr{do not hold for what ProxyPass http://\*\*\*\@127\.0\.0\.1:1/x \(}, 'in a section');
$c->get("/$_/x", Host => 'none', 'X-Forwarded-For' => '192.0.2.9') for ('app') x 4;
like(error_log(), qr{Proxy http://\*\*\*\@127\.0\.0\.1:1/}, 'the section that refuses');
unlike(error_log(), $secret, 'and tells nothing, at any level');
unlike($h->access_log, $secret, 'nor the other one');
$h->stop;
unlike(error_log(), $secret, 'nor at the end');

### Errors

for my $line ('redis://hunter1@127.0.0.1', 'redis://:hunter1@127.0.0.1:99999',
              'redis://user:hunter1@', 'redis://user:hunt%6x@127.0.0.1',
              'redis://user:hunter1@127.0.0.1/x', 'redis://a:hunter1@127.0.0.1 timeout=x',
              'redis://a:hunter1@127.0.0.1 sentinel_password=hunter1',
              'redis+unix://:hunter1@x', 'rediss://a:hunter1@127.0.0.1', 'redis+sentinel://:hunter1@127.0.0.1',
              'redis+cluster://:hunter1@127.0.0.1/3', 'nosuch://a:hunter1@127.0.0.1',
              'a:hunter1@127.0.0.1', 'redis:/a:hunter1@127.0.0.1', 'redis:a:hunter1@127.0.0.1',
              'redis://127.0.0.1/?password=hunter1', 'redis://127.0.0.1?user=a&password=hunter1',
              'redis://127.0.0.1 password=hunter1', 'memcached://a:hunter1@127.0.0.1',
              'shm://a:hunter1@x', 'shm:// password=hunter1', 'toy://a:hunter1@x rows=x',
              'redis://a:hunter1@127.0.0.1:1 timeout=5 sentinel_user=x') {
    my ($exit, $output) = RateLimit::Httpd->config_test(
        "RateLimitStorage $line\nRateLimitDefault 1/hour\n", { modules => ['ratelimit_toy'] });
    unlike($output, $secret, "RateLimitStorage $line: " . ($exit ? 'the error' : 'no error'))
        or diag $output;
}

done_testing;
