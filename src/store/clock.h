/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  clock.h
 * @brief A clock for time-outs and for how long something takes: it never
 *        steps, and says nothing of the time of day.
 */

#ifndef RLX_STORE_CLOCK_H
#define RLX_STORE_CLOCK_H

#include <time.h>

#include "ratelimit_limit.h"

/** Microseconds since some time in the past. */
static inline rlx_usec_t rlx_monotonic_usec(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (rlx_usec_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#endif /* RLX_STORE_CLOCK_H */
