/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The strategies against values worked out by hand, their edges, a clock that
 * steps back, and the registry. test_strategy_model.c has the random part.
 */

#include <stdlib.h>
#include <string.h>

#include "core/strategy.h"
#include "limit_fixture.h"
#include "tap.h"

#define SEC INT64_C(1000000)
#define YEAR (360 * 86400 * SEC)
#define NEVER RLX_NEVER

/* One request and all that may be asked afterwards. */
typedef struct step_t {
    rlx_usec_t now;
    uint32_t cost;
    int fits;
    uint32_t remaining;
    rlx_usec_t reset_at;
    /** For the same cost, before the request. */
    rlx_usec_t retry_at;
    uint32_t used;
} step_t;

static rlx_state_t play(const char *title, rlx_state_t state,
                        const rlx_limit_t *limit, const step_t *steps, int n)
{
    const rlx_strategy_t *s = rlx_strategies[limit->strategy];
    rlx_reading_t reading;
    int i;

    diag("%s: %s", s->name, title);
    for (i = 0; i < n; ++i) {
        const step_t *step = &steps[i];
        rlx_usec_t now = step->now;

        is_int(s->retry_at(state, limit, step->cost, now), step->retry_at,
               "retry_at");
        is_int(s->charge(state, limit, step->cost, now, &state), step->fits,
               "fits");
        s->read(state, limit, now, &reading);
        is_int(reading.remaining, step->remaining, "remaining");
        is_int(reading.reset_at, step->reset_at, "reset_at");
        is_int(s->used(state, limit, now), step->used, "used");
        ok(state.lo >> 48 == 0, "state %d has 112 bits", i);
    }
    return state;
}

#define PLAY(title, state, limit, steps)                                      \
    play(title, state, limit, steps, (int)(sizeof(steps) / sizeof(steps[0])))

static const rlx_state_t fresh = { 0, 0 };

static void fixed_by_hand(void)
{
    static const step_t steps[] = {
        /* now, cost, fits, remaining, reset_at, retry_at, used */
        { 1 * SEC, 0, 1, 3, 1 * SEC, 1 * SEC, 0 },
        { 1 * SEC, 1, 1, 2, 11 * SEC, 1 * SEC, 1 },
        { 2 * SEC, 3, 0, 2, 11 * SEC, 11 * SEC, 1 },
        { 2 * SEC, 2, 1, 0, 11 * SEC, 2 * SEC, 3 },
        { 3 * SEC, 1, 0, 0, 11 * SEC, 11 * SEC, 3 },
        { 3 * SEC, 0, 1, 0, 11 * SEC, 3 * SEC, 3 },
        { 3 * SEC, 4, 0, 0, 11 * SEC, NEVER, 3 },
        { 11 * SEC - 1, 1, 0, 0, 11 * SEC, 11 * SEC, 3 },
        { 11 * SEC, 1, 1, 2, 21 * SEC, 11 * SEC, 1 },
        { 40 * SEC, 0, 1, 3, 40 * SEC, 40 * SEC, 0 },
        { 40 * SEC, 4, 0, 3, 40 * SEC, NEVER, 0 },
    };
    rlx_limit_t limit = limit_of(RLX_FIXED_WINDOW, 3, 10 * SEC);

    PLAY("3 per 10 seconds", fresh, &limit, steps);
}

