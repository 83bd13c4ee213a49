# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# What charges of another module do to a request, what it sees of decisions,
# and which breaches it hears of: include/ratelimit_ext.h by way of
# t/modules/mod_ratelimit_use.c, under a clock that the test sets.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Use;

my $h = use_server(RateLimit::Httpd->start(
    faketime => 1,
    modules  => [qw(ratelimit_use include rewrite)],
    files    => {
        'index.html' => "i\n", 'd/page.html' => "p\n", 'sorry.html' => "so sorry\n",
        's/a.shtml'  => '<!--#include virtual="/u?limits=1/hour&scope=ssi&refuse=1" -->;'
                      . '<!--#include virtual="/u?limits=1/hour&scope=ssi" -->;'
                      . '<!--#include virtual="/u?limits=1/hour&scope=ssi&refuse=1" -->'
                      . "end\n",
        'file/.htaccess' => qq(RateLimit "0 per hour"\n)
                      . qq(ErrorDocument 429 "/u?limits=1/hour&scope=file&refuse=1"\n),
        'file/x.html' => "x\n",
        's/b.shtml'  => '<!--#include virtual="/u?limits=1/hour&scope=b&decisions=1" -->',
    },
    conf     => <<'END'));
LogLevel ratelimit_ext:debug
LogFormat "%U %>s %{RATELIMIT_RESULT}e %{RATELIMIT_SCOPE}e" result
CustomLog "@DIR@/result_log" result
RateLimitHeaders On
UseLog On
<Location "/u">
    SetHandler ratelimit-use
</Location>
<Location "/off">
    SetHandler ratelimit-use
    RateLimitEngine Off
</Location>
<Location "/filtered">
    SetHandler ratelimit-use
    RateLimitRequestFilter "%{req:X-Pass} == 'yes'"
    RateLimit "1000 per hour"
</Location>
<Location "/mine">
    SetHandler ratelimit-use
    RateLimit "2 per minute"
    RateLimitStatus 420
</Location>
<Location "/shown">
    SetHandler ratelimit-use
    RateLimitKeyDisplay plain
    RateLimitHeaders ietf
    RateLimitErrorBody text
</Location>
<Location "/all">
    SetHandler ratelimit-use
    RateLimit "9 per minute"
    RateLimitCharge all
</Location>
<Location "/document">
    SetHandler ratelimit-use
    RateLimit "1 per hour"
    ErrorDocument 429 "/u?limits=1/hour&scope=document&times=2&refuse=1&key=d"
</Location>
<Location "/page">
    SetHandler ratelimit-use
    ErrorDocument 429 /sorry.html
</Location>
<Location "/pending">
    SetHandler ratelimit-use
    RateLimit "5 per hour" deduct_when=true
</Location>
<Location "/early">
    SetHandler ratelimit-use
    RateLimit "1 per hour" phase=early
</Location>
<Location "/trial">
    SetHandler ratelimit-use
    RateLimit "1 per hour"
    RateLimitEngine DryRun
</Location>
<Location "/tries">
    SetHandler ratelimit-use
    RateLimit "1 per hour" dry_run=on name=tries
</Location>
<Location "/s">
    Options +Includes
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
    RateLimit "100 per hour"
</Location>
<Location "/passing">
    RateLimitRequestFilter true
    RateLimit "1000 per hour"
    RewriteEngine On
    RewriteRule .* /u?limits=9/hour&scope=passing [PT]
</Location>
<Location "/jump">
    RateLimitEngine Off
    RewriteEngine On
    RewriteRule .* /mine?limits=9/hour&scope=jump [PT]
</Location>
<Directory "@DOCROOT@/file">
    AllowOverride Limit FileInfo
</Directory>
<Location "/rewritten">
    RewriteEngine On
    RewriteRule .* /mine?limits=9/hour&scope=rewritten&decisions=1 [PT]
</Location>

