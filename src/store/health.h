/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  health.h
 * @brief How calls to a storage far away went, in memory that all children
 *        share. Noted without a lock: of two that note at once one may be
 *        missing in an average. All functions are safe in any thread.
 */

#ifndef RLX_STORE_HEALTH_H
#define RLX_STORE_HEALTH_H

#include "ratelimit_limit.h"

/** How calls went. Zeroed: there were none. */
typedef struct rlx_health_t {
    /** When it last stopped answering, or began to; at first, when it was
     *  opened. Wall clock. */
    rlx_usec_t changed_at;
    /** Not 0: it is known not to answer. */
    int is_down;
    /** Calls that it answered, and those that it did not. */
    uint64_t answered;
    uint64_t failed;
    /** Microseconds: what the answers took together, and the longest; and an
     *  average of late, in sixteenths. */
    uint64_t all_usec;
    uint64_t max_usec;
    uint64_t recent_16th_usec;
} rlx_health_t;

/** A clock for round trips: microseconds that no step of the wall clock
 *  touches. */
rlx_usec_t rlx_health_clock(void);

/** It answers from now on, or does not. */
void rlx_health_change(rlx_health_t *health, rlx_usec_t now, int is_down);

/** A call came back.
 *  @param began what rlx_health_clock() said before it
 *  @param is_answer 0: there was no answer */
void rlx_health_note(rlx_health_t *health, rlx_usec_t began, int is_answer);

/** As it is now. */
void rlx_health_read(const rlx_health_t *health, rlx_health_t *copy);

/** The average of late, and that of all answers, in microseconds, rounded up;
 *  0: there was none. */
static inline uint64_t rlx_health_recent_usec(const rlx_health_t *health)
{
    return (health->recent_16th_usec + 15) / 16;
}

static inline uint64_t rlx_health_average_usec(const rlx_health_t *health)
{
    return health->answered ? health->all_usec / health->answered
                              + (health->all_usec % health->answered != 0)
                            : 0;
}

#endif /* RLX_STORE_HEALTH_H */
