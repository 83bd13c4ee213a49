# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# limiter-status as metrics: promtool and a real Prometheus take them, no series
# comes twice whatever a configuration holds, what is not known is not said, and
# docs/status.md and the dashboard speak of the same.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use Encode ();
use JSON::PP ();
use RateLimit::Httpd;
use RateLimit::Redis ();
use RateLimit::Metrics;
use RateLimit::Place qw(slurp);
use RateLimit::Prometheus;

chdir RateLimit::Place::top() or die $!;

my $status = <<'END';
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitExempt
</Location>
END

# What promtool complains of in a text.
my $dir = RateLimit::Place::public_tempdir('promtool');
sub complaints {
    my ($text) = @_;
    open my $fh, '>', "$dir/metrics" or die $!;
    print $fh $text;
    close $fh or die $!;
    my $said = qx(promtool check metrics < '$dir/metrics' 2>&1);
    return $? ? $said || "exit $?" : $said;
}

# Both forms of what a server says are sound, and they say the same.
sub sound {
    my ($what, $h) = @_;
    my $m = RateLimit::Metrics->of($h);
    my $om = RateLimit::Metrics->of($h, 'openmetrics');
    is_deeply($m->wrong, [], "$what: every line is as it should be, no series comes twice");
    is_deeply($om->wrong, [], "$what: as OpenMetrics too");
    # But for the first look, which is a request itself, for what Redis takes at
    # a moment, and for the time that passes between the two.
    my @series = map { [grep { $_->[0] !~ /^ratelimit_(?:requests_total|storage_size_bytes
                                                       |storage_retry_seconds)$/x }
                        $_->series] } $m, $om;
    is_deeply($series[1], $series[0], "$what: the two say the same");
    is(complaints($m->text), '', "$what: promtool check metrics");
    return $m;
}
sub labels_of {
    my ($m, $name) = @_;
    return [map { my $l = $_->[1]; join ' ', map { "$_=$l->{$_}" } sort keys %$l }
            $m->series($name)];
}

# The proof that what is wrong would be found.
isnt(complaints("# TYPE a gauge\na{b=\"\"c} 1\n"), '', 'promtool finds what is wrong');
cmp_ok(scalar @{ RateLimit::Metrics->read(
    "# HELP a b\n# TYPE a gauge\na{b=\"c\"} 1\na{b=\"c\"} 1\na{b=\"\"\"} 1\na{b=\"c\",} 1\n"
)->wrong }, '==', 3, 'and so does this test');

### A server with three virtual hosts, many sections, hostile text; a Prometheus takes
### some seconds until it asks it

my $sections = join '', map { <<"END" } 1 .. 30;
<Location "/s$_">
    RateLimit "$_ per minute, 1000 per day"
    RateLimitShared "5 per second" scope=all
</Location>
END
my $conf = <<'END' . $status . <<'END';
RateLimitApplication "1000 per minute"
RateLimitDefault "100 per minute" meta="3 per hour"
RateLimitMeta "30 per hour" name=strikes
RateLimitMeta "3 per hour"
END
<Location "/twin">
    RateLimit "5 per minute" methods=GET
    RateLimit "5 per minute" methods=POST
    RateLimit "5 per minute" methods=PUT name=put
</Location>
<Location "/again">
    RateLimit "7 per minute"
</Location>
<Location "/again">
    RateLimit "7 per minute"
    <If "%{QUERY_STRING} == 'a\"b'">
        RateLimit "7 per minute"
    </If>
</Location>
<Location "/dynamic">
    RateLimit "%{req:X-Limit}" cost=%{req:X-Cost}
</Location>
<Location "/<script>alert('}')</script>,x=1">
    RateLimit "6 per minute" error_message="\"} 1"
</Location>
<LocationMatch "^/\d+\\n\"(?<x>[^\"]+)\"">
    RateLimit "6 per minute"
</LocationMatch>
END
$conf .= "<Location \"/\xff\">\nRateLimit 8/minute\n</Location>\n"
       . "<Location \"/\xfe\">\nRateLimit 8/minute\n</Location>\n"
       . "<Location \"/\xc3\xa9\e[2J\x7f\t\">\nRateLimit 8/minute\n</Location>\n"
       . $sections;
