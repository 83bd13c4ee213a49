/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * memcached:// as a provider, on a real memcached: what is charged in each
 * mode, giving back, forgetting, and threads of several instances that fight
 * for the same counters. t/memcached.t has the same in httpd.
 */

#include <pthread.h>

#include <apr_time.h>

#include "core/strategy.h"
#include "memcached_fixture.h"

#define THREADS 8
/** Each for itself like a child of httpd. */
#define INSTANCES 2
#define HOUR (INT64_C(3600) * 1000000)
#define NOW  MEMCACHED_NOW

static const rlx_storage_provider_t *const mc = &rlx_memcached_provider;
static rlx_storage_t *instances[INSTANCES];

/* --- counters ---------------------------------------------------------- */

static rlx_limit_t limit_of(rlx_strategy_e strategy, uint32_t count)
{
    rlx_limit_t limit = { count, count, HOUR, strategy, "N per 1 hour" };

    return limit;
}

static rlx_counter_t counter_of(const rlx_limit_t *limit, const char *key,
                                uint32_t cost)
{
    rlx_counter_t counter = { .limit = limit, .scope = "p:x:::", .scope_len = 6,
                              .key = key, .key_len = strlen(key),
                              .key_is_public = 1, .cost = cost };

    return counter;
}

static uint32_t left_of(const rlx_counter_t *counter)
{
    rlx_verdict_t verdict;

    return mc->look(instances[1], counter, 1, NOW, &verdict, pool)
           == APR_SUCCESS ? verdict.remaining : UINT32_MAX;
}

static void test_modes(rlx_strategy_e strategy)
{
    static const struct {
        rlx_charge_e mode;
        const char *name;
        int charged[3];
    } modes[] = {
        { RLX_CHARGE_ATOMIC, "atomic", { 0, 0, 0 } },
        { RLX_CHARGE_IN_ORDER, "in-order", { 1, 0, 0 } },
        { RLX_CHARGE_ALL, "all", { 1, 0, 1 } }
    };
    const char *name = rlx_strategies[strategy]->name;
    rlx_limit_t limit = limit_of(strategy, 5);

    for (int m = 0; m < 3; m++) {
        rlx_counter_t counters[3];
        rlx_verdict_t verdicts[3];

        for (int i = 0; i < 3; i++) {
            counters[i] = counter_of(&limit, apr_psprintf(
                pool, "%s-%d-%d", name, m, i), 2);
        }
        counters[1].cost = 4;
        mc->decide(instances[0], RLX_CHARGE_ALL, &counters[1], 1, NOW,
                   verdicts, pool);
        is_int(mc->decide(instances[0], modes[m].mode, counters, 3, NOW,
                          verdicts, pool), APR_SUCCESS, modes[m].name);
        for (int i = 0; i < 3; i++) {
            ok(verdicts[i].has_room == (i != 1)
               && verdicts[i].charged == modes[m].charged[i]
               && verdicts[i].remaining == (i == 1 ? 1u : modes[m].charged[i]
                                                          ? 3u : 5u)
               && left_of(&counters[i]) == verdicts[i].remaining,
               "%s, %s, limit %d: %d %d %u", name, modes[m].name, i,
               verdicts[i].has_room, verdicts[i].charged,
               verdicts[i].remaining);
        }
    }
}

static void test_odd(void)
{
    rlx_limit_t limit = limit_of(RLX_FIXED_WINDOW, 3);
    rlx_limit_t none = limit_of(RLX_FIXED_WINDOW, 0);
    rlx_counter_t counters[4] = {
        counter_of(&limit, "odd-0", 0), counter_of(&limit, "odd-1", 1),
        counter_of(&limit, "odd-2", 4), counter_of(&none, "odd-3", 1)
    };
    rlx_verdict_t v[4];

    counters[1].only_test = 1;
    is_int(mc->decide(instances[0], RLX_CHARGE_ALL, counters, 4, NOW, v, pool),
           APR_SUCCESS, "counters of all kinds");
    ok(v[0].has_room && !v[0].charged && v[0].remaining == 3
       && v[0].reset_at == NOW, "a cost of 0 is not charged");
    ok(v[1].has_room && !v[1].charged && v[1].remaining == 3,
       "what is only tested is not charged");
    ok(!v[2].has_room && v[2].retry_at == RLX_NEVER && v[2].remaining == 3,
       "4 of 3 never fit");
    ok(!v[3].has_room && v[3].retry_at == RLX_NEVER && v[3].remaining == 0,
       "a count of 0 has no room");
}

