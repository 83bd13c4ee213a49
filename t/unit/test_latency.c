/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * How long something took: steps, quantiles, the mean of the last ones, and
 * that many threads lose none.
 */

#include <pthread.h>

#include "core/latency.h"
#include "tap.h"

#define THREADS 4
#define EACH    20000

static void nothing(void)
{
    rlx_latency_t none = { { 0 }, 0, 0, 0 };

    is_int(rlx_latency_count(&none), 0, "nothing was noted");
    is_int(rlx_latency_quantile(&none, 500), 0, "no quantile of nothing");
    is_int(rlx_latency_recent(&none), 0, "nor a mean");
}

/** 900 times 40 us, 90 times 150 us, 9 times 3 ms, once 7 s. */
static void quantiles(void)
{
    rlx_latency_t l = { { 0 }, 0, 0, 0 }, copy;

    for (int i = 0; i < 1000; i++) {
        rlx_latency_note(&l, i < 900 ? 40 : i < 990 ? 150
                                  : i < 999 ? 3000 : 7000000);
    }
    rlx_latency_read(&l, &copy);
    is_int(rlx_latency_count(&copy), 1000, "all of them");
    is_int(copy.counts[0], 900, "up to 50 us");
    is_int(copy.counts[2], 90, "up to 200 us");
    is_int(copy.counts[6], 9, "up to 5 ms");
    is_int(copy.counts[RLX_LATENCY_STEPS], 1, "without a bound");
    is_int(copy.sum_usec, 900 * 40 + 90 * 150 + 9 * 3000 + 7000000, "the sum");
    is_int(copy.longest_usec, 7000000, "the longest");
    is_int(rlx_latency_mean(&copy), 7077, "the mean, 7,076.5");
    is_int(rlx_latency_quantile(&copy, 500), 50, "half of them");
    is_int(rlx_latency_quantile(&copy, 900), 50, "just the 900");
    is_int(rlx_latency_quantile(&copy, 901), 200, "one more");
    is_int(rlx_latency_quantile(&copy, 990), 200, "99 %");
    is_int(rlx_latency_quantile(&copy, 999), 5000, "99.9 %");
    is_int(rlx_latency_quantile(&copy, 1000), 7000000, "all");
}

static void bounds(void)
{
    for (int i = 0; i < RLX_LATENCY_STEPS; i++) {
        rlx_latency_t l = { { 0 }, 0, 0, 0 };

        rlx_latency_note(&l, rlx_latency_bounds_usec[i]);
        rlx_latency_note(&l, rlx_latency_bounds_usec[i] + 1);
        ok(l.counts[i] == 1 && l.counts[i + 1] == 1,
           "a bound is still in its step, %d", i);
    }
}

static void few(void)
{
    rlx_latency_t l = { { 0 }, 0, 0, 0 };

    rlx_latency_note(&l, 30);
    is_int(rlx_latency_quantile(&l, 990), 30,
           "not more than the longest there was");
    is_int(rlx_latency_recent(&l), 30, "the first is the mean");
    for (int i = 0; i < 1000; i++) {
        rlx_latency_note(&l, 1000);
    }
    ok(rlx_latency_recent(&l) > 900 && rlx_latency_recent(&l) <= 1000,
       "the mean follows: %" PRIu64, rlx_latency_recent(&l));
}

static rlx_latency_t shared;

static void *work(void *unused)
{
    for (int i = 1; i <= EACH; i++) {
        rlx_latency_note(&shared, (uint64_t)i);
    }
    return unused;
}

static void threads(void)
{
    pthread_t thread[THREADS];

    for (int i = 0; i < THREADS; i++) {
        pthread_create(&thread[i], NULL, work, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    is_int(rlx_latency_count(&shared), THREADS * EACH, "threads lose none");
    is_int(shared.sum_usec, (uint64_t)THREADS * EACH * (EACH + 1) / 2,
           "nor any time");
    is_int(shared.longest_usec, EACH, "the longest of all");
}

int main(void)
{
    nothing();
    quantiles();
    bounds();
    few();
    threads();
    return tap_done();
}
