/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The breaker: when it lets one ask, to whom it tells what changed, and that
 * of many at once one alone is the probe.
 */

#include <pthread.h>

#include "core/breaker.h"
#include "tap.h"

#define SECOND ((rlx_usec_t)1000000)
/** A day in 2027. */
#define NOON   (INT64_C(1800000000) * SECOND)

static rlx_usec_t down_usec;

/** Ask and fail at a time. @return what changed, or -1 if it may not ask */
static int fail_at(rlx_breaker_t *b, rlx_usec_t now)
{
    rlx_breaker_ticket_t ticket;

    return rlx_breaker_may_ask(b, now, &ticket)
           ? (int)rlx_breaker_failed(b, ticket, now) : -1;
}

static int answer_at(rlx_breaker_t *b, rlx_usec_t now)
{
    rlx_breaker_ticket_t ticket;

    return rlx_breaker_may_ask(b, now, &ticket)
           ? (int)rlx_breaker_answered(b, ticket, now, &down_usec) : -1;
}

static void closed(void)
{
    rlx_breaker_t b = { 0, 0 };

    is_int(answer_at(&b, NOON), RLX_BREAKER_SAME, "closed: an answer");
    is_int(answer_at(&b, NOON), RLX_BREAKER_SAME, "closed: and another");
    is_int(rlx_breaker_down_since(&b), 0, "closed: down since never");
    is_int(rlx_breaker_retry_at(&b, NOON), NOON, "closed: may ask now");
    is_int(b.state, 0, "closed: nothing was written");
}

/** 1, 2, 4 ... 32 seconds, and 32 again. */
static void waits(void)
{
    static const int wait[] = { 1, 2, 4, 8, 16, 32, 32, 32 };
    rlx_breaker_t b = { 0, 0 };
    rlx_usec_t now = NOON;

    is_int(fail_at(&b, now), RLX_BREAKER_OPENED, "the first failure opens");
    for (int i = 0; i < 8; i++) {
        rlx_usec_t next = now + wait[i] * SECOND;

        is_int(rlx_breaker_retry_at(&b, now), next, "the time of the probe");
        is_int(fail_at(&b, now), -1, "nobody asks at once");
        is_int(fail_at(&b, next - 1), -1, "nor a microsecond too early");
        is_int(rlx_breaker_down_since(&b), NOON, "down since the first");
        now = next;
        is_int(fail_at(&b, now), RLX_BREAKER_STAYS_OPEN, "the probe fails");
    }
    now += 32 * SECOND;
    is_int(answer_at(&b, now), RLX_BREAKER_CLOSED, "a probe is answered");
    is_int(down_usec, now - NOON, "how long it was down");
    is_int(rlx_breaker_down_since(&b), 0, "no longer");
    is_int(answer_at(&b, now), RLX_BREAKER_SAME, "everybody asks again");
    is_int(fail_at(&b, now), RLX_BREAKER_OPENED, "and it may fail again");
    is_int(rlx_breaker_retry_at(&b, now), now + SECOND,
           "which begins with a second");
}

