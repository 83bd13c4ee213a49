/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The breaker's state is one word, changed by compare-and-swap alone:
 *
 *     63                          3 2    0
 *     | time of the next probe, us | step |
 *
 * Step 0 is closed, and then the whole word is 0. Step 1 to 6 is how long the
 * wait is: 1, 2, 4 ... 32 seconds. A ticket is the word as its holder left it,
 * so who comes late with his news, after others have acted, changes nothing.
 */

#include "core/breaker.h"

#define STEP_BITS 3
#define STEP_MASK UINT64_C(7)
#define STEP_MAX  6
#define SECOND    ((rlx_usec_t)1000000)

static inline uint64_t step_of(uint64_t state)
{
    return state & STEP_MASK;
}

static inline rlx_usec_t probe_at(uint64_t state)
{
    return (rlx_usec_t)(state >> STEP_BITS);
}

/** The state in which the wait of a step begins now. */
static inline uint64_t wait_from(rlx_usec_t now, uint64_t step)
{
    rlx_usec_t at = now + (SECOND << (step - 1));

    return (uint64_t)at << STEP_BITS | step;
}

static int change(rlx_breaker_t *breaker, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(&breaker->state, &from, to, 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/** Not 0 if nobody need wait for a probe any longer. A time that is further
 *  off than any wait is from before the clock stepped back. */
static int is_due(uint64_t state, rlx_usec_t now)
{
    return probe_at(state) <= now
           || probe_at(state) - now > RLX_BREAKER_WAIT_MAX_USEC;
}

int rlx_breaker_may_ask(rlx_breaker_t *breaker, rlx_usec_t now,
                        rlx_breaker_ticket_t *ticket)
{
    uint64_t state = __atomic_load_n(&breaker->state, __ATOMIC_ACQUIRE);

    *ticket = 0;
    if (!state) {
        return 1;
    }
    if (!is_due(state, now)) {
        return 0;
    }
    *ticket = wait_from(now, step_of(state));
    return change(breaker, state, *ticket);
}

rlx_breaker_change_e rlx_breaker_answered(rlx_breaker_t *breaker,
                                          rlx_breaker_ticket_t ticket,
                                          rlx_usec_t now,
                                          rlx_usec_t *down_usec)
{
    rlx_usec_t since;

    if (!ticket) {
        return RLX_BREAKER_SAME;
    }
    since = rlx_breaker_down_since(breaker);
    if (!change(breaker, ticket, 0)) {
        return RLX_BREAKER_SAME;
    }
    *down_usec = since && since < now ? now - since : 0;
    return RLX_BREAKER_CLOSED;
}

rlx_breaker_change_e rlx_breaker_failed(rlx_breaker_t *breaker,
                                        rlx_breaker_ticket_t ticket,
                                        rlx_usec_t now)
{
    uint64_t step = step_of(ticket) < STEP_MAX ? step_of(ticket) + 1
                                               : STEP_MAX;

    if (!change(breaker, ticket, wait_from(now, step))) {
        return RLX_BREAKER_SAME;
    }
    if (ticket) {
        return RLX_BREAKER_STAYS_OPEN;
    }
    __atomic_store_n(&breaker->down_since, now, __ATOMIC_RELEASE);
    return RLX_BREAKER_OPENED;
}

rlx_usec_t rlx_breaker_retry_at(const rlx_breaker_t *breaker, rlx_usec_t now)
{
    uint64_t state = __atomic_load_n(&breaker->state, __ATOMIC_ACQUIRE);

    return !state || is_due(state, now) ? now : probe_at(state);
}

rlx_usec_t rlx_breaker_down_since(const rlx_breaker_t *breaker)
{
    return __atomic_load_n(&breaker->state, __ATOMIC_ACQUIRE)
           ? __atomic_load_n(&breaker->down_since, __ATOMIC_ACQUIRE) : 0;
}
