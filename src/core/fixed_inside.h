/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  fixed_inside.h
 * @brief The arithmetic of fixed windows, inline: most limits are counted by
 *        them, and the table's usual way does it in place. Only fixed_window.c
 *        and the quick ways include this; see strategy.h for what it means.
 */

#ifndef RLX_CORE_FIXED_INSIDE_H
#define RLX_CORE_FIXED_INSIDE_H

#include "core/strategy.h"

/** An open window: when it began, and the units charged to it. */
typedef struct rlx_window_t {
    rlx_usec_t start;
    uint32_t charged;
} rlx_window_t;

/** The window that is open at `now`; start 0 if none is. */
static inline rlx_window_t rlx_window_at(rlx_state_t state,
                                         const rlx_limit_t *limit,
                                         rlx_usec_t now)
{
    static const rlx_window_t none = { 0, 0 };
    rlx_window_t w;

    w.start = (rlx_usec_t)state.hi;
    w.charged = (uint32_t)state.lo;
    if (w.start > now) {
        w.start = now; /* the clock stepped back: no longer than W from here */
    }
    if (w.start == 0 || now - w.start >= limit->window_usec) {
        return none;
    }
    return w;
}

/** Not 0 if a cost fits a window. */
static inline int rlx_window_fits(rlx_window_t w, const rlx_limit_t *limit,
                                  uint32_t cost)
{
    return limit->count != 0 && (uint64_t)w.charged + cost <= limit->count;
}

/** rlx_strategy_t's charge(). */
static inline int rlx_window_charge(rlx_state_t state,
                                    const rlx_limit_t *limit, uint32_t cost,
                                    rlx_usec_t now, rlx_state_t *next)
{
    rlx_window_t w = rlx_window_at(state, limit, now);
    int fits = rlx_window_fits(w, limit, cost);

    if (fits && cost != 0) {
        w.start = w.start != 0 ? w.start : now;
        w.charged += cost;
    }
    next->hi = (uint64_t)w.start;
    next->lo = w.charged;
    return fits;
}

/** rlx_strategy_t's read(). */
static inline void rlx_window_read(rlx_state_t state,
                                   const rlx_limit_t *limit, rlx_usec_t now,
                                   rlx_reading_t *reading)
{
    rlx_window_t w = rlx_window_at(state, limit, now);

    reading->remaining =
        w.charged < limit->count ? limit->count - w.charged : 0;
    reading->reset_at = w.start != 0 ? w.start + limit->window_usec : now;
}

#endif /* RLX_CORE_FIXED_INSIDE_H */
