/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  contract.h
 * @brief What every storage keeps: the examples of docs/strategies.md, the
 *        modes of charging, giving back, forgetting, and threads that ask at
 *        once. The same cases run against each.
 */

#ifndef RLX_UNIT_CONTRACT_H
#define RLX_UNIT_CONTRACT_H

#include <pthread.h>

#include "store_fixture.h"

/** A storage to be tested. */
typedef struct contract_t {
    const char *name;
    const rlx_storage_provider_t *provider;
    rlx_storage_t *instance;
    apr_pool_t *pool;
    /** Where a clock of its own is read; or NULL. */
    volatile int64_t *clock;
    /** Which strategies it has, 1 << rlx_strategy_e. */
    unsigned int strategies;
} contract_t;

#define CONTRACT_ALL_STRATEGIES 0xfu

/* --- asking ------------------------------------------------------------ */

/** A counter of its own for each name. */
static inline rlx_counter_t contract_counter(const char *name,
                                             const rlx_limit_t *limit,
                                             uint32_t cost)
{
    rlx_counter_t c = { .limit = limit, .scope = name,
                        .scope_len = strlen(name), .key = "192.0.2.1",
                        .key_len = 9, .key_is_public = 1, .cost = cost };
    size_t i;

    for (i = 0; name[i]; ++i) {
        c.id.word[0] = c.id.word[0] * 131 + (unsigned char)name[i];
        c.id.word[1] = (c.id.word[1] ^ (unsigned char)name[i])
                       * UINT64_C(1099511628211);
    }
    return c;
}

static inline rlx_limit_t contract_limit(rlx_strategy_e strategy,
                                         uint32_t count, int sec,
                                         uint32_t burst)
{
    rlx_limit_t limit = { count, burst ? burst : count, sec * SEC, strategy,
                          "" };

    snprintf(limit.text, sizeof(limit.text), "%u per %d second", count, sec);
    return limit;
}

static inline void contract_time(const contract_t *c, rlx_usec_t now)
{
    if (c->clock) {
        *c->clock = now;
    }
}

static inline int contract_decide(const contract_t *c, rlx_charge_e mode,
                                  const rlx_counter_t *counters, int n,
                                  rlx_usec_t now, rlx_verdict_t *verdicts)
{
    contract_time(c, now);
    return c->provider->decide(c->instance, mode, counters, n, now, verdicts,
                               c->pool) == APR_SUCCESS;
}

static inline uint32_t contract_left(const contract_t *c,
                                     const rlx_counter_t *counter,
                                     rlx_usec_t now)
{
    rlx_verdict_t v = { 0 };

    contract_time(c, now);
    ok(c->provider->look(c->instance, counter, 1, now, &v, c->pool)
       == APR_SUCCESS && !v.charged, "%s: a look", c->name);
    return v.remaining;
}

/* --- the examples of docs/strategies.md -------------------------------- */

/** One row; times in microseconds from the beginning. */
typedef struct contract_row_t {
    rlx_strategy_e strategy;
    uint32_t count;
    uint32_t burst;
    int window_sec;
    rlx_usec_t at;
    uint32_t cost;
    int fits;
    uint32_t remaining;
    rlx_usec_t reset;
    rlx_usec_t retry;
} contract_row_t;

#define CONTRACT_S INT64_C(1000000)

