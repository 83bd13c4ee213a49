/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Strategy gcra: the generic cell rate algorithm (ITU-T I.371, virtual
 * scheduling). One time per key, the theoretical arrival time TAT: when all
 * that was charged has been worked off at `count` units per window.
 *
 * A unit takes W / count microseconds. To stay exact, lengths of time are
 * counted here in ticks of 1 / count microseconds, so that a unit takes W
 * ticks and a microsecond has `count` of them.
 * State, 112 bits: TAT in whole microseconds 81, and ticks beyond those 31.
 * (Not ticks alone: the count of a named limit may be edited meanwhile.)
 */

#include "core/strategies.h"
#include "core/wide.h"

#define TICK_BITS 31
#define TICK_MASK ((UINT64_C(1) << TICK_BITS) - 1)
#define LOW_BITS 48
#define LOW_MASK ((UINT64_C(1) << LOW_BITS) - 1)

/* rlx_gcra_time_t.low */
#define TIME_LOW_BITS 50

/* No backlog is longer, in microseconds; TAT then has its 81 bits. */
#define BACKLOG_USEC_MAX ((rlx_wide_t)1 << 80)

/* Times from here on are RLX_NEVER: a caller may add its epoch to all else. */
#define TIME_MAX (INT64_C(1) << 62)

/* The longest backlog, in ticks: `burst` units. */
static inline rlx_wide_t capacity(const rlx_limit_t *limit)
{
    rlx_wide_t ticks =
        rlx_wide_mul(limit->burst, (uint64_t)limit->window_usec);

    if (ticks > BACKLOG_USEC_MAX
        && ticks > BACKLOG_USEC_MAX * limit->count) {
        ticks = BACKLOG_USEC_MAX * limit->count;
    }
    return ticks;
}

/* From `now` to TAT, in ticks; 0 if TAT has passed. Cut to the capacity: it
 * can only be longer if the clock stepped back or the limit was edited. */
static inline rlx_wide_t backlog_at(rlx_state_t state,
                                    const rlx_limit_t *limit, rlx_usec_t now)
{
    rlx_wide_t tat = ((rlx_wide_t)state.hi << LOW_BITS)
                     | (state.lo & LOW_MASK);
    rlx_wide_t whole = tat >> TICK_BITS;
    uint32_t ticks = (uint32_t)(tat & TICK_MASK);
    rlx_wide_t backlog;
    rlx_wide_t most;

    if (whole < (rlx_wide_t)now) {
        return 0;
    }
    if (ticks >= limit->count) {
        ticks = limit->count - 1;
    }
    backlog = (whole - (rlx_wide_t)now) * limit->count + ticks;
    most = capacity(limit);
    return backlog < most ? backlog : most;
}

static inline rlx_state_t pack(rlx_wide_t backlog, const rlx_limit_t *limit,
                               rlx_usec_t now)
{
    rlx_wide_t whole = rlx_wide_div(backlog, limit->count);
    uint64_t ticks = (uint64_t)(backlog - whole * limit->count);
    rlx_wide_t tat = ((whole + (rlx_wide_t)now) << TICK_BITS) | ticks;
    rlx_state_t state = { 0, 0 };

    if (backlog != 0) {
        state.hi = (uint64_t)(tat >> LOW_BITS);
        state.lo = (uint64_t)tat & LOW_MASK;
    }
    return state;
}

/* `now` plus so many ticks, rounded up to a microsecond. */
static rlx_usec_t time_after(rlx_usec_t now, rlx_wide_t ticks,
                             const rlx_limit_t *limit)
{
    rlx_wide_t wait = rlx_wide_div_up(ticks, limit->count);

    return wait < TIME_MAX - RLX_REL_MAX ? now + (rlx_usec_t)wait : RLX_NEVER;
}

static int gcra_charge(rlx_state_t state, const rlx_limit_t *limit,
                       uint32_t cost, rlx_usec_t now, rlx_state_t *next)
{
    rlx_wide_t backlog;
    rlx_wide_t after;
    int fits;

    if (limit->count == 0) {
        *next = state;
        return 0;
    }
    backlog = backlog_at(state, limit, now);
    after = backlog + rlx_wide_mul(cost, (uint64_t)limit->window_usec);
    fits = limit->burst != 0 && after <= capacity(limit);
    *next = pack(fits ? after : backlog, limit, now);
    return fits;
}

