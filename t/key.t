# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# limiter-status?key=K: every counter that a key has, wherever it counts, with
# values worked out by hand; and that looking charges and makes nothing.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Key qw(counters notes asked);

my %limits = (
    'fixed-window' => 'fixed', 'moving-window' => 'moving',
    'sliding-window-counter' => 'sliding', 'gcra' => 'gcra',
);
my $conf = <<"END";
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitEngine Off
</Location>
@{[map { qq(<Location "/$limits{$_}">\n  RateLimit "5 per minute" strategy=$_\n</Location>\n) }
   sort keys %limits]}
<Location "/two">
    RateLimit "3 per minute; 10 per hour"
</Location>
<Location "/out">
    RateLimit "2 per minute"
</Location>
<Location "/never">
    RateLimit "3 per minute" cost=4
    RateLimit "9 per day"
    RateLimitCharge all
</Location>
<Location "/methods">
    RateLimit "4 per minute" per_method=on methods=GET,POST
</Location>
<Location "/user">
    RateLimit "4 per minute" key=%{req:X-User}
</Location>
<Location "/scoped">
    RateLimit "4 per minute" scope=here name=scoped
</Location>
<Location "/any-scope">
    RateLimit "4 per minute" scope=%{req:X-Scope}
</Location>
<Location "/endpoint">
    RateLimitEndpoint search
    RateLimit "6 per minute"
</Location>
<Location "/any-endpoint">
    RateLimitEndpoint %{req:X-Endpoint}
    RateLimit "7 per minute"
</Location>
<Location "/shared/a">
    RateLimitShared "5 per hour" scope=both
</Location>
<Location "/shared/b">
    RateLimitShared "5 per hour" scope=both
</Location>
<Location "/outer">
    RateLimit "8 per minute"
</Location>
<Location "/outer/inner">
    RateLimit "9 per hour" override_defaults=off
</Location>
<Directory "\@DOCROOT\@/dir">
    RateLimit "11 per minute"
</Directory>
<Location "/dir/sub">
    RateLimit "12 per hour" override_defaults=off
</Location>
<Location "/strict">
    RateLimit "13 per minute"
    <If "-n %{req:X-Strict}">
        RateLimitStrategy gcra
    </If>
</Location>
<Location "/own-meta">
    RateLimit "1 per minute" meta="3 per hour"
</Location>
<Location "/plan">
    RateLimit %{req:X-Plan} name=plan
</Location>
<VirtualHost 127.0.0.1:\@PORT2\@>
    ServerName www.example.org
    RateLimitIPv6Prefix 48
    RateLimitApplication "100 per minute"
    RateLimitDefault "20 per minute"
    RateLimitMeta "10 per day"
    <Location "/x">
        RateLimit "1 per minute"
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:\@PORT3\@>
    ServerName keyed.example.org
    RateLimitKey %{req:X-User}
    RateLimitDefault "20 per hour"
</VirtualHost>
END
my $h = RateLimit::Httpd->start(faketime => 1, conf => $conf, children => 1,
                               files => {
    map { $_ => '' } values %limits, qw(two out never methods user scoped
        any-scope endpoint any-endpoint shared/a shared/b outer/inner/x dir/sub
        strict own-meta plan x y) });
my @client = map { $h->client($_) } 1 .. 3;

sub from {
    my ($address, $path, %more) = @_;
    my $port = delete $more{port} // 1;
    my $method = delete $more{method} // 'GET';
    return $client[ $port - 1 ]->request($method, $path,
        { 'X-Forwarded-For' => $address, %more })->code;
}
sub answer {
    my ($key) = @_;
    $key =~ s/([^\w.])/sprintf '%%%02x', ord $1/ge;
    my $r = $client[0]->get("/limiter-status?format=text&key=$key");
    is($r->code, 200, "?key=$key is answered");
    return $r->body;
}
my $docroot = $h->docroot;
sub has { return map { s/\Q$docroot\E/DIR/r } counters(answer(@_)) }

### The strategies

