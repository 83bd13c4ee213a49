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

#endif /* RLX_CORE_STRATEGIES_H */