static void test_many(void)
{
    rlx_limit_t limit = limit_of(RLX_GCRA, 7);
    rlx_counter_t counters[RLX_STORAGE_BATCH_MAX];
    rlx_verdict_t verdicts[RLX_STORAGE_BATCH_MAX];
    char text[201];
    int right = 0;

    memset(text, 'k', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < RLX_STORAGE_BATCH_MAX; i++) {
        counters[i] = counter_of(&limit, apr_psprintf(pool, "%.80s%d", text,
                                                      i), 1);
        counters[i].scope = apr_psprintf(pool, "%.9s:%.90s", text + i % 2,
                                         text);
        counters[i].scope_len = strlen(counters[i].scope);
    }
    for (int round = 1; round <= 2; round++) {
        mc->decide(instances[0], RLX_CHARGE_ATOMIC, counters,
                   RLX_STORAGE_BATCH_MAX, NOW, verdicts, pool);
    }
    for (int i = 0; i < RLX_STORAGE_BATCH_MAX; i++) {
        right += verdicts[i].charged && verdicts[i].remaining == 5;
    }
    is_int(right, RLX_STORAGE_BATCH_MAX, "as many counters as there can be");
}

static void test_give_back(rlx_strategy_e strategy)
{
    const char *name = rlx_strategies[strategy]->name;
    rlx_limit_t limit = limit_of(strategy, 5);
    rlx_counter_t counter = counter_of(&limit, apr_pstrcat(pool, "back-", name,
                                                           NULL), 2);
    rlx_verdict_t verdict;

    for (int i = 0; i < 2; i++) {
        mc->decide(instances[0], RLX_CHARGE_ATOMIC, &counter, 1, NOW, &verdict,
                   pool);
    }
    ok(left_of(&counter) == 1, "%s: 4 of 5 are charged", name);
    is_int(mc->give_back(instances[1], &counter, 1, NOW, NOW, pool),
           APR_SUCCESS, "2 are given back");
    ok(left_of(&counter) == 3, "%s: and are there again", name);
    mc->give_back(instances[1], &counter, 1, NOW, NOW - 1, pool);
    ok(left_of(&counter) == 3, "%s: not if the clock stepped back", name);
    mc->give_back(instances[1], &counter, 1, NOW, NOW + 2 * HOUR, pool);
    ok(left_of(&counter) == 3, "%s: not when the window has ended", name);
}

static void test_forget(void)
{
    rlx_limit_t limit = limit_of(RLX_FIXED_WINDOW, 5);
    rlx_counter_t counters[2] = { counter_of(&limit, "forget-0", 1),
                                  counter_of(&limit, "forget-1", 1) };
    rlx_counter_t other = counter_of(&limit, "forget-0", 1);
    rlx_verdict_t verdicts[2];

    other.scope = "q:x:::";
    mc->decide(instances[0], RLX_CHARGE_ATOMIC, counters, 2, NOW, verdicts,
               pool);
    mc->decide(instances[0], RLX_CHARGE_ATOMIC, &other, 1, NOW, verdicts,
               pool);
    is_int(mc->forget(instances[1], counters, 1, pool), APR_SUCCESS, "forget");
    ok(left_of(&counters[0]) == 5, "what was charged is forgotten");
    ok(left_of(&counters[1]) == 4, "another key's is not");
    is_int(mc->forget(instances[1], counters, 1, pool), APR_SUCCESS,
           "nothing to forget");
    is_int(mc->forget_all(instances[1], "pq", 1, pool), APR_SUCCESS, "forget all");
    ok(left_of(&counters[1]) == 5, "all of this prefix are forgotten");
    ok(left_of(&other) == 4, "those of another are not");
    mc->decide(instances[0], RLX_CHARGE_ATOMIC, counters, 2, NOW, verdicts,
               pool);
    ok(verdicts[0].remaining == 4 && verdicts[1].remaining == 4
       && left_of(&counters[1]) == 4, "and counting goes on");
    is_int(mc->forget_all(instances[0], "pq", 1, pool), APR_SUCCESS,
           "forget all once more");
    ok(left_of(&counters[0]) == 5 && left_of(&counters[1]) == 5,
       "they are forgotten again");
}

static void test_figures(void)
{
    rlx_storage_figures_t figures;

    is_int(mc->figures(instances[0], NOW, &figures, pool), APR_SUCCESS,
           "figures");
    ok(figures.healthy && figures.size_bytes == 64 * 1024 * 1024
       && figures.keys_used > 70 && !figures.evictions,
       "%d, %" PRIu64 " bytes, %" PRIu64 " keys", figures.healthy,
       figures.size_bytes, figures.keys_used);
}

/* --- threads ----------------------------------------------------------- */

