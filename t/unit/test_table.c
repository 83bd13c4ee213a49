/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The table of counters by one process: against a model, with a clock that
 * steps back, full, and flooded.
 */

#include "table_fixture.h"

#define MB (1024 * 1024)

/* --- the model --------------------------------------------------------- */

/* One counter of the model: a state of a pure strategy, or a list of charges. */
typedef struct model_t {
    rlx_limit_t limit;
    rlx_counter_t counter;
    rlx_state_t state;
    int n;
    rlx_usec_t time[4096];
    uint32_t units[4096];
} model_t;

#define MODELS 12
static model_t model[MODELS];

/* Time inside of the model; the table's own epoch does not matter. */
#define IN(t)  ((t) - NOW + 100 * 24 * HOUR)
#define OUT(t) ((t) == RLX_NEVER ? RLX_NEVER : (t) - 100 * 24 * HOUR + NOW)

static uint32_t list_sum(const model_t *m, rlx_usec_t now, rlx_usec_t *oldest)
{
    uint32_t sum = 0;
    int i;

    *oldest = 0;
    for (i = 0; i < m->n; ++i) {
        if (m->time[i] > now - m->limit.window_usec) {
            sum += m->units[i];
            *oldest = *oldest ? *oldest : m->time[i];
        }
    }
    return sum;
}

static int model_fits(const model_t *m, uint32_t cost, rlx_usec_t now)
{
    rlx_usec_t oldest;
    rlx_state_t next;

    if (m->limit.strategy != RLX_MOVING_WINDOW) {
        return rlx_strategies[m->limit.strategy]->charge(
            m->state, &m->limit, cost, IN(now), &next);
    }
    return (uint64_t)list_sum(m, now, &oldest) + cost <= m->limit.count;
}

static void model_charge(model_t *m, uint32_t cost, rlx_usec_t now)
{
    if (m->limit.strategy != RLX_MOVING_WINDOW) {
        rlx_strategies[m->limit.strategy]->charge(m->state, &m->limit, cost,
                                                  IN(now), &m->state);
        return;
    }
    if (m->n == 4096) {
        memmove(m->time, m->time + 2048, sizeof(m->time) / 2);
        memmove(m->units, m->units + 2048, sizeof(m->units) / 2);
        m->n = 2048;
    }
    m->time[m->n] = now;
    m->units[m->n++] = cost;
}

static void model_read(const model_t *m, rlx_usec_t now, rlx_verdict_t *v)
{
    rlx_reading_t reading;
    rlx_usec_t oldest;

    if (m->limit.strategy != RLX_MOVING_WINDOW) {
        rlx_strategies[m->limit.strategy]->read(m->state, &m->limit, IN(now),
                                                &reading);
        v->remaining = reading.remaining;
        v->reset_at = OUT(reading.reset_at);
        return;
    }
    v->remaining = m->limit.count - list_sum(m, now, &oldest);
    v->reset_at = oldest ? oldest + m->limit.window_usec : now;
}

static rlx_usec_t model_retry(const model_t *m, uint32_t cost, rlx_usec_t now)
{
    rlx_usec_t at;
    int i;

    if (m->limit.strategy != RLX_MOVING_WINDOW) {
        at = rlx_strategies[m->limit.strategy]->retry_at(m->state, &m->limit,
                                                         cost, IN(now));
        return OUT(at);
    }
    for (i = 0; i < m->n; ++i) {
        at = m->time[i] + m->limit.window_usec;
        if (at >= now && model_fits(m, cost, at)) {
            return at;
        }
    }
    return RLX_NEVER;
}

