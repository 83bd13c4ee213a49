# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# mpm: any
#
# What the documentation of Flask-Limiter shows, case by case, in httpd's
# language; under a clock that the test sets, reckoned by hand. The quick start
# is in quickstart.t.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Visitor qw(visit fresh get post codes field);

my $zero = 1_800_000_000;
my $h = RateLimit::Httpd->start(
    faketime => $zero,
    conf     => <<'END');
RateLimitHeaders On
AliasMatch "^/" "@DOCROOT@/index.html"
<VirtualHost 127.0.0.1:@PORT@>
    ServerName plain
    <Location "/single">
        RateLimit "100/day;10/hour;1/minute"
    </Location>
    <Location "/several">
        RateLimit "100/day"
        RateLimit "10/hour"
        RateLimit "1/minute"
    </Location>
    <Location "/current">
        RateLimit "1/second"
        RateLimit "60/minute"
        RateLimit "2/day"
    </Location>
    <Location "/keyed">
        RateLimit "2/day" key=%{req:X-User}
    </Location>
    <Location "/first-key">
        RateLimit "2/day" key=%{req:X-User} key=%{req:X-Key} key=%{REMOTE_ADDR}
    </Location>
    SetEnvIf X-Plan . CUSTOM_LIMIT=3/day
    <Location "/dynamic">
        SetEnvIfExpr "-z reqenv('CUSTOM_LIMIT')" CUSTOM_LIMIT=2/day
        RateLimit "%{env:CUSTOM_LIMIT}"
    </Location>
    <Location "/expensive">
        RateLimit "2/day" exempt_when="req('X-User') == 'admin'"
    </Location>
    <Location "/method">
        RateLimit "1/day" per_method=on
    </Location>
    <Location "/post">
        RateLimit "1/day" methods=POST
    </Location>
    <Location "/cost">
        RateLimit "10/day" cost=3
    </Location>
    <Location "/cost-of">
        RateLimit "10/day" cost=%{req:X-Cost}
    </Location>
    <Location "/scope">
        RateLimit "1/day" scope=%{req:X-Part}
    </Location>
    <Location "/message">
        RateLimit "0/day" error_message="Slow down, please."
    </Location>
    <Location "/fixed">
        RateLimit "3/minute"
    </Location>
    <Location "/moving">
        RateLimit "3/minute" strategy=moving-window
    </Location>
    <Location "/sliding">
        RateLimit "10/minute" strategy=sliding-window-counter
    </Location>
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT@>
    ServerName shared
    ServerAlias shared-too
    <Location "/r1">
        RateLimitShared "3/hour" scope=mysql
    </Location>
    <Location "/r2">
        RateLimitShared "3/hour" scope=mysql
    </Location>
    <Location "/r3">
        RateLimitShared "3/hour" scope=other
    </Location>
    <Location "/h1">
        RateLimitShared "3/hour" scope=%{HTTP_HOST}
    </Location>
    <Location "/h2">
        RateLimitShared "3/hour" scope=%{HTTP_HOST}
    </Location>
</VirtualHost>

# Nested blueprints: the example of the recipes.
<VirtualHost 127.0.0.1:@PORT@>
    ServerName nested
    RateLimitDefault     "100/hour"
    RateLimitApplication "100/minute"
    <Location "/parent">
        RateLimit "2/minute"
    </Location>
    <Location "/parent/child">
        RateLimit "1/second" override_defaults=off
    </Location>
    <Location "/parent/child/grandchild">
        RateLimit "10/minute"
    </Location>
    <LocationMatch "^/parent(/child(/grandchild)?)?/health">
        RateLimitExempt default application ancestors
    </LocationMatch>
</VirtualHost>

