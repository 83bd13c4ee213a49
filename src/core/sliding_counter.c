/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Strategy sliding-window-counter: two adjoining buckets of length W. The
 * units of the previous one count in proportion to the part of it that the
 * window ending now still covers.
 * State, 112 bits: start of the current bucket 50, previous 31, current 31.
 */

#include "core/strategies.h"
#include "core/wide.h"

#define PREVIOUS_LOW_BITS 17
#define PREVIOUS_HIGH_BITS 14
#define COUNT_BITS 31
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)
#define LOW_MASK ((UINT64_C(1) << PREVIOUS_LOW_BITS) - 1)
#define HIGH_MASK ((UINT64_C(1) << PREVIOUS_HIGH_BITS) - 1)

typedef struct buckets_t {
    /** Of the current bucket; 0: nothing is charged in either. */
    rlx_usec_t start;
    uint32_t previous;
    uint32_t current;
} buckets_t;

static inline buckets_t unpack(rlx_state_t state)
{
    buckets_t b;

    b.start = (rlx_usec_t)(state.hi >> PREVIOUS_HIGH_BITS);
    b.previous = (uint32_t)(((state.hi & HIGH_MASK) << PREVIOUS_LOW_BITS)
                            | ((state.lo >> COUNT_BITS) & LOW_MASK));
    b.current = (uint32_t)(state.lo & COUNT_MASK);
    return b;
}

static inline rlx_state_t pack(buckets_t b)
{
    rlx_state_t state;

    state.hi = ((uint64_t)b.start << PREVIOUS_HIGH_BITS)
               | (b.previous >> PREVIOUS_LOW_BITS);
    state.lo = ((b.previous & LOW_MASK) << COUNT_BITS) | b.current;
    return state;
}

/* The buckets such that `now` is in the current one. */
static inline buckets_t buckets_at(rlx_state_t state,
                                   const rlx_limit_t *limit, rlx_usec_t now)
{
    static const buckets_t none = { 0, 0, 0 };
    buckets_t b = unpack(state);

    if (b.start > now) {
        b.start = now; /* the clock stepped back */
    }
    if (now - b.start >= limit->window_usec) {
        b.start += limit->window_usec;
        b.previous = b.current;
        b.current = 0;
        if (now - b.start >= limit->window_usec) {
            return none;
        }
    }
    /* Without any charge the place of the buckets means nothing: the next
     * charge starts its own. */
    return b.previous != 0 || b.current != 0 ? b : none;
}

/* What the previous bucket still counts, rounded down. */
static inline uint32_t faded(buckets_t b, const rlx_limit_t *limit,
                             rlx_usec_t now)
{
    uint64_t left;

    if (b.previous == 0) {
        return 0;
    }
    left = (uint64_t)(b.start + limit->window_usec - now);
    return (uint32_t)rlx_wide_div(rlx_wide_mul(b.previous, left),
                                  (uint64_t)limit->window_usec);
}

static inline uint64_t in_use(buckets_t b, const rlx_limit_t *limit,
                              rlx_usec_t now)
{
    return (uint64_t)faded(b, limit, now) + b.current;
}

static inline int has_room(buckets_t b, const rlx_limit_t *limit,
                           uint32_t cost, rlx_usec_t now)
{
    return limit->count != 0 && in_use(b, limit, now) + cost <= limit->count;
}

/*
 * How long after the start of a bucket the `previous` units before it, more
 * than `most`, have faded to `most`: the least e with
 * previous * (W - e) < (most + 1) * W. At the latest W.
 */
static rlx_usec_t fades_to(uint32_t previous, uint32_t most,
                           const rlx_limit_t *limit)
{
    rlx_wide_t bound =
        rlx_wide_mul((uint64_t)most + 1, (uint64_t)limit->window_usec);

    return limit->window_usec - (rlx_usec_t)rlx_wide_div_up(bound, previous)
           + 1;
}

static int sliding_charge(rlx_state_t state, const rlx_limit_t *limit,
                          uint32_t cost, rlx_usec_t now, rlx_state_t *next)
{
    buckets_t b = buckets_at(state, limit, now);
    int fits = has_room(b, limit, cost, now);

    if (fits && cost != 0) {
        b.start = b.start != 0 ? b.start : now;
        b.current += cost;
    }
    *next = pack(b);
    return fits;
}

static void sliding_read(rlx_state_t state, const rlx_limit_t *limit,
                         rlx_usec_t now, rlx_reading_t *reading)
{
    buckets_t b = buckets_at(state, limit, now);
    uint32_t fading = faded(b, limit, now);
    uint64_t used = (uint64_t)fading + b.current;

    reading->remaining =
        used < limit->count ? limit->count - (uint32_t)used : 0;
    if (b.start == 0) {
        reading->reset_at = now;
    }
    else if (fading != 0) {
        reading->reset_at = b.start + fades_to(b.previous, fading - 1, limit);
    }
    else {
        reading->reset_at = b.start + limit->window_usec;
    }
}

static rlx_usec_t sliding_retry_at(rlx_state_t state,
                                   const rlx_limit_t *limit, uint32_t cost,
                                   rlx_usec_t now)
{
    buckets_t b = buckets_at(state, limit, now);
    uint32_t most;

    if (limit->count == 0 || cost > limit->count) {
        return RLX_NEVER;
    }
    if (has_room(b, limit, cost, now)) {
        return now;
    }
    most = limit->count - cost;
    if (b.current <= most) {
        return b.start + fades_to(b.previous, most - b.current, limit);
    }
    /* Only when the current bucket has become the previous one, and fades. */
    return b.start + limit->window_usec + fades_to(b.current, most, limit);
}

/*
 * A remnant below one unit takes no room, but it still says where the buckets
 * lie: it is told as 1 where that cannot look like a full counter. (Forgotten
 * at count 1 it only makes the next buckets begin later, which is stricter.)
 */
static uint32_t sliding_used(rlx_state_t state, const rlx_limit_t *limit,
                             rlx_usec_t now)
{
    buckets_t b = buckets_at(state, limit, now);
    uint64_t used = in_use(b, limit, now);

    if (used == 0) {
        return b.start != 0 && limit->count > 1;
    }
    return used < UINT32_MAX ? (uint32_t)used : UINT32_MAX;
}

/* From the bucket that the time of the charge lies in. The buckets stay where
 * they are as long as anything is in them. */
static int sliding_give_back(rlx_state_t state, const rlx_limit_t *limit,
                             uint32_t cost, rlx_usec_t charged_at,
                             rlx_usec_t now, rlx_state_t *next)
{
    static const rlx_state_t never_charged = { 0, 0 };
    buckets_t b = buckets_at(state, limit, now);
    uint32_t *bucket = charged_at >= b.start ? &b.current : &b.previous;

    if (cost == 0 || b.start == 0 || *bucket == 0 || charged_at > now
        || charged_at < b.start - limit->window_usec) {
        return 0;
    }
    *bucket -= cost < *bucket ? cost : *bucket;
    *next = b.previous != 0 || b.current != 0 ? pack(b) : never_charged;
    return 1;
}

rlx_state_t rlx_sliding_state(rlx_usec_t start, uint32_t previous,
                              uint32_t current)
{
    buckets_t b = { start, previous, current };

    return pack(b);
}

const rlx_strategy_t rlx_sliding_window_counter = {
    "sliding-window-counter", sliding_charge, sliding_read, sliding_retry_at,
    sliding_used, sliding_give_back
};
