/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The registry of strategies. A new one is added here, in rlx_strategy_e and
 * in the phrase at the end.
 */

#include <strings.h>

#include "core/strategy.h"
#include "core/strategies.h"

/* Its state is a log: only the name is here. */
static const rlx_strategy_t moving_window = { "moving-window", NULL, NULL,
                                              NULL, NULL, NULL };

const rlx_strategy_t *const rlx_strategies[RLX_STRATEGIES] = {
    &rlx_fixed_window,
    &moving_window,
    &rlx_sliding_window_counter,
    &rlx_gcra
};

int rlx_strategy_by_name(const char *name, rlx_strategy_e *strategy)
{
    int i;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        if (strcasecmp(name, rlx_strategies[i]->name) == 0) {
            *strategy = (rlx_strategy_e)i;
            return 1;
        }
    }
    return 0;
}

const char *rlx_strategy_names(void)
{
    return "fixed-window, moving-window, sliding-window-counter or gcra";
}
