/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Strategy fixed-window: [start, start + W), opened by its first charge.
 * State: hi = start, lo = units charged.
 */

#include "core/strategies.h"

typedef struct window_t {
    rlx_usec_t start;
    uint32_t charged;
} window_t;

/* The window that is open at `now`; start 0 if none is. */
static inline window_t window_at(rlx_state_t state, const rlx_limit_t *limit,
                                 rlx_usec_t now)
{
    static const window_t none = { 0, 0 };
    window_t w;

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

static inline int has_room(window_t w, const rlx_limit_t *limit,
                           uint32_t cost)
{
    return limit->count != 0 && (uint64_t)w.charged + cost <= limit->count;
}

static int fixed_charge(rlx_state_t state, const rlx_limit_t *limit,
                        uint32_t cost, rlx_usec_t now, rlx_state_t *next)
{
    window_t w = window_at(state, limit, now);
    int fits = has_room(w, limit, cost);

    if (fits && cost != 0) {
        w.start = w.start != 0 ? w.start : now;
        w.charged += cost;
    }
    next->hi = (uint64_t)w.start;
    next->lo = w.charged;
    return fits;
}

static void fixed_read(rlx_state_t state, const rlx_limit_t *limit,
                       rlx_usec_t now, rlx_reading_t *reading)
{
    window_t w = window_at(state, limit, now);

    reading->remaining =
        w.charged < limit->count ? limit->count - w.charged : 0;
    reading->reset_at = w.start != 0 ? w.start + limit->window_usec : now;
}

static rlx_usec_t fixed_retry_at(rlx_state_t state, const rlx_limit_t *limit,
                                 uint32_t cost, rlx_usec_t now)
{
    window_t w = window_at(state, limit, now);

    if (limit->count == 0 || cost > limit->count) {
        return RLX_NEVER;
    }
    return has_room(w, limit, cost) ? now : w.start + limit->window_usec;
}

static uint32_t fixed_used(rlx_state_t state, const rlx_limit_t *limit,
                           rlx_usec_t now)
{
    return window_at(state, limit, now).charged;
}

/* Windows do not overlap: the one that is open is the charge's own if it
 * began no later. Once empty it is gone; while it is not, it ends when it did,
 * even if it was the charge given back that opened it. */
static int fixed_give_back(rlx_state_t state, const rlx_limit_t *limit,
                           uint32_t cost, rlx_usec_t charged_at,
                           rlx_usec_t now, rlx_state_t *next)
{
    static const rlx_state_t never_charged = { 0, 0 };
    window_t w = window_at(state, limit, now);

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