# Each flag by itself.
<VirtualHost 127.0.0.1:@PORT@>
    ServerName flags
    RateLimitDefault     "2/day"
    RateLimitApplication "4/day"
    <Location "/ping">
        RateLimitExempt
    </Location>
    <Location "/application">
        RateLimitExempt application
    </Location>
    <Location "/default">
        RateLimitExempt default
    </Location>
    <Location "/bp">
        RateLimit "3/day"
        RateLimitExempt default application
    </Location>
    <Location "/bp/silent">
        RateLimitStatus 503
    </Location>
    <Location "/bp/nested">
        RateLimitEndpoint nested
    </Location>
    <Location "/bp/cut">
        RateLimitExempt ancestors
    </Location>
    <Location "/down">
        RateLimit "3/day"
        RateLimitExempt default application descendents
    </Location>
    <Location "/down/nested">
        RateLimitEndpoint nested
    </Location>
    <Location "/down/nested/own">
        RateLimit "1/day"
    </Location>
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT@>
    ServerName filters
    RateLimitDefault "1/day"
    RateLimitMeta "1/day"
    RateLimitRequestFilter "req('X-Internal') == 'true'"
    RateLimitRequestFilter "%{REMOTE_ADDR} == '127.0.0.1'"
</VirtualHost>

<VirtualHost 127.0.0.1:@PORT@>
    ServerName meta
    RateLimitMeta "2/hour;4/day"
    <Location "/slow">
        RateLimit "1/minute"
    </Location>
    <Location "/ping">
        RateLimitExempt
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT@>
    ServerName meta-options
    RateLimitMeta "%{req:X-Meta}"
    RateLimitMeta "2/day" methods=POST
    RateLimitMeta "3/day" exempt_when="req('X-User') == 'admin'"
    <Location "/slow">
        RateLimit "1/day"
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT@>
    ServerName meta-dry
    RateLimitMeta "1/day" dry_run=on
    <Location "/slow">
        RateLimit "1/minute"
    </Location>
</VirtualHost>

# Which limit the fields speak of.
<VirtualHost 127.0.0.1:@PORT@>
    ServerName fields
    RateLimitApplication "5/second"
    RateLimitDefault     "20/day"
    <Location "/own">
        RateLimit "10/minute" override_defaults=off
        RateLimitShared "6/second" scope=six
    </Location>
    <Location "/shared">
        RateLimitShared "6/minute" scope=shared
    </Location>
    <Location "/equal">
        RateLimit "7/day" override_defaults=off
    </Location>
    <Location "/equal/in">
        RateLimit "8/day" override_defaults=off
    </Location>
    <Location "/equal/on">
        RateLimit "9/day"
        RateLimit "8/day"
    </Location>
    <Location "/none">
        RateLimitExempt
    </Location>
</VirtualHost>
END
visit($h);

# The clock, so many seconds after the beginning of the case.
my $begin = $zero;
sub at { $h->set_time($begin + $_[0]); return }
sub begin { fresh; $begin = $h->now + 200_000; return at(0) }

# "status limit remaining reset retry-after", the reset since the beginning.
sub told {
    my ($path, %headers) = @_;
    my $r = get($path, %headers);
    my ($limit, $remaining, $reset) = map { $r->header("X-RateLimit-$_") }
                                          qw(Limit Remaining Reset);
    return join ' ', $r->code, $limit // '-', $remaining // '-',
        defined $reset ? $reset - $begin : '-', $r->header('Retry-After') // '-';
}
my @plain = (Host => 'plain');

### Single and multiple decorators

for my $path ('/single', '/several') {
    begin;
    is(told($path, @plain), '200 1 0 60 -', "$path: the shortest window is told");
    is(told($path, @plain), '429 1 0 60 60', 'and refuses');
    like(get($path, @plain)->body, qr/1 per 1 minute/, 'by name');
    for my $minute (1 .. 9) {
        at($minute * 60);
        is(codes(1, $path, @plain), '200', "minute $minute");
    }
    at(600);
    is(told($path, @plain), '429 10 0 3600 3000', 'ten in the hour');
    like(get($path, @plain)->body, qr/10 per 1 hour/, 'by name');
    my %got;
    for my $hour (1 .. 9) {
        for my $minute (0 .. 9) {
            at($hour * 3600 + $minute * 60);
            $got{ codes(1, $path, @plain) }++;
        }
    }
    is_deeply(\%got, { 200 => 90 }, 'another ninety');
    at(36000);
    is(told($path, @plain), '429 100 0 86400 50400', 'a hundred in the day');
    at(86399.5);
    is(codes(1, $path, @plain), '429', 'up to its end');
    at(86400);
    is(told($path, @plain), '200 1 0 86460 -', 'which is another day');
}