for my $n (1 .. 3) {
    my $own = $n == 3 ? qq(RateLimitDefault "9 per hour"\nRateLimitFallback "2 per hour"\n)
                      : '';
    $conf .= "<VirtualHost 127.0.0.1:\@PORT$n\@>\n"
           . ($n == 2 ? '' : "ServerName v$n.test\n") . "$own$sections</VirtualHost>\n";
}
my $many = RateLimit::Httpd->start(conf => $conf);
my $p = RateLimit::Prometheus->start($many->port, '/limiter-status');

### The quick start

my $quick = RateLimit::Httpd->start(conf => slurp('conf.d/quickstart.conf') . $status);
{
    my $m = sound('quick start', $quick);
    is_deeply(labels_of($m, 'ratelimit_limit_quota'), [
        'limit=200 per 1 day server=_main source=default',
        'limit=50 per 1 hour server=_main source=default',
        'limit=1 per 1 day section=Location /slow server=_main source=own',
        'limit=1 per 1 second section=Location /medium server=_main source=own',
    ], 'each limit once');
    is($m->value('ratelimit_limit_quota', limit => '50 per 1 hour'), 50, 'a quota');
    is($m->value('ratelimit_limit_window_seconds', limit => '50 per 1 hour'), 3600,
       'and its window');
    is_deeply(labels_of($m, 'ratelimit_storage_up'),
              ['kind=shm role=main storage=shm://'], 'the storage');
    is($m->value('ratelimit_storage_up'), 1, 'is up');
    is($m->value('ratelimit_storage_retry_seconds'), 0, 'and asked');
    is($m->value('ratelimit_storage_size_bytes'), 32 << 20, 'its size');
    cmp_ok($m->value('ratelimit_storage_counters_max'), '>', 100_000, 'its room');
    is($m->value('ratelimit_storage_counters'), 0, 'nothing in it');
    $quick->client->get('/slow');
    is(RateLimit::Metrics->of($quick)->value('ratelimit_storage_counters'), 1,
       'one counter in it');
    is($m->value('ratelimit_storage_evictions_total'), 0, 'nothing dropped');
    is($m->value('ratelimit_config_warnings'), 0, 'no warnings');
}

### Who gets which form

