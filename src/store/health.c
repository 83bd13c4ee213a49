/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * How calls to a storage went.
 */

#include "store/health.h"

#include "store/clock.h"

void rlx_health_change(rlx_health_t *health, rlx_usec_t now, int is_down)
{
    __atomic_store_n(&health->changed_at, now, __ATOMIC_RELAXED);
    __atomic_store_n(&health->is_down, is_down, __ATOMIC_RELAXED);
}

void rlx_health_note(rlx_health_t *health, rlx_usec_t began, int is_answer)
{
    if (is_answer) {
        rlx_latency_note(&health->answers,
                         (uint64_t)(rlx_monotonic_usec() - began));
    }
    else {
        __atomic_fetch_add(&health->failed, 1, __ATOMIC_RELAXED);
    }
}

void rlx_health_read(const rlx_health_t *health, rlx_health_t *copy)
{
    copy->changed_at = __atomic_load_n(&health->changed_at, __ATOMIC_RELAXED);
    copy->is_down = __atomic_load_n(&health->is_down, __ATOMIC_RELAXED);
    copy->failed = __atomic_load_n(&health->failed, __ATOMIC_RELAXED);
    rlx_latency_read(&health->answers, &copy->answers);
}