<VirtualHost 127.0.0.1:@PORT2@>
    ServerName other
    UseLog On
    <Location "/u">
        SetHandler ratelimit-use
    </Location>
    <Location "/many">
        SetHandler ratelimit-use
        RateLimit "7 per minute" override_defaults=off
        RateLimitShared "50 per hour" scope=S name=team override_defaults=off
    </Location>
    RateLimitDefault "8 per minute"
    RateLimitApplication "100 per day"
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT3@>
    ServerName early
    UseGate early "2 per minute"
    UseStrikes "2 per day"
    UseLog On
    RateLimitMeta "2 per hour" status=403 name=meta
    <Location "/closed">
        Require all denied
    </Location>
    <Location "/u">
        SetHandler ratelimit-use
    </Location>
    <Location "/free">
        SetHandler ratelimit-use
        RateLimitExempt meta
    </Location>
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT4@>
    ServerName access
    UseGate access "2 per minute"
    UseLog On
    ErrorDocument 429 /sorry.html
    <Location "/closed">
        Require all denied
    </Location>
    <Location "/open">
        RateLimitEngine Off
    </Location>
    <Location "/own">
        RateLimit "1 per hour"
    </Location>
</VirtualHost>
END
my $zero = use_zero();
my $c = use_client(1);
my ($o, @o, $r);

### Refusing

at(10_000);
breaches();
my @who = ('X-Forwarded-For' => '10.10.0.1');
is((use_it('/u', 'limits=1/minute&scope=r1&refuse=1', @who), $response->code)[1], 200, 'there is room');
at(10_015);
mark();
use_it('/u/r1', 'limits=1/minute&scope=r1&refuse=1', @who, Accept => 'text/plain');
is($response->code, 429, 'there is none');
is($response->reason, 'Too Many Requests', 'in words');
is($response->header('Retry-After'), 45, 'Retry-After');
is($response->header('Cache-Control'), 'no-store', 'not to be kept');
is($response->header('X-RateLimit-Limit'), 1, 'fields');
is($response->header('X-RateLimit-Reset'), $zero + 10_060, 'of that limit');
is($response->body, "429 Too Many Requests: 1 per 1 minute\n", 'the body');
like((log_lines('RLX0001'))[0], qr/RLX0001: refused: client 10\.10\.0\.1 limit "1 per 1 minute" key "10\.10\.0\.1" scope "r1"/,
     'one line in the log');
is(scalar(log_lines('RLX0001')), 1, 'and no more');
like((logged('use: /u/r1 is', 1))[0], qr/is refused allowed=0 n=1 breached=1 per 1 minute kind=module status=429 retry=45/,
     'and the request was refused by it');
is_deeply([breaches()], ['refused allowed=0 n=1 breached=1 per 1 minute kind=module status=429 retry=45 of 1, r1'],
          'listeners heard of it once');
use_it('/u', 'limits=1/minute&scope=r1&refuse=1&status=503&message=<No>&name=own', @who, Accept => 'text/html');
is($response->code, 200, 'a name makes another counter');
use_it('/u', 'limits=1/minute&scope=r1&refuse=1&status=503&message=<No>&name=own', @who, Accept => 'text/html');
is($response->code, 503, 'status of the limit');
like($response->body, qr/&lt;No&gt;/, 'error message, escaped');
use_it('/shown', 'limits=1/minute&scope=r1&refuse=1&name=own', @who);
is($response->header('RateLimit'), '"own";r=0;t=60', 'fields by name');
is($response->body, "429 Too Many Requests: 1 per 1 minute\n", 'RateLimitErrorBody is heeded');
is((use_it('/mine', 'limits=1/minute&scope=r1&refuse=1', @who), $response->code)[1], 420,
   'RateLimitStatus is heeded');
is((use_it('/page', 'limits=1/minute&scope=r1&refuse=1', @who), $response->body)[1], "so sorry\n",
   'ErrorDocument is heeded');
