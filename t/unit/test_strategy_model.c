/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The strategies against slow models of another make: a list of all charges
 * that were ever let through, read again from its beginning for every answer,
 * with comparisons of products where the strategies divide.
 */

#include <stdlib.h>
#include <string.h>

#include "core/strategy.h"
#include "limit_fixture.h"
#include "tap.h"

#define SEC INT64_C(1000000)
#define YEAR (360 * 86400 * SEC)
#define STEPS 60
#define LATEST (INT64_C(1) << 62)

__extension__ typedef __int128 wide_t;

typedef struct charge_t {
    rlx_usec_t at;
    uint32_t cost;
} charge_t;

/* All that a model remembers. */
typedef struct history_t {
    charge_t charges[STEPS];
    int n;
} history_t;

/* Units as a model sees them: their number where it is whole (fixed, sliding)
 * or their number times the window (gcra); and how many fit. */
typedef struct level_t {
    wide_t used;
    wide_t unit;
    wide_t most;
    /** The end of the bucket or window; 0 if there is none. */
    rlx_usec_t end;
} level_t;

static uint64_t random_state = UINT64_C(0x9e3779b97f4a7c15);

/* xorshift64* (Vigna 2016): the same sequence everywhere. */
static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * UINT64_C(0x2545f4914f6cdd1d)) % n;
}

/* fixed-window: walk the list, opening a window wherever none is open. */
static level_t fixed_level(const history_t *h, const rlx_limit_t *limit,
                           rlx_usec_t now)
{
    level_t level = { 0, 1, limit->count, 0 };
    int i;

    for (i = 0; i < h->n; ++i) {
        if (h->charges[i].at >= level.end) {
            level.end = h->charges[i].at + limit->window_usec;
            level.used = 0;
        }
        level.used += h->charges[i].cost;
    }
    if (now >= level.end) {
        level.end = 0;
        level.used = 0;
    }
    return level;
}

/* The charges from `from` on that lie in [start, start + window). */
static wide_t sum_within(const history_t *h, int from, int to,
                         rlx_usec_t start, rlx_usec_t window)
{
    wide_t sum = 0;
    int i;

    for (i = from; i < to; ++i) {
        if (h->charges[i].at >= start && h->charges[i].at < start + window) {
            sum += h->charges[i].cost;
        }
    }
    return sum;
}

/* The start of the bucket that has `now`, counted from the charge that began
 * the row of buckets in which each has a charge or follows one that has; 0 if
 * that row is over. `*from` is that charge. */
static rlx_usec_t bucket_of(const history_t *h, int n, rlx_usec_t window,
                            rlx_usec_t now, int *from)
{
    rlx_usec_t start = 0;
    int i;

    for (i = 0; i <= n; ++i) {
        rlx_usec_t at = i < n ? h->charges[i].at : now;

        while (start && at >= start + window) {
            int lives = sum_within(h, *from, i, start, window) > 0;

            start += window;
            if (!lives) {
                start = 0;
            }
        }
        if (start == 0 && i < n) {
            start = at;
            *from = i;
        }
    }
    return start;
}

/* The most whole units f with f * window <= previous * left, by halving. */
static wide_t share_of(wide_t previous, wide_t left, wide_t window)
{
    wide_t low = 0;
    wide_t high = previous;

    while (low < high) {
        wide_t mid = low + (high - low + 1) / 2;

        if (mid * window <= previous * left) {
            low = mid;
        }
        else {
            high = mid - 1;
        }
    }
    return low;
}

static level_t sliding_level(const history_t *h, const rlx_limit_t *limit,
                             rlx_usec_t now)
{
    level_t level = { 0, 1, limit->count, 0 };
    rlx_usec_t w = limit->window_usec;
    int from = 0;
    rlx_usec_t start = bucket_of(h, h->n, w, now, &from);
    wide_t previous;
    wide_t current;

    if (start == 0) {
        return level;
    }
    previous = sum_within(h, from, h->n, start - w, w);
    current = sum_within(h, from, h->n, start, w);
    if (previous == 0 && current == 0) {
        return level;
    }
    level.used = share_of(previous, w - (now - start), w) + current;
    level.end = start + w;
    return level;
}