{
    my $c = $quick->client;
    my $protobuf = 'application/vnd.google.protobuf;'
        . 'proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,';
    for ([openmetrics => $RateLimit::Metrics::ACCEPT],
         [openmetrics => $protobuf . 'application/openmetrics-text;version=1.0.0;'
          . 'escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1'],
         [openmetrics => 'application/openmetrics-text'],
         ['0.0.4' => 'text/plain;version=0.0.4;q=1,*/*;q=0.1'],
         ['0.0.4' => 'text/plain; version=0.0.4'],
         ['0.0.4' => 'application/json;q=0.1, text/plain;version=0.0.4'],
         [people => 'text/plain'], [people => '*/*'], [people => undef],
         # What browsers and libraries send that want a form, and take others.
         [json => 'application/json, text/plain, */*'], [json => 'application/json, */*'],
         [json => 'application/json, */*;q=0.5'], [json => 'application/*'],
         [html => 'text/html, */*'], [html => 'text/html, text/plain, */*;q=0.1'],
         [html => 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8'],
         [people => 'text/plain, application/json'], [people => 'text/*'], [people => 'image/png'],
         [people => 'text/plain;version=0.0.5']) {
        my ($want, $accept) = @$_;
        my $r = $c->get('/limiter-status', defined $accept ? (Accept => $accept) : ());
        my $type = $r->header('Content-Type');
        my $got = $type =~ /openmetrics/ ? 'openmetrics'
                : $type =~ /0\.0\.4/ ? '0.0.4'
                : $type =~ /(json|html)/ ? $1 : 'people';
        is($got, $want, defined $accept ? "Accept: $accept" : 'no Accept');
    }
    my $r = $c->get('/limiter-status?format=prometheus', Accept => $RateLimit::Metrics::ACCEPT);
    is($r->header('Content-Type'), 'text/plain; version=0.0.4; charset=utf-8',
       'format= has the last word');
    is($r->header('Cache-Control'), 'no-store', 'nobody keeps it');
    $r = $c->request('HEAD', '/limiter-status?format=prometheus');
    is($r->code . '|' . $r->body, '200|', 'HEAD');
}

### Three virtual hosts, many sections, hostile text

{
    my $h = $many;
    my $m = sound('many', $h);
    is(scalar(my @all = $m->series('ratelimit_limit_info')),
       5 + 3 + 3 + 1 + 2 + 3 + 30 * 3 + 3 * 30 * 3 + 2, 'every limit once');
    my %servers = map { $_->[1]{server} => 1 } @all;
    is(scalar keys %servers, 4, 'four servers');
    is($m->value('ratelimit_limit_info', section => 'Location /twin',
                 options => 'methods=POST', nth => 2), 1,
       'two lines that say the same are told apart');
    is($m->value('ratelimit_limit_info', section => 'Location /twin', name => 'put',
                 nth => ''), 1, 'which a name does as well');
    is_deeply([map { $_->[1]{nth} // '' } grep { ($_->[1]{section} // '') eq 'Location /again' }
               $m->series('ratelimit_limit_quota')], ['', 2], 'two sections of one name');
    is($m->value('ratelimit_limit_info', section =>
        q(Location /<script>alert('}')</script>,x=1)), 1, 'hostile text');
    is($m->value('ratelimit_limit_quota', section =>
        'LocationMatch ^/\d+\\n"(?<x>[^"]+)"'), 6, 'quotes and backslashes');
    is($m->value('ratelimit_limit_quota', section =>
        Encode::encode('UTF-8', "Location /\x{fffd}"), nth => 2), 8,
       'bytes that are no text, told apart');
    is($m->value('ratelimit_limit_info', limit => '%{req:X-Limit}', options =>
        'cost=%{req:X-Cost}'), 1, 'an expression');
    is(scalar(grep { $_->[1]{limit} =~ /X-Limit/ } $m->series('ratelimit_limit_quota'),
              $m->series('ratelimit_limit_window_seconds')), 0, 'has no quota');
    is($m->value('ratelimit_limit_quota', source => 'own-meta'), 3, 'a meta limit of a limit');
    is($m->value('ratelimit_limit_quota', source => 'meta', name => ''), 3,
       'and one of the server that says the same');
    is($m->value('ratelimit_limit_quota', source => 'fallback', server => 'v3.test:'
                 . $h->port(3)), 2, 'a fallback limit');
    is($m->value('ratelimit_limit_quota', source => 'application'), 1000,
       'what virtual hosts inherit is the main server\'s');
    like($m->value('ratelimit_config_warnings'), qr/^\d+$/, 'warnings are counted');
}

### Wherever a limit may stand, it is found

{
    my $h = RateLimit::Httpd->start(modules => ['proxy'], conf => $status . <<'END');
<Directory "/srv">
    RateLimit 1/day
    <Files "*.html">
        RateLimit 2/day
        <If "true">
            RateLimit 3/day
        </If>
        <Else>
            RateLimit 4/day
        </Else>
    </Files>
</Directory>
<DirectoryMatch "^/y">
    RateLimitShared 5/day scope=x
</DirectoryMatch>
<FilesMatch "z">
    RateLimit 6/day
</FilesMatch>
<If "false">
    <If "true">
        RateLimit 7/day
    </If>
</If>
<Proxy "http://a/">
    RateLimit 8/day
</Proxy>
<LocationMatch "^/q">
    RateLimit "9/day, 10/day" meta="11/day, 12/day"
</LocationMatch>
<VirtualHost 127.0.0.1:@PORT2@>
    <Files z>
        RateLimit 13/day
    </Files>
    <If "false">
        RateLimit 14/day
    </If>
    RateLimitDefault 15/day meta="%{req:X-Limit}"
</VirtualHost>
END
    my $m = sound('everywhere', $h);
    is_deeply([sort { $a <=> $b } map { $_->[2] } $m->series('ratelimit_limit_quota')], [1 .. 15],
              'every limit once');
    is($m->value('ratelimit_limit_info', source => 'own-meta', limit => '%{req:X-Limit}'), 1,
       'and a meta limit that is an expression');
}

### Storages that do not answer; secrets

{
    my $port = RateLimit::Place::free_port();
    my $conf = <<"END" . $status;
RateLimitStorage "redis://user:s3cret\@127.0.0.1:$port/" timeout=50
<VirtualHost 127.0.0.1:\@PORT2\@>
    ServerName two.test
    RateLimitStorage "redis://user:an0ther\@127.0.0.1:$port/" timeout=50
    RateLimitStorageFailure allow
</VirtualHost>
END
    my $h = RateLimit::Httpd->start(conf => $conf);
    my $m = sound('no Redis', $h);
    my @up = $m->series('ratelimit_storage_up');
    my @redis = grep { $_->[1]{kind} eq 'redis' } @up;
    is(scalar @redis, 2, 'two that differ in what is masked');
    is_deeply([map { $_->[2] } @redis], [0, 0], 'are down');
    unlike($m->text, qr/s3cret|an0ther/, 'no secrets');
    is($m->value('ratelimit_storage_up', role => 'fallback', kind => 'shm'), 1,
       'where counting goes on is up');
    is(scalar(grep { $_->[1]{kind} eq 'redis' } map { $m->series("ratelimit_storage_$_") }
              qw(counters counters_max size_bytes evictions_total)), 0,
       'what is not known of one that is down is not said');
}

# How long requests waited for a storage, and how often in vain.
{
    my $redis = RateLimit::Redis->start;
    my $h = RateLimit::Httpd->start(conf => 'RateLimitStorage ' . $redis->uri
        . " timeout=100 deny_cache=off\nRateLimitDefault \"100 per hour\"\n" . $status);
    my $c = $h->client;
    $c->get('/') for 1 .. 7;
    my $m = sound('Redis', $h);
    my %of = (kind => 'redis');
    my @bucket = map { $_->[2] } grep { $_->[1]{kind} eq 'redis' }
        $m->series('ratelimit_storage_round_trip_seconds_bucket');
    is(scalar @bucket, 15, 'fourteen steps, and what is longer');
    is_deeply([sort { $a <=> $b } @bucket], \@bucket, 'which add up');
    is($bucket[-1], 7, 'to all calls');
    is($m->value('ratelimit_storage_round_trip_seconds_count', %of), 7, 'all calls');
    cmp_ok($m->value('ratelimit_storage_round_trip_seconds_sum', %of), '<', 5, 'took a while');
    is($m->value('ratelimit_storage_failed_calls_total', %of), 0, 'none in vain');
    is(scalar(grep { $_->[1]{kind} eq 'shm' } $m->series('ratelimit_storage_round_trip_seconds_count')),
       0, 'memory of this server is not far away');
    $redis->kill;
    $c->get('/');
    $m = sound('Redis has gone', $h);
    is($m->value('ratelimit_storage_failed_calls_total', %of), 1, 'a call in vain');
    is($m->value('ratelimit_storage_round_trip_seconds_count', %of), 7, 'which took nothing');
}

### What is not counted is not 0

is(scalar(grep { /^ratelimit_trial/ } map { $_->[0] } RateLimit::Metrics->of($quick)->series), 0,
   'no trial, no series of it');

### The dashboard

my $text = slurp('conf.d/grafana-dashboard.json');
my $board = eval { JSON::PP->new->utf8->decode($text) };
ok($board, 'the dashboard is JSON') or diag $@;
ok($board->{uid} && $board->{title} && $board->{schemaVersion} >= 30, 'and one for Grafana');
ok(!defined $board->{id}, 'of no instance');
my %ids;
my @exprs;
for my $panel (@{ $board->{panels} }) {
    $ids{ $panel->{id} }++;
    next if $panel->{type} eq 'row';
    is($panel->{datasource}{uid}, '${datasource}', "$panel->{title}: asks what is chosen");
    ok(length $panel->{description}, 'is explained');
    push @exprs, map { $_->{expr} } @{ $panel->{targets} };
    my $g = $panel->{gridPos};
    cmp_ok($g->{x} + $g->{w}, '<=', 24, 'fits');
}
is_deeply([grep { $_ > 1 } values %ids], [], 'panels have ids of their own');
my @variables = @{ $board->{templating}{list} };
is((grep { $_->{name} eq 'datasource' } @variables)[0]{type}, 'datasource', 'a variable for that');

### A real Prometheus

{
    my $h = $many;
    my $up = $p->ask('query', query => 'up == 1');
    is(scalar @$up, 1, 'Prometheus scrapes it')
        or diag explain($p->ask('targets')), $p->log;
    my $got = $p->ask('query', query => 'ratelimit_limit_quota{name="strikes"}');
    is($got->[0]{value}[1], 30, 'and has the values');
    $got = $p->ask('query', query => 'count(ratelimit_limit_info)');
    is($got->[0]{value}[1], scalar(my @all = RateLimit::Metrics->of($h)->series(
        'ratelimit_limit_info')), 'of all series');
    $got = $p->ask('targets/metadata', metric => 'ratelimit_limit_window_seconds');
    is($got->[0]{unit}, 'seconds', 'with units, which OpenMetrics alone has');
    $got = $p->ask('targets/metadata', metric => 'ratelimit_requests');
    is($got->[0]{type}, 'counter', 'and types');
    for my $expr (@exprs) {
        my $asked = $expr =~ s/\$(instance|server)\b/.*/gr =~ s/\$__(?:rate_interval|range)\b/1m/gr;
        is($p->complaint($asked), '', "the dashboard may ask: $expr");
    }
    isnt($p->complaint('topk('), '', 'what is wrong would be found');
    is($p->log, '', 'without complaints');
    $p->stop;
}

### The manual

my ($manual) = slurp('docs/status.md') =~ /^## Metrics\n(.*?)^## /ms;
my $m = RateLimit::Metrics->of($quick, 'openmetrics');
my %set = map {
    my ($labels, $what) = /^\| (`.*?`) \| of a (\w+): /;
    $what ? ($what => [$labels =~ /`(\w+)`/g]) : ();
} split /^/, $manual;
is_deeply([sort keys %set], ['limit', 'storage'], 'the labels of limits and storages are there');
my %documented = map {
    my ($name, $type, $labels) = @$_;
    my @labels = $labels =~ /`(\w+)`/g;
    push @labels, @{ $set{$1} } if $labels =~ /of a (\w+)/;
    $name => { type => $type, labels => { map { $_ => 1 } @labels } };
} map { /^\| `(ratelimit_\w+)` \| (\w+) \| (.*?)\s?\| / ? [$1, $2, $3] : () } split /^/, $manual;
my @documented = $manual =~ /^\| `(ratelimit_\w+)` \|/mg;
is_deeply(\@documented, [$m->names], 'docs/status.md has every metric, in the same order');
for my $name ($m->names) {
    my $said = $m->family($name);
    is($documented{$name}{type}, $said->{type}, "$name: type");
    my @unknown = grep { !$documented{$name}{labels}{$_} } keys %{ $said->{labels} };
    is_deeply(\@unknown, [], 'labels');
}
unlike(join(' ', map { keys %{ $_->{labels} } } values %documented), qr/key|client|path|user/,
       'no label is of a key');

### What the dashboard asks for is there

# Metrics and labels of an expression.
sub used {
    my ($expr) = @_;
    my @found;
    my $plain = $expr =~ s/"(?:[^"\\]|\\.)*"/""/gr;
    my @names = $plain =~ /\b(ratelimit_\w+)/g;
    # A histogram is three series.
    s/_(?:bucket|sum|count)$//a for grep { /_seconds_/ } @names;
    my @labels = ($plain =~ /(\w+)\s*(?:=~|!~|!=|=(?!=))\s*""/g,
                  map { /(\w+)/g } $plain =~ /\b(?:by|without|on|ignoring|group_left)\s*\(([^)]*)\)/g);
    return (\@names, \@labels);
}
push @exprs, map { ref $_->{query} ? $_->{query}{query} =~ /label_values\((.*), \w+\)/ : () }
    @variables;