static void sliding_by_hand(void)
{
    static const step_t steps[] = {
        { 1 * SEC, 10, 1, 0, 11 * SEC, 1 * SEC, 10 },
        { 5 * SEC, 1, 0, 0, 11 * SEC, 11 * SEC + 1, 10 },
        /* the previous bucket counts in full: 10 */
        { 11 * SEC, 1, 0, 0, 11 * SEC + 1, 11 * SEC + 1, 10 },
        /* 9.99 of it, and 1 */
        { 11 * SEC + 1, 1, 1, 0, 12 * SEC + 1, 11 * SEC + 1, 10 },
        /* half of it, and 1 */
        { 16 * SEC, 5, 0, 4, 16 * SEC + 1, 16 * SEC + 1, 6 },
        { 16 * SEC, 4, 1, 0, 16 * SEC + 1, 16 * SEC, 10 },
        { 16 * SEC, 9, 0, 0, 16 * SEC + 1, 27 * SEC + 1, 10 },
        /* next bucket: 5 came in the one that is now the previous */
        { 21 * SEC, 0, 1, 5, 21 * SEC + 1, 21 * SEC, 5 },
        /* 5 * 0.2 is 1, 5 * 0.19 is none; still no fresh start */
        { 29 * SEC, 0, 1, 9, 29 * SEC + 1, 29 * SEC, 1 },
        { 29 * SEC + 1, 0, 1, 10, 31 * SEC, 29 * SEC + 1, 1 },
        { 31 * SEC, 0, 1, 10, 31 * SEC, 31 * SEC, 0 },
        { 32 * SEC, 11, 0, 10, 32 * SEC, NEVER, 0 },
        { 32 * SEC, 2, 1, 8, 42 * SEC, 32 * SEC, 2 },
        /* two buckets on */
        { 52 * SEC, 1, 1, 9, 62 * SEC, 52 * SEC, 1 },
    };
    static const step_t one[] = {
        { 1 * SEC, 1, 1, 0, 11 * SEC, 1 * SEC, 1 },
        { 11 * SEC, 1, 0, 0, 11 * SEC + 1, 11 * SEC + 1, 1 },
        { 11 * SEC + 1, 0, 1, 1, 21 * SEC, 11 * SEC + 1, 0 },
    };
    rlx_limit_t ten = limit_of(RLX_SLIDING_WINDOW_COUNTER, 10, 10 * SEC);
    rlx_limit_t single = limit_of(RLX_SLIDING_WINDOW_COUNTER, 1, 10 * SEC);

    PLAY("10 per 10 seconds", fresh, &ten, steps);
    PLAY("1 per 10 seconds", fresh, &single, one);
}

static void gcra_by_hand(void)
{
    static const step_t burst3[] = {
        { 1 * SEC, 3, 1, 0, 4 * SEC, 1 * SEC, 3 },
        { SEC * 3 / 2, 1, 0, 0, 4 * SEC, 2 * SEC, 3 },
        { 2 * SEC, 1, 1, 0, 5 * SEC, 2 * SEC, 3 },
        { 4 * SEC - 1, 0, 1, 1, 5 * SEC, 4 * SEC - 1, 2 },
        { 4 * SEC - 1, 1, 1, 0, 6 * SEC, 4 * SEC - 1, 3 },
        { 4 * SEC, 2, 0, 1, 6 * SEC, 5 * SEC, 2 },
        { 4 * SEC, 4, 0, 1, 6 * SEC, NEVER, 2 },
        { 5 * SEC, 2, 1, 0, 8 * SEC, 5 * SEC, 3 },
        { 8 * SEC, 0, 1, 3, 8 * SEC, 8 * SEC, 0 },
    };
    /* a third of a second a unit: nothing may be lost by rounding */
    static const step_t thirds[] = {
        { 1 * SEC, 1, 1, 2, 1333334, 1 * SEC, 1 },
        { 1 * SEC, 1, 1, 1, 1666667, 1 * SEC, 2 },
        { 1 * SEC, 1, 1, 0, 2 * SEC, 1 * SEC, 3 },
        { 1 * SEC, 1, 0, 0, 2 * SEC, 1333334, 3 },
        { 1333333, 1, 0, 0, 2 * SEC, 1333334, 3 },
        { 1333334, 1, 1, 0, 2333334, 1333334, 3 },
        { 1666666, 1, 0, 0, 2333334, 1666667, 3 },
        { 1666667, 1, 1, 0, 2666667, 1666667, 3 },
        { 2 * SEC, 1, 1, 0, 3 * SEC, 2 * SEC, 3 },
        { 3 * SEC, 0, 1, 3, 3 * SEC, 3 * SEC, 0 },
    };
    rlx_limit_t a = limit_with_burst(RLX_GCRA, 10, 10 * SEC, 3);
    rlx_limit_t b = limit_of(RLX_GCRA, 3, 1 * SEC);

    PLAY("10 per 10 seconds, burst 3", fresh, &a, burst3);
    PLAY("3 per second", fresh, &b, thirds);
}