/* What the model says of a batch. */
static void model_decide(rlx_charge_e mode, const int *pick,
                         const rlx_counter_t *counters, int n, rlx_usec_t now,
                         rlx_verdict_t *v)
{
    int refused = 0;
    int stopped = 0;
    int i;

    for (i = 0; i < n; ++i) {
        v[i].has_room = model_fits(&model[pick[i]], counters[i].cost, now);
        refused |= !v[i].has_room;
    }
    for (i = 0; i < n; ++i) {
        model_t *m = &model[pick[i]];

        v[i].retry_at = v[i].has_room
                            ? now
                            : model_retry(m, counters[i].cost, now);
        stopped |= mode == RLX_CHARGE_IN_ORDER && !v[i].has_room;
        v[i].charged = v[i].has_room && counters[i].cost != 0 && !stopped
                       && !(refused && mode == RLX_CHARGE_ATOMIC);
        if (v[i].charged) {
            model_charge(m, counters[i].cost, now);
        }
        model_read(m, now, &v[i]);
    }
}

static int same_verdict(const rlx_verdict_t *a, const rlx_verdict_t *b)
{
    return !a->has_room == !b->has_room && !a->charged == !b->charged
           && a->remaining == b->remaining && a->reset_at == b->reset_at
           && a->retry_at == b->retry_at;
}

static void model_make(unsigned int *seed)
{
    static const uint32_t counts[] = { 1, 3, 10, 64, 200, 1500 };
    int i;

    for (i = 0; i < MODELS; ++i) {
        model_t *m = &model[i];

        memset(m, 0, sizeof(*m));
        m->limit = limit_of((rlx_strategy_e)(i % RLX_STRATEGIES),
                            counts[rand_r(seed) % 6],
                            (1 + (rlx_usec_t)(rand_r(seed) % 20)) * SEC);
        m->counter = counter_of(&m->limit, (uint64_t)rand_r(seed));
    }
}

static uint32_t random_cost(const rlx_limit_t *limit, unsigned int *seed)
{
    switch (rand_r(seed) % 8) {
    case 0:
        return 0;
    case 1:
        return (uint32_t)rand_r(seed) % (limit->count + 2);
    case 2:
        return 1 + (uint32_t)rand_r(seed) % 100;
    default:
        return 1 + (uint32_t)rand_r(seed) % 3;
    }
}

/* One random batch; the number of verdicts that differ. */
static int model_step(const rlx_table_t *table, rlx_usec_t now,
                      unsigned int *seed)
{
    int n = 1 + rand_r(seed) % 5;
    int first = rand_r(seed) % MODELS;
    rlx_charge_e mode = (rlx_charge_e)(rand_r(seed) % 3);
    rlx_counter_t counters[5];
    rlx_verdict_t got[5], wanted[5];
    int pick[5];
    int wrong = 0;
    int i;

    for (i = 0; i < n; ++i) {
        pick[i] = (first + i * 5) % MODELS;
        counters[i] = model[pick[i]].counter;
        counters[i].cost = random_cost(counters[i].limit, seed);
    }
    rlx_table_decide(table, mode, counters, n, now, got);
    model_decide(mode, pick, counters, n, now, wanted);
    for (i = 0; i < n; ++i) {
        if (!same_verdict(&got[i], &wanted[i]) && wrong++ == 0) {
            diag("%s %u mode %d cost %u: got %d %d %u %ld %ld, "
                 "wanted %d %d %u %ld %ld",
                 strategy_name[counters[i].limit->strategy],
                 counters[i].limit->count, (int)mode, counters[i].cost,
                 got[i].has_room, got[i].charged, got[i].remaining,
                 (long)(got[i].reset_at - now), (long)(got[i].retry_at - now),
                 wanted[i].has_room, wanted[i].charged, wanted[i].remaining,
                 (long)(wanted[i].reset_at - now),
                 (long)(wanted[i].retry_at - now));
        }
    }
    return wrong;
}

static void test_model(void)
{
    unsigned int seed = 42;
    int wrong = 0;
    int round;
    int i;

    for (round = 0; round < 20; ++round) {
        rlx_table_t table = table_make(MB);
        rlx_usec_t now = NOW;

        model_make(&seed);
        for (i = 0; i < 1500; ++i) {
            now += rand_r(&seed) % (rand_r(&seed) % 10 ? 50000 : 3000000);
            wrong += model_step(&table, now, &seed) != 0;
        }
        wrong += !is_valid(&table);
        table_free(&table, MB);
    }
    is_int(wrong, 0, "30,000 batches, three modes, four strategies: as the "
                     "model says");
}

