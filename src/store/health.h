/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  health.h
 * @brief How calls to a storage far away went, in memory that all children
 *        share. Noted without a lock. All functions are safe in any thread.
 */

#ifndef RLX_STORE_HEALTH_H
#define RLX_STORE_HEALTH_H

#include "ratelimit_limit.h"

#include "core/latency.h"

/** How calls went. Zeroed: there were none. */
typedef struct rlx_health_t {
    /** When it last stopped answering, or began to; at first, when it was
     *  opened. Wall clock. */
    rlx_usec_t changed_at;
    /** Not 0: it is known not to answer. */
    int is_down;
    /** Calls that it did not answer. */
    uint64_t failed;
    /** What those took that it did. */
    rlx_latency_t answers;
} rlx_health_t;

/** It answers from now on, or does not. */
void rlx_health_change(rlx_health_t *health, rlx_usec_t now, int is_down);

/** A call came back.
 *  @param began what rlx_monotonic_usec() said before it
 *  @param is_answer 0: there was no answer */
void rlx_health_note(rlx_health_t *health, rlx_usec_t began, int is_answer);

/** As it is now. */
void rlx_health_read(const rlx_health_t *health, rlx_health_t *copy);

#endif /* RLX_STORE_HEALTH_H */