/* Count 0 refuses everything, a cost of 0 too. */
static void count_zero(void)
{
    static const step_t steps[] = {
        { 1 * SEC, 0, 0, 0, 1 * SEC, NEVER, 0 },
        { 2 * SEC, 1, 0, 0, 2 * SEC, NEVER, 0 },
    };
    int i;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        rlx_limit_t limit = limit_of((rlx_strategy_e)i, 0, SEC);

        if (i != RLX_MOVING_WINDOW) {
            PLAY("count 0", fresh, &limit, steps);
        }
    }
}

/* A named limit keeps what was used when its count is edited. */
static void count_edited(void)
{
    static const step_t fill[] = { { 1 * SEC, 7, 1, 3, 11 * SEC, 1 * SEC, 7 } };
    static const step_t smaller[] = {
        { 2 * SEC, 0, 0, 0, 11 * SEC, 11 * SEC, 7 },
        { 2 * SEC, 1, 0, 0, 11 * SEC, 11 * SEC, 7 },
    };
    /* 7 * (10 - e) / 10 must fall below 4, then below 3: e > 4 2/7, 5 5/7 */
    static const step_t slides[] = {
        { 2 * SEC, 0, 0, 0, 11 * SEC, 15285715, 7 },
        { 2 * SEC, 1, 0, 0, 11 * SEC, 16714286, 7 },
    };
    rlx_limit_t limit = limit_of(RLX_FIXED_WINDOW, 10, 10 * SEC);
    rlx_state_t state = PLAY("before the edit", fresh, &limit, fill);

    limit.count = 3;
    PLAY("10 edited to 3", state, &limit, smaller);

    limit = limit_of(RLX_SLIDING_WINDOW_COUNTER, 10, 10 * SEC);
    state = PLAY("before the edit", fresh, &limit, fill);
    limit.count = 3;
    PLAY("10 edited to 3", state, &limit, slides);
}

/* gcra keeps a time, so the edit changes what that time is worth. */
static void gcra_edited(void)
{
    static const step_t fill[] = {
        { 1 * SEC, 999, 1, 1, 1999000, 1 * SEC, 999 },
        { 1 * SEC, 1, 1, 0, 2 * SEC, 1 * SEC, 1000 },
    };
    static const step_t odd[] = { { SEC, 1, 1, 998, 1001002, SEC, 1 } };
    static const step_t fewer[] = {
        { 1 * SEC, 1, 0, 0, 2 * SEC, 1333334, 3 },
        { 1333334, 1, 1, 0, 2333334, 1333334, 3 },
    };
    static const step_t none[] = { { SEC, 1, 0, 0, SEC, NEVER, 5 } };
    rlx_limit_t limit = limit_of(RLX_GCRA, 1000, SEC);
    rlx_state_t state = PLAY("1000 per second", fresh, &limit, fill);
    rlx_state_t fraction;
    rlx_reading_t reading;

    limit = limit_of(RLX_GCRA, 3, SEC);
    PLAY("edited to 3 per second", state, &limit, fewer);

    limit = limit_of(RLX_GCRA, 999, SEC);
    fraction = PLAY("999 per second", fresh, &limit, odd);
    limit = limit_of(RLX_GCRA, 1, SEC);
    rlx_strategies[RLX_GCRA]->read(fraction, &limit, SEC, &reading);
    is_int(reading.reset_at, 1001001, "ticks past the new count are cut");

    limit = limit_with_burst(RLX_GCRA, 0, SEC, 5);
    PLAY("edited to 0", state, &limit, none);
}

