/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Redis against shared memory: the same calls at the same times, drawn by
 * chance, must get the same verdicts to the microsecond. Counts and costs go
 * up to 2^31 - 1 and windows up to 100 years, so that a product that a script
 * rounded would show.
 */

#include "store_fixture.h"

#define YEAR (360 * 86400 * SEC)
#define LIMITS_MAX 40
#define BATCH_MAX  5
#define CHARGES    64
#define ROUNDS     100
#define STEPS      300

static uint64_t random_state = UINT64_C(0x9e3779b97f4a7c15);

/* xorshift64* (Vigna 2016): the same sequence everywhere. */
static uint64_t below(uint64_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * UINT64_C(0x2545f4914f6cdd1d)) % n;
}

/* Two storages, and what is asked of both. */
typedef struct pair_t {
    fixture_redis_t server;
    rlx_storage_t *redis;
    rlx_storage_t *shm;
    apr_pool_t *pool;
    rlx_usec_t now;
    rlx_limit_t limit[LIMITS_MAX];
    char scope[LIMITS_MAX][24];
    int limits;
    /* Not 0: the clock steps back by any length. Redis forgets a counter as
     * soon as its time has come, and shared memory when it needs the room, so
     * then no window may end within a round, or they may differ. */
    int steps_back;
    rlx_usec_t latest;
    rlx_usec_t end;
    /* When a refused one will have room. */
    rlx_usec_t retry_at;
    /* Charges that may be given back. */
    rlx_counter_t charged[CHARGES];
    rlx_usec_t at[CHARGES][2];
    int charges;
    int differences;
} pair_t;

static uint32_t some_count(void)
{
    static const uint32_t counts[] = { 0, 1, 2, 3, 5, 10, 60, 1000, 10000,
                                       999983, INT32_MAX - 1, INT32_MAX };

    return below(3) ? counts[below(12)]
                    : (uint32_t)(INT32_MAX - below(UINT64_C(1) << 30));
}

static rlx_usec_t some_window(void)
{
    static const rlx_usec_t windows[] = {
        SEC, 2 * SEC, 7 * SEC, 60 * SEC, 3600 * SEC, 86400 * SEC, YEAR,
        10 * YEAR, 100 * YEAR
    };

    return below(3) ? windows[below(9)]
                    : (1 + (rlx_usec_t)below(10 * YEAR / SEC)) * SEC;
}

static void some_limit(pair_t *pair, int i)
{
    rlx_limit_t *limit = &pair->limit[i];

    limit->strategy = (rlx_strategy_e)below(RLX_STRATEGIES);
    do {
        limit->count = some_count();
    } while (limit->strategy == RLX_MOVING_WINDOW && limit->count > 10000);
    limit->burst = limit->strategy == RLX_GCRA && below(2)
                   ? some_count() : limit->count;
    limit->window_usec = some_window();
    if (pair->steps_back && limit->strategy == RLX_GCRA) {
        limit->count = limit->count ? 1 : 0; /* a unit takes a window */
    }
    if (pair->now + limit->window_usec < pair->end) {
        pair->end = pair->now + limit->window_usec;
    }
    snprintf(limit->text, sizeof(limit->text), "%u per %d second",
             limit->count, (int)(limit->window_usec / SEC));
    snprintf(pair->scope[i], sizeof(pair->scope[i]), ":c%d-%d", i,
             (int)below(1000000000));
}

static uint32_t some_cost(const rlx_limit_t *limit)
{
    switch (below(8)) {
    case 0:
        return 0;
    case 1:
        return limit->count;
    case 2:
        return (uint32_t)below((uint64_t)limit->count + 1);
    case 3:
        return (uint32_t)below((uint64_t)limit->count / 3 + 1);
    case 4:
        return (uint32_t)below(INT32_MAX);
    default:
        return (uint32_t)below(3);
    }
}

static void some_time(pair_t *pair)
{
    const rlx_limit_t *limit = &pair->limit[below((uint64_t)pair->limits)];
    rlx_usec_t window = limit->window_usec;

    switch (below(14)) {
    case 0:
        pair->now += window + (rlx_usec_t)below(3) - 1;
        break;
    case 1:
        pair->now += (rlx_usec_t)below((uint64_t)window);
        break;
    case 2:
        pair->now += (rlx_usec_t)below((uint64_t)window / 10 + 1);
        break;
    case 3:
        pair->now += limit->count ? window / limit->count : 1;
        break;
    case 4:
        pair->now -= (rlx_usec_t)below(20000);
        break;
    case 5:
        pair->now -= pair->steps_back && below(4) == 0
                     ? (rlx_usec_t)below((uint64_t)window) : 0;
        break;
    case 6:
        break;
    case 7: /* where a rounded number would show */
    case 8:
        if (pair->retry_at > pair->now && pair->retry_at != RLX_NEVER) {
            pair->now = pair->retry_at - (rlx_usec_t)below(2);
        }
        break;
    default:
        pair->now += (rlx_usec_t)below(5);
    }
    if (pair->now > FIXTURE_BEGIN + 25 * YEAR) {
        pair->now = FIXTURE_BEGIN + 25 * YEAR; /* what both clocks can hold */
    }
    if (pair->steps_back) {
        pair->now = pair->now < FIXTURE_BEGIN ? FIXTURE_BEGIN
                    : pair->now < pair->end ? pair->now : pair->end - 1;
    }
    else if (pair->now < pair->latest - SEC / 2) {
        pair->now = pair->latest; /* Redis keeps a key for a second more */
    }
    pair->latest = pair->now > pair->latest ? pair->now : pair->latest;
    *pair->server.clock = pair->now;
}