# 2 at 0 s, 1 at 10 s, asked at 20 s, of 5 per minute.
for my $path (sort values %limits) {
    from('198.51.100.1', "/$path") for 1, 2;
}
$h->advance(10);
from('198.51.100.1', "/$_") for sort values %limits;
$h->advance(10);
is_deeply([has('198.51.100.1')], [
    # The window ends at 60 s.
    '5 per 1 minute fixed-window | Location /fixed of _main | 2, 40 s, room',
    # Every 12 s one comes back; three from 0 s and 10 s on are due at 36 s.
    # In 16 s that is; 16 / 12, rounded up, are taken.
    '5 per 1 minute gcra | Location /gcra of _main | 3, 16 s, room',
    # The oldest was at 0 s.
    '5 per 1 minute moving-window | Location /moving of _main | 2, 40 s, room',
    # The bucket ends at 60 s, and begins to fade.
    '5 per 1 minute sliding-window-counter | Location /sliding of _main | '
    . '2, 40 s, room',
], 'each strategy: what remains, when it resets');
is_deeply([has('198.51.100.2')], [], 'another key has nothing');

# Without room.
is(join(' ', map { from('198.51.100.3', '/out') } 1 .. 3), '200 200 429',
   'the limit is reached');
$h->advance(15);
is_deeply([has('198.51.100.3')],
          ['2 per 1 minute fixed-window | Location /out of _main | '
           . '0, 45 s, in 45 s'], 'no room, and when there will be');
is(from('198.51.100.4', '/never'), 429, 'a request that costs too much');
is_deeply([has('198.51.100.4')],
          ['9 per 1 day fixed-window | Location /never of _main | '
           . '8, 86400 s, room'],
          'what it was not charged to is as new; what it was, is not');

### Where counters are

from('198.51.100.5', '/two') for 1, 2;
is_deeply([has('198.51.100.5')], [
    '3 per 1 minute fixed-window | Location /two of _main | 1, 60 s, room',
    '10 per 1 hour fixed-window | Location /two of _main | 8, 3600 s, room',
], 'two limits of one directive');

from('198.51.100.6', '/methods') for 1 .. 3;
from('198.51.100.6', '/methods', method => 'HEAD');
from('198.51.100.6', '/methods', method => 'POST') for 1, 2;
is_deeply([sort { $a cmp $b } has('198.51.100.6')], [
    '4 per 1 minute fixed-window | GET on Location /methods of _main | '
    . '1, 60 s, room',
    '4 per 1 minute fixed-window | HEAD on Location /methods of _main | '
    . '3, 60 s, room',
    '4 per 1 minute fixed-window | POST on Location /methods of _main | '
    . '2, 60 s, room',
], 'one counter for each method');

from('198.51.100.7', '/user', 'X-User' => 'Zoë & <b>') for 1, 2;
is_deeply([has('Zoë & <b>')],
          ['4 per 1 minute fixed-window | Location /user of _main | '
           . '2, 60 s, room'], 'a key that is no address');
is_deeply([has('198.51.100.7')], [], 'who is not counted by the address');

from('198.51.100.8', $_) for qw(/scoped /endpoint /shared/a /shared/b
                                /shared/b);
is_deeply([has('198.51.100.8')], [
    '4 per 1 minute fixed-window | Location /scoped of _main | 3, 60 s, room',
    '6 per 1 minute fixed-window | search of _main | 5, 60 s, room',
    '5 per 1 hour fixed-window | both of _main | 2, 3600 s, room',
], 'scope=, a named endpoint, a shared scope once');

# An inherited limit counts under the inner section's endpoint, also where the
# outer one is a <Directory>.
from('198.51.100.9', '/outer/inner/x');
from('198.51.100.9', '/dir/sub') for 1, 2;
is_deeply([has('198.51.100.9')], [
    '9 per 1 hour fixed-window | Location /outer/inner of _main | '
    . '8, 3600 s, room',
    '8 per 1 minute fixed-window [inherited from Location /outer] | '
    . 'Location /outer/inner of _main | '
    . '7, 60 s, room',
    '12 per 1 hour fixed-window | Location /dir/sub of _main | '
    . '10, 3600 s, room',
    '11 per 1 minute fixed-window [inherited from Directory DIR/dir] | '
    . 'Location /dir/sub of _main | '
    . '9, 60 s, room',
], 'inherited limits');

