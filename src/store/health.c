/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * How calls to a storage went.
 */

#include "store/health.h"

#include <time.h>

/** Each answer counts a sixteenth in the average of late. */
#define LATE 16

static void add(uint64_t *to, uint64_t n)
{
    __atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

static uint64_t get(const uint64_t *from)
{
    return __atomic_load_n(from, __ATOMIC_RELAXED);
}

rlx_usec_t rlx_health_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (rlx_usec_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void rlx_health_change(rlx_health_t *health, rlx_usec_t now, int is_down)
{
    __atomic_store_n(&health->changed_at, now, __ATOMIC_RELAXED);
    __atomic_store_n(&health->is_down, is_down, __ATOMIC_RELAXED);
}

void rlx_health_note(rlx_health_t *health, rlx_usec_t began, int is_answer)
{
    uint64_t usec = (uint64_t)(rlx_health_clock() - began);
    uint64_t recent = get(&health->recent_16th_usec);

    if (!is_answer) {
        add(&health->failed, 1);
        return;
    }
    recent = recent ? recent - recent / LATE + usec : usec * LATE;
    __atomic_store_n(&health->recent_16th_usec, recent, __ATOMIC_RELAXED);
    if (usec > get(&health->max_usec)) {
        __atomic_store_n(&health->max_usec, usec, __ATOMIC_RELAXED);
    }
    add(&health->all_usec, usec);
    add(&health->answered, 1);
}

void rlx_health_read(const rlx_health_t *health, rlx_health_t *copy)
{
    copy->changed_at = __atomic_load_n(&health->changed_at, __ATOMIC_RELAXED);
    copy->is_down = __atomic_load_n(&health->is_down, __ATOMIC_RELAXED);
    copy->answered = get(&health->answered);
    copy->failed = get(&health->failed);
    copy->all_usec = get(&health->all_usec);
    copy->max_usec = get(&health->max_usec);
    copy->recent_16th_usec = get(&health->recent_16th_usec);
}
