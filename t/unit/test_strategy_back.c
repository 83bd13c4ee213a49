/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Giving back, by the strategies that keep their state in one word: by hand,
 * and at random against models that keep a list of charges and know each of
 * them by its number, not by its time.
 */

#include <stdlib.h>
#include <string.h>

#include "core/strategy.h"
#include "limit_fixture.h"
#include "tap.h"

#define SEC INT64_C(1000000)
#define CHARGES 80

__extension__ typedef __int128 wide_t;

static uint32_t remaining(rlx_state_t state, const rlx_limit_t *limit,
                          rlx_usec_t now)
{
    rlx_reading_t reading;

    rlx_strategies[limit->strategy]->read(state, limit, now, &reading);
    return reading.remaining;
}

static rlx_usec_t reset_at(rlx_state_t state, const rlx_limit_t *limit,
                           rlx_usec_t now)
{
    rlx_reading_t reading;

    rlx_strategies[limit->strategy]->read(state, limit, now, &reading);
    return reading.reset_at;
}

static int charge(rlx_state_t *state, const rlx_limit_t *limit, uint32_t cost,
                  rlx_usec_t now)
{
    return rlx_strategies[limit->strategy]->charge(*state, limit, cost, now,
                                                   state);
}

static int give_back(rlx_state_t *state, const rlx_limit_t *limit,
                     uint32_t cost, rlx_usec_t charged_at, rlx_usec_t now)
{
    return rlx_strategies[limit->strategy]->give_back(
        *state, limit, cost, charged_at, now, state);
}

static int is_zero(rlx_state_t state)
{
    return state.hi == 0 && state.lo == 0;
}

/* --- by hand ----------------------------------------------------------- */

static void test_fixed(void)
{
    rlx_limit_t limit = limit_of(RLX_FIXED_WINDOW, 3, 10 * SEC);
    rlx_state_t state = { 0, 0 };
    rlx_state_t before;

    charge(&state, &limit, 1, 1 * SEC);
    charge(&state, &limit, 2, 2 * SEC);
    before = state;
    ok(!give_back(&state, &limit, 1, 1 * SEC - 1, 3 * SEC)
           && !give_back(&state, &limit, 1, 1 * SEC, 11 * SEC)
           && !give_back(&state, &limit, 1, 4 * SEC, 3 * SEC)
           && !give_back(&state, &limit, 0, 2 * SEC, 3 * SEC),
       "fixed-window: not a charge of a window before, not after the end, "
       "not of the future, not 0");
    ok(memcmp(&before, &state, sizeof(state)) == 0, "nothing is changed");
    ok(give_back(&state, &limit, 1, 1 * SEC, 3 * SEC), "the opening charge");
    is_int(remaining(state, &limit, 3 * SEC), 1, "one is left");
    is_int(reset_at(state, &limit, 3 * SEC), 11 * SEC, "the end is the same");
    ok(give_back(&state, &limit, 2, 2 * SEC, 4 * SEC) && is_zero(state),
       "all given back: as if never charged");
    ok(!give_back(&state, &limit, 1, 2 * SEC, 4 * SEC),
       "nothing to give back of nothing");
    charge(&state, &limit, 1, 5 * SEC);
    is_int(reset_at(state, &limit, 5 * SEC), 15 * SEC, "a new window");
    ok(!give_back(&state, &limit, 1, 4 * SEC, 5 * SEC),
       "a charge of the one before is not in it");
    ok(give_back(&state, &limit, 9, 5 * SEC, 5 * SEC) && is_zero(state),
       "never below 0");
    charge(&state, &limit, 2, 100 * SEC);
    ok(!give_back(&state, &limit, 1, 100 * SEC, 50 * SEC),
       "the clock stepped back: nothing is given back");
}

static void test_sliding(void)
{
    rlx_limit_t limit = limit_of(RLX_SLIDING_WINDOW_COUNTER, 10, 10 * SEC);
    rlx_state_t state = { 0, 0 };
    rlx_state_t copy;

    charge(&state, &limit, 6, 1 * SEC);
    charge(&state, &limit, 4, 2 * SEC);
    /* [11 s, 21 s): ten fade. */
    charge(&state, &limit, 2, 16 * SEC);
    is_int(remaining(state, &limit, 16 * SEC), 3, "sliding: 10 / 2 + 2");
    copy = state;
    ok(give_back(&copy, &limit, 2, 16 * SEC, 16 * SEC), "the current bucket");
    is_int(remaining(copy, &limit, 16 * SEC), 5, "10 / 2");
    ok(give_back(&copy, &limit, 4, 2 * SEC, 16 * SEC), "the previous one");
    is_int(remaining(copy, &limit, 16 * SEC), 7, "6 / 2");
    ok(give_back(&copy, &limit, 6, 1 * SEC, 16 * SEC) && is_zero(copy),
       "all given back: as if never charged");
    copy = state;
    ok(!give_back(&copy, &limit, 1, 1 * SEC - 1, 16 * SEC),
       "not what is in neither");
    ok(!give_back(&copy, &limit, 1, 17 * SEC, 16 * SEC), "nor of the future");
    ok(give_back(&copy, &limit, 2, 16 * SEC, 21 * SEC),
       "the bucket that has become the previous one");
    ok(is_zero(copy), "with nothing else in it");
    ok(!give_back(&state, &limit, 2, 16 * SEC, 31 * SEC), "all has faded");
}