my %promised = (instance => 1, job => 1);
for my $expr (@exprs) {
    my ($names, $labels) = used($expr);
    my %known = (%promised, map { %{ ($documented{$_} || {})->{labels} || {} } } @$names);
    ok(@$names && !(grep { !$documented{$_} } @$names), $expr);
    is_deeply([grep { !$known{$_} } @$labels], [], 'and its labels');
}
my ($n, $l) = used('sum by (nonsense) (ratelimit_none{other!="a=\"b"})');
is("@$n @$l", 'ratelimit_none other nonsense', 'what is not there would be found');
my %shown = map { $_ => 1 } map { @{ (used($_))[0] } } @exprs;
is(scalar(grep { !$shown{$_} } qw(ratelimit_requests_total ratelimit_limit_requests_total
    ratelimit_storage_up ratelimit_storage_counters ratelimit_storage_evictions_total
    ratelimit_trial_keys_refused ratelimit_trial_quota)), 0, 'it shows what matters');
my $alerts = 'conf.d/prometheus-alerts.yml';
for ($manual =~ /^```text\n(.*?)^```/ms, slurp($alerts)) {
    my ($names) = used($_);
    cmp_ok(scalar @$names, '>', 3, 'examples of the manual; alerts');
    is_deeply([grep { !$documented{$_} } @$names], [], 'ask for what is there');
}
my $said = qx(promtool check rules $alerts 2>&1);
is($?, 0, 'promtool takes the alerts') or diag $said;
done_testing;