/** Who asked before it opened brings news that are old. */
static void late(void)
{
    rlx_breaker_t b = { 0, 0 };
    rlx_breaker_ticket_t early, late_one, probe, other;

    ok(rlx_breaker_may_ask(&b, NOON, &early), "one asks");
    ok(rlx_breaker_may_ask(&b, NOON, &late_one), "another asks");
    is_int(rlx_breaker_failed(&b, early, NOON), RLX_BREAKER_OPENED, "fails");
    is_int(rlx_breaker_failed(&b, late_one, NOON + 5), RLX_BREAKER_SAME,
           "the other fails: known already");
    is_int(rlx_breaker_retry_at(&b, NOON), NOON + SECOND, "nothing moved");
    is_int(rlx_breaker_answered(&b, late_one, NOON + 6, &down_usec),
           RLX_BREAKER_SAME, "an old answer closes nothing");
    ok(!rlx_breaker_may_ask(&b, NOON + 6, &other), "it is open still");

    ok(rlx_breaker_may_ask(&b, NOON + SECOND, &probe), "the probe");
    ok(!rlx_breaker_may_ask(&b, NOON + SECOND, &other),
       "while it is under way nobody else asks");
    ok(!rlx_breaker_may_ask(&b, NOON + 2 * SECOND - 1, &other), "for a second");
    ok(rlx_breaker_may_ask(&b, NOON + 2 * SECOND, &other),
       "then it is taken for dead, and another is sent");
    is_int(rlx_breaker_failed(&b, probe, NOON + 2 * SECOND), RLX_BREAKER_SAME,
           "what the first one says no longer counts");
    is_int(rlx_breaker_answered(&b, other, NOON + 2 * SECOND, &down_usec),
           RLX_BREAKER_CLOSED, "what the second says does");
    is_int(rlx_breaker_answered(&b, probe, NOON + 2 * SECOND, &down_usec),
           RLX_BREAKER_SAME, "once");
}

static void clock_steps(void)
{
    rlx_breaker_t b = { 0, 0 };
    rlx_usec_t back = NOON - 3600 * SECOND;

    fail_at(&b, NOON);
    ok(fail_at(&b, back) == RLX_BREAKER_STAYS_OPEN,
       "an hour back: the probe is not put off for an hour");
    is_int(rlx_breaker_retry_at(&b, back), back + 2 * SECOND,
           "and the next one comes in time");
    is_int(fail_at(&b, back - SECOND), -1,
           "a second back: it waits a little longer");
    ok(answer_at(&b, NOON + 7200 * SECOND) == RLX_BREAKER_CLOSED,
       "forwards: the probe is due");
    is_int(down_usec, 7200 * SECOND, "the time that passed on the clock");
    fail_at(&b, NOON);
    answer_at(&b, back);
    is_int(down_usec, 0, "a clock before the beginning: no time has passed");
}

/*
 * Many at once
 */

#define THREADS 8
#define ROUNDS  2000

static rlx_breaker_t shared;
static pthread_barrier_t barrier;
static int asked, opened, stayed, closed_by;

/** In each round everybody asks at the same time; all fail, and after every
 *  eighth round all are answered. */
static void *worker(void *unused)
{
    for (int round = 0; round < ROUNDS; round++) {
        rlx_usec_t now = NOON + (rlx_usec_t)round * 64 * SECOND;
        rlx_breaker_ticket_t ticket;
        rlx_breaker_change_e changed = RLX_BREAKER_SAME;
        rlx_usec_t usec;

        pthread_barrier_wait(&barrier);
        if (rlx_breaker_may_ask(&shared, now, &ticket)) {
            __atomic_fetch_add(&asked, ticket != 0, __ATOMIC_RELAXED);
            changed = round % 8 == 7
                      ? rlx_breaker_answered(&shared, ticket, now, &usec)
                      : rlx_breaker_failed(&shared, ticket, now);
        }
        __atomic_fetch_add(&opened, changed == RLX_BREAKER_OPENED,
                           __ATOMIC_RELAXED);
        __atomic_fetch_add(&stayed, changed == RLX_BREAKER_STAYS_OPEN,
                           __ATOMIC_RELAXED);
        __atomic_fetch_add(&closed_by, changed == RLX_BREAKER_CLOSED,
                           __ATOMIC_RELAXED);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void many(void)
{
    pthread_t threads[THREADS];

    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, worker, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&barrier);
    is_int(opened, ROUNDS / 8, "many at once: one opens it");
    is_int(asked, ROUNDS / 8 * 7, "many at once: one is the probe");
    is_int(stayed, ROUNDS / 8 * 6, "many at once: each fails once");
    is_int(closed_by, ROUNDS / 8, "many at once: one closes it");
}

int main(void)
{
    closed();
    waits();
    late();
    clock_steps();
    many();
    return tap_done();
}