begin;
is(told('/current', @plain), '200 1 0 1 -', 'the most relevant limit: 1/second');
at(1);
is(told('/current', @plain), '200 1 0 2 -', 'still');
at(2);
is(told('/current', @plain), '429 2 0 86400 86398', 'the breached one: 2/day');

### Keys

begin;
my @ann = (@plain, 'X-User' => 'ann');
is(codes(1, '/keyed', @ann), '200', 'a key of its own');
fresh;
is(codes(2, '/keyed', @ann), '200 429', 'is the same from another address');
is(codes(3, '/keyed', @plain, 'X-User' => 'bob'), '200 200 429', 'another user');
is(told('/keyed', @plain), '200 - - - -', 'nobody: the limit is skipped');
fresh;
is(codes(3, '/first-key', @ann, 'X-Key' => 'k'), '200 200 429', 'the first key');
is(codes(3, '/first-key', @plain, 'X-Key' => 'k'), '200 200 429', 'the second');
is(codes(3, '/first-key', @plain), '200 200 429', 'the last');

### Dynamic limits, conditions, methods, costs, scopes, messages

begin;
is(codes(3, '/dynamic', @plain), '200 200 429', 'dynamic: what is set for all');
is(codes(4, '/dynamic', @plain, 'X-Plan' => 'more'), '200 200 200 429', 'and for some');
is(codes(3, '/expensive', @plain, 'X-User' => 'admin'), '200 200 200', 'exempt_when');
is(told('/expensive', @plain), '200 2 1 86400 -', 'nothing was counted');
is(codes(2, '/expensive', @plain), '200 429', 'others are limited');
is(codes(2, '/method', @plain), '200 429', 'per_method: GET');
is(post('/method', @plain)->code, 200, 'POST has a counter of its own');
is(post('/method', @plain)->code, 429, 'which is full');
is(codes(3, '/post', @plain), '200 200 200', 'methods: not GET');
is(post('/post', @plain)->code, 200, 'POST');
is(post('/post', @plain)->code, 429, 'alone');
is(codes(4, '/cost', @plain), '200 200 200 429', 'cost=3: three times in ten');
is(field('Remaining', '/cost', @plain), 1, 'and one left');
is(field('Remaining', '/cost-of', @plain, 'X-Cost' => 7), 3, 'a cost that is reckoned');
is(codes(1, '/cost-of', @plain, 'X-Cost' => 4), '429', 'more than is left');
is(codes(1, '/cost-of', @plain, 'X-Cost' => 3), '200', 'all that is left');
is(codes(2, '/scope', @plain, 'X-Part' => 'a'), '200 429', 'scope=');
is(codes(2, '/scope', @plain, 'X-Part' => 'b'), '200 429', 'another');
like(get('/message', @plain)->body, qr/Slow down, please\./, 'error_message');

### Shared limits

begin;
my @shared = (Host => 'shared');
is(codes(2, '/r1', @shared), '200 200', 'shared: one route');
is(told('/r2', @shared), '200 3 0 3600 -', 'the other goes on counting');
is(codes(1, '/r1', @shared), '429', 'both are full');
is(codes(1, '/r2', @shared), '429', 'at once');
is(codes(4, '/r3', @shared), '200 200 200 429', 'another scope is not');
is(codes(2, '/h1', @shared), '200 200', 'a scope that is reckoned');
is(codes(2, '/h2', @shared), '200 429', 'for both routes');
is(codes(4, '/h1', Host => 'shared-too'), '200 200 200 429', 'another host');

### Nested blueprints

begin;
my @nested = (Host => 'nested');
is(codes(3, '/parent', @nested), '200 200 429', 'parent: 2/minute');
is(told('/parent', @nested), '429 2 0 60 60', 'which is told');
is(codes(1, '/parent/child', @nested), '200', 'child: 1/second');
is(told('/parent/child', @nested), '429 1 0 1 1', 'refuses');
at(1);
is(codes(1, '/parent/child', @nested), '200', 'a second later');
at(2);
is(told('/parent/child', @nested), '429 2 0 60 58', 'and 2/minute, counted for the child');
is(codes(11, '/parent/child/grandchild', @nested), join(' ', (200) x 10, 429),
   'grandchild: 10/minute alone');