static void test_gcra(void)
{
    rlx_limit_t limit = limit_of(RLX_GCRA, 10, 10 * SEC);
    rlx_state_t state = { 0, 0 };
    rlx_state_t copy;

    charge(&state, &limit, 3, 1 * SEC);
    copy = state;
    ok(give_back(&copy, &limit, 1, 1 * SEC, 1 * SEC), "gcra: at once");
    is_int(reset_at(copy, &limit, 1 * SEC), 3 * SEC, "all of it");
    ok(give_back(&copy, &limit, 2, 1 * SEC, 1 * SEC) && is_zero(copy),
       "all given back: as if never charged");
    copy = state;
    ok(give_back(&copy, &limit, 1, 1 * SEC, 1 * SEC + SEC / 4),
       "a quarter of a unit later");
    is_int(reset_at(copy, &limit, 1 * SEC + SEC / 4), 3 * SEC + SEC / 4,
           "three quarters of it");
    ok(!give_back(&state, &limit, 1, 1 * SEC, 2 * SEC),
       "worked off: nothing");
    ok(!give_back(&state, &limit, 4, 1 * SEC, 1 * SEC),
       "more than there is cannot have been charged");
    ok(!give_back(&state, &limit, 1, 2 * SEC, 1 * SEC), "nor the future");
    /* It ran empty meanwhile: what is there was charged by others. */
    charge(&state, &limit, 9, 100 * SEC);
    ok(!give_back(&state, &limit, 1, 1 * SEC, 100 * SEC),
       "what others charged later is not given back");
    limit.count = 0;
    ok(!give_back(&state, &limit, 1, 100 * SEC, 100 * SEC), "count 0");
}

/* --- models ------------------------------------------------------------ */

static unsigned int seed = 7;

/* A charge that a model knows. */
typedef struct charge_t {
    rlx_usec_t at;
    uint32_t cost;
    /** Where it counts: 2 the current bucket, 1 the previous, 0 nowhere. */
    int bucket;
    int is_given_back;
} charge_t;

typedef struct model_t {
    rlx_limit_t limit;
    charge_t charges[CHARGES];
    int n;
    /** Of the current bucket; 0: there is none. */
    rlx_usec_t start;
} model_t;

static wide_t units_in(const model_t *m, int bucket)
{
    wide_t sum = 0;
    int i;

    for (i = 0; i < m->n; ++i) {
        sum += m->charges[i].bucket == bucket ? m->charges[i].cost : 0;
    }
    return sum;
}

/* End buckets that are over, and forget their place when they are empty. */
static void bring_up(model_t *m, rlx_usec_t now)
{
    int buckets = m->limit.strategy == RLX_FIXED_WINDOW ? 1 : 2;
    int i;

    while (m->start != 0 && now >= m->start + m->limit.window_usec) {
        m->start += m->limit.window_usec;
        for (i = 0; i < m->n; ++i) {
            m->charges[i].bucket -= m->charges[i].bucket > 0;
            if (buckets == 1) {
                m->charges[i].bucket = 0;
            }
        }
        if (units_in(m, 1) + units_in(m, 2) == 0) {
            m->start = 0;
        }
    }
    if (units_in(m, 1) + units_in(m, 2) == 0) {
        m->start = 0;
    }
}

static uint32_t model_remaining(model_t *m, rlx_usec_t now)
{
    wide_t w = m->limit.window_usec;
    wide_t faded;

    bring_up(m, now);
    faded = units_in(m, 1) * (w - (now - m->start)) / w;
    faded = m->start != 0 ? faded : 0;
    return (uint32_t)(m->limit.count - units_in(m, 2) - faded);
}

/* gcra: the leaky bucket of all that was not given back. In units times the
 * window. */
static wide_t leaky(const model_t *m, rlx_usec_t now)
{
    wide_t level = 0;
    rlx_usec_t last = 0;
    int i;

    for (i = 0; i <= m->n; ++i) {
        rlx_usec_t at = i < m->n ? m->charges[i].at : now;

        level -= (wide_t)(at - last) * m->limit.count;
        level = level > 0 ? level : 0;
        last = at;
        if (i < m->n && !m->charges[i].is_given_back) {
            level += (wide_t)m->charges[i].cost * m->limit.window_usec;
        }
    }
    return level;
}