static const contract_row_t contract_rows[] = {
    { RLX_FIXED_WINDOW, 3, 0, 10, 1000000, 1, 1, 2, 11000000, 0 },
    { RLX_FIXED_WINDOW, 3, 0, 10, 2000000, 3, 0, 2, 11000000, 11000000 },
    { RLX_FIXED_WINDOW, 3, 0, 10, 2000000, 2, 1, 0, 11000000, 0 },
    { RLX_FIXED_WINDOW, 3, 0, 10, 10999999, 1, 0, 0, 11000000, 11000000 },
    { RLX_FIXED_WINDOW, 3, 0, 10, 11000000, 1, 1, 2, 21000000, 0 },
    { RLX_MOVING_WINDOW, 3, 0, 10, 1000000, 1, 1, 2, 11000000, 0 },
    { RLX_MOVING_WINDOW, 3, 0, 10, 4000000, 1, 1, 1, 11000000, 0 },
    { RLX_MOVING_WINDOW, 3, 0, 10, 4000000, 1, 1, 0, 11000000, 0 },
    { RLX_MOVING_WINDOW, 3, 0, 10, 10000000, 1, 0, 0, 11000000, 11000000 },
    { RLX_MOVING_WINDOW, 3, 0, 10, 10000000, 2, 0, 0, 11000000, 14000000 },
    { RLX_MOVING_WINDOW, 3, 0, 10, 11000000, 1, 1, 0, 14000000, 0 },
    { RLX_MOVING_WINDOW, 3, 0, 10, 13999999, 1, 0, 0, 14000000, 14000000 },
    { RLX_MOVING_WINDOW, 3, 0, 10, 14000000, 2, 1, 0, 21000000, 0 },
    { RLX_SLIDING_WINDOW_COUNTER, 10, 0, 10, 1000000, 10, 1, 0, 11000000, 0 },
    { RLX_SLIDING_WINDOW_COUNTER, 10, 0, 10, 5000000, 1, 0, 0, 11000000,
      11000001 },
    { RLX_SLIDING_WINDOW_COUNTER, 10, 0, 10, 11000000, 1, 0, 0, 11000001,
      11000001 },
    { RLX_SLIDING_WINDOW_COUNTER, 10, 0, 10, 11000001, 1, 1, 0, 12000001, 0 },
    { RLX_SLIDING_WINDOW_COUNTER, 10, 0, 10, 16000000, 5, 0, 4, 16000001,
      16000001 },
    { RLX_SLIDING_WINDOW_COUNTER, 10, 0, 10, 16000000, 4, 1, 0, 16000001, 0 },
    { RLX_SLIDING_WINDOW_COUNTER, 10, 0, 10, 21000000, 0, 1, 5, 21000001, 0 },
    { RLX_GCRA, 10, 3, 10, 1000000, 3, 1, 0, 4000000, 0 },
    { RLX_GCRA, 10, 3, 10, 1500000, 1, 0, 0, 4000000, 2000000 },
    { RLX_GCRA, 10, 3, 10, 2000000, 1, 1, 0, 5000000, 0 },
    { RLX_GCRA, 10, 3, 10, 4000000, 2, 1, 0, 7000000, 0 },
    { RLX_GCRA, 10, 3, 10, 7000000, 0, 1, 3, 7000000, 0 },
    { RLX_GCRA, 3, 0, 1, 31000000, 1, 1, 2, 31333334, 0 },
    { RLX_GCRA, 3, 0, 1, 31000000, 1, 1, 1, 31666667, 0 },
    { RLX_GCRA, 3, 0, 1, 31000000, 1, 1, 0, 32000000, 0 },
    { RLX_GCRA, 3, 0, 1, 31000000, 1, 0, 0, 32000000, 31333334 },
};

static inline void contract_row(const contract_t *c, const contract_row_t *row)
{
    rlx_limit_t limit = contract_limit(row->strategy, row->count,
                                       row->window_sec, row->burst);
    char name[32];
    rlx_counter_t counter;
    rlx_verdict_t v;
    rlx_usec_t now = FIXTURE_BEGIN + row->at;

    snprintf(name, sizeof(name), ":rows-%d-%u", (int)row->strategy,
             row->count);
    counter = contract_counter(name, &limit, row->cost);
    if (!ok(contract_decide(c, RLX_CHARGE_ATOMIC, &counter, 1, now, &v),
            "%s: %s, strategy %d, cost %u at %" PRId64 " us", c->name,
            limit.text, (int)row->strategy, row->cost, row->at)) {
        return;
    }
    is_int(v.has_room, row->fits, "  room");
    is_int(v.charged, row->fits && row->cost != 0, "  charged");
    is_int(v.remaining, row->remaining, "  remaining");
    is_int(v.reset_at, FIXTURE_BEGIN + row->reset, "  reset");
    is_int(v.retry_at, row->fits ? now : FIXTURE_BEGIN + row->retry,
           "  retry");
}

/* --- batches ----------------------------------------------------------- */