static void some_counter(pair_t *pair, int i, rlx_counter_t *counter)
{
    memset(counter, 0, sizeof(*counter));
    counter->limit = &pair->limit[i];
    counter->id.word[0] = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(i + 1);
    counter->id.word[1] = strtoull(strchr(pair->scope[i], '-') + 1, NULL, 10);
    counter->scope = pair->scope[i];
    counter->scope_len = strlen(pair->scope[i]);
    counter->key = "192.0.2.1";
    counter->key_len = 9;
    counter->key_is_public = 1;
    counter->cost = some_cost(counter->limit);
    counter->only_test = below(6) == 0;
}

static int same_verdict(const rlx_verdict_t *a, const rlx_verdict_t *b)
{
    return a->has_room == b->has_room && a->charged == b->charged
           && a->remaining == b->remaining && a->reset_at == b->reset_at
           && a->retry_at == b->retry_at && a->decided_at == b->decided_at;
}

static void tell_verdict(const char *who, const rlx_verdict_t *v,
                         rlx_usec_t now)
{
    diag("  %s: room %d charged %d remaining %u reset +%" PRId64 " retry +%"
         PRId64, who, v->has_room, v->charged, v->remaining,
         v->reset_at - now, v->retry_at - now);
}

static void tell_difference(const pair_t *pair, const rlx_counter_t *c,
                            const rlx_verdict_t *redis,
                            const rlx_verdict_t *shm)
{
    diag("%s burst %u strategy %d cost %u test %d at %" PRId64, c->limit->text,
         c->limit->burst, (int)c->limit->strategy, c->cost, c->only_test,
         pair->now);
    tell_verdict("redis", redis, pair->now);
    tell_verdict("shm  ", shm, pair->now);
}

static void keep_charge(pair_t *pair, const rlx_counter_t *counter,
                        const rlx_verdict_t *redis, const rlx_verdict_t *shm)
{
    int i = pair->charges < CHARGES ? pair->charges++ : (int)below(CHARGES);

    pair->charged[i] = *counter;
    pair->at[i][0] = redis->decided_at;
    pair->at[i][1] = shm->decided_at;
}

static void one_decision(pair_t *pair, apr_pool_t *p)
{
    rlx_counter_t counters[BATCH_MAX];
    rlx_verdict_t redis[BATCH_MAX];
    rlx_verdict_t shm[BATCH_MAX];
    int first = (int)below((uint64_t)pair->limits);
    int n = 1 + (int)below(BATCH_MAX);
    int is_look = below(8) == 0;
    rlx_charge_e mode = (rlx_charge_e)below(3);
    apr_status_t status;
    int i;

    n = n < pair->limits ? n : pair->limits;
    for (i = 0; i < n; ++i) {
        some_counter(pair, (first + i) % pair->limits, &counters[i]);
    }
    if (is_look) {
        status = rlx_redis_provider.look(pair->redis, counters, n, pair->now,
                                         redis, p);
        rlx_shm_provider.look(pair->shm, counters, n, pair->now, shm, p);
    }
    else {
        status = rlx_redis_provider.decide(pair->redis, mode, counters, n,
                                           pair->now, redis, p);
        rlx_shm_provider.decide(pair->shm, mode, counters, n, pair->now, shm,
                                p);
    }
    if (status != APR_SUCCESS) {
        diag("redis: %s", rlx_redis_provider.trouble(pair->redis, p));
        ++pair->differences;
        return;
    }
    for (i = 0; i < n; ++i) {
        if (!same_verdict(&redis[i], &shm[i])) {
            ++pair->differences;
            tell_difference(pair, &counters[i], &redis[i], &shm[i]);
        }
        if (!shm[i].has_room && below(2)) {
            pair->retry_at = shm[i].retry_at;
        }
        if (!is_look && redis[i].charged) {
            keep_charge(pair, &counters[i], &redis[i], &shm[i]);
        }
    }
}

static void one_give_back(pair_t *pair, apr_pool_t *p)
{
    int i = (int)below((uint64_t)pair->charges);

    if (rlx_redis_provider.give_back(pair->redis, &pair->charged[i], 1,
                                     pair->at[i][0], pair->now, p)
        != APR_SUCCESS) {
        diag("redis: %s", rlx_redis_provider.trouble(pair->redis, p));
        ++pair->differences;
    }
    rlx_shm_provider.give_back(pair->shm, &pair->charged[i], 1,
                               pair->at[i][1], pair->now, p);
    pair->charged[i] = pair->charged[--pair->charges];
    memcpy(pair->at[i], pair->at[pair->charges], sizeof(pair->at[i]));
}

