# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
# sanitized: no
#
# Each form of limiter-status tells of the same limits, each once where it is
# declared, with the same figures: text, JSON, metrics, and the page.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd ();
use RateLimit::Json qw(status fits);
use RateLimit::Metrics ();

my $h = RateLimit::Httpd->start(
    faketime => 1_800_000_000,
    files => { map({ ($_ => "$_\n") } qw(a b over over-two dynamic shared other d/x.html plain)) },
    conf => <<'END_CONF');
RateLimitKey %{req:X-Key}
RateLimitApplication "100 per hour; 900 per day" meta="50 per day"
RateLimitDefault "200 per hour" name=usual meta="60 per day"
RateLimitMeta "300 per hour"
<Location "/limiter-status">
    SetHandler limiter-status
    RateLimitEngine Off
</Location>
<Location "/a">
    RateLimit "1 per hour; 9 per day" meta="5 per day; 1 per minute"
</Location>
<Location "/b">
    RateLimit "1 per hour" dry_run=on
    RateLimit "10 per hour"
    RateLimit "10 per hour" key=%{HTTP_HOST}
</Location>
<Location "/over">
    RateLimit "30 per hour"
</Location>
<LocationMatch "^/over$">
    RateLimit "40 per hour"
</LocationMatch>
<Location "/dynamic">
    RateLimit "%{req:X-Limit}" meta="%{req:X-Meta}"
</Location>
<Location "/shared">
    RateLimitShared "20 per hour" scope=s
</Location>
<Location "/other">
    RateLimitShared "20 per hour" scope=s
</Location>
<Directory "@DOCROOT@/d">
    RateLimit "70 per hour"
    <Files "*.html">
        RateLimit "80 per hour" override_defaults=off
    </Files>
</Directory>
<VirtualHost 127.0.0.1:@PORT2@>
    ServerName same
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT3@>
    ServerName own
    RateLimitDefault "3 per hour"
    RateLimitMeta "2 per hour"
    <Location "/a">
        RateLimit "4 per hour" meta="6 per hour"
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT4@>
    ServerName fallback
    RateLimitStorage "redis://127.0.0.1:1/" timeout=200
    RateLimitApplication "11 per hour"
    RateLimitFallback "12 per hour; 13 per day"
</VirtualHost>
END_CONF
my @client = (undef, map { $h->client($_) } 1 .. 4);
sub codes {
    my ($n, $path, $times, @headers) = @_;
    return join ' ', map { $client[$n]->get($path, 'X-Key' => 'k', @headers)->code } 1 .. $times;
}

### Each limit is looked at, by hand

is(codes(1, '/plain', 1), '200', 'a request without a section');
is(codes(1, '/a', 3), '200 429 429', 'a refusal, and one by its meta limit: nothing else is looked at');
is(codes(1, '/b', 2), '200 200', 'a dry run');
is(codes(1, '/over', 1), '200', 'where one section overrides another');
is(codes(1, '/over/not-there', 1), '404', 'where it does not');
is(codes(1, '/dynamic', 2, 'X-Limit' => '1 per minute', 'X-Meta' => '8 per hour'), '200 429', 'an expression');
is(codes(1, '/shared', 1) . ' ' . codes(1, '/other', 1), '200 200', 'a shared limit');
is(codes(1, '/d/x.html', 1), '200', 'a nested section');
is(codes(2, '/plain', 1), '200', 'a virtual host without limits of its own');
is(codes(3, '/plain', 1), '200', 'one with its own');
is(codes(3, '/a', 1), '200', 'and a section');
is(codes(4, '/plain', 2), '200 200', 'one whose storage is gone');

### What each form says: "limit @line seen refused"