/* --- edges ------------------------------------------------------------- */

static void test_edges(void)
{
    rlx_table_t table = table_make(MB);
    rlx_table_figures_t figures;
    rlx_limit_t limit;
    rlx_counter_t counter;
    rlx_verdict_t v;
    int i;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        limit = limit_of((rlx_strategy_e)i, 5, 10 * SEC);
        counter = counter_of(&limit, 1000 + (uint64_t)i);
        counter.cost = 6;
        rlx_table_decide(&table, RLX_CHARGE_ATOMIC, &counter, 1, NOW, &v);
        ok(!v.has_room && !v.charged && v.remaining == 5
               && v.retry_at == RLX_NEVER,
           "%s: a cost above the limit never fits", strategy_name[i]);
        counter.cost = 0;
        rlx_table_decide(&table, RLX_CHARGE_ATOMIC, &counter, 1, NOW, &v);
        ok(v.has_room && !v.charged && v.remaining == 5 && v.retry_at == NOW
               && v.reset_at == NOW,
           "%s: a cost of 0 only tests", strategy_name[i]);
        limit.count = limit.burst = 0;
        rlx_table_decide(&table, RLX_CHARGE_ATOMIC, &counter, 1, NOW, &v);
        ok(!v.has_room && v.remaining == 0 && v.retry_at == RLX_NEVER,
           "%s: a count of 0 refuses everything", strategy_name[i]);
    }
    rlx_table_figures(&table, NOW, &figures);
    is_int(figures.used + figures.log_used, 0, "none of these takes a slot");
    is_int(figures.evictions, 0, "nothing was dropped");
    table_free(&table, MB);
}

/* What begins as the usual request does, and is not: n counters that are in the
 * table, and have room. */