/* Drawn back: no window ends later than a window from now. */
static void clock_steps_back(void)
{
    static const step_t fill[] = {
        { 100 * SEC, 4, 1, 0, 110 * SEC, 100 * SEC, 4 },
    };
    static const step_t fixed[] = {
        { 50 * SEC, 1, 0, 0, 60 * SEC, 60 * SEC, 4 },
        { 55 * SEC, 1, 0, 0, 60 * SEC, 60 * SEC, 4 },
        { 60 * SEC, 1, 1, 3, 70 * SEC, 60 * SEC, 1 },
    };
    static const step_t sliding[] = {
        { 50 * SEC, 1, 0, 0, 60 * SEC, 60 * SEC + 1, 4 },
        { 60 * SEC + 1, 1, 1, 0, 62500001, 60 * SEC + 1, 4 },
    };
    static const step_t gcra[] = {
        { 50 * SEC, 1, 0, 0, 60 * SEC, 52500000, 4 },
        { 52500000, 1, 1, 0, 62500000, 52500000, 4 },
    };
    static const step_t *const after[] = { fixed, NULL, sliding, gcra };
    static const int n[] = { 3, 0, 2, 2 };
    int i;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        rlx_limit_t limit = limit_of((rlx_strategy_e)i, 4, 10 * SEC);

        if (i != RLX_MOVING_WINDOW) {
            play("the clock steps back", PLAY("filled", fresh, &limit, fill),
                 &limit, after[i], n[i]);
        }
    }
}

/* The highest of everything. */
static void bounds(void)
{
    static const uint32_t max = RLX_COUNT_MAX;
    static const rlx_usec_t late = RLX_REL_MAX;
    const step_t fill[] = {
        { late, max, 1, 0, late + 100 * YEAR, late, max },
        { late, 0, 1, 0, late + 100 * YEAR, late, max },
    };
    int i;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        rlx_limit_t limit = limit_of((rlx_strategy_e)i, max, 100 * YEAR);

        if (i != RLX_MOVING_WINDOW) {
            PLAY("2147483647 per 100 years, late", fresh, &limit, fill);
        }
    }
}

/* Past 2^62 a time is RLX_NEVER; a backlog of 2^80 us, 38 thousand million
 * years, is the longest. */
static void gcra_beyond_time(void)
{
    static const uint32_t max = RLX_COUNT_MAX;
    const step_t burst[] = {
        { SEC, 1, 1, max - 1, SEC + 100, SEC, 1 },
        { SEC, max - 1, 1, 0, SEC + 100 * (int64_t)max, SEC, max },
    };
    static const step_t year[] = {
        { SEC, 100000, 1, 900000, SEC + 100000 * YEAR, SEC, 100000 },
        { SEC, 900000, 1, 0, NEVER, SEC, 1000000 },
        { SEC, 1, 0, 0, NEVER, SEC + YEAR, 1000000 },
        { SEC, 1000000, 0, 0, NEVER, NEVER, 1000000 },
    };
    /* 2^80 us are 388,672,138.5 windows of 100 years */
    const step_t beyond[] = {
        { SEC, 0, 1, 388672138, SEC, SEC, 0 },
        { SEC, 388672139, 0, 388672138, SEC, NEVER, 0 },
        { SEC, 388672138, 1, 0, NEVER, SEC, max },
    };
    rlx_limit_t a = limit_with_burst(RLX_GCRA, 10000, SEC, max);
    rlx_limit_t b = limit_with_burst(RLX_GCRA, 1, YEAR, 1000000);
    rlx_limit_t c = limit_with_burst(RLX_GCRA, 1, 100 * YEAR, max);

    PLAY("a long burst", fresh, &a, burst);
    PLAY("longer than time", fresh, &b, year);
    PLAY("longer than a state", fresh, &c, beyond);
}

static void registry(void)
{
    rlx_strategy_e found;
    int i;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        const char *name = rlx_strategies[i]->name;

        ok(rlx_strategy_by_name(name, &found) && (int)found == i, "%s", name);
        ok(strstr(rlx_strategy_names(), name) != NULL, "  is offered");
        ok((rlx_strategies[i]->charge == NULL) == (i == RLX_MOVING_WINDOW),
           "  has its arithmetic here, or is the moving window");
    }
    ok(rlx_strategy_by_name("GCRA", &found) && found == RLX_GCRA,
       "case is free");
    ok(!rlx_strategy_by_name("gcr", &found), "part of a name is none");
    ok(!rlx_strategy_by_name("", &found), "nor is an empty one");
}

int main(void)
{
    fixed_by_hand();
    sliding_by_hand();
    gcra_by_hand();
    count_zero();
    count_edited();
    gcra_edited();
    clock_steps_back();
    bounds();
    gcra_beyond_time();
    registry();
    return tap_done();
}