sub short { my ($limit, $at, $seen, $refused) = @_; return "$limit \@" . ($at =~ s/.*://r) . " $seen $refused" }

my $json = status($client[1]);
my @json = map { short(@$_{qw(limit declared_at seen refused)}) } @{ $json->{counters}{limits} };
ok(fits(), 'the JSON fits its schema');
is(scalar(grep { / 0 \d+$/ } @json), 0, 'every limit has been looked at') or diag join "\n", @json;

my $text = $client[1]->get('/limiter-status?format=text')->body;
my ($part) = $text =~ /^Counters\n(.*?)^$/ms;
my @text;
push @text, short($1, $2, $3, $4)
    while $part =~ /^  [^\n]*?: ([^:\n]*?|%\{.*?\})(?: name=\S+)?  \((\S+)\)
    seen (\d+), allowed \d+, refused (\d+),/gm;
is_deeply(\@text, \@json, 'text and JSON') or diag $part;

my $m = RateLimit::Metrics->of($h);
my @metrics;
for my $info ($m->series('ratelimit_limit_info')) {
    my %label = %{ $info->[1] };
    my $at = delete $label{declared_at};
    delete @label{qw(strategy options)};
    my %n = map { my %its = %{ $_->[1] };
                  my $result = delete $its{result};
                  join("\n", map { ($_, $its{$_}) } sort keys %its)
                  eq join("\n", map { ($_, $label{$_}) } sort keys %label) ? ($result => $_->[2]) : () }
            $m->series('ratelimit_limit_requests_total');
    my $seen = 0;
    $seen += $_ for values %n;
    push @metrics, short($label{limit}, $at, $seen, $n{refused});
}
is_deeply(\@metrics, \@json, 'metrics');

# The page has figures beside each limit of a section or a server, also where a virtual host
# has it of the main server.
sub plain { return join '', map { s/<[^>]*>//gr } @_ }
my $page = $client[1]->get('/limiter-status?format=html')->body;
my %page;
while ($page =~ m{<li>(<div class="line">.*?)</li>}sg) {
    my $item = $1;
    my ($limit) = $item =~ m{<(?:b|code) class="limit">(.*?)</};
    my ($at) = map { plain($_) } $item =~ m{<code class="where">(.*?)</code>};
    while ($item =~ m{<div[ ]class="figures">.*?<span>(?:meta[ ]<b[ ]class="limit">(.*?)</b>:[ ])?
                      (\d+)[ ]requests?,[ ](\d+)[ ](?:refused|would)}gx) {
        my ($meta, $seen, $refused) = ($1, $2, $3);
        $page{ short($meta // $limit, $at, $seen, $refused) } = 1;
    }
}
my %json = map { short(@$_{qw(limit declared_at seen)}, $_->{refused} + $_->{dry_run}) => 1 }
    @{ $json->{counters}{limits} };
is_deeply([ sort keys %page ], [ sort keys %json ], 'the page');

# What refuses is at its top, meta limits too; what only tries has a part of its own.
my ($refusing) = $page =~ m{<section id="refusing".*?<tbody>(.*?)</tbody>}s;
is(join(', ', $refusing =~ m{class="limit">([^<]*)<}g), '1 per 1 hour, 1 per 1 minute, %{req:X-Limit}',
   'limits that refuse');
my ($trials) = $page =~ m{<section id="trials".*?<tbody>(.*?)</tbody>}s;
is(join(', ', $trials =~ m{class="limit">([^<]*)<}g), '1 per 1 hour', 'the trial');

### The same by hand, with where each stands and whose meta= it is

my $said = join "\n", map {
    my $l = $_;
    join ', ', map { defined $l->{$_} ? $l->{$_} : '-' } qw(server section kind limit meta_of seen refused)
} @{ $json->{counters}{limits} };
$said =~ s/^(\w+):\d+/$1/mg;    # ports
$said =~ s{Directory \S+/d,}{Directory /d,}g;
is("$said\n", <<'END_LIMITS', 'the limits, in their order');
_main, -, application, 100 per 1 hour, -, 15, 0
_main, -, application, 900 per 1 day, -, 15, 0
_main, -, meta, 50 per 1 day, 100 per 1 hour; 900 per 1 day of the application, 16, 0
_main, -, default, 200 per 1 hour, -, 4, 0
_main, -, meta, 60 per 1 day, usual of the defaults, 4, 0
_main, -, meta, 300 per 1 hour, -, 16, 0
_main, Location /a, section, 1 per 1 hour, -, 2, 1
_main, Location /a, section, 9 per 1 day, -, 2, 0
_main, Location /a, meta, 5 per 1 day, 1 per 1 hour; 9 per 1 day of Location /a, 3, 0
_main, Location /a, meta, 1 per 1 minute, 1 per 1 hour; 9 per 1 day of Location /a, 3, 1
_main, Location /b, section, 1 per 1 hour, -, 2, 0
_main, Location /b, section, 10 per 1 hour, -, 2, 0
_main, Location /b, section, 10 per 1 hour, -, 2, 0
_main, Location /over, section, 30 per 1 hour, -, 1, 0
_main, LocationMatch ^/over$, section, 40 per 1 hour, -, 1, 0
_main, Location /dynamic, section, %{req:X-Limit}, -, 2, 1
_main, Location /dynamic, meta, %{req:X-Meta}, %{req:X-Limit} of Location /dynamic, 2, 0
_main, Location /shared, shared, 20 per 1 hour, -, 1, 0
_main, Location /other, shared, 20 per 1 hour, -, 1, 0
_main, Directory /d, section, 70 per 1 hour, -, 1, 0
_main, Directory /d, Files *.html, section, 80 per 1 hour, -, 1, 0
own, -, default, 3 per 1 hour, -, 1, 0
own, -, meta, 2 per 1 hour, -, 2, 0
own, Location /a, section, 4 per 1 hour, -, 1, 0
own, Location /a, meta, 6 per 1 hour, 4 per 1 hour of Location /a, 1, 0
fallback, -, application, 11 per 1 hour, -, 2, 0
fallback, -, fallback, 12 per 1 hour, -, 2, 0
fallback, -, fallback, 13 per 1 day, -, 2, 0
END_LIMITS

done_testing;
