# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# Windows under a clock that the test sets, to the microsecond: who passes,
# what remains, when it resets, how long to wait. All values are worked out by
# hand from the definitions of the strategies (DESIGN, section 4).
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Test::More;
use RateLimit::Httpd;

my $h = RateLimit::Httpd->start(faketime => 1, conf => <<'END');
RateLimitHeaders x-ratelimit ietf
AliasMatch "^/" "@DOCROOT@/index.html"
<Location "/fixed">
    RateLimit "3 per 10 seconds" strategy=fixed-window
</Location>
<Location "/moving">
    RateLimit "3 per 10 seconds" strategy=moving-window
</Location>
<Location "/sliding">
    RateLimit "10 per 10 seconds" strategy=sliding-window-counter
</Location>
<Location "/gcra">
    RateLimit "6 per minute" strategy=gcra burst=2
</Location>
<Location "/gcra-thirds">
    RateLimit "7 per minute" strategy=gcra burst=1
</Location>
<Location "/gcra-whole">
    RateLimit "3 per 3 seconds" strategy=gcra
</Location>
RateLimitStrategy moving-window
<Location "/moving-cost/0">
    RateLimitShared "5 per 10 seconds" scope=cost cost=0
</Location>
<Location "/moving-cost/1">
    RateLimitShared "5 per 10 seconds" scope=cost
</Location>
<Location "/moving-cost/3">
    RateLimitShared "5 per 10 seconds" scope=cost cost=3
</Location>
<Location "/moving-cost/6">
    RateLimitShared "5 per 10 seconds" scope=cost cost=6
</Location>
<Location "/fixed-cost/1">
    RateLimitShared "5 per 10 seconds" scope=cost strategy=fixed-window
</Location>
<Location "/fixed-cost/3">
    RateLimitShared "5 per 10 seconds" scope=cost strategy=fixed-window cost=3
</Location>
<Location "/sliding-cost/4">
    RateLimitShared "10 per 10 seconds" scope=cost cost=4 strategy=sliding-window-counter
</Location>
<Location "/sliding-cost/9">
    RateLimitShared "10 per 10 seconds" scope=cost cost=9 strategy=sliding-window-counter
</Location>
<Location "/gcra-cost/2">
    RateLimitShared "6 per minute" scope=cost cost=2 strategy=gcra burst=4
</Location>
<Location "/gcra-cost/3">
    RateLimitShared "6 per minute" scope=cost cost=3 strategy=gcra burst=4
</Location>

<Location "/day">
    RateLimit "2 per day" strategy=fixed-window
</Location>
<Location "/month">
    RateLimit "1 per month" strategy=fixed-window
</Location>
<Location "/year">
    RateLimit "1 per year" strategy=fixed-window
</Location>
<Location "/sliding-year">
    RateLimit "1 per year" strategy=sliding-window-counter
</Location>
<Location "/moving-year">
    RateLimit "1 per year"
</Location>
<Location "/gcra-year">
    RateLimit "1 per year" strategy=gcra
</Location>

# Several limits on one request
<Location "/both">
    RateLimit "2 per 10 seconds; 3 per minute" strategy=fixed-window
</Location>
<Location "/in-order">
    RateLimit "5 per 10 seconds; 2 per minute" strategy=fixed-window
    RateLimitCharge in-order
</Location>
<Location "/all">
    RateLimit "2 per 10 seconds; 5 per minute" strategy=fixed-window
    RateLimitCharge all
</Location>

# Longer logs than the storage keeps, by a strategy that is inherited
<Location "/long">
    RateLimit "20000 per hour" cost=5000
    RateLimitStrategy gcra
</Location>
<Location "/long/moving">
    RateLimitStrategy moving-window
</Location>

# Clocks that step
<Location "/step/fixed">
    RateLimit "4 per minute" strategy=fixed-window
</Location>
<Location "/step/moving">
    RateLimit "4 per minute" strategy=moving-window
</Location>
<Location "/step/sliding">
    RateLimit "4 per minute" strategy=sliding-window-counter
</Location>
<Location "/step/gcra">
    RateLimit "4 per minute" strategy=gcra
</Location>
END
my $c = $h->client;
my $zero = $h->now;         # where the table that is being run begins
my $client = 0;

# One request at a time after the beginning; what came of it.
sub at {
    my ($after, $path) = @_;
    $h->set_time($zero + $after);
    return $c->get($path, 'X-Forwarded-For' => "10.1.0.$client");
}