/* gcra as the leaky bucket that it is the same as: each charge pours in,
 * `count` units run out per window. */
static level_t gcra_level(const history_t *h, const rlx_limit_t *limit,
                          rlx_usec_t now)
{
    wide_t w = limit->window_usec;
    level_t level = { 0, w, w * limit->burst, 0 };
    int i;

    for (i = 0; i <= h->n; ++i) {
        rlx_usec_t at = i < h->n ? h->charges[i].at : now;

        if (i > 0) {
            level.used -= (wide_t)(at - h->charges[i - 1].at) * limit->count;
        }
        if (level.used < 0) {
            level.used = 0;
        }
        if (i < h->n) {
            level.used += w * h->charges[i].cost;
        }
    }
    return level;
}

static level_t level_of(const history_t *h, const rlx_limit_t *limit,
                        rlx_usec_t now)
{
    return limit->strategy == RLX_GCRA ? gcra_level(h, limit, now)
           : limit->strategy == RLX_FIXED_WINDOW
               ? fixed_level(h, limit, now)
               : sliding_level(h, limit, now);
}

static int model_fits(const history_t *h, const rlx_limit_t *limit,
                      uint32_t cost, rlx_usec_t now)
{
    level_t level = level_of(h, limit, now);

    return limit->count != 0 && level.used + level.unit * cost <= level.most;
}

/* Is this what is left? No division: r units fit and r + 1 do not. */
static int remaining_is(level_t level, uint32_t r)
{
    return level.used + level.unit * r <= level.most
           && level.used + level.unit * ((wide_t)r + 1) > level.most;
}

/* reset_at by its definition. */
static int reset_is(const history_t *h, const rlx_limit_t *limit,
                    rlx_usec_t now, rlx_usec_t reset_at)
{
    level_t level = level_of(h, limit, now);

    if (reset_at == RLX_NEVER) {
        return level_of(h, limit, LATEST - RLX_REL_MAX - 1).used > 0;
    }
    if (limit->strategy == RLX_GCRA) {
        return level_of(h, limit, reset_at).used == 0
               && (reset_at == now
                   || level_of(h, limit, reset_at - 1).used > 0);
    }
    if (level.end == 0) {
        return reset_at == now;
    }
    if (limit->strategy == RLX_FIXED_WINDOW || reset_at == level.end) {
        return reset_at == level.end
               && (limit->strategy == RLX_FIXED_WINDOW
                   || level_of(h, limit, reset_at - 1).used == level.used);
    }
    return reset_at > now && level_of(h, limit, reset_at).used < level.used
           && level_of(h, limit, reset_at - 1).used == level.used;
}

/* retry_at: fits then, did not fit a microsecond earlier. What a model lets
 * through only grows with time, so that is the first such time. */
static int retry_is(const history_t *h, const rlx_limit_t *limit,
                    uint32_t cost, rlx_usec_t now, rlx_usec_t retry_at)
{
    if (retry_at == RLX_NEVER) {
        return !model_fits(h, limit, cost, LATEST - RLX_REL_MAX - 1);
    }
    return retry_at >= now && model_fits(h, limit, cost, retry_at)
           && (retry_at == now || !model_fits(h, limit, cost, retry_at - 1));
}

/* used(): at the limit exactly when one more unit has no room, and forgotten
 * without effect when 0 (but for the sliding remnant at count 1). */
static int used_is(rlx_state_t state, const rlx_limit_t *limit,
                   const history_t *h, rlx_usec_t now)
{
    const rlx_strategy_t *s = rlx_strategies[limit->strategy];
    uint32_t used = s->used(state, limit, now);
    uint32_t full =
        limit->strategy == RLX_GCRA ? limit->burst : limit->count;
    rlx_state_t zero = { 0, 0 };
    rlx_state_t a;
    rlx_state_t b;

    if ((used >= full) != !model_fits(h, limit, 1, now)) {
        return 0;
    }
    if (used != 0 || full == 1) {
        return 1;
    }
    s->charge(state, limit, 1, now, &a);
    s->charge(zero, limit, 1, now, &b);
    return a.hi == b.hi && a.lo == b.lo;
}