/* --- where a rounded product would show -------------------------------- */

/* Whether both charge a cost at a time; -1 if they differ. */
static int take(pair_t *pair, rlx_counter_t *counter, uint32_t cost,
                rlx_usec_t at, rlx_verdict_t *verdict)
{
    rlx_verdict_t redis = { 0 };

    counter->cost = cost;
    *pair->server.clock = at;
    rlx_shm_provider.decide(pair->shm, RLX_CHARGE_ATOMIC, counter, 1, at,
                            verdict, pair->pool);
    if (rlx_redis_provider.decide(pair->redis, RLX_CHARGE_ATOMIC, counter, 1,
                                  at, &redis, pair->pool) != APR_SUCCESS
        || !same_verdict(&redis, verdict)) {
        tell_difference(pair, counter, &redis, verdict);
        return -1;
    }
    return verdict->charged;
}

/* A counter with millions of units in it, and a cost for which there is no
 * room until one certain microsecond. Not 0 if both know which. */
static int knows_instant(pair_t *pair, rlx_strategy_e strategy)
{
    rlx_usec_t at = FIXTURE_BEGIN;
    rlx_limit_t *limit = &pair->limit[0];
    rlx_counter_t counter;
    rlx_verdict_t verdict;
    uint32_t cost;

    some_limit(pair, 0);
    limit->strategy = strategy;
    limit->window_usec = (1 + (rlx_usec_t)below(10 * YEAR / SEC)) * SEC;
    limit->count = (uint32_t)(INT32_MAX - below(UINT64_C(1) << 30));
    limit->burst = limit->count;
    some_counter(pair, 0, &counter);
    counter.only_test = 0;
    take(pair, &counter, (uint32_t)below(limit->count / 2)
                         + limit->count / 2, at, &verdict);
    if (strategy == RLX_SLIDING_WINDOW_COUNTER) {
        at += limit->window_usec + (rlx_usec_t)below(1000);
        take(pair, &counter, (uint32_t)below(limit->count / 8), at, &verdict);
    }
    cost = limit->count / 2 + (uint32_t)below(limit->count / 2);
    if (take(pair, &counter, cost, at, &verdict) != 0
        || verdict.retry_at - at > 20 * YEAR) {
        return verdict.charged || !verdict.has_room;
    }
    at = verdict.retry_at;
    return take(pair, &counter, cost, at - 1, &verdict) == 0
           && take(pair, &counter, cost, at, &verdict) == 1;
}

/* New limits, and a row of calls. */
static void one_round(pair_t *pair, int most_limits)
{
    apr_pool_t *p;
    int i;

    pair->limits = 1 + (int)below((uint64_t)most_limits);
    pair->charges = 0;
    pair->end = INT64_MAX;
    /* The clock begins anew: what is there would lie in its future, and fill
     * the table. */
    rlx_shm_provider.forget_all(pair->shm, "", 0, pair->pool);
    rlx_redis_provider.forget_all(pair->redis, "", 0, pair->pool);
    for (i = 0; i < pair->limits; ++i) {
        some_limit(pair, i);
    }
    apr_pool_create(&p, pair->pool);
    for (i = 0; i < STEPS && pair->differences < 3; ++i) {
        some_time(pair);
        if (pair->charges && below(6) == 0) {
            one_give_back(pair, p);
        }
        else {
            one_decision(pair, p);
        }
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
}

int main(void)
{
    static pair_t pair;
    apr_table_t *options;
    int i;

    apr_initialize();
    apr_pool_create(&pair.pool, NULL);
    pair.now = FIXTURE_BEGIN;
    if (!ok(fixture_redis_start(&pair.server), "a redis-server")) {
        return tap_done();
    }
    /* The machine may be busy with other tests. */
    options = apr_table_make(pair.pool, 1);
    apr_table_set(options, "timeout", "10000");
    pair.redis = fixture_storage(&rlx_redis_provider, pair.server.uri,
                                 options, pair.pool);
    pair.shm = fixture_storage(&rlx_shm_provider, "shm://",
                               apr_table_make(pair.pool, 0), pair.pool);
    if (ok(pair.redis && pair.shm, "two storages")) {
        for (i = 0; i < ROUNDS && pair.differences < 3; ++i) {
            pair.now = pair.latest = FIXTURE_BEGIN;
            pair.steps_back = i % 3 == 2;
            one_round(&pair, i % 2 ? LIMITS_MAX : 2);
        }
        is_int(pair.differences, 0, "they answer alike");
        for (i = 0; i < 1000 && knows_instant(&pair, RLX_GCRA)
                    && knows_instant(&pair, RLX_SLIDING_WINDOW_COUNTER);
             ++i) {
        }
        is_int(i, 1000, "both know the instant at which room comes back");
    }
    fixture_redis_stop();
    apr_pool_destroy(pair.pool);
    apr_terminate();
    return tap_done();
}