/* Whole units that fit beside this backlog. */
static inline uint32_t units_left(rlx_wide_t backlog,
                                  const rlx_limit_t *limit)
{
    return (uint32_t)rlx_wide_div(capacity(limit) - backlog,
                                  (uint64_t)limit->window_usec);
}

static void gcra_read(rlx_state_t state, const rlx_limit_t *limit,
                      rlx_usec_t now, rlx_reading_t *reading)
{
    rlx_wide_t backlog;

    reading->remaining = 0;
    reading->reset_at = now;
    if (limit->count != 0) {
        backlog = backlog_at(state, limit, now);
        reading->remaining = units_left(backlog, limit);
        reading->reset_at = time_after(now, backlog, limit);
    }
}

static rlx_usec_t gcra_retry_at(rlx_state_t state, const rlx_limit_t *limit,
                                uint32_t cost, rlx_usec_t now)
{
    rlx_wide_t needed = rlx_wide_mul(cost, (uint64_t)limit->window_usec);
    rlx_wide_t room;
    rlx_wide_t backlog;

    if (limit->count == 0 || limit->burst == 0 || needed > capacity(limit)) {
        return RLX_NEVER;
    }
    room = capacity(limit) - needed;
    backlog = backlog_at(state, limit, now);
    return backlog <= room ? now : time_after(now, backlog - room, limit);
}

static uint32_t gcra_used(rlx_state_t state, const rlx_limit_t *limit,
                          rlx_usec_t now)
{
    rlx_wide_t backlog;

    if (limit->count == 0) {
        return state.hi != 0 || state.lo != 0 ? limit->burst : 0;
    }
    backlog = backlog_at(state, limit, now);
    return backlog != 0 ? limit->burst - units_left(backlog, limit) : 0;
}

/*
 * Without the charge TAT would be earlier by cost * T at the most, but less
 * where all had been worked off when a later charge came. TAT does not tell
 * whether that was so. But at no time can more of a charge have been worked
 * off than time has passed since: what is left of it then is given back, and
 * is the most that is right for every history with this TAT.
 */
static int gcra_give_back(rlx_state_t state, const rlx_limit_t *limit,
                          uint32_t cost, rlx_usec_t charged_at,
                          rlx_usec_t now, rlx_state_t *next)
{
    rlx_wide_t charged = rlx_wide_mul(cost, (uint64_t)limit->window_usec);
    rlx_wide_t passed;
    rlx_wide_t backlog;

    if (limit->count == 0 || charged_at > now) {
        return 0;
    }
    passed = rlx_wide_mul((uint64_t)(now - charged_at), limit->count);
    backlog = backlog_at(state, limit, now);
    /* Less backlog than that, and the charge is not in it: forgotten. */
    if (charged <= passed || backlog < charged - passed) {
        return 0;
    }
    *next = pack(backlog - (charged - passed), limit, now);
    return 1;
}

rlx_state_t rlx_gcra_state(const rlx_gcra_time_t *time)
{
    rlx_wide_t whole = ((rlx_wide_t)time->high << TIME_LOW_BITS) | time->low;
    rlx_wide_t tat = whole << TICK_BITS | time->ticks;
    rlx_state_t state = { (uint64_t)(tat >> LOW_BITS),
                          (uint64_t)tat & LOW_MASK };

    return state;
}

static rlx_gcra_time_t time_of(rlx_wide_t ticks, const rlx_limit_t *limit)
{
    rlx_wide_t whole = rlx_wide_div(ticks, limit->count);
    rlx_gcra_time_t time = {
        (uint64_t)(whole >> TIME_LOW_BITS),
        (uint64_t)whole & ((UINT64_C(1) << TIME_LOW_BITS) - 1),
        (uint32_t)(ticks - whole * limit->count)
    };

    return time;
}

rlx_gcra_time_t rlx_gcra_time_of(const rlx_limit_t *limit, uint32_t units)
{
    return time_of(rlx_wide_mul(units, (uint64_t)limit->window_usec), limit);
}

rlx_gcra_time_t rlx_gcra_longest(const rlx_limit_t *limit)
{
    return time_of(capacity(limit), limit);
}

const rlx_strategy_t rlx_gcra = { "gcra", gcra_charge, gcra_read,
                                  gcra_retry_at, gcra_used, gcra_give_back };
