/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  strategies.h
 * @brief The strategies one by one, for the registry in strategy.c; all
 *        others go through rlx_strategies[].
 */

#ifndef RLX_CORE_STRATEGIES_H
#define RLX_CORE_STRATEGIES_H

#include "core/strategy.h"

/** fixed_window.c */
extern const rlx_strategy_t rlx_fixed_window;

/** sliding_counter.c */
extern const rlx_strategy_t rlx_sliding_window_counter;

/** gcra.c */
extern const rlx_strategy_t rlx_gcra;

/*
 * States from their parts, for a storage that keeps these apart.
 */

/** A fixed window. Both 0: never charged. */
rlx_state_t rlx_fixed_state(rlx_usec_t start, uint32_t charged);

/** Two buckets of a sliding window; start: of the current one. */
rlx_state_t rlx_sliding_state(rlx_usec_t start, uint32_t previous,
                              uint32_t current);

/** A length of time or a point in it as gcra counts: high * 2^50 + low
 *  microseconds and ticks of 1 / count microseconds. */
typedef struct rlx_gcra_time_t {
    /** Below 2^31 in a state. */
    uint64_t high;
    /** Below 2^50. */
    uint64_t low;
    /** Below 2^31; of a length, below the count. */
    uint32_t ticks;
} rlx_gcra_time_t;

/** A TAT; all 0: never charged. */
rlx_state_t rlx_gcra_state(const rlx_gcra_time_t *tat);

/** How long so many units take. limit->count > 0. */
rlx_gcra_time_t rlx_gcra_time_of(const rlx_limit_t *limit, uint32_t units);

/** The longest backlog. limit->count > 0. */
rlx_gcra_time_t rlx_gcra_longest(const rlx_limit_t *limit);

#endif /* RLX_CORE_STRATEGIES_H */
