/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Reserve and give back by several threads, in batches with counters that are
 * only tested; also for the thread sanitizer.
 */

#include <pthread.h>

#include "table_fixture.h"

#define MB      (1024 * 1024)
#define THREADS 4
#define TURNS   1500
#define HOLDS   3
#define BATCH   (RLX_STRATEGIES + 1)

typedef struct job_t {
    const rlx_table_t *table;
    const rlx_counter_t *counters;
    unsigned int seed;
    int charged;
} job_t;

/* Batches held by all threads together. */
static int held;
static int over;

static void note_held(uint32_t count)
{
    if (__atomic_add_fetch(&held, 1, __ATOMIC_SEQ_CST) > (int)count) {
        __atomic_add_fetch(&over, 1, __ATOMIC_RELAXED);
    }
}

static void release(const job_t *job)
{
    __atomic_sub_fetch(&held, 1, __ATOMIC_SEQ_CST);
    rlx_table_give_back(job->table, job->counters, BATCH, NOW, NOW);
}

static void *work(void *baton)
{
    job_t *job = baton;
    rlx_verdict_t v[BATCH];
    int own = 0;
    int i;

    for (i = 0; i < TURNS; ++i) {
        if (own > 0 && (own == HOLDS || rand_r(&job->seed) % 2)) {
            --own;
            release(job);
            continue;
        }
        rlx_table_decide(job->table, RLX_CHARGE_ATOMIC, job->counters, BATCH,
                         NOW, v);
        if (v[0].charged) {
            ++own;
            ++job->charged;
            note_held(job->counters[0].limit->count);
        }
    }
    while (own-- > 0) {
        release(job);
    }
    return NULL;
}

int main(void)
{
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit[BATCH];
    rlx_counter_t counters[BATCH];
    rlx_verdict_t v[BATCH];
    pthread_t thread[THREADS];
    job_t job[THREADS];
    int charged = 0;
    int i;

    for (i = 0; i < BATCH; ++i) {
        limit[i] = limit_of((rlx_strategy_e)(i % RLX_STRATEGIES), 6, HOUR);
        counters[i] = counter_of(&limit[i], (uint64_t)i);
    }
    counters[BATCH - 1].only_test = 1;
    for (i = 0; i < THREADS; ++i) {
        job_t mine = { &table, counters, (unsigned int)i, 0 };

        job[i] = mine;
        pthread_create(&thread[i], NULL, work, &job[i]);
    }
    for (i = 0; i < THREADS; ++i) {
        pthread_join(thread[i], NULL);
        charged += job[i].charged;
    }
    ok(charged > 1000, "%d batches charged and given back", charged);
    is_int(over, 0, "never more at once than the limit");
    rlx_table_look(&table, counters, BATCH, NOW, v);
    for (i = 0; i < BATCH; ++i) {
        is_int(v[i].remaining, 6,
               strategy_name[i % RLX_STRATEGIES]);
    }
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
    return tap_done();
}
