# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# mpm: any
# sanitized: no
#
# A connection that is kept for very many requests, whatever they ask for and of
# whichever virtual host: none of them leaves anything behind in its memory.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use IO::Socket::IP ();
use Test::More;
use RateLimit::Httpd ();

my $v6 = IO::Socket::IP->new(LocalHost => '::1', Listen => 1) ? '[::1]' : '127.0.0.1';
note "no IPv6 here: nothing is said of its prefixes" if $v6 ne '[::1]';
my $h = RateLimit::Httpd->start(children => 1, modules => ['rewrite'], conf => <<"END");
@{[$v6 eq '[::1]' ? 'Listen [::1]:@PORT2@' : '']}
RateLimitHeaders x-ratelimit ietf
RateLimitMeta "1000000 per day"
RateLimitDefault "1000000 per hour"
<Location "/refused">
    RateLimit "0 per hour" error_message="not %{REQUEST_URI}"
</Location>
<Location "/response">
    RateLimit "5 per hour" deduct_when="%{REQUEST_STATUS} == 200" reserve=on
</Location>
<Location "/dynamic">
    RateLimit "%{env:PLAN}"
    SetEnvIf Request_URI "(\\d+)" PLAN=\$1/hour
</Location>
<VirtualHost *:\@PORT2\@>
    ServerName a
</VirtualHost>
<VirtualHost *:\@PORT2\@>
    ServerName b
    RateLimitIPv6Prefix 48
</VirtualHost>
END
my $s = IO::Socket::IP->new(PeerHost => $v6 =~ tr/[]//dr, PeerPort => $h->port(2))
    or die "connect: $@";
my @paths = qw(/ /none /refused /response /response/none /dynamic/90000 /dynamic/no);
my @requests = map { my $host = $_;
                     map { "GET $_ HTTP/1.1\r\nHost: $host\r\n\r\n" } @paths } 'a', 'b';
# Two hosts in turns, so that each request is of another than the last.
@requests = map { @requests[$_, $_ + @paths] } 0 .. $#paths;

# Sends all of them n times at once; how many are answered.
sub burst {
    my ($n) = @_;
    my ($buffer, $answers) = ('', 0);
    print {$s} join('', @requests) x $n;
    while ($answers < $n * @requests) {
        sysread $s, $buffer, 1 << 20, length $buffer or return $answers;
        $answers += () = $buffer =~ m{^HTTP/1\.1 (?:200|404|429) }mg;
        # A status line may be cut in two.
        $buffer = $buffer =~ /(\n[^\n]*)\z/ ? $1 : '';
    }
    return $answers;
}
sub resident_kb {
    my ($pid) = $h->children;
    open my $fh, '<', "/proc/$pid/statm" or die "statm: $!";
    return (split ' ', readline $fh)[1] * 4;
}
sub burst_many { my $n = 0; $n += burst(10) for 1 .. 80; return $n }

is(burst_many(), 80 * 10 * @requests, 'requests on one connection');
my $before = resident_kb();
is(burst_many() + burst_many() + burst_many(), 3 * 80 * 10 * @requests, 'three times as many');
cmp_ok(resident_kb() - $before, '<', 64, 'take no more memory (KB)');

done_testing;