from('198.51.100.10', '/strict');
from('198.51.100.10', '/strict', 'X-Strict' => 1);
is_deeply([has('198.51.100.10')], [
    '13 per 1 minute fixed-window | Location /strict of _main | '
    . '12, 60 s, room',
    # 60 / 13 s
    '13 per 1 minute gcra | Location /strict of _main | 12, 5 s, room',
], 'a strategy that an <If> sets, and the one without it');

from('198.51.100.11', '/own-meta') for 1 .. 3;
is_deeply([has('198.51.100.11')], [
    '1 per 1 minute fixed-window | Location /own-meta of _main | '
    . '0, 60 s, in 60 s',
    '3 per 1 hour fixed-window [meta] | 1 per 1 minute of Location /own-meta of _main '
    . '| 1, 3600 s, room',
], "a limit's own meta limit");

# Three refusals at /x: application and meta limits, the server's.
is(join(' ', map { from('198.51.100.12', '/x', port => 2) } 1 .. 4),
   '200 429 429 429', 'refused three times');
from('198.51.100.12', '/y', port => 2) for 1 .. 2;
from('198.51.100.12', '/y', port => 3, 'X-User' => 'max');
is_deeply([has('198.51.100.12')], [
    '100 per 1 minute fixed-window [application] | www.example.org | '
    . '97, 60 s, room',
    '20 per 1 minute fixed-window [default] | www.example.org | '
    . '18, 60 s, room',
    '1 per 1 minute fixed-window | Location /x of www.example.org | '
    . '0, 60 s, in 60 s',
    '10 per 1 day fixed-window [meta] | www.example.org | '
    . '7, 86400 s, room',
], 'a virtual host: application, default, own, meta');
is_deeply([has('max')],
          ['20 per 1 hour fixed-window [default] | keyed.example.org | '
           . '19, 3600 s, room'], 'RateLimitKey');

### Addresses

from('2001:db8:1:2:3::4', '/fixed') for 1 .. 3;
from('2001:db8:1:2:3::4', '/y', port => 2);
my $v6 = ['5 per 1 minute fixed-window | Location /fixed of _main | '
          . '2, 60 s, room'];
my $v48 = ['100 per 1 minute fixed-window [application] | www.example.org | '
           . '99, 60 s, room',
           '20 per 1 minute fixed-window [default] | www.example.org | '
           . '19, 60 s, room'];
my $body = answer('2001:DB8:1:2:3:0:0:4');
like($body, qr/^Key 2001:DB8:1:2:3:0:0:4, counted as 2001:db8:1:2::$/m,
     'an address is counted by its prefix');
is_deeply([counters($body)], [@$v6, @$v48],
          'in whatever form, and by the prefix of each server');
like($body, qr/counted as: 2001:db8:1::$/m, 'which is named where it differs');
is_deeply([has('2001:db8:1:2:ffff::')], [@$v6, @$v48],
          'another address of the same client');
is_deeply([has('2001:db8:1:3::')], $v48, 'of the same for one server alone');
is_deeply([has('::ffff:198.51.100.5')], [has('198.51.100.5')],
          'an IPv4 address in an IPv6 one');

### What cannot be found, and nonsense

from('198.51.100.13', '/any-scope', 'X-Scope' => 's');
from('198.51.100.13', '/any-endpoint', 'X-Endpoint' => 'e');
my @notes = notes($body = answer('198.51.100.13'));
is_deeply([counters($body)], [], 'a scope or endpoint that is an expression');
for my $part (['4 per 1 minute', 'scope=%{req:X-Scope}'],
              ['7 per 1 minute', 'RateLimitEndpoint %{req:X-Endpoint}']) {
    is((grep { /^\Q$part->[0]\E \(\S+:\d+\): \Q$part->[1]\E depends on the request/ }
        @notes), 1, "a note names $part->[1]");
}
is(scalar @notes, 2, 'and there are no other notes');

# In whatever process.
from('198.51.100.14', '/plan', 'X-Plan' => '20 per hour');
my @plan = ('20 per 1 hour fixed-window | Location /plan of _main | '
            . '19, 3600 s, room');
is_deeply([has('198.51.100.14')], \@plan,
          'what a limit that is an expression gave');
$h->graceful;
is_deeply([has('198.51.100.14')], \@plan, 'after a graceful restart, too');
from('198.51.100.14', '/plan', 'X-Plan' => "$_ per hour") for 1 .. 1100;
is((grep { /^%\{req:X-Plan} \(\S+:\d+\): the limit depends on the request, and has given more/ }
    notes(answer('198.51.100.14'))), 1, 'a note where not all are known');