is($response->code, 429, 'with the status');
my $results = do { local (@ARGV, $/) = $h->dir . '/result_log'; <> };
like($results, qr{^/u/r1 429 refused r1$}m, 'variables');

# The error document of a refusal may charge, and is not refused.
is((use_it('/document', 'limits=9/hour&scope=x', @who), $response->code)[1], 200, 'room');
breaches();
use_it('/document', 'limits=9/hour&scope=x', @who);
is($response->code, 429, 'no room');
like($response->body, qr/^0 refused allowed=0 n=1/, 'its document charges, and goes on');
is_deeply([map { /kind=(\S+)/ } breaches()], ['section', 'module'], 'both are breaches');

# But where a .htaccess file refuses on purpose, its document is no way around
# the limits of others.
like($c->get('/file/x.html', @who)->body, qr/^0 allowed/, 'the document of a file: room');
$r = $c->get('/file/x.html', @who);
is($r->code, 429, 'no room');
unlike($r->body, qr/^0 /, 'and the document is refused');

# What directives had charged is given back, unless RateLimitCharge says else.
at(10_100);
is((use_it('/mine', 'limits=1/minute&scope=r2', @who), $response->header('X-RateLimit-Remaining'))[1], 1,
   'a directive charges');
use_it('/mine', 'limits=1/minute&scope=r2&refuse=1', @who);
is($response->code, 420, 'the module refuses');
use_it('/mine', 'limits=9/minute&scope=x', @who);
is($response->code, 200, 'which was not charged to the section');
use_it('/mine', 'limits=9/minute&scope=x', @who);
is($response->code, 420, 'whose two are used now');
is((use_it('/all', 'limits=1/minute&scope=r3&refuse=1', @who), $response->header('X-RateLimit-Remaining'))[1], 8, 'RateLimitCharge all');
is((use_it('/all', 'limits=1/minute&scope=r3&refuse=1', @who), $response->code)[1], 429, 'refused');
is((use_it('/all', 'limits=9/minute&scope=x', @who), $response->header('X-RateLimit-Remaining'))[1], 6,
   'stays charged');

### Subrequests

at(11_000);
breaches();
$response = $c->get('/s/a.shtml', @who);
is($response->code, 200, 'a subrequest that is refused does not refuse the page');
is($response->header('Retry-After'), undef, 'nor mark it');
is($response->header('X-RateLimit-Remaining'), 99, 'which has its own limits');
my @parts = split /;/, $response->body;
like($parts[0], qr/^0 allowed/, 'the first subrequest charges');
like($parts[1], qr/^0 refused/, 'the second has no room');
unlike($parts[2], qr/\d (?:allowed|refused)/, 'the third is refused');
like($parts[2], qr/end$/, 'and the page goes on');
is(scalar(log_lines('RLX0001')), 0, 'no request was refused');
is(scalar(breaches()), 2, 'each without room is a breach');
$response = $c->get('/s/b.shtml', @who);
like($response->body, qr/^request allowed allowed=1 n=1.*\n  "100 per 1 hour".* kind=section scope="Location \/s"/m,
     'a subrequest sees what was decided for the page');

### What was decided