for my $in ('/parent', '/parent/child', '/parent/child/grandchild') {
    is(told("$in/health", @nested), '200 - - - -', "$in/health: nothing");
}
# 2 + 2 + 10 of the application's hundred are taken.
is(codes(86, '/', @nested), join(' ', (200) x 86), 'the application has 86 left');
is(told('/', @nested), '429 100 0 60 58', 'and refuses');
is(codes(1, '/parent/child/health', @nested), '200', 'but not what is exempt');
at(60);
is(codes(14, '/', @nested), join(' ', (200) x 14), 'the default: 14 of its hundred');
is(told('/', @nested), '429 100 0 3602 3542', 'and no more in this hour');
is(codes(1, '/parent/child/grandchild', @nested), '429',
   'its minute began at 2');
at(62);
is(codes(1, '/parent/child/grandchild', @nested), '200', 'and is over');

### Exemptions

begin;
my @flags = (Host => 'flags');
is(codes(5, '/ping', @flags), join(' ', (200) x 5), 'exempt: from all that is the server\'s');
is(told('/ping', @flags), '200 - - - -', 'nothing is told');
is(codes(3, '/application', @flags), '200 200 429', 'application: the default holds');
is(codes(5, '/default', @flags), '200 200 200 200 429', 'default: the application holds');
fresh;
is(codes(4, '/bp', @flags), '200 200 200 429', 'a blueprint\'s own limits hold');
is(codes(1, '/bp/silent', @flags), '503', 'and for what does not speak of limits');
is(codes(4, '/bp/nested', @flags), '200 200 200 429', 'what is nested is not exempt, and inherits');
is(field('Limit', '/bp/nested', @flags), 3, 'the blueprint\'s refuses');
is(codes(2, '/elsewhere', @flags), '200 429', 'three of the application\'s four were charged');
fresh;
is(codes(3, '/bp/cut', @flags), '200 200 429', 'ancestors: the default alone');
fresh;
is(codes(4, '/down', @flags), '200 200 200 429', 'descendents: its own hold for itself');
is(told('/down/nested', @flags), '200 - - - -', 'and nothing for what is nested');
is(codes(2, '/down/nested/own', @flags), '200 429', 'but its own');

### Request filters

begin;
my @filters = (Host => 'filters');
is(told('/', @filters, 'X-Internal' => 'true'), '200 - - - -', 'a filter that holds') for 1 .. 2;
is(codes(3, '/', @filters, 'X-Forwarded-For' => '127.0.0.1'), '200 200 200', 'the other');
is(codes(2, '/', @filters, 'X-Internal' => 'false'), '200 429', 'none');
is(codes(1, '/other', @filters), '429', 'refused too often: everything is');
is(codes(1, '/other', @filters, 'X-Internal' => 'true'), '200', 'but not what is filtered');

### Meta limits

begin;
my @meta = (Host => 'meta');
is(codes(1, '/slow', @meta), '200', 'meta: room once');
at(10);
is(told('/slow', @meta), '429 1 0 60 50', 'the first breach: an hour and a day begin');
at(20);
is(told('/slow', @meta), '429 1 0 60 3590', 'the second: until 3610');
at(30);
is(told('/other', @meta), '429 2 0 3610 3580', 'everything is refused');
is(codes(1, '/ping', @meta), '200', 'but what is exempt');
at(3610);
is(told('/slow', @meta), '200 1 0 3670 -', 'the hour is over');
at(3620);
is(told('/slow', @meta), '429 1 0 3670 50', 'the third breach, the first in this hour');
at(3630);
is(told('/slow', @meta), '429 1 0 3670 82780', 'the fourth: the day has no room either');
at(7219);
is(told('/other', @meta), '429 2 0 7220 79191', 'the hour is named first');
at(7220);
is(told('/other', @meta), '429 4 0 86410 79190', 'then the day');
at(86409);
is(codes(1, '/slow', @meta), '429', 'up to its end');
at(86410);
is(codes(1, '/slow', @meta), '200', 'which comes');

