/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What is kept of counters without room: found again until its time, for the
 * right counter alone, and never after it was dropped; by threads at once,
 * nothing torn and nothing older than the last drop.
 */

#include <pthread.h>
#include <stdlib.h>

#include "core/deny_table.h"
#include "tap.h"

#define SECOND  ((rlx_usec_t)1000000)
/** A day in 2027. */
#define NOON    (INT64_C(1800000000) * SECOND)
#define BYTES   (64 * 1024)
#define THREADS 4
#define TRIES   40000
#define FEW     5

static char block[BYTES] __attribute__((aligned(64)));

static rlx_limit_t limit = { 10, 10, 60 * SECOND, RLX_FIXED_WINDOW,
                             "10 per 1 minute" };

static rlx_deny_table_t empty_table(size_t bytes)
{
    memset(block, 0, sizeof(block));
    return rlx_deny_table(block, bytes, 2 * SECOND);
}

static rlx_counter_t counter_of(uint64_t number)
{
    rlx_counter_t counter = { .limit = &limit, .cost = 1 };

    counter.id.word[0] = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    counter.id.word[1] = (number + 1) * UINT64_C(0xbf58476d1ce4e5b9);
    return counter;
}

/** Keep that a counter has no room before `until`. */
static void keep(const rlx_deny_table_t *table, const rlx_counter_t *counter,
                 rlx_usec_t now, rlx_usec_t until)
{
    rlx_deny_fact_t fact = { until, until + 2, until + 1, 7, 3, 0 };
    rlx_deny_fact_t old;
    rlx_deny_ticket_t ticket;

    rlx_deny_find(table, counter, now, &ticket, &old);
    rlx_deny_keep(table, counter, ticket, now, &fact);
}

static int is_known(const rlx_deny_table_t *table,
                    const rlx_counter_t *counter, rlx_usec_t now)
{
    rlx_deny_ticket_t ticket;
    rlx_deny_fact_t fact;

    return rlx_deny_find(table, counter, now, &ticket, &fact);
}

static void facts(void)
{
    rlx_deny_table_t table = empty_table(BYTES);
    rlx_counter_t one = counter_of(1), other = counter_of(2);
    rlx_deny_fact_t most = { NOON + 5, RLX_NEVER, RLX_NEVER, RLX_COUNT_MAX,
                             RLX_COUNT_MAX, 1 };
    rlx_deny_ticket_t ticket;
    rlx_deny_fact_t fact;

    ok(!rlx_deny_find(&table, &one, NOON, &ticket, &fact), "empty: nothing");
    keep(&table, &one, NOON, NOON + SECOND);
    ok(!is_known(&table, &other, NOON), "of another counter nothing");
    ok(rlx_deny_find(&table, &one, NOON, &ticket, &fact), "of this one, yes");
    is_int(fact.until, NOON + SECOND, "until when");
    is_int(fact.reset_at, NOON + SECOND + 2, "reset_at");
    is_int(fact.retry_at, NOON + SECOND + 1, "retry_at");
    is_int(fact.remaining, 7, "remaining");
    is_int(fact.cost, 3, "cost");
    is_int(fact.has_room, 0, "no room");
    rlx_deny_keep(&table, &one, ticket, NOON, &most);
    ok(rlx_deny_find(&table, &one, NOON, &ticket, &fact), "kept anew");
    is_int(fact.until, NOON + 5, "in place of the other");
    is_int(fact.retry_at, RLX_NEVER, "the farthest time");
    is_int(fact.remaining, RLX_COUNT_MAX, "the most that remains");
    is_int(fact.cost, RLX_COUNT_MAX, "the highest cost");
    is_int(fact.has_room, 1, "and room");

    limit.count = 11;
    ok(!is_known(&table, &one, NOON), "not by another count of a named limit");
    limit.count = 10;
    ok(is_known(&table, &one, NOON), "by this one still");
}

static void times(void)
{
    rlx_deny_table_t table = empty_table(BYTES);
    rlx_counter_t one = counter_of(1);

    keep(&table, &one, NOON, NOON + SECOND);
    ok(is_known(&table, &one, NOON + SECOND - 1), "just before its time ends");
    ok(!is_known(&table, &one, NOON + SECOND), "not at its end");
    keep(&table, &one, NOON, NOON + 3600 * SECOND);
    ok(is_known(&table, &one, NOON + 2 * SECOND - 1), "for two seconds");
    ok(!is_known(&table, &one, NOON + 2 * SECOND), "and no longer");
    ok(!is_known(&table, &one, NOON - 1), "not where the clock stepped back");
    keep(&table, &one, NOON, NOON + SECOND);
    ok(is_known(&table, &one, NOON - SECOND), "one second back");
    ok(!is_known(&table, &one, NOON - SECOND - 1),
       "but never for longer than two seconds in all");
    keep(&table, &one, NOON + 10 * SECOND, NOON + 10 * SECOND);
    ok(!is_known(&table, &one, NOON + 10 * SECOND), "no time is no fact");
}

