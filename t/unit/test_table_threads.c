/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The table of counters by several threads of one process; also for the
 * thread sanitizer.
 */

#include <pthread.h>

#include "table_fixture.h"

#define MB       (1024 * 1024)
#define THREADS  4
#define TRIES    1500
#define COUNTERS RLX_STRATEGIES

typedef struct job_t {
    const rlx_table_t *table;
    rlx_charge_e mode;
    const rlx_counter_t *counters;
    unsigned int seed;
    int charged[COUNTERS];
    int wrong;
} job_t;

/* The same batch again and again, a look now and then. */
static void *work_on_batch(void *baton)
{
    job_t *job = baton;
    rlx_verdict_t v[COUNTERS];
    int i;
    int k;

    for (k = 0; k < TRIES; ++k) {
        rlx_table_decide(job->table, job->mode, job->counters, COUNTERS,
                         NOW + k, v);
        for (i = 0; i < COUNTERS; ++i) {
            job->charged[i] += v[i].charged;
        }
        if (k % 16 == 0) {
            rlx_table_look(job->table, job->counters, COUNTERS, NOW + k, v);
        }
    }
    return NULL;
}

/* New keys in a full table, some together with a key of everybody's. */
static void *work_on_flood(void *baton)
{
    job_t *job = baton;
    rlx_limit_t limit[COUNTERS];
    rlx_counter_t batch[3];
    rlx_verdict_t v[3];
    int i;
    int k;

    for (i = 0; i < COUNTERS; ++i) {
        limit[i] = limit_of((rlx_strategy_e)i, 100, HOUR);
    }
    for (k = 0; k < TRIES * 2; ++k) {
        for (i = 0; i < 3; ++i) {
            batch[i] = counter_of(&limit[(k + i) % COUNTERS],
                                  ((uint64_t)rand_r(&job->seed) << 31)
                                      + (uint64_t)rand_r(&job->seed));
        }
        if (k % 2) {
            batch[1] = job->counters[k % COUNTERS];
        }
        rlx_table_decide(job->table, RLX_CHARGE_ALL, batch, 3, NOW + k, v);
        job->wrong += !v[0].charged || !v[2].charged;
        if (k % 64 == 0) {
            rlx_table_forget(job->table, &batch[0]);
        }
    }
    return NULL;
}

static void run(job_t *job, void *(*work)(void *))
{
    pthread_t thread[THREADS];
    int i;

    for (i = 0; i < THREADS; ++i) {
        pthread_create(&thread[i], NULL, work, &job[i]);
    }
    for (i = 0; i < THREADS; ++i) {
        pthread_join(thread[i], NULL);
    }
}

static void jobs_make(job_t *job, const rlx_table_t *table, rlx_charge_e mode,
                      const rlx_counter_t *counters)
{
    int i;

    memset(job, 0, THREADS * sizeof(*job));
    for (i = 0; i < THREADS; ++i) {
        job[i].table = table;
        job[i].mode = mode;
        job[i].counters = counters;
        job[i].seed = (unsigned int)i;
    }
}

static void test_batch(rlx_charge_e mode, const int *wanted)
{
    static const uint32_t counts[COUNTERS] = { 4000, 3000, 2000, 1000 };
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit[COUNTERS];
    rlx_counter_t counter[COUNTERS];
    job_t job[THREADS];
    int sum;
    int i;
    int k;

    for (i = 0; i < COUNTERS; ++i) {
        limit[i] = limit_of((rlx_strategy_e)i, counts[i], HOUR);
        counter[i] = counter_of(&limit[i], (uint64_t)i);
    }
    jobs_make(job, &table, mode, counter);
    run(job, work_on_batch);
    for (i = 0; i < COUNTERS; ++i) {
        for (sum = 0, k = 0; k < THREADS; ++k) {
            sum += job[k].charged[i];
        }
        is_int(sum, wanted[i], strategy_name[i]);
    }
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

static void test_flood(void)
{
    rlx_table_t table = table_make(RLX_TABLE_BYTES_MIN);
    rlx_limit_t limit[COUNTERS];
    rlx_counter_t blocked[COUNTERS];
    job_t job[THREADS];
    int wrong = 0;
    int i;

    for (i = 0; i < COUNTERS; ++i) {
        limit[i] = limit_of((rlx_strategy_e)i, 50, HOUR);
        blocked[i] = counter_of(&limit[i], 7000 + (uint64_t)i);
        while (hit(&table, &blocked[i], NOW)) {
        }
    }
    jobs_make(job, &table, RLX_CHARGE_ALL, blocked);
    run(job, work_on_flood);
    for (i = 0; i < THREADS; ++i) {
        wrong += job[i].wrong;
    }
    is_int(wrong, 0, "new keys are let through");
    for (i = 0; i < COUNTERS; ++i) {
        ok(!hit(&table, &blocked[i], NOW), "%s: blocked stays blocked",
           strategy_name[i]);
    }
    ok(is_valid(&table), "valid");
    table_free(&table, RLX_TABLE_BYTES_MIN);
}

int main(void)
{
    static const int atomic[] = { 1000, 1000, 1000, 1000 };
    static const int each[] = { 4000, 3000, 2000, 1000 };

    test_batch(RLX_CHARGE_ATOMIC, atomic);
    test_batch(RLX_CHARGE_IN_ORDER, each);
    test_batch(RLX_CHARGE_ALL, each);
    test_flood();
    return tap_done();
}
