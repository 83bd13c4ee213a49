/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * memcached:// against shared memory: the same calls at the same times, drawn
 * by chance, get the same verdicts to the microsecond. Counts and costs go up
 * to 2^31 - 1, windows up to 100 years, and the clock now and then steps back.
 */

#include "core/strategy.h"
#include "memcached_fixture.h"

#define SEC       INT64_C(1000000)
#define YEAR      (360 * 86400 * SEC)
#define LIMITS    40
#define BATCH_MAX 5
#define ROUNDS    20
#define STEPS     250

static uint64_t random_state = UINT64_C(0x853c49e6748fea9b);

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift
 * generators, scrambled", 2016) */
static uint64_t below(uint64_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * UINT64_C(0x2545f4914f6cdd1d)) % n;
}

static rlx_storage_t *mc, *shm;
static rlx_limit_t limits[LIMITS];
static rlx_usec_t now;

static rlx_limit_t some_limit(void)
{
    static const rlx_strategy_e strategies[] = {
        RLX_FIXED_WINDOW, RLX_SLIDING_WINDOW_COUNTER, RLX_GCRA
    };
    static const uint32_t counts[] = { 0, 1, 2, 3, 7, 60, 999983, INT32_MAX };
    static const rlx_usec_t windows[] = { 1, 1, 2, 7, 60, 3600, 86400 };
    rlx_limit_t limit = { .text = "N per W" };

    limit.strategy = strategies[below(3)];
    limit.count = limit.burst = counts[below(8)];
    limit.window_usec = below(8) ? windows[below(7)] * SEC
                                 : (rlx_usec_t)(1 + below(100)) * YEAR;
    if (limit.strategy == RLX_GCRA && below(2)) {
        limit.burst = below(2) ? counts[1 + below(7)] : 5;
    }
    return limit;
}

static rlx_counter_t some_counter(int which, int round)
{
    rlx_limit_t *limit = &limits[which];
    rlx_counter_t counter = { .limit = limit, .key_is_public = 1 };

    counter.key = apr_psprintf(pool, "%d", round);
    counter.key_len = strlen(counter.key);
    counter.scope = apr_psprintf(pool, ":%d", which);
    counter.scope_len = strlen(counter.scope);
    counter.id.word[0] = (uint64_t)round * LIMITS + (uint64_t)which + 1;
    counter.id.word[1] = UINT64_C(0x9e3779b97f4a7c15) * counter.id.word[0];
    counter.cost = below(3) ? 1 : (uint32_t)below(limit->count + UINT64_C(2));
    counter.only_test = below(10) == 0;
    return counter;
}

static int differ(const rlx_verdict_t *a, const rlx_verdict_t *b)
{
    return a->has_room != b->has_room || a->charged != b->charged
           || a->remaining != b->remaining || a->reset_at != b->reset_at
           || a->retry_at != b->retry_at;
}

static void show(const char *what, const rlx_verdict_t *v)
{
    diag("%s: room %d charged %d remaining %u reset %" PRId64 " retry %"
         PRId64, what, v->has_room, v->charged, v->remaining,
         v->reset_at - now, v->retry_at - now);
}

/* One call of both. @return how many verdicts differ */
static int step(int round)
{
    rlx_counter_t counters[BATCH_MAX];
    rlx_verdict_t ours[BATCH_MAX], theirs[BATCH_MAX];
    rlx_charge_e mode = (rlx_charge_e)below(3);
    int n = 1 + (int)below(BATCH_MAX), first = (int)below(LIMITS), wrong = 0;
    int is_look = below(8) == 0;

    for (int i = 0; i < n; i++) {
        counters[i] = some_counter((first + i) % LIMITS, round);
    }
    if (is_look) {
        rlx_shm_provider.look(shm, counters, n, now, theirs, pool);
        wrong += rlx_memcached_provider.look(mc, counters, n, now, ours, pool)
                 != APR_SUCCESS;
    }
    else {
        rlx_shm_provider.decide(shm, mode, counters, n, now, theirs, pool);
        wrong += rlx_memcached_provider.decide(mc, mode, counters, n, now,
                                               ours, pool) != APR_SUCCESS;
    }
    for (int i = 0; i < n && !wrong; i++) {
        if (differ(&ours[i], &theirs[i])) {
            wrong++;
            diag("%s, mode %d, counter %d of %d: %u (%u) per %" PRId64
                 " us, %s, cost %u", is_look ? "look" : "decide", (int)mode, i,
                 n, counters[i].limit->count, counters[i].limit->burst,
                 counters[i].limit->window_usec,
                 rlx_strategies[counters[i].limit->strategy]->name,
                 counters[i].cost);
            show("memcached", &ours[i]);
            show("shm", &theirs[i]);
        }
    }
    if (!is_look && below(4) == 0) {
        rlx_usec_t later = now + (rlx_usec_t)below(3) * (rlx_usec_t)below(SEC);

        for (int i = 0; i < n; i++) {
            if (ours[i].charged && theirs[i].charged) {
                rlx_shm_provider.give_back(shm, &counters[i], 1, now, later,
                                           pool);
                rlx_memcached_provider.give_back(mc, &counters[i], 1, now,
                                                 later, pool);
            }
        }
        now = later;
    }
    return wrong;
}

static void move_clock(void)
{
    static const rlx_usec_t steps[] = { 0, 0, 0, 0, 1, 1000, SEC, 10 * SEC,
                                        3600 * SEC, 86400 * SEC };

    now += (rlx_usec_t)below((uint64_t)steps[below(10)] + 1);
    if (below(40) == 0) {
        now -= (rlx_usec_t)below(2 * SEC);
    }
}

int main(void)
{
    if (!ok(memcached_start(), "memcached answers")) {
        return tap_done();
    }
    mc = memcached_storage("5000");
    rlx_shm_provider.create(&shm, "shm://", apr_table_make(pool, 1),
                            memcached_env(), pool);
    if (!ok(mc && rlx_shm_provider.open(shm) == APR_SUCCESS, "two storages")) {
        return tap_done();
    }
    for (int round = 0; round < ROUNDS; round++) {
        int wrong = 0;

        now = MEMCACHED_NOW + (rlx_usec_t)below(SEC);
        for (int i = 0; i < LIMITS; i++) {
            limits[i] = some_limit();
        }
        for (int i = 0; i < STEPS && !wrong; i++) {
            wrong = step(round);
            move_clock();
        }
        is_int(wrong, 0, "as shared memory says");
    }
    return tap_done();
}