static void drops(void)
{
    rlx_deny_table_t table = empty_table(BYTES);
    rlx_counter_t one = counter_of(1), other = counter_of(2);
    rlx_deny_fact_t fact = { NOON + SECOND, NOON, NOON, 0, 1, 0 };
    rlx_deny_ticket_t ticket;

    keep(&table, &one, NOON, NOON + SECOND);
    keep(&table, &other, NOON, NOON + SECOND);
    rlx_deny_find(&table, &one, NOON, &ticket, &fact);
    rlx_deny_drop(&table, &one);
    ok(!is_known(&table, &one, NOON), "dropped");
    ok(is_known(&table, &other, NOON), "another one is not");
    rlx_deny_keep(&table, &one, ticket, NOON, &fact);
    ok(!is_known(&table, &one, NOON), "what was asked before comes too late");
    keep(&table, &one, NOON, NOON + SECOND);
    ok(is_known(&table, &one, NOON), "what is asked after does not");

    rlx_deny_find(&table, &one, NOON, &ticket, &fact);
    rlx_deny_drop_all(&table);
    ok(!is_known(&table, &one, NOON) && !is_known(&table, &other, NOON),
       "all are dropped");
    rlx_deny_keep(&table, &one, ticket, NOON, &fact);
    ok(!is_known(&table, &one, NOON), "and what was asked before");
}

/** More than the table holds: what is newest stays, within its bounds. */
static void full(void)
{
    rlx_deny_table_t table = empty_table(RLX_DENY_BYTES_MIN);
    int newest = 0, expired = 0;

    for (int i = 0; i < 1000; i++) {
        rlx_counter_t counter = counter_of((uint64_t)i);

        keep(&table, &counter, NOON + i, NOON + i + SECOND);
        newest += is_known(&table, &counter, NOON + i);
    }
    is_int(newest, 1000, "there is always room for one more");
    for (int i = RLX_DENY_BYTES_MIN; i < BYTES; i++) {
        expired += block[i] != 0;
    }
    is_int(expired, 0, "and nothing is written behind the end");
    for (int i = 0; i < 1000; i++) {
        rlx_counter_t counter = counter_of((uint64_t)i);

        expired += is_known(&table, &counter, NOON + 1000);
    }
    ok(expired > 50 && expired < 94, "%d of 93 places are in use", expired);
}

/*
 * Threads
 */

/** What a storage would know of each counter: a number that only grows, and
 *  the greatest of which it is certain that all before it were dropped. */
static uint64_t truth[FEW], settled[FEW];
static rlx_deny_table_t shared;

typedef struct job_t {
    unsigned int seed;
    int found;
    int torn;
    int stale;
} job_t;

static void change(uint64_t n)
{
    rlx_counter_t counter = counter_of(n);
    uint64_t now = __atomic_add_fetch(&truth[n], 1, __ATOMIC_ACQ_REL);
    uint64_t before = __atomic_load_n(&settled[n], __ATOMIC_ACQUIRE);

    rlx_deny_drop(&shared, &counter);
    while (before < now
           && !__atomic_compare_exchange_n(&settled[n], &before, now, 0,
                                           __ATOMIC_ACQ_REL,
                                           __ATOMIC_ACQUIRE)) {
    }
}

static rlx_usec_t made_of(uint64_t n, uint64_t number, int salt)
{
    return (rlx_usec_t)((number * 64 + n) * 8) + salt;
}

static void ask(job_t *job, uint64_t n)
{
    rlx_counter_t counter = counter_of(n);
    uint64_t least = __atomic_load_n(&settled[n], __ATOMIC_ACQUIRE);
    rlx_deny_ticket_t ticket;
    rlx_deny_fact_t fact;
    uint64_t number;

    if (rlx_deny_find(&shared, &counter, NOON, &ticket, &fact)) {
        number = (uint64_t)fact.reset_at / 512;
        job->found++;
        job->torn += fact.reset_at != made_of(n, number, 1)
                     || fact.retry_at != made_of(n, number, 2)
                     || fact.remaining != (uint32_t)made_of(n, number, 3);
        job->stale += number < least;
        return;
    }
    number = __atomic_load_n(&truth[n], __ATOMIC_ACQUIRE);
    if (rand_r(&job->seed) % 8 == 0) {
        sched_yield();
    }
    fact.until = NOON + 1 + (rlx_usec_t)(rand_r(&job->seed) % 1000);
    fact.reset_at = made_of(n, number, 1);
    fact.retry_at = made_of(n, number, 2);
    fact.remaining = (uint32_t)made_of(n, number, 3);
    fact.cost = 1;
    fact.has_room = 0;
    rlx_deny_keep(&shared, &counter, ticket, NOON, &fact);
}

static void *work(void *baton)
{
    job_t *job = baton;

    for (int i = 0; i < TRIES; i++) {
        uint64_t n = (uint64_t)rand_r(&job->seed) % FEW;

        if (rand_r(&job->seed) % 16) {
            ask(job, n);
        }
        else {
            change(n);
        }
    }
    return NULL;
}

static void threads(void)
{
    pthread_t thread[THREADS];
    job_t job[THREADS];
    int found = 0, torn = 0, stale = 0;

    /* Two sets: counters get in each other's way. */
    shared = empty_table(3 * 128);
    for (int i = 0; i < THREADS; i++) {
        job[i] = (job_t){ .seed = (unsigned int)i + 1 };
        pthread_create(&thread[i], NULL, work, &job[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        found += job[i].found;
        torn += job[i].torn;
        stale += job[i].stale;
    }
    ok(found > TRIES / 4, "%d facts were found by %d threads", found, THREADS);
    is_int(torn, 0, "none of them is torn");
    is_int(stale, 0, "and none is older than the last drop");
}

int main(void)
{
    facts();
    times();
    drops();
    full();
    threads();
    return tap_done();
}
