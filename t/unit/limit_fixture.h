/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  limit_fixture.h
 * @brief Limits for unit tests.
 */

#ifndef RLX_TEST_LIMIT_FIXTURE_H
#define RLX_TEST_LIMIT_FIXTURE_H

#include "core/limit.h"

/** A limit with a burst of its own; without a text. */
static inline rlx_limit_t limit_with_burst(rlx_strategy_e strategy,
                                           uint32_t count, rlx_usec_t window,
                                           uint32_t burst)
{
    rlx_limit_t limit = { count, burst, window, strategy, "" };

    return limit;
}

/** A limit; its burst is its count. */
static inline rlx_limit_t limit_of(rlx_strategy_e strategy, uint32_t count,
                                   rlx_usec_t window)
{
    return limit_with_burst(strategy, count, window, count);
}

#endif /* RLX_TEST_LIMIT_FIXTURE_H */
