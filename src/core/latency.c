/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * How long something took. The mean of the last ones forgets by a 32nd at each
 * new time; where two are noted at once one of them may be lost for it.
 */

#include "core/latency.h"

#define RECENT 32

const uint32_t rlx_latency_bounds_usec[RLX_LATENCY_STEPS] = {
    50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000,
    500000, 1000000
};

static uint64_t load(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static void raise_longest(rlx_latency_t *latency, uint64_t usec)
{
    uint64_t longest = load(&latency->longest_usec);

    while (usec > longest
           && !__atomic_compare_exchange_n(&latency->longest_usec, &longest,
                                           usec, 1, __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED)) {
    }
}

void rlx_latency_note(rlx_latency_t *latency, uint64_t usec)
{
    uint64_t recent = load(&latency->recent);
    int step = 0;

    while (step < RLX_LATENCY_STEPS && usec > rlx_latency_bounds_usec[step]) {
        step++;
    }
    __atomic_fetch_add(&latency->counts[step], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&latency->sum_usec, usec, __ATOMIC_RELAXED);
    raise_longest(latency, usec);
    /* The first one is a mean by itself. */
    __atomic_store_n(&latency->recent,
                     recent ? recent - recent / RECENT + usec : usec * RECENT,
                     __ATOMIC_RELAXED);
}

void rlx_latency_read(const rlx_latency_t *latency, rlx_latency_t *copy)
{
    for (int i = 0; i <= RLX_LATENCY_STEPS; i++) {
        copy->counts[i] = load(&latency->counts[i]);
    }
    copy->sum_usec = load(&latency->sum_usec);
    copy->longest_usec = load(&latency->longest_usec);
    copy->recent = load(&latency->recent);
}

uint64_t rlx_latency_count(const rlx_latency_t *copy)
{
    uint64_t n = 0;

    for (int i = 0; i <= RLX_LATENCY_STEPS; i++) {
        n += copy->counts[i];
    }
    return n;
}

uint64_t rlx_latency_quantile(const rlx_latency_t *copy,
                              unsigned int permille)
{
    uint64_t n = rlx_latency_count(copy), below = 0;
    /* Rounded up without the product, which might not fit. */
    uint64_t rank = n / 1000 * permille + (n % 1000 * permille + 999) / 1000;

    for (int i = 0; i < RLX_LATENCY_STEPS && n; i++) {
        below += copy->counts[i];
        if (below >= rank) {
            return rlx_latency_bounds_usec[i] < copy->longest_usec
                   ? rlx_latency_bounds_usec[i] : copy->longest_usec;
        }
    }
    return n ? copy->longest_usec : 0;
}

uint64_t rlx_latency_recent(const rlx_latency_t *copy)
{
    return (copy->recent + RECENT - 1) / RECENT;
}

uint64_t rlx_latency_mean(const rlx_latency_t *copy)
{
    uint64_t n = rlx_latency_count(copy);

    return n ? copy->sum_usec / n + (copy->sum_usec % n != 0) : 0;
}