begin;
my @options = (Host => 'meta-options');
is(codes(2, '/slow', @options, 'X-Meta' => '1/hour'), '200 429', 'a dynamic meta limit');
is(told('/other', @options, 'X-Meta' => '1/hour'), '429 1 0 3600 3600', 'blocks');
is(told('/other', @options), '200 - - - -', 'where it is one');
is(told('/other', @options, 'X-Meta' => '2/hour'), '200 - - - -', 'and as what it is');
at(3600);
is(codes(1, '/other', @options, 'X-Meta' => '1/hour'), '200', 'its hour is over');
begin;
is(codes(3, '/slow', @options), '200 429 429', 'methods=POST: refusals of GET');
is(post('/other', @options)->code, 200, 'do not block POST');
is(post('/slow', @options)->code, 429, 'one of POST, the third for the other limit');
is(post('/other', @options)->code, 429, 'which blocks POST');
is(field('Limit', '/other', @options), 3, 'and GET');
begin;
is(codes(1, '/slow', @options), '200', 'room once');
is(post('/slow', @options)->code, 429, 'refused') for 1 .. 2;
is(told('/other', @options), '200 - - - -', 'methods=POST: GET is not blocked');
is(post('/other', @options)->code, 429, 'POST is');
my @admin = (@options, 'X-User' => 'admin');
begin;
is(codes(6, '/slow', @admin), '200 429 429 429 429 429', 'exempt_when: refused');
is(codes(1, '/other', @options), '200', 'and not charged');
is(codes(3, '/slow', @options), '429 429 429', 'others are');
is(codes(1, '/other', @options), '429', 'and blocked');
is(codes(1, '/other', @admin), '200', 'not the one who is exempt');

begin;
my @dry = (Host => 'meta-dry');
my $mark = $h->mark;
is(codes(3, '/slow', @dry), '200 429 429', 'dry_run: refusals');
is(codes(2, '/other', @dry), '200 200', 'block nothing');
at(60);
is(codes(1, '/slow', @dry), '200', 'here neither');
my @said = $h->error_log($mark) =~ /RLX0001: (.*?): client \S+ limit "(.*?)"/g;
is("@said[0 .. 3]", 'refused 1 per 1 minute would be refused (dry run) 1 per 1 day',
   'but the log says what it would');

### Which limit is told

begin;
my @fields = (Host => 'fields');
is(told('/', @fields), '200 20 19 86400 -', 'the default, though the application\'s window is shorter');
is(told('/own', @fields), '200 10 9 60 -', 'a limit of the route before shared ones');
is(told('/shared', @fields), '200 5 2 1 -', 'of shared ones the one with the shortest window');
is(told('/equal', @fields), '200 20 19 86400 -', 'of equals the default');
is(told('/equal/on', @fields), '200 9 8 86400 -', 'as written');
is(told('/none', @fields), '200 - - - -', 'none');
is(told('/', @fields), '429 5 0 1 1', 'the one that refuses');
at(1);
is(told('/equal/in', @fields), '200 20 19 86401 -', 'the default of another endpoint');

### Strategies

begin;
at(50);
is(codes(3, '/fixed', @plain), '200 200 200', 'fixed window: begins with the first');
at(109);
is(told('/fixed', @plain), '429 3 0 110 1', 'lasts a minute');
at(110);
is(codes(4, '/fixed', @plain), '200 200 200 429', 'then all at once');

begin;
for my $second (0, 30, 50) {
    at($second);
    is(codes(1, '/moving', @plain), '200', "moving window: at $second");
}
is(told('/moving', @plain), '429 3 0 60 10', 'full until the first has left');
at(59.999999);
is(codes(1, '/moving', @plain), '429', 'which it has not');
at(60);
is(told('/moving', @plain), '200 3 0 90 -', 'and now has');
is(told('/moving', @plain), '429 3 0 90 30', 'full until the second has');

begin;
is(codes(8, '/sliding', @plain), join(' ', (200) x 8), 'sliding window: eight in a minute');
at(75);
# A quarter of the first minute has gone: 6 of the 8 count.
is(codes(5, '/sliding', @plain), '200 200 200 200 429', 'four in the next, at 75');
at(90);
# Half of it: 4, and the 4 of this minute.
is(codes(3, '/sliding', @plain), '200 200 429', 'two more at 90');
at(150);
# Of the second minute, which holds 6, half is inside: 3.
is(codes(8, '/sliding', @plain), '200 200 200 200 200 200 200 429', 'seven at 150');

done_testing;
