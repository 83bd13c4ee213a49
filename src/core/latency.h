/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  latency.h
 * @brief How long something took, over all processes: a histogram in memory
 *        that all share.
 *
 * Any number of threads and processes may note at once; none waits. Who reads
 * meanwhile may see a number that is one behind another.
 */

#ifndef RLX_CORE_LATENCY_H
#define RLX_CORE_LATENCY_H

#include <stdint.h>

/** Steps of the histogram, without the last one, that has no bound. */
#define RLX_LATENCY_STEPS 14

/** The longest times that are still in a step, microseconds, ascending. */
extern const uint32_t rlx_latency_bounds_usec[RLX_LATENCY_STEPS];

/** A histogram. Zeroed: nothing was noted. */
typedef struct rlx_latency_t {
    /** Times in each step, the longer ones in the last. */
    uint64_t counts[RLX_LATENCY_STEPS + 1];
    uint64_t sum_usec;
    uint64_t longest_usec;
    /** The mean of about the last 32, times 32. */
    uint64_t recent;
} rlx_latency_t;

/** Note that something took so long. */
void rlx_latency_note(rlx_latency_t *latency, uint64_t usec);

/** A copy, to be read at leisure. */
void rlx_latency_read(const rlx_latency_t *latency, rlx_latency_t *copy);

/** How often something was noted. */
uint64_t rlx_latency_count(const rlx_latency_t *copy);

/** The time that so many of a thousand did not exceed, as far as the steps
 *  tell: the bound of a step, or the longest time if that is less. 0 if
 *  nothing was noted.
 *  @param permille 1 to 1000 */
uint64_t rlx_latency_quantile(const rlx_latency_t *copy,
                              unsigned int permille);

/** The mean of about the last 32, and of all, in microseconds, rounded up; 0:
 *  nothing was noted. */
uint64_t rlx_latency_recent(const rlx_latency_t *copy);
uint64_t rlx_latency_mean(const rlx_latency_t *copy);

#endif /* RLX_CORE_LATENCY_H */