typedef struct job_t {
    pthread_t thread;
    rlx_storage_t *store;
    const rlx_counter_t *counters;
    int n;
    int tries;
    int passed;
    int errors;
} job_t;

static void *work(void *data)
{
    job_t *job = data;
    apr_pool_t *p;

    apr_pool_create_unmanaged_ex(&p, NULL, NULL);
    for (int i = 0; i < job->tries; i++) {
        rlx_verdict_t verdicts[2];
        int has_room = 1;

        apr_pool_clear(p);
        if (mc->decide(job->store, RLX_CHARGE_ATOMIC, job->counters, job->n,
                       NOW + i, verdicts, p) != APR_SUCCESS) {
            job->errors++;
            continue;
        }
        for (int c = 0; c < job->n; c++) {
            has_room &= verdicts[c].has_room;
        }
        job->passed += has_room;
    }
    apr_pool_destroy(p);
    return NULL;
}

/** How many requests of all threads pass. */
static int run_threads(const rlx_counter_t *counters, int n, int tries)
{
    job_t jobs[THREADS];
    int passed = 0, errors = 0;

    for (int i = 0; i < THREADS; i++) {
        job_t job = { .store = instances[i % INSTANCES], .counters = counters,
                      .n = n, .tries = tries };

        jobs[i] = job;
        pthread_create(&jobs[i].thread, NULL, work, &jobs[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(jobs[i].thread, NULL);
        passed += jobs[i].passed;
        errors += jobs[i].errors;
    }
    is_int(errors, 0, "no call fails");
    return passed;
}

static void test_threads(rlx_strategy_e strategy)
{
    const char *name = rlx_strategies[strategy]->name;
    rlx_limit_t hundred = limit_of(strategy, 100);
    rlx_limit_t sixty = limit_of(strategy, 60);
    rlx_counter_t counters[2] = {
        counter_of(&hundred, apr_pstrcat(pool, "a-", name, NULL), 1),
        counter_of(&sixty, apr_pstrcat(pool, "b-", name, NULL), 1)
    };
    apr_time_t start = apr_time_now();
    int passed = run_threads(counters, 1, 125);

    ok(passed == 100, "%s: 100 of 1000 pass: %d", name, passed);
    diag("%d us for each charge that was fought for",
         (int)((apr_time_now() - start) / 100));
    counters[0].scope = "r:x:::";
    passed = run_threads(counters, 2, 75);
    ok(passed <= 60 && passed >= 55, "%s: 60 of 600 pass by two limits, or "
       "nearly so: %d", name, passed);
    ok(left_of(&counters[0]) == 100u - (unsigned int)passed,
       "%s: who was refused by one is not charged by the other: %u", name,
       left_of(&counters[0]));
}

/* --- a server that hangs ----------------------------------------------- */

static void test_frozen(void)
{
    rlx_limit_t limit = limit_of(RLX_FIXED_WINDOW, 5);
    rlx_counter_t counter = counter_of(&limit, "frozen", 1);
    rlx_verdict_t verdict;
    rlx_storage_t *store = memcached_storage("400");
    apr_time_t start;
    apr_status_t status;
    int usec;

    kill(memcached_pid, SIGSTOP);
    start = apr_time_now();
    status = mc->decide(store, RLX_CHARGE_ATOMIC, &counter, 1, NOW, &verdict,
                        pool);
    usec = (int)(apr_time_now() - start);
    ok(APR_STATUS_IS_TIMEUP(status), "it is a time-out: %d", status);
    ok(usec >= 250000 && usec <= 900000, "after %d us of 400,000", usec);
    kill(memcached_pid, SIGCONT);
    is_int(mc->decide(instances[0], RLX_CHARGE_ATOMIC, &counter, 1, NOW,
                      &verdict, pool), APR_SUCCESS, "and goes on");
    /* Nothing was charged by the question that was too late. */
    is_int(verdict.remaining, 4, "with the right count");
}

int main(void)
{
    static const rlx_strategy_e kept[] = {
        RLX_FIXED_WINDOW, RLX_SLIDING_WINDOW_COUNTER, RLX_GCRA
    };

    if (!ok(memcached_start(), "memcached answers")) {
        return tap_done();
    }
    for (int i = 0; i < INSTANCES; i++) {
        /* What is slow here is the machine. */
        instances[i] = memcached_storage("5000");
    }
    for (int i = 0; i < 3; i++) {
        test_modes(kept[i]);
        test_give_back(kept[i]);
        test_threads(kept[i]);
    }
    test_odd();
    test_many();
    test_forget();
    test_figures();
    test_frozen();
    return tap_done();
}