like(join("\n", notes(answer('#0123456789abcdef'))), qr/cannot be turned back/,
     'a key as it is shown hashed is none');
$body = answer("<script>alert(1)</script>\n\e[31m");
unlike($body, qr/[\e]/, 'control characters of a key are not repeated');
is_deeply([counters($body)], [], 'nor does it have counters');
is($client[0]->get('/limiter-status?format=text&key=')->body =~ /^Configuration/,
   1, 'an empty key asks for nothing');

### Nothing is charged, nothing is made

sub used {
    my $body = $client[0]->get('/limiter-status?format=text')->body;
    return $body =~ /^ +counters: (\d+) of/m ? $1 : die $body;
}
my ($used, @before) = (used(), has('198.51.100.5'));
answer("192.0.2.$_") for 1 .. 20;
is_deeply([used(), has('198.51.100.5')], [$used, @before],
          'to look makes no counter and charges none');
is(from('198.51.100.5', '/two'), 200, 'the last that has room');
is(from('198.51.100.5', '/two'), 429, 'is the last');

### Limits of other modules

my $use = RateLimit::Httpd->start(modules => ['ratelimit_use'], faketime => 1,
                                  conf => <<'END');
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
UseGate early "4 per hour"
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitEngine Off
    RateLimitStatusControl On
</Location>
END
my $c = $use->client;
# Which charges each request, these too.
my @by = ('X-Forwarded-For' => '192.0.2.1');
is($c->get('/', @by)->code, 200, 'another module charges') for 1 .. 2;
my $at = '/limiter-status?format=text&key=192.0.2.1';
is_deeply([counters($c->get($at)->body)],
          ['4 per 1 hour fixed-window [module] | ratelimit_use:gate of _main | '
           . '2, 3600 s, room'], 'a limit of its own');
is($c->post('/limiter-status', 'action=clear&key=192.0.2.1')->body,
   "1 counter is cleared.\n", 'is cleared like any other');
is_deeply([counters($c->get($at)->body)], [], 'and is as new');

### Limits in .htaccess files

my $ht = RateLimit::Httpd->start(faketime => 1, files => {
    'add/x' => '', 'all/x' => '',
    'add/.htaccess' => qq(RateLimit "5 per minute" meta="3 per hour"\n)
        . qq(RateLimitShared "9 per hour" scope=mine\n)
        . qq(<Files x>\nRateLimit "7 per day"\n</Files>\n),
    'all/.htaccess' => qq(RateLimit "6 per minute" override_defaults=on\n),
}, conf => <<'END');
RateLimitDefault "20 per minute"
<Directory "@DOCROOT@">
    AllowOverride Limit
</Directory>
<Directory "@DOCROOT@/all">
    RateLimitAllowOverride All
</Directory>
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitEngine Off
    RateLimitStatusControl On
</Location>
END
$c = $ht->client;
is($c->get($_)->code, 200, $_) for '/add/x', '/add/x', '/all/x';
$docroot = $ht->docroot;
# Any process may answer.
sub htaccess {
    my $body = $ht->client->get('/limiter-status?format=text&key=127.0.0.1')
        ->body;
    return map { s/\Q$docroot\E//r } counters($body);
}
my @htaccess = (
    '20 per 1 minute fixed-window [default] | _main | 18, 60 s, room',
    '5 per 1 minute fixed-window | Htaccess /add/ of _main | 3, 60 s, room',
    '9 per 1 hour fixed-window | mine of _main | 7, 3600 s, room',
    '7 per 1 day fixed-window | Htaccess /add/, Files x of _main | '
    . '5, 86400 s, room',
    '6 per 1 minute fixed-window | Htaccess /all/ of _main | 5, 60 s, room',
);
is_deeply([htaccess()], \@htaccess, '.htaccess');
is_deeply([htaccess()], \@htaccess, 'whichever process answers') for 1 .. 4;
is($ht->client->post('/limiter-status', 'action=clear&key=127.0.0.1')->body,
   "5 counters are cleared.\n", 'all are cleared');
is_deeply([htaccess()], [], 'and are as new');
done_testing;