at(12_000);
mark();
(undef, $o) = use_at(2, '/many', 'limits=1/hour&scope=x&decisions=1', @who);
is("$o->{rc} $o->{result} $o->{allowed} $o->{n}", 'request allowed 1 4', 'in a handler');
my @shown = map { "$_->{limit}|$_->{policy}|$_->{kind}|$_->{scope}|$_->{key}|$_->{remaining}|$_->{charged}" } @{ $o->{list} };
is_deeply(\@shown, [
    '8 per 1 minute|8 per 1 minute|default|Location /many|10.10.0.1|7|1',
    '7 per 1 minute|7 per 1 minute|section|Location /many|10.10.0.1|6|1',
    '50 per 1 hour|team|shared|S|10.10.0.1|49|1',
    '100 per 1 day|100 per 1 day|application|other:' . $h->port(2) . '|10.10.0.1|99|1',
], 'every kind, in the order in which they were decided') or diag($response->body);
my @logged = map { s/.*use: \/many has //r } logged('use: /many has', 4);
is_deeply(\@logged, [map { s/^  //r } grep { /^  "/ && !/kind=module/ } split /\n/, $response->body],
          'the same when it is logged');
(undef, $o) = use_at(1, '/rewritten', '', 'X-Forwarded-For' => '10.12.0.1');
is("$o->{result} $o->{n} $o->{list}[0]{scope}", 'allowed 1 Location /mine', 'after a redirect')
    or diag($response->body);
$c->get('/page/r9?limits=1/minute&scope=r9&refuse=1', @who) for 1 .. 2;
like((logged('use: /page/r9 is', 2))[1], qr/is refused .* kind=module status=429/,
     'when it is logged, also what an error document was made for');
use_it('/u/r10', 'limits=1/minute&scope=r10', @who);
like((logged('use: /u/r10 is', 1))[0], qr/is none allowed=1 n=0/, 'a charge is not a decision on the request');
use_at(1, '/off', 'limits=1/minute&scope=r10&decisions=1', @who);
like($response->body, qr/^request none/m, 'Off: none');
use_at(1, '/filtered', 'limits=1/minute&scope=r10&decisions=1', @who, 'X-Pass' => 'yes');
like($response->body, qr/^request exempt allowed=1 n=0/m, 'a request filter: exempt');

is(use_it('/passing', '', @who)->{result}, 'exempt', 'which goes on after a redirect');
use_it('/jump', '', 'X-Forwarded-For' => '10.12.0.2');
like((logged('use: /jump is', 1))[0], qr/is allowed allowed=1 n=1/,
     'when it is logged, what was decided after a redirect');

# What the response decides: here it has not yet, there it has.
at(12_500);
my @p = ('X-Forwarded-For' => '10.12.5.1');
(undef, $o) = use_at(1, '/pending', 'limits=9/day&scope=x&decisions=1', @p);
is(join(' ', @{ $o->{list}[0] }{qw(charged pending remaining)}), '0 1 5', 'deduct_when: pending');
like((logged('use: /pending has', 1))[0], qr/charged=1 .*pending=0 remaining=4/, 'and charged');
is((use_it('/pending', 'limits=1/day&scope=p&refuse=1', @p), $response->code)[1], 200, 'charged again');
is((use_it('/pending', 'limits=1/day&scope=p&refuse=1', @p), $response->code)[1], 429, 'refused');
(undef, $o) = use_at(1, '/pending', 'limits=9/day&scope=x&decisions=1', @p);
is($o->{list}[0]{remaining}, 3, 'which is not charged for its response');

### Breaches of directives

at(13_000);
breaches();
my @b = ('X-Forwarded-For' => '10.13.0.1');
use_it('/mine', 'limits=9/minute&scope=x', @b) for 1 .. 3;
is_deeply([breaches()], ['refused allowed=0 n=1 breached=2 per 1 minute kind=section status=420 retry=60 of 1, Location /mine'],
          'a refusal by a section');
use_it('/tries', 'limits=9/minute&scope=x', @b) for 1 .. 2;
is_deeply([breaches()], ['dry-run allowed=1 n=1 breached=tries kind=section status=0 retry=0 of 1, Location /tries'],
          'one that would be, by a limit that tries');
use_it('/early', 'limits=9/minute&scope=x', @b) for 1 .. 2;
is_deeply([breaches()], ['refused allowed=0 n=1 breached=1 per 1 hour kind=section status=429 retry=3600 of 1, Location /early'],
          'a refusal before access control');
use_it('/trial', 'limits=9/minute&scope=x', @b) for 1 .. 2;
is_deeply([breaches()], ['dry-run allowed=1 n=1 breached=1 per 1 hour kind=section status=0 retry=0 of 1, Location /trial'],
          'or where refusing is off');
use_at(2, '/u', 'limits=9/minute&scope=x', @b) for 1 .. 9;
is_deeply([breaches()], ['refused allowed=0 n=2 breached=8 per 1 minute kind=default status=429 retry=60 of 2, other:' . $h->port(2)],
          'a refusal by a default');
at(13_060);
for (1 .. 13) {
    at(13_060 + 60 * $_);
    use_at(2, '/u', 'limits=9/minute&scope=x', @b) for 1 .. 8;
}
like((breaches())[-1], qr/^refused allowed=0 n=2 breached=100 per 1 day kind=application status=429/,
     'a refusal by an umbrella');

### At a gate, before sections are known; meta limits; listeners that charge

at(20_000);
breaches();
my $early = use_client(3);
my @e = ('X-Forwarded-For' => '10.20.0.1');
is($early->get('/closed', @e)->code, 403, 'the gate lets pass: closed');
is($early->get('/d/page.html', @e)->code, 200, 'open');
$r = $early->get('/closed', @e);
is($r->code, 429, 'the gate refuses before access control');
is($r->header('Retry-After'), 60, 'Retry-After');
like($r->header('Content-Type'), qr/problem\+json/, 'and the usual body');
like((logged('use: /closed is', 2))[1], qr/is refused .* kind=module/, 'marked');
is_deeply([map { /^(\S+).* kind=(\S+)/ } breaches()], ['refused', 'module'], 'one breach');
$r = $early->get('/d/page.html', @e);
is($r->code, 429, 'second breach');
is($r->header('Retry-After'), 3600, 'which took the last room of the meta limit');
at(20_060);
$r = $early->get('/d/page.html', @e);
is($r->code, 403, 'the gate lets pass again, the meta limit does not');
my @heard = breaches();
is(scalar(@heard), 2, 'each breach is heard of once');
like($heard[1], qr/^refused allowed=0 n=1 breached=meta kind=meta status=403/, 'that of the meta limit too');
is(scalar(grep { /use: client 10\.20\.0\.1 has had 2 breaches/ } split /\n/, $h->error_log), 1,
   'the third breach is one too many for the listener');
is((grep { /, ratelimit_use:strikes/ } @heard), 0, 'of which nobody is told');
unlike($h->error_log, qr/use: a listener refuses/, 'and which is no refusal');

is($early->get('/d/page.html', @e)->code, 403, 'likewise the second of the minute');
$r = $early->get('/d/page.html', @e);
is($r->code . ' ' . $r->header('Retry-After'), '429 3540',
   'the third is refused at the gate, until the meta limit has room');

# What a handler refuses is charged to the meta limits likewise, but where the
# section is exempt from them.
@e = ('X-Forwarded-For' => '10.20.0.2');
my $refuse = 'limits=1/day&scope=meta&refuse=1';
my @codes;
for (['/free', 200], ['/free', 429], ['/free', 429], ['/free', 429],
     ['/u', 429], ['/u', 429], ['/u', 403], ['/free', 429]) {
    my ($path, $want) = @$_;
    at(20_100 + 60 * @codes);
    use_at(3, $path, $refuse, @e);
    push @codes, $response->code;
    is($codes[-1], $want, "refusal $#codes, $path");
}

### In access control

at(21_000);
my $access = use_client(4);
my @a = ('X-Forwarded-For' => '10.21.0.1');
is($access->get('/closed', @a)->code, 403, 'charged, then closed');
is($access->get('/own', @a)->code, 404, 'charged, and by a section');
$r = $access->get('/own', @a);
is($r->code . ' ' . $r->body, "429 so sorry\n", 'the gate refuses, with its document');
is($r->header('Retry-After'), 60, 'by the gate alone: the section was not looked at');
is($access->get('/open', @a)->code, 404, 'where the engine is off, it does not');

done_testing;