static void test_nearly_usual(int n)
{
    static const rlx_usec_t far = INT64_MAX - HOUR / 2;
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit = limit_of(RLX_FIXED_WINDOW, 3, HOUR);
    rlx_counter_t c[2];
    rlx_verdict_t v[2];
    int i;

    c[0] = counter_of(&limit, 1);
    c[1] = counter_of(&limit, 2);
    rlx_table_decide(&table, RLX_CHARGE_ATOMIC, c, n, NOW, v);
    c[n - 1].only_test = 1;
    for (i = 0; i < 2; ++i) {
        rlx_table_decide(&table, RLX_CHARGE_ATOMIC, c + n - 1, 1, NOW + SEC,
                         v);
        ok(v[0].has_room && !v[0].charged && v[0].remaining == 2,
           "%d: a test, and it takes nothing", n);
    }
    rlx_table_decide(&table, RLX_CHARGE_ATOMIC, c, n, NOW + SEC, v);
    ok(v[n - 1].has_room && !v[n - 1].charged && v[n - 1].remaining == 2
           && v[0].charged == (n == 2),
       "%d: nor does it beside another", n);
    c[n - 1].only_test = 0;
    c[n - 1].cost = 3;
    rlx_table_decide(&table, RLX_CHARGE_ATOMIC, c, n, NOW + 2 * SEC, v);
    ok(!v[n - 1].has_room && !v[n - 1].charged && v[n - 1].remaining == 2
           && v[n - 1].reset_at == NOW + HOUR
           && v[n - 1].retry_at == NOW + HOUR && !v[0].charged,
       "%d: no room for so much before the window ends", n);
    c[n - 1].cost = 2;
    rlx_table_decide(&table, RLX_CHARGE_ATOMIC, c, n, NOW + HOUR, v);
    ok(v[n - 1].charged && v[n - 1].remaining == 1
           && v[n - 1].reset_at == NOW + 2 * HOUR
           && v[n - 1].retry_at == NOW + HOUR,
       "%d: the next window", n);
    rlx_table_decide(&table, RLX_CHARGE_ATOMIC, c, n, far, v);
    ok(v[n - 1].charged && v[n - 1].remaining == 1
           && v[n - 1].reset_at == RLX_NEVER && v[n - 1].retry_at == far,
       "%d: at the end of all time", n);
    rlx_table_decide(&table, RLX_CHARGE_ATOMIC, c, n, SEC, v);
    ok(!v[n - 1].charged && v[n - 1].reset_at == SEC + HOUR
           && v[n - 1].retry_at == SEC + HOUR,
       "%d: and back to its beginning", n);
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

static void test_look_and_forget(void)
{
    rlx_table_t table = table_make(MB);
    rlx_table_figures_t figures;
    rlx_verdict_t v;
    int i;
    int k;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        rlx_limit_t limit = limit_of((rlx_strategy_e)i, 3, 10 * SEC);
        rlx_counter_t counter = counter_of(&limit, (uint64_t)i);

        for (k = 0; k < 5; ++k) {
            rlx_table_look(&table, &counter, 1, NOW, &v);
            ok(!v.charged && v.remaining == (k < 3 ? 3 - (uint32_t)k : 0)
                   && !v.has_room == (k >= 3),
               "%s: look %d", strategy_name[i], k);
            hit(&table, &counter, NOW);
        }
        rlx_table_forget(&table, &counter);
        rlx_table_look(&table, &counter, 1, NOW, &v);
        is_int(v.remaining, 3, "forgotten");
        for (k = 0; k < 3; ++k) {
            hit(&table, &counter, NOW);
        }
    }
    rlx_table_figures(&table, NOW, &figures);
    is_int(figures.used, RLX_STRATEGIES, "one slot each");
    is_int(figures.log_used, 1, "and a piece of log");
    rlx_table_forget_all(&table);
    rlx_table_figures(&table, NOW, &figures);
    is_int(figures.used + figures.log_used, 0, "all forgotten");
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

/* A named limit whose count is edited keeps what was used. */
static void test_named(void)
{
    static const uint32_t counts[] = { 6, 100, 3, 300, 5 };
    rlx_table_t table = table_make(MB);
    rlx_verdict_t v;
    int i;
    int k;
    uint32_t used;
    uint32_t left;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        rlx_limit_t limit = limit_of((rlx_strategy_e)i, 6, HOUR);
        rlx_counter_t counter = counter_of(&limit, (uint64_t)i);

        counter.is_named = 1;
        used = 0;
        for (k = 0; k < 5 && i != RLX_GCRA; ++k) {
            limit.count = limit.burst = counts[k];
            while (hit(&table, &counter, NOW)) {
                ++used;
            }
            rlx_table_look(&table, &counter, 1, NOW, &v);
            left = counts[k] > used ? counts[k] - used : 0;
            ok(v.remaining == left && left == 0 && used >= counts[k],
               "%s: count edited to %u", strategy_name[i], counts[k]);
        }
        ok(is_valid(&table), "valid");
    }
    table_free(&table, MB);
}

/* The same id twice in a batch does not occur, but must do no harm. */
static void test_doubles(void)
{
    rlx_table_t table = table_make(MB);
    rlx_counter_t counter[3];
    rlx_verdict_t v[3];
    int i;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        rlx_limit_t limit = limit_of((rlx_strategy_e)i, 3, HOUR);

        counter[0] = counter_of(&limit, (uint64_t)i);
        counter[1] = counter_of(&limit, 100 + (uint64_t)i);
        counter[2] = counter[0];
        rlx_table_decide(&table, RLX_CHARGE_ATOMIC, counter, 3, NOW, v);
        ok(v[0].charged && v[1].charged && v[2].charged
               && v[2].remaining == 2,
           "%s: a counter twice in a batch", strategy_name[i]);
    }
    ok(is_valid(&table), "no key twice");
    table_free(&table, MB);
}

/* --- the clock steps back ---------------------------------------------- */

