/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  strategy.h
 * @brief The arithmetic of the strategies that keep their state in one word.
 *
 * Pure functions: no clock, no memory, no error. A state is 112 bits of
 * payload; all bits zero means "never charged". Times are microseconds since
 * an epoch of the caller's choice, 1 to RLX_REL_MAX; 0 is "no time".
 * The moving window, whose state is a log, lives in moving_window.h.
 */

#ifndef RLX_CORE_STRATEGY_H
#define RLX_CORE_STRATEGY_H

#include "ratelimit_limit.h"

/** The latest time that a state can hold: 2^50 - 1 us, about 35 years. */
#define RLX_REL_MAX ((INT64_C(1) << 50) - 1)

/** The state of one counter: all of hi, and the low 48 bits of lo. */
typedef struct rlx_state_t {
    uint64_t hi;
    uint64_t lo;
} rlx_state_t;

/** What a state says at one instant. Times are on the caller's epoch. */
typedef struct rlx_reading_t {
    uint32_t remaining;
    /** See rlx_verdict_t.reset_at; `now` where nothing is charged. RLX_NEVER
     *  from 2^62 on, which gcra alone can reach: look before adding an
     *  epoch. */
    rlx_usec_t reset_at;
} rlx_reading_t;

/** One strategy. Every function may be called from anywhere at any time. */
typedef struct rlx_strategy_t {
    /** The name in configuration, "fixed-window". */
    const char *name;

    /**
     * Test a cost and, where it fits, charge it.
     * @param next where the state after the charge goes; without room: the
     *             state brought up to `now` (a window that a clock stepping
     *             back left in the future is drawn back to begin at `now`,
     *             so that nobody is blocked for longer than one window)
     * @return not 0 if it fitted. count 0 and cost > what the limit can ever
     *         have (count; burst for gcra) never fit.
     */
    int (*charge)(rlx_state_t state, const rlx_limit_t *limit, uint32_t cost,
                  rlx_usec_t now, rlx_state_t *next);

    /** What is left and when it resets. */
    void (*read)(rlx_state_t state, const rlx_limit_t *limit, rlx_usec_t now,
                 rlx_reading_t *reading);

    /**
     * The earliest time >= now at which `cost` would fit: exact, tested as
     * "fits at the result, does not fit one microsecond before".
     * RLX_NEVER if it never can.
     */
    rlx_usec_t (*retry_at)(rlx_state_t state, const rlx_limit_t *limit,
                           uint32_t cost, rlx_usec_t now);

    /** Units in use at `now`, 0 if the state may be forgotten without any
     *  effect. At or above limit->count (burst for gcra) means that a cost
     *  of 1 has no room: the key is at its limit. */
    uint32_t (*used)(rlx_state_t state, const rlx_limit_t *limit,
                     rlx_usec_t now);

    /**
     * Take back what was charged: as if the charge had never been, as nearly
     * as the state can tell, and never more than that. What has left its
     * window, has been worked off or lies after `now` (the clock stepped
     * back) is not given back.
     * @param cost       what is given back of the charge; at most its cost
     * @param charged_at the `now` of the charge
     * @param now        the time of this call
     * @param next       where the state without the charge goes, brought up
     *                   to `now`; all zero if nothing is left in it. Left
     *                   alone if there is nothing to give back.
     * @return not 0 if there was anything to give back
     */
    int (*give_back)(rlx_state_t state, const rlx_limit_t *limit,
                     uint32_t cost, rlx_usec_t charged_at, rlx_usec_t now,
                     rlx_state_t *next);
} rlx_strategy_t;

/**
 * The strategies by rlx_strategy_e; the moving window's entry has only its
 * name (its functions are NULL, see moving_window.h).
 */
extern const rlx_strategy_t *const rlx_strategies[RLX_STRATEGIES];

/**
 * Find a strategy by its configuration name (case-insensitive).
 * @param strategy where it goes
 * @return 1 if found, else 0
 */
int rlx_strategy_by_name(const char *name, rlx_strategy_e *strategy);

/** The names of all strategies in one phrase, for error messages:
 *  "fixed-window, moving-window, sliding-window-counter or gcra". Static. */
const char *rlx_strategy_names(void);

#endif /* RLX_CORE_STRATEGY_H */
