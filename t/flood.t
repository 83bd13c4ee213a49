# Licensed under the Apache License, Version 2.0; see LICENSE.
# sanitized: no
#
# A table of 1 MB holds some 16,000 counters. After a flood of 100,000 keys
# through it, who was at the limit still is, and nobody was refused or failed
# who was not.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;
use RateLimit::Load;

use constant { FLOOD => 100_000, BLOCKED => 250 };

my @strategies = qw(fixed-window moving-window sliding-window-counter gcra);

my $h = RateLimit::Httpd->start(
    files => { map { $_ => "x\n" } @strategies },
    conf => join '', <<'END', map { <<"END" } @strategies);
RateLimitStorage shm:// size=1M
RateLimitKey %{req:X-Key}
END
<Location "/$_">
    RateLimit "3 per day" strategy=$_
</Location>
END

# One request for each of a list of keys, over each of the strategies at once:
# { strategy => { status => n } }.
sub each_key {
    my ($n, $name) = @_;
    my @counts = at_once(map {
        my $path = "/$_";
        sub { pipelined($h->port, $path, $n, sub { ('X-Key' => "$name$_[0]") }) }
    } @strategies);
    my %by;
    @by{@strategies} = @counts;
    return \%by;
}

sub all_are {
    my ($status, $n) = @_;
    return { map { $_ => { $status => $n } } @strategies };
}

is_deeply(each_key(BLOCKED, 'victim-'), all_are(200, BLOCKED),
          "keys use what they have: $_ of 3") for 1 .. 3;
is_deeply(each_key(BLOCKED, 'victim-'), all_are(429, BLOCKED),
          'and are refused');

# In four parts, to look in between.
my $part = FLOOD / @strategies / 4;
for my $nth (1 .. 4) {
    is_deeply(each_key($part, "flood-$nth-"), all_are(200, $part),
              "flood, part $nth: each new key passes");
    is_deeply(each_key(BLOCKED, 'victim-'), all_are(429, BLOCKED),
              'who was blocked is blocked');
}

for my $nth (1 .. 3) {
    is_deeply(each_key(50, 'new-'), all_are(200, 50),
              "new keys in the full table: $nth of 3 pass");
}
is_deeply(each_key(50, 'new-'), all_are(429, 50), 'the fourth does not');
is_deeply(each_key(BLOCKED, 'victim-'), all_are(429, BLOCKED),
          'and the blocked ones still are');

my @bad = $h->error_log =~ /^.*\[ratelimit_ext:(?:warn|error|crit|alert|emerg)\].*/mg;
is_deeply(\@bad, [], "nothing to complain of");
done_testing;
