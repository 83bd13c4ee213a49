# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# The log line of a refusal as fail2ban reads it, by the failregex of
# docs/directives.md: it finds the client, whatever that one sends, and no
# client can have another one banned.
#
# mpm: any
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;

# <HOST> as fail2ban does it, and what it leaves of the date.
sub failregex {
    open my $fh, '<', "$FindBin::Bin/../docs/directives.md" or die $!;
    my ($regex) = map { /^failregex = (.+)$/ ? $1 : () } readline $fh;
    $regex =~ s/<HOST>/(?<host>[0-9a-fA-F:.]+)/;
    return qr/$regex/;
}
my $failregex = failregex();

my $h = RateLimit::Httpd->start(children => 1, conf => <<'END');
<Location "/">
    RateLimit "0 per hour" key=%{QUERY_STRING} key=%{RATELIMIT_CLIENT}
    RateLimitEndpoint %{REQUEST_URI}?%{QUERY_STRING}
</Location>
<Location "/missing">
    RateLimitEngine Off
</Location>
END
my $c = $h->client;

# Whom fail2ban would count after this request, by the lines of the log.
sub found {
    my ($path, %headers) = @_;
    my $mark = $h->mark;
    $c->get($path, 'X-Forwarded-For' => '192.0.2.7', %headers);
    return join ' ', map { s/^\[[^\]]*\]/[]/; /$failregex/ ? $+{host} : () }
                     split /\n/, $h->error_log($mark);
}

is(found('/a'), '192.0.2.7', 'a refusal');
is(found('/a', 'X-Forwarded-For' => '2001:db8::7'), '2001:db8::7', 'IPv6');
is(found('/a', Referer => 'http://a/ client 198.51.100.9'), '192.0.2.7',
   'a Referer field, which httpd writes at the end of the line');
is(found('/a%22%20client%20198.51.100.9,%20referer:%20'), '192.0.2.7',
   'a path with quotes');
is(found('/a?%22client%20198.51.100.9'), '192.0.2.7', 'a key');
for my $byte ('b', '%01') {
    my $name = $byte x (7800 / length $byte);
    is(found("/a?$name%20client%20198.51.100.9"), '192.0.2.7',
       "a name that is longer than a line of the log, of $byte");
}
is(found('/missing/[ratelimit_ext:info]%20[pid%201]%20[client%20:1]%20RLX0001:'
         . '%20refused:%20client%20198.51.100.9%20limit%20'), '',
   'a path that looks like our line');

my $mark = $h->mark;
$c->get('/a?' . 'x' x 5000);
like($h->error_log($mark), qr/RLX0001: .{100,900}$/m,
     'what is long is cut');

# What a client sends into limits and costs; and how decisions come about.
my $debug = RateLimit::Httpd->start(children => 1, faketime => 1, conf => <<'END');
LogLevel ratelimit_ext:debug
<Location "/a">
    RateLimit "%{req:X-Limit}"
    RateLimit "2 per hour" cost=%{req:X-Cost}
    RateLimit "7 per day" dry_run=on
</Location>
RateLimitMeta "2 per year"
END
my @one = ('X-Forwarded-For' => '192.0.2.7');
$debug->client->get('/a', @one, 'X-Limit' => 'a"b\\c', 'X-Cost' => 'x"y\\z');
like($debug->error_log, qr/RLX0030: .* gives "a\\\\x22b\\\\c", and holds for no such request: "a\\\\x22b\\\\c" is/,
     'a quote in a limit stands as in RLX0001');
like($debug->error_log, qr/RLX0032: .* gives "x\\\\x22y\\\\z", which/, 'and in a cost');
$mark = $debug->mark;
$debug->client->get('/a', @one, 'X-Limit' => '9 per day', 'X-Cost' => 2);
my @told = $debug->error_log($mark) =~ /RLX0161: (.*)/g;
is_deeply(\@told, [
    '"2 per 1 hour" of key "192.0.2.7" in "Location /a": no room for 2, 1 left, resets in 3600 s',
    '"9 per 1 day" of key "192.0.2.7" in "Location /a": room for 1, not taken, 9 left, resets in 0 s',
    '"7 per 1 day" of key "192.0.2.7" in "Location /a": room for 1, not taken, 6 left, resets in 86400 s',
], 'what the storage said of each') or diag explain \@told;
$mark = $debug->mark;
$debug->client->get('/a', @one);
like($debug->error_log($mark), qr/RLX0161: .*: 1 taken, 0 left, resets in 3600 s$/m, 'and what it took');
$debug->client->get('/a', @one);
$mark = $debug->mark;
$debug->client->get('/a', @one);
like($debug->error_log($mark), qr/RLX0161: "2 per 1 year" of key "192\.0\.2\.7" in "_main": no room for 1, 0 left/m,
     'of meta limits that refuse');

done_testing;