/** The middle one of three has no room. Which are charged? */
static inline void contract_mode(const contract_t *c, rlx_charge_e mode,
                                 const char *charged)
{
    static const char *const names[] = { "atomic", "in-order", "all" };
    rlx_limit_t wide = contract_limit(RLX_FIXED_WINDOW, 5, 60, 0);
    rlx_limit_t none = contract_limit(RLX_FIXED_WINDOW, 0, 60, 0);
    char name[3][32];
    rlx_counter_t counters[3];
    rlx_verdict_t v[3];
    char got[4] = "000";
    int i;

    for (i = 0; i < 3; ++i) {
        snprintf(name[i], sizeof(name[i]), ":mode-%d-%d", (int)mode, i);
        counters[i] = contract_counter(name[i], i == 1 ? &none : &wide, 2);
    }
    if (ok(contract_decide(c, mode, counters, 3, FIXTURE_BEGIN, v),
           "%s: a batch, %s", c->name, names[mode])) {
        for (i = 0; i < 3; ++i) {
            got[i] = v[i].charged ? '1' : '0';
        }
        is_str(got, charged, "  charged");
        ok(v[0].has_room && !v[1].has_room && v[2].has_room
           && v[1].retry_at == RLX_NEVER, "  room");
    }
    for (i = 0; i < 3; i += 2) {
        is_int(contract_left(c, &counters[i], FIXTURE_BEGIN),
               charged[i] == '1' ? 3 : 5, "  left");
    }
}

/** A full batch is one step. */
static inline void contract_full_batch(const contract_t *c)
{
    rlx_limit_t limit = contract_limit(RLX_FIXED_WINDOW, 1, 60, 0);
    rlx_counter_t counters[RLX_STORAGE_BATCH_MAX];
    rlx_verdict_t v[RLX_STORAGE_BATCH_MAX];
    char name[RLX_STORAGE_BATCH_MAX][32];
    int sum = 0;
    int i, round;

    for (i = 0; i < RLX_STORAGE_BATCH_MAX; ++i) {
        snprintf(name[i], sizeof(name[i]), ":full-%d", i);
        counters[i] = contract_counter(name[i], &limit, 1);
    }
    for (round = 0; round < 2; ++round) {
        ok(contract_decide(c, RLX_CHARGE_ATOMIC, counters,
                           RLX_STORAGE_BATCH_MAX, FIXTURE_BEGIN, v),
           "%s: %d counters", c->name, RLX_STORAGE_BATCH_MAX);
        for (i = 0; i < RLX_STORAGE_BATCH_MAX; ++i) {
            sum += v[i].charged;
        }
        is_int(sum, RLX_STORAGE_BATCH_MAX, "  charged once");
    }
}

/* --- one counter ------------------------------------------------------- */

static inline void contract_life(const contract_t *c, rlx_strategy_e strategy)
{
    rlx_limit_t limit = contract_limit(strategy, 10, 100, 0);
    rlx_usec_t now = FIXTURE_BEGIN + 5 * SEC;
    char name[32];
    rlx_counter_t counter;
    rlx_verdict_t v;

    snprintf(name, sizeof(name), ":life-%d", (int)strategy);
    counter = contract_counter(name, &limit, 4);
    counter.only_test = 1;
    ok(contract_decide(c, RLX_CHARGE_ATOMIC, &counter, 1, now, &v)
       && v.has_room && !v.charged && v.remaining == 10,
       "%s: strategy %d, a test", c->name, (int)strategy);
    counter.only_test = 0;
    ok(contract_decide(c, RLX_CHARGE_ATOMIC, &counter, 1, now, &v)
       && v.charged && v.remaining == 6, "  a charge");
    ok(c->provider->give_back(c->instance, &counter, 1, v.decided_at, now,
                              c->pool) == APR_SUCCESS, "  given back");
    is_int(contract_left(c, &counter, now), 10, "  it is whole again");
    ok(contract_decide(c, RLX_CHARGE_ATOMIC, &counter, 1, now, &v)
       && v.charged, "  charged anew");
    ok(c->provider->forget(c->instance, &counter, 1, c->pool) == APR_SUCCESS,
       "  forgotten");
    is_int(contract_left(c, &counter, now), 10, "  nothing is left of it");
    counter.cost = 11;
    ok(contract_decide(c, RLX_CHARGE_ATOMIC, &counter, 1, now, &v)
       && !v.has_room && v.retry_at == RLX_NEVER, "  a cost above the count");
    counter.cost = 0;
    ok(contract_decide(c, RLX_CHARGE_ALL, &counter, 1, now, &v)
       && v.has_room && !v.charged, "  a cost of 0");
}

/** A named limit whose count is edited. */
static inline void contract_named(const contract_t *c)
{
    rlx_limit_t five = contract_limit(RLX_FIXED_WINDOW, 5, 60, 0);
    rlx_limit_t nine = contract_limit(RLX_FIXED_WINDOW, 9, 60, 0);
    rlx_counter_t counter = contract_counter(":named", &five, 4);
    rlx_verdict_t v;

    counter.is_named = 1;
    ok(contract_decide(c, RLX_CHARGE_ATOMIC, &counter, 1, FIXTURE_BEGIN, &v)
       && v.charged, "%s: a named limit", c->name);
    counter.limit = &nine;
    is_int(contract_left(c, &counter, FIXTURE_BEGIN), 5,
           "  edited, it keeps what was used");
}