static int agree(rlx_state_t state, const rlx_limit_t *limit,
                 const history_t *h, uint32_t cost, rlx_usec_t now)
{
    const rlx_strategy_t *s = rlx_strategies[limit->strategy];
    rlx_reading_t reading;

    s->read(state, limit, now, &reading);
    return remaining_is(level_of(h, limit, now), reading.remaining)
           && reset_is(h, limit, now, reading.reset_at)
           && retry_is(h, limit, cost, now,
                       s->retry_at(state, limit, cost, now))
           && used_is(state, limit, h, now) && state.lo >> 48 == 0;
}

/* How long until the next request: the places where something changes, and
 * one microsecond to either side of them, more often than anywhere else. */
static rlx_usec_t random_wait(const rlx_limit_t *limit)
{
    uint64_t w = (uint64_t)limit->window_usec;

    switch (random_below(8)) {
    case 0:
        return 0;
    case 1:
        return (rlx_usec_t)(w - 1 + random_below(3));
    case 2:
        return (rlx_usec_t)(2 * w - 1 + random_below(3));
    case 3:
        return (rlx_usec_t)(w / limit->count + random_below(2));
    case 4:
        return (rlx_usec_t)random_below(3);
    default:
        return (rlx_usec_t)random_below(w);
    }
}

static uint32_t random_cost(const rlx_limit_t *limit)
{
    uint64_t full =
        limit->strategy == RLX_GCRA ? limit->burst : limit->count;

    switch (random_below(6)) {
    case 0:
        return 0;
    case 1:
        return (uint32_t)full;
    case 2:
        return (uint32_t)random_below(full + 1);
    case 3:
        return (uint32_t)(1 + random_below(full / 2 + 1));
    case 4:
        return full < RLX_COUNT_MAX ? (uint32_t)full + 1 : 1;
    default:
        return 1;
    }
}

/* One sequence of requests. Returns how often model and strategy differ. */
static int run_sequence(const rlx_limit_t *limit, rlx_usec_t start)
{
    const rlx_strategy_t *s = rlx_strategies[limit->strategy];
    rlx_state_t state = { 0, 0 };
    rlx_usec_t now = start;
    history_t h;
    int differ = 0;
    int i;

    h.n = 0;
    for (i = 0; i < STEPS; ++i) {
        uint32_t cost = random_cost(limit);
        rlx_usec_t retry_at = s->retry_at(state, limit, cost, now);
        int fits;

        differ += !agree(state, limit, &h, cost, now);
        fits = s->charge(state, limit, cost, now, &state);
        differ += fits != model_fits(&h, limit, cost, now)
                  || fits != (retry_at == now);
        if (fits && cost != 0) {
            h.charges[h.n].at = now;
            h.charges[h.n++].cost = cost;
        }
        differ += !agree(state, limit, &h, cost, now);
        now += !fits && retry_at != RLX_NEVER && random_below(2)
                   ? retry_at - now - (rlx_usec_t)random_below(2)
                   : random_wait(limit);
        if (now > RLX_REL_MAX) {
            break;
        }
    }
    return differ;
}

static const rlx_usec_t windows[] = { 1, 7, 1 * SEC, 7 * SEC, YEAR / 3,
                                      100 * YEAR };
static const uint32_t counts[] = { 1, 3, 7, 1000, RLX_COUNT_MAX };

static void random_sequences(rlx_strategy_e strategy, uint32_t count,
                             uint32_t burst)
{
    size_t w;

    for (w = 0; w < sizeof(windows) / sizeof(windows[0]); ++w) {
        rlx_limit_t limit = limit_with_burst(strategy, count, windows[w], burst);
        int differ = 0;
        int i;

        for (i = 0; i < 40; ++i) {
            differ += run_sequence(
                &limit, 1 + (rlx_usec_t)random_below(RLX_REL_MAX / 2));
        }
        is_int(differ, 0, rlx_strategies[strategy]->name);
        if (differ) {
            diag("count %u, window %" PRId64 ", burst %u", count, windows[w],
                 burst);
        }
    }
}