static uint32_t leaky_remaining(const model_t *m, rlx_usec_t now)
{
    wide_t w = m->limit.window_usec;

    return (uint32_t)((w * m->limit.burst - leaky(m, now)) / w);
}

static void model_charge(model_t *m, uint32_t cost, rlx_usec_t now)
{
    charge_t *c = &m->charges[m->n++];

    bring_up(m, now);
    m->start = m->start != 0 ? m->start : now;
    c->at = now;
    c->cost = cost;
    c->bucket = 2;
    c->is_given_back = 0;
}

static rlx_usec_t random_wait(rlx_usec_t window)
{
    switch (rand_r(&seed) % 5) {
    case 0:
        return 0;
    case 1:
        return window - 1 + rand_r(&seed) % 3;
    default:
        return rand_r(&seed) % (window / (1 + rand_r(&seed) % 20) + 1);
    }
}

/* Give back a random charge. 0 if state and model then differ. */
static int step_back(model_t *m, rlx_state_t *state, rlx_usec_t now)
{
    int is_gcra = m->limit.strategy == RLX_GCRA;
    uint32_t before = remaining(*state, &m->limit, now);
    charge_t *c = &m->charges[rand_r(&seed) % m->n];
    int was_there;
    int done;

    if (c->is_given_back) {
        return 1;
    }
    bring_up(m, now);
    was_there = c->bucket != 0;
    done = give_back(state, &m->limit, c->cost, c->at, now);
    c->is_given_back = 1;
    c->bucket = 0;
    bring_up(m, now);
    return is_gcra ? remaining(*state, &m->limit, now) >= before
                   : !done == !was_there;
}

/* One sequence; the number of times that they differ. For gcra: that the
 * strategy has more room than the model. */
static int run(rlx_strategy_e strategy, int *less)
{
    rlx_limit_t limit =
        limit_of(strategy, 1 + (uint32_t)rand_r(&seed) % 20, 1000);
    rlx_state_t state = { 0, 0 };
    rlx_usec_t now = 5000;
    int differ = 0;
    model_t m;
    int i;

    memset(&m, 0, sizeof(m));
    m.limit = limit;
    for (i = 0; i < 2 * CHARGES && m.n < CHARGES; ++i) {
        uint32_t cost = 1 + (uint32_t)rand_r(&seed) % limit.count;
        uint32_t got;
        uint32_t wanted;

        if (m.n > 0 && rand_r(&seed) % 2) {
            differ += !step_back(&m, &state, now);
        }
        else if (charge(&state, &limit, cost, now)) {
            model_charge(&m, cost, now);
        }
        now += random_wait(limit.window_usec);
        got = remaining(state, &limit, now);
        wanted = strategy == RLX_GCRA ? leaky_remaining(&m, now)
                                      : model_remaining(&m, now);
        differ += strategy == RLX_GCRA ? got > wanted : got != wanted;
        *less += got < wanted;
        if (strategy == RLX_FIXED_WINDOW) {
            differ += reset_at(state, &limit, now)
                      != (m.start ? m.start + limit.window_usec : now);
        }
    }
    return differ;
}

static void test_models(rlx_strategy_e strategy)
{
    int differ = 0;
    int less = 0;
    int i;

    for (i = 0; i < 5000; ++i) {
        differ += run(strategy, &less);
    }
    is_int(differ, 0, rlx_strategies[strategy]->name);
    if (strategy == RLX_GCRA) {
        ok(less > 0, "gcra: stricter than could be known, %d times", less);
    }
    else {
        is_int(less, 0, "5,000 sequences of charges, half given back: exact");
    }
}

/* gcra: what is given back at once never was, whatever went before. */
static void test_gcra_at_once(void)
{
    int differ = 0;
    int i;

    for (i = 0; i < 20000; ++i) {
        rlx_limit_t limit =
            limit_of(RLX_GCRA, 1 + (uint32_t)rand_r(&seed) % 20, 1000);
        rlx_state_t state = { 0, 0 };
        rlx_usec_t now = 5000;
        rlx_state_t copy;
        int k;

        for (k = 0; k < 5; ++k) {
            charge(&state, &limit, 1 + (uint32_t)rand_r(&seed) % 5, now);
            now += rand_r(&seed) % 300;
        }
        charge(&state, &limit, 0, now);
        copy = state;
        if (charge(&copy, &limit, 1, now)) {
            differ += !give_back(&copy, &limit, 1, now, now)
                      || memcmp(&copy, &state, sizeof(copy)) != 0;
        }
    }
    is_int(differ, 0, "gcra: given back at once, the state is as before");
}

int main(void)
{
    test_fixed();
    test_sliding();
    test_gcra();
    test_models(RLX_FIXED_WINDOW);
    test_models(RLX_SLIDING_WINDOW_COUNTER);
    test_models(RLX_GCRA);
    test_gcra_at_once();
    return tap_done();
}
