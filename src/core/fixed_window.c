/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Strategy fixed-window: [start, start + W), opened by its first charge.
 * State: hi = start, lo = units charged.
 */

#include "core/fixed_inside.h"
#include "core/strategies.h"

static int fixed_charge(rlx_state_t state, const rlx_limit_t *limit,
                        uint32_t cost, rlx_usec_t now, rlx_state_t *next)
{
    return rlx_window_charge(state, limit, cost, now, next);
}

static void fixed_read(rlx_state_t state, const rlx_limit_t *limit,
                       rlx_usec_t now, rlx_reading_t *reading)
{
    rlx_window_read(state, limit, now, reading);
}

static rlx_usec_t fixed_retry_at(rlx_state_t state, const rlx_limit_t *limit,
                                 uint32_t cost, rlx_usec_t now)
{
    rlx_window_t w = rlx_window_at(state, limit, now);

    if (limit->count == 0 || cost > limit->count) {
        return RLX_NEVER;
    }
    return rlx_window_fits(w, limit, cost) ? now : w.start + limit->window_usec;
}

static uint32_t fixed_used(rlx_state_t state, const rlx_limit_t *limit,
                           rlx_usec_t now)
{
    return rlx_window_at(state, limit, now).charged;
}

/* Windows do not overlap: the one that is open is the charge's own if it
 * began no later. Once empty it is gone; while it is not, it ends when it did,
 * even if it was the charge given back that opened it. */
static int fixed_give_back(rlx_state_t state, const rlx_limit_t *limit,
                           uint32_t cost, rlx_usec_t charged_at,
                           rlx_usec_t now, rlx_state_t *next)
{
    static const rlx_state_t never_charged = { 0, 0 };
    rlx_window_t w = rlx_window_at(state, limit, now);

    if (cost == 0 || w.charged == 0 || charged_at < w.start
        || charged_at > now) {
        return 0;
    }
    *next = never_charged;
    if (cost < w.charged) {
        next->hi = (uint64_t)w.start;
        next->lo = w.charged - cost;
    }
    return 1;
}

rlx_state_t rlx_fixed_state(rlx_usec_t start, uint32_t charged)
{
    rlx_state_t state = { (uint64_t)start, charged };

    return state;
}

const rlx_strategy_t rlx_fixed_window = {
    "fixed-window", fixed_charge, fixed_read, fixed_retry_at, fixed_used,
    fixed_give_back
};