static void all_random_sequences(void)
{
    static const uint32_t bursts[] = { 1, 2, 10, 100000 };
    size_t c;
    size_t b;

    for (c = 0; c < sizeof(counts) / sizeof(counts[0]); ++c) {
        random_sequences(RLX_FIXED_WINDOW, counts[c], counts[c]);
        random_sequences(RLX_SLIDING_WINDOW_COUNTER, counts[c], counts[c]);
        random_sequences(RLX_GCRA, counts[c], counts[c]);
        for (b = 0; b < sizeof(bursts) / sizeof(bursts[0]); ++b) {
            random_sequences(RLX_GCRA, counts[c], bursts[b]);
        }
    }
}

/* retry_at by trying every microsecond, in windows of a few of them. */
static void every_microsecond(rlx_strategy_e strategy)
{
    const rlx_strategy_t *s = rlx_strategies[strategy];
    int wrong = 0;
    int i;

    for (i = 0; i < 20000; ++i) {
        uint32_t count = 1 + (uint32_t)random_below(9);
        rlx_limit_t limit =
            limit_of(strategy, count, 1 + (rlx_usec_t)random_below(20));
        rlx_usec_t now = 1000;
        rlx_state_t state = { 0, 0 };
        rlx_state_t unused;
        rlx_usec_t t;
        int k;

        for (k = 0; k < 8; ++k, now += (rlx_usec_t)random_below(12)) {
            s->charge(state, &limit, 1 + (uint32_t)random_below(count), now,
                      &state);
        }
        count = (uint32_t)random_below(count + 1);
        for (t = now; !s->charge(state, &limit, count, t, &unused); ++t) {
        }
        wrong += s->retry_at(state, &limit, count, now) != t;
    }
    is_int(wrong, 0, "retry_at is the first microsecond that fits");
}

/*
 * A clock that jumps about: what had no room just before a step back has none
 * just after it, and a client that stays away waits for a window (two, where
 * the bucket must also fade) from the step and no longer.
 */
static int jump(rlx_state_t *state, const rlx_limit_t *limit, rlx_usec_t *now)
{
    const rlx_strategy_t *s = rlx_strategies[limit->strategy];
    rlx_usec_t before = *now;
    rlx_usec_t longest =
        limit->strategy == RLX_GCRA
            ? (rlx_usec_t)((wide_t)limit->burst * limit->window_usec
                           / limit->count) + 1
            : limit->strategy == RLX_FIXED_WINDOW ? limit->window_usec
                                                  : 2 * limit->window_usec;
    int fitted = s->retry_at(*state, limit, 1, before) == before;
    int bad = 0;

    *now = 1 + (rlx_usec_t)random_below((uint64_t)before);
    bad += !fitted && s->retry_at(*state, limit, 1, *now) == *now;
    bad += s->retry_at(*state, limit, 1, *now) > *now + longest;
    /* asks again and again while it waits: that must not draw the end out */
    s->charge(*state, limit, (uint32_t)RLX_COUNT_MAX, *now, state);
    s->charge(*state, limit, (uint32_t)RLX_COUNT_MAX, *now + longest / 3,
              state);
    *now += longest;
    bad += s->retry_at(*state, limit, 1, *now) != *now;
    return bad;
}

static void clock_jumps(rlx_strategy_e strategy)
{
    const rlx_strategy_t *s = rlx_strategies[strategy];
    int bad = 0;
    int i;

    for (i = 0; i < 2000; ++i) {
        uint32_t count = counts[random_below(4)];
        rlx_limit_t limit = limit_of(strategy, count, windows[i % 4]);
        rlx_state_t state = { 0, 0 };
        rlx_usec_t now =
            100 * SEC + (rlx_usec_t)random_below((uint64_t)(100 * SEC));
        int k;

        for (k = 0; k < 20; ++k) {
            s->charge(state, &limit, random_cost(&limit), now, &state);
            s->charge(state, &limit, 1, now, &state);
            if (random_below(4) == 0 && now > 1) {
                bad += jump(&state, &limit, &now);
            }
            else {
                now += random_wait(&limit);
            }
        }
    }
    is_int(bad, 0, "a clock that steps back frees none and blocks none long");
}

int main(void)
{
    int i;

    all_random_sequences();
    for (i = 0; i < RLX_STRATEGIES; ++i) {
        if (i != RLX_MOVING_WINDOW) {
            every_microsecond((rlx_strategy_e)i);
            clock_jumps((rlx_strategy_e)i);
        }
    }
    return tap_done();
}