static void test_clock(void)
{
    static const rlx_usec_t steps[] = { 20000,     SEC,       5 * SEC,
                                        60 * SEC,  HOUR,      30 * 24 * HOUR,
                                        300 * 24 * HOUR };
    rlx_table_t table = table_make(MB);
    rlx_verdict_t v;
    uint64_t number = 0;
    int freed = 0;
    int late = 0;
    int i;
    int s;
    int k;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        rlx_limit_t limit = limit_of((rlx_strategy_e)i, 70, 10 * SEC);

        for (s = 0; s < 7; ++s) {
            rlx_counter_t counter = counter_of(&limit, ++number);
            rlx_usec_t now = NOW;
            rlx_usec_t back;

            for (k = 0; k < 70; ++k) {
                hit(&table, &counter, now += 1000);
            }
            while (hit(&table, &counter, now)) {
            }
            back = now - steps[s];
            freed += hit(&table, &counter, back) != 0;
            rlx_table_look(&table, &counter, 1, back, &v);
            /* A full bucket needs a microsecond more to fade by one. */
            late += v.retry_at > back + limit.window_usec
                                     + (i == RLX_SLIDING_WINDOW_COUNTER);
            late += v.reset_at > back + 2 * limit.window_usec;
            freed += hit(&table, &counter, back + 1000) != 0
                     && i != RLX_GCRA && i != RLX_MOVING_WINDOW;
            late += !hit(&table, &counter, back + limit.window_usec + SEC);
        }
    }
    is_int(freed, 0, "the clock steps back: nobody is freed");
    is_int(late, 0, "and nobody is blocked for longer than one window");
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

/* --- floods ------------------------------------------------------------ */

/* Requests that a new key gets through of `tries`. */
static int hits(const rlx_table_t *table, const rlx_counter_t *counter,
                int tries, rlx_usec_t now)
{
    int through = 0;

    while (tries-- > 0) {
        through += hit(table, counter, now);
    }
    return through;
}

static void test_flood(void)
{
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit[RLX_STRATEGIES];
    rlx_counter_t blocked[RLX_STRATEGIES];
    uint64_t number = 100;
    int wrong = 0;
    int freed = 0;
    int i;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        limit[i] = limit_of((rlx_strategy_e)i, 3, HOUR);
        blocked[i] = counter_of(&limit[i], (uint64_t)i);
        hits(&table, &blocked[i], 4, NOW);
    }
    for (i = 0; i < 100000; ++i) {
        rlx_counter_t counter =
            counter_of(&limit[i % RLX_STRATEGIES], ++number);

        /* A few are driven to their limit: by far less than half a table. */
        wrong += hits(&table, &counter, 1 + i % 2, NOW + i) != 1 + i % 2;
        if (i % 50 == 0) {
            wrong += hits(&table, &counter, 4, NOW + i) != 2 - i % 2;
        }
    }
    for (i = 0; i < RLX_STRATEGIES; ++i) {
        freed += hit(&table, &blocked[i], NOW + SEC);
    }
    is_int(wrong, 0, "100,000 new keys, each limited from the beginning");
    is_int(freed, 0, "a blocked key of each strategy stays blocked");
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

/* A table half full of keys at their limit, in a flood of others that
 * already runs when they come. */
static void test_half_blocked(rlx_strategy_e strategy, int share, int floods)
{
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit = limit_of(strategy, 4, HOUR);
    rlx_limit_t other = limit_of(RLX_FIXED_WINDOW, 10, HOUR);
    rlx_table_figures_t figures;
    uint64_t number = UINT64_C(1) << 32;
    int wrong = 0;
    int freed = 0;
    int half;
    int i;

    rlx_table_figures(&table, NOW, &figures);
    half = (int)figures.slots / share;
    for (i = 0; i < floods; ++i) {
        rlx_counter_t flood = counter_of(&other, ++number);

        wrong += !hit(&table, &flood, NOW + i);
        if (i < half) {
            rlx_counter_t counter = counter_of(&limit, (uint64_t)i);

            wrong += hits(&table, &counter, 5, NOW + i) != 4;
        }
    }
    for (i = 0; i < half; ++i) {
        rlx_counter_t counter = counter_of(&limit, (uint64_t)i);

        freed += hit(&table, &counter, NOW + SEC);
    }
    is_int(wrong, 0, "a half full table: new keys are let through");
    ok(freed == 0, "%s: %d keys at their limit, %d others: %d were freed",
       strategy_name[strategy], half, floods, freed);
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

static void test_all_blocked(void)
{
    rlx_table_t table = table_make(RLX_TABLE_BYTES_MIN);
    rlx_limit_t limit[RLX_STRATEGIES];
    int wrong = 0;
    int i;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        limit[i] = limit_of((rlx_strategy_e)i, 3, HOUR);
    }
    for (i = 0; i < 30000; ++i) {
        rlx_counter_t counter =
            counter_of(&limit[i % RLX_STRATEGIES], (uint64_t)i);

        wrong += hits(&table, &counter, 4, NOW + i) != 3;
    }
    is_int(wrong, 0, "full of keys at their limit: new keys are counted");
    ok(is_valid(&table), "valid");
    table_free(&table, RLX_TABLE_BYTES_MIN);
}