# Rows of [seconds after the beginning, path, status, remaining, reset (seconds
# after the beginning, rounded up), Retry-After], for a client of its own.
sub run {
    my ($what, @rows) = @_;
    $zero += 1_000_000;
    $client++;
    for (@rows) {
        my ($after, $path, $code, $remaining, $reset, $retry) = @$_;
        my $r = at($after, $path);
        my $got = join ' ', map { $_ // '-' } $r->code,
            $r->header('X-RateLimit-Remaining'),
            ($r->header('X-RateLimit-Reset') // $zero) - $zero,
            $r->header('Retry-After');
        is($got, join(' ', $code, $remaining, $reset, $retry // '-'),
           "$what: $path at $after s");
    }
}

### fixed-window
run('fixed window',
    [0.25,      '/fixed', 200, 2, 11],          # opens [0.25, 10.25)
    [5,         '/fixed', 200, 1, 11],
    [10.249999, '/fixed', 200, 0, 11],
    [10.249999, '/fixed', 429, 0, 11, 1],
    [10.25,     '/fixed', 200, 2, 21],          # opens [10.25, 20.25)
    [15,        '/fixed', 200, 1, 21],
    [15,        '/fixed', 200, 0, 21],
    [15.25,     '/fixed', 429, 0, 21, 5],
    [15.250001, '/fixed', 429, 0, 21, 5],       # 4.999999
    [15.249999, '/fixed', 429, 0, 21, 6],       # 5.000001
    [20.249999, '/fixed', 429, 0, 21, 1],
    [30,        '/fixed', 200, 2, 40],          # not [20.25, 30.25)
    [39.999999, '/fixed', 200, 1, 40],
    [40,        '/fixed', 200, 2, 50],
);
run('fixed window with costs',
    [0,  '/fixed-cost/3', 200, 2, 10],
    [1,  '/fixed-cost/3', 429, 2, 10, 9],       # 3 + 3 > 5
    [2,  '/fixed-cost/1', 200, 1, 10],
    [3,  '/fixed-cost/3', 429, 1, 10, 7],
    [3,  '/fixed-cost/1', 200, 0, 10],
    [10, '/fixed-cost/3', 200, 2, 20],
);
run('days, months of 30 and years of 360 days',
    [0,               '/day',   200, 1, 86400],
    [0,               '/month', 200, 0, 30 * 86400],
    [0,               '/year',  200, 0, 360 * 86400],
    [1,               '/day',   200, 0, 86400],
    [1,               '/day',   429, 0, 86400, 86399],
    [86399.999999,    '/day',   429, 0, 86400, 1],
    [86400,           '/day',   200, 1, 2 * 86400],
    [30 * 86400 - 1,  '/month', 429, 0, 30 * 86400, 1],
    [30 * 86400,      '/month', 200, 0, 60 * 86400],
    [30 * 86400,      '/year',  429, 0, 360 * 86400, 330 * 86400],
    [360 * 86400 - .5, '/year', 429, 0, 360 * 86400, 1],
    [360 * 86400,     '/year',  200, 0, 720 * 86400],
);
$zero += 1000 * 86400;

### moving-window
run('moving window',
    [0,         '/moving', 200, 2, 10],
    [4,         '/moving', 200, 1, 10],
    [9.5,       '/moving', 200, 0, 10],
    [9.999999,  '/moving', 429, 0, 10, 1],
    [10,        '/moving', 200, 0, 14],         # 4, 9.5, 10 are in (0, 10]
    [13.5,      '/moving', 429, 0, 14, 1],
    [14,        '/moving', 200, 0, 20],         # 9.5, 10, 14; 9.5 leaves at 19.5
    [19.4,      '/moving', 429, 0, 20, 1],
    [20,        '/moving', 200, 1, 24],         # 14, 20
    [24,        '/moving', 200, 1, 30],         # 20, 24
    [33.999999, '/moving', 200, 1, 34],         # 24 and this
    [34,        '/moving', 200, 1, 44],         # the last two; 43.999999
    [50,        '/moving', 200, 2, 60],
);
run('moving window with costs',
    [0,         '/moving-cost/0', 200, 5, 0],   # only tests
    [0,         '/moving-cost/1', 200, 4, 10],
    [2,         '/moving-cost/3', 200, 1, 10],
    [5,         '/moving-cost/3', 429, 1, 10, 7],   # 2 more by 12, 1 by 10
    [5,         '/moving-cost/1', 200, 0, 10],
    [5,         '/moving-cost/0', 200, 0, 10],
    [10,        '/moving-cost/3', 429, 1, 12, 2],
    [11.999999, '/moving-cost/3', 429, 1, 12, 1],
    [12,        '/moving-cost/3', 200, 1, 15],  # 1 at 5, 3 at 12
    [12,        '/moving-cost/0', 200, 1, 15],
    [13,        '/moving-cost/6', 429, 1, 15, 10],  # never: as good as a window
    [15,        '/moving-cost/1', 200, 1, 22],
);

### sliding-window-counter
run('sliding window',
    (map { [0, '/sliding', 200, 9 - $_, 10] } 0 .. 7),
    [5,         '/sliding', 200, 1, 10],
    [5,         '/sliding', 200, 0, 10],
    [5,         '/sliding', 429, 0, 10, 6],     # at 10.000001
    [10,        '/sliding', 429, 0, 11, 1],     # all ten still count
    [10.000001, '/sliding', 200, 0, 12],        # 9 + 1; 8 from 11.000001 on
    [11,        '/sliding', 429, 0, 12, 1],     # 9 + 1
    [12.5,      '/sliding', 200, 1, 14],        # 7.5 -> 7, + 2; 6 from 13.000001
    [12.5,      '/sliding', 200, 0, 14],
    [12.5,      '/sliding', 429, 0, 14, 1],
    [15,        '/sliding', 200, 1, 16],        # 5 + 4
    [20,        '/sliding', 200, 5, 21],        # [20, 30): 4 * 1 + 1
    [22.5,      '/sliding', 200, 5, 23],        # 4 * 0.75 + 2
    [40,        '/sliding', 200, 9, 50],        # both are over
);
run('sliding window with costs',
    [0,    '/sliding-cost/4', 200, 6, 10],
    [3,    '/sliding-cost/4', 200, 2, 10],
    [6,    '/sliding-cost/4', 429, 2, 10, 6],   # 8 s < 7: s < 7/8: 11.250001
    [11.25,    '/sliding-cost/4', 429, 3, 12, 1],
    [11.250001, '/sliding-cost/4', 200, 0, 13], # 6 + 4; 5 from 12.500001 on
    [12,   '/sliding-cost/9', 429, 0, 13, 14],  # 4 s < 2: s < 1/2: 25.000001
    [22.5, '/sliding-cost/9', 429, 7, 23, 3],
    [25,   '/sliding-cost/9', 429, 8, 26, 1],
    [26,   '/sliding-cost/9', 200, 0, 28],      # 4 * .4 -> 1, + 9; 0 from 27.5
);

### gcra
run('gcra, one per 10 s, two at once',
    [0,         '/gcra', 200, 1, 10],
    [0,         '/gcra', 200, 0, 20],
    [0,         '/gcra', 429, 0, 20, 10],
    [9.999999,  '/gcra', 429, 0, 20, 1],
    [10,        '/gcra', 200, 0, 30],
    [15,        '/gcra', 429, 0, 30, 5],
    [35,        '/gcra', 200, 1, 45],           # full since 30
    [35,        '/gcra', 200, 0, 55],
    [41,        '/gcra', 429, 0, 55, 4],
    [46,        '/gcra', 200, 0, 65],
    [100.5,     '/gcra', 200, 1, 111],
);
run('gcra, 7 per minute: one per 8.571428 4/7 s',
    [0,         '/gcra-thirds', 200, 0, 9],
    [8.571428,  '/gcra-thirds', 429, 0, 9, 1],
    [8.571429,  '/gcra-thirds', 200, 0, 18],    # 17.142857 4/7
    [17.142857, '/gcra-thirds', 429, 0, 18, 1],
    [17.142858, '/gcra-thirds', 200, 0, 26],
);
run('gcra without burst',
    [0,   '/gcra-whole', 200, 2, 1],
    [0,   '/gcra-whole', 200, 1, 2],
    [0,   '/gcra-whole', 200, 0, 3],
    [0,   '/gcra-whole', 429, 0, 3, 1],
    [1.5, '/gcra-whole', 200, 0, 4],
    [1.5, '/gcra-whole', 429, 0, 4, 1],
    [2,   '/gcra-whole', 200, 0, 5],
);
run('gcra with costs',
    [0,  '/gcra-cost/3', 200, 1, 30],
    [0,  '/gcra-cost/2', 429, 1, 30, 10],
    [10, '/gcra-cost/2', 200, 0, 50],           # 20 + 20 <= 40
    [15, '/gcra-cost/3', 429, 0, 50, 25],       # 35 + 30 - 40
    [30, '/gcra-cost/3', 429, 2, 50, 10],
    [40, '/gcra-cost/3', 200, 0, 80],
);

### Several limits: X-RateLimit speaks of the one without room, else of the
### shortest
run('atomic',
    [0,  '/both', 200, 1, 10],
    [0,  '/both', 200, 0, 10],
    (map { [0, '/both', 429, 0, 10, 10] } 1 .. 5),
    [10, '/both', 200, 1, 20],                  # nothing was taken of 3/minute
    [10, '/both', 429, 0, 60, 50],
    [20, '/both', 429, 0, 60, 40],
    [60, '/both', 200, 1, 70],
);
run('all',
    [0,  '/all', 200, 1, 10],
    [0,  '/all', 200, 0, 10],
    (map { [0, '/all', 429, 0, 10, 10] } 1 .. 2),   # each takes of 5/minute,
    [0,  '/all', 429, 0, 10, 60],               # the third takes the last
    [10, '/all', 429, 0, 60, 50],               # and this of 2/10 seconds
);
is(at(10, '/all')->header('RateLimit'),
   '"2 per 10 second";r=0;t=10, "5 per 1 minute";r=0;t=50', 'both are used up');
run('a log that would be too long is none: the count is not cut short',
    (map { [0, '/long/moving', 200, 20000 - 5000 * $_, 3600] } 1 .. 4),
    [0, '/long/moving', 429, 0, 3600, 4500],    # as two windows reckon
);
run('in order',
    [0, '/in-order', 200, 4, 10],
    [0, '/in-order', 200, 3, 10],
    [0, '/in-order', 429, 0, 60, 60],
);
is(at(1, '/in-order')->header('RateLimit'),
   '"5 per 10 second";r=1;t=9, "2 per 1 minute";r=0;t=59',
   'in order: what comes before the one without room is charged');

### A clock that steps back frees nobody, and blocks for a window at most
for my $strategy (qw(fixed moving sliding gcra)) {
    my $path = "/step/$strategy";
    # When one of four comes back: as the window ends, or by a quarter of it.
    my $wait = $strategy eq 'gcra' ? 15 : $strategy eq 'sliding' ? 61 : 60;
    for my $back (3600, 30, 1) {
        $zero += 1_000_000;
        $client++;
        is(at(0, $path)->code, 200, "$strategy: passes") for 1 .. 4;
        is(at(0, $path)->code, 429, 'blocked');
        my $r = at(-$back, $path);
        is($r->code, 429, "$strategy: $back s back, still blocked");
        cmp_ok($r->header('Retry-After'), '<=', $back + $wait < 61
               ? $back + $wait : 61, 'for a window at most');
        cmp_ok($r->header('X-RateLimit-Reset'), '<=',
               $zero - $back + 61, 'which resets within one');
        is(at(-$back + 1, $path)->code, 429, 'a second later too');
        is(at(-$back + 60.000001, $path)->code, 200,
           'free a window after the step');
    }
    # Not blocked: what was used stays used.
    $zero += 1_000_000;
    $client++;
    at(0, $path) for 1 .. 3;
    # (gcra: 48 s of backlog and 15 more are above 60)
    is(at(-3, $path)->code, 200, "$strategy: the last one, 3 s back")
        if $strategy ne 'gcra';
    is(at(-3, $path)->code, 429, "$strategy: and no other, 3 s back");
}

### A clock that jumps ahead ends windows
for my $strategy (qw(fixed moving sliding gcra)) {
    my $path = "/step/$strategy";
    $zero += 1_000_000;
    $client++;
    at(0, $path) for 1 .. 4;
    is(at(0, $path)->code, 429, "$strategy: blocked");
    $zero += 365 * 86400;
    my $r = at(0, $path);
    is($r->code, 200, 'free a year on');
    is($r->header('X-RateLimit-Remaining'), 3, 'with all but this');
}
run('a year by each strategy',
    [0,              '/moving-year',  200, 0, 360 * 86400],
    [0,              '/sliding-year', 200, 0, 360 * 86400],
    [0,              '/gcra-year',    200, 0, 360 * 86400],
    [359 * 86400,    '/moving-year',  429, 0, 360 * 86400, 86400],
    [359 * 86400,    '/sliding-year', 429, 0, 360 * 86400, 86401],
    [359 * 86400,    '/gcra-year',    429, 0, 360 * 86400, 86400],
    [360 * 86400,    '/moving-year',  200, 0, 720 * 86400],
    [360 * 86400,    '/gcra-year',    200, 0, 720 * 86400],
    [360 * 86400 + .000001, '/sliding-year', 200, 0, 720 * 86400],
);
done_testing;