static inline void contract_forget_all(const contract_t *c)
{
    rlx_limit_t limit = contract_limit(RLX_FIXED_WINDOW, 5, 60, 0);
    rlx_counter_t counter = contract_counter("shop:gone", &limit, 5);
    rlx_verdict_t v;

    ok(contract_decide(c, RLX_CHARGE_ATOMIC, &counter, 1, FIXTURE_BEGIN, &v)
       && v.charged, "%s: one of an installation", c->name);
    ok(c->provider->forget_all(c->instance, "shop", 4, c->pool)
       == APR_SUCCESS, "  which is forgotten as a whole");
    is_int(contract_left(c, &counter, FIXTURE_BEGIN), 5, "  with it");
}

/* --- threads ----------------------------------------------------------- */

#define CONTRACT_THREADS 8
#define CONTRACT_ASKS    40

typedef struct contract_thread_t {
    const contract_t *c;
    rlx_strategy_e strategy;
    int charged;
} contract_thread_t;

static void *contract_ask(void *data)
{
    contract_thread_t *t = data;
    rlx_limit_t limits[2] = {
        contract_limit(t->strategy, 30, 60, 0),
        contract_limit(t->strategy, 50, 90, 0)
    };
    rlx_counter_t counters[2];
    rlx_verdict_t v[2];
    char name[32];
    apr_pool_t *pool;
    int i;

    apr_pool_create(&pool, NULL);
    snprintf(name, sizeof(name), ":threads-%d", (int)t->strategy);
    counters[0] = contract_counter(name, &limits[0], 1);
    strcat(name, "b");
    counters[1] = contract_counter(name, &limits[1], 1);
    snprintf(name, sizeof(name), ":threads-%d", (int)t->strategy);
    counters[0].scope_len = strlen(name);
    counters[1].scope_len = strlen(name);
    counters[1].scope = counters[0].scope = name;
    for (i = 0; i < CONTRACT_ASKS; ++i) {
        if (t->c->provider->decide(t->c->instance, RLX_CHARGE_ATOMIC, counters,
                                   2, FIXTURE_BEGIN, v, pool)
            == APR_SUCCESS) {
            t->charged += v[0].charged && v[1].charged;
        }
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
    return NULL;
}

/** However many ask at once, what a limit has is given once. */
static inline void contract_threads(const contract_t *c,
                                    rlx_strategy_e strategy)
{
    contract_thread_t t[CONTRACT_THREADS] = { { 0 } };
    pthread_t thread[CONTRACT_THREADS];
    int sum = 0;
    int i;

    contract_time(c, FIXTURE_BEGIN);
    for (i = 0; i < CONTRACT_THREADS; ++i) {
        t[i].c = c;
        t[i].strategy = strategy;
        pthread_create(&thread[i], NULL, contract_ask, &t[i]);
    }
    for (i = 0; i < CONTRACT_THREADS; ++i) {
        pthread_join(thread[i], NULL);
        sum += t[i].charged;
    }
    ok(sum == 30, "%s: strategy %d, 30 of %d pass (%d)", c->name,
       (int)strategy, CONTRACT_THREADS * CONTRACT_ASKS, sum);
}

/* --- all --------------------------------------------------------------- */

/** Run every case that the storage's strategies allow. */
static inline void contract_run(const contract_t *c)
{
    size_t i;
    int s;

    for (i = 0; i < sizeof(contract_rows) / sizeof(contract_rows[0]); ++i) {
        if (c->strategies >> contract_rows[i].strategy & 1) {
            contract_row(c, &contract_rows[i]);
        }
    }
    contract_mode(c, RLX_CHARGE_ATOMIC, "000");
    contract_mode(c, RLX_CHARGE_IN_ORDER, "100");
    contract_mode(c, RLX_CHARGE_ALL, "101");
    contract_full_batch(c);
    contract_named(c);
    contract_forget_all(c);
    for (s = 0; s < RLX_STRATEGIES; ++s) {
        if (c->strategies >> s & 1) {
            contract_life(c, (rlx_strategy_e)s);
            contract_threads(c, (rlx_strategy_e)s);
        }
    }
}

#endif /* RLX_UNIT_CONTRACT_H */