/* The biggest batches, of new keys, in the smallest table. */
static void test_big_batches(void)
{
    rlx_table_t table = table_make(RLX_TABLE_BYTES_MIN);
    rlx_counter_t counter[RLX_TABLE_BATCH_MAX];
    rlx_verdict_t v[RLX_TABLE_BATCH_MAX];
    rlx_limit_t limit[RLX_STRATEGIES];
    uint64_t number = 0;
    int wrong = 0;
    int round;
    int i;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        limit[i] = limit_of((rlx_strategy_e)i, 200, HOUR);
    }
    for (round = 0; round < 400; ++round) {
        for (i = 0; i < RLX_TABLE_BATCH_MAX; ++i) {
            counter[i] = counter_of(
                &limit[round % 2 ? i % RLX_STRATEGIES : RLX_MOVING_WINDOW],
                ++number);
            counter[i].cost = round % 3 == 0 ? 100 : 3;
        }
        rlx_table_decide(&table, (rlx_charge_e)(round % 3), counter,
                         RLX_TABLE_BATCH_MAX, NOW + round, v);
        for (i = 0; i < RLX_TABLE_BATCH_MAX; ++i) {
            wrong += !v[i].charged
                     || v[i].remaining != 200 - counter[i].cost;
        }
    }
    is_int(wrong, 0, "400 batches of 64 new counters in a small table");
    ok(is_valid(&table), "valid");
    table_free(&table, RLX_TABLE_BYTES_MIN);
}

static void test_format(void)
{
    static char small[RLX_TABLE_BYTES_MIN + 64]
        __attribute__((aligned(64)));
    rlx_table_options_t options = { 400, 10000 };
    rlx_table_figures_t figures;
    rlx_table_t table;

    is_int(rlx_table_format(small, RLX_TABLE_BYTES_MIN - 1, &options, &secret,
                            NOW), -1, "too small a block");
    is_int(rlx_table_format(small + 8, RLX_TABLE_BYTES_MIN, &options, &secret,
                            NOW), -1, "a block not aligned");
    is_int(rlx_table_attach(&table, small, RLX_TABLE_BYTES_MIN), -1,
           "no table in the block");
    is_int(rlx_table_format(small, RLX_TABLE_BYTES_MIN, &options, &secret,
                            NOW), 0, "the smallest block");
    is_int(rlx_table_attach(&table, small, RLX_TABLE_BYTES_MIN + 64), -1,
           "a table of another size");
    is_int(rlx_table_attach(&table, small, RLX_TABLE_BYTES_MIN), 0, "attach");
    rlx_table_figures(&table, NOW, &figures);
    ok(figures.slots * 64 >= RLX_TABLE_BYTES_MIN,
       "%lu slots, no more than 64 bytes each", (unsigned long)figures.slots);
}

int main(void)
{
    test_format();
    test_edges();
    test_nearly_usual(1);
    test_nearly_usual(2);
    test_look_and_forget();
    test_named();
    test_doubles();
    test_model();
    test_clock();
    test_flood();
    test_half_blocked(RLX_FIXED_WINDOW, 2, 500000);
    test_half_blocked(RLX_SLIDING_WINDOW_COUNTER, 2, 100000);
    test_half_blocked(RLX_GCRA, 2, 100000);
    test_half_blocked(RLX_MOVING_WINDOW, 4, 100000);
    test_all_blocked();
    test_big_batches();
    return tap_done();
}
