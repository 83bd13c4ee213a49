# Licensed under the Apache License, Version 2.0; see LICENSE.
# mpm: any
#
# A storage that goes away and comes back under load, in real time: whatever
# requests are on their way, a client gets no more than the limit from the
# storage and the same once more from shared memory, and the log has a line
# for each change and no other.
use strict;
use warnings FATAL => 'all';

use FindBin ();
use lib "$FindBin::Bin/lib";
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);
use RateLimit::Httpd ();

my $h = RateLimit::Httpd->start(
    modules => ['ratelimit_toy'],
    files   => { x => "x\n" },
    conf    => <<'END');
RateLimitStorage toy:// down=@DIR@/down
RateLimitDefault "400 per hour"
RateLimitApplication "1000000 per hour"
RateLimitMeta "1000000 per hour"
END
my $file = $h->dir . '/down';

# Breaks the storage again and again; it is noticed to be gone at once, and to be
# back after a second.
my $breaker = fork // die "fork: $!";
if (!$breaker) {
    for my $time (1, 2) {
        sleep 0.3;
        $h->write('../down', $time == 1 ? '' : 'look');
        sleep 0.1;
        wait_for_lines('RLX0051', $time);
        unlink $file;
        wait_for_lines('RLX0053', $time);
    }
    sleep 0.1;
    POSIX::_exit(0);
}

sub wait_for_lines {
    my ($tag, $n) = @_;
    my $until = time() + 15;
    sleep 0.05 while $n > (() = $h->error_log =~ /$tag: /g) && time() < $until;
    return;
}

my $n = $h->client->parallel(8, sub { !waitpid $breaker, WNOHANG }, '/x', {});
is_deeply([grep { !/^(?:200|429)$/ } keys %$n], [], 'every request was decided');
cmp_ok($n->{200}, '>', 400, 'more than the limit: counted in two places');
cmp_ok($n->{200}, '<=', 800, 'no more than twice the limit');

is($h->client->get('/x')->code, 429, 'up again: the storage has nothing left');
my @changes = $h->error_log =~ /RLX(005[13]): /g;
is_deeply(\@changes, [qw(0051 0053 0051 0053)], 'each change has one line');
is(() = $h->error_log =~ /ratelimit_ext:error/g, 0, 'there is no error');
done_testing;
