/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Fuzz target: any state of a counter, as a storage that others write to may
 * tell it, under any limit at any time. Nothing overflows, what is told of it
 * is within the limit, and time after time it comes free.
 */

#include "fuzz.h"

/* From the input: a limit that a configuration can have. */
static rlx_limit_t limit_of(input_t *in)
{
    static const rlx_strategy_e strategies[] = {
        RLX_FIXED_WINDOW, RLX_SLIDING_WINDOW_COUNTER, RLX_GCRA
    };
    rlx_limit_t limit = { 0 };

    limit.strategy = strategies[take(in, 1) % 3];
    limit.count = (uint32_t)take(in, 4) & RLX_COUNT_MAX;
    limit.burst = limit.strategy == RLX_GCRA
                  ? (uint32_t)take(in, 4) & RLX_COUNT_MAX : limit.count;
    limit.count += limit.count == 0;
    limit.burst += limit.burst == 0;
    limit.window_usec = (rlx_usec_t)(take(in, 4) % UINT64_C(3110400000) + 1)
                        * 1000000;
    return limit;
}

static rlx_usec_t time_of(input_t *in)
{
    return (rlx_usec_t)(take(in, 7) % (uint64_t)RLX_REL_MAX) + 1;
}

/* What is told of a state at a time. */
static void look(rlx_state_t state, const rlx_limit_t *limit, rlx_usec_t now)
{
    const rlx_strategy_t *strategy = rlx_strategies[limit->strategy];
    uint32_t most = limit->strategy == RLX_GCRA ? limit->burst : limit->count;
    rlx_reading_t reading;

    strategy->read(state, limit, now, &reading);
    must(reading.remaining <= most, "no more remains than there is");
    must(reading.reset_at >= now, "it resets now or later");
    strategy->used(state, limit, now);
}

static void charge(rlx_state_t state, const rlx_limit_t *limit, uint32_t cost,
                   rlx_usec_t now, rlx_state_t *next)
{
    const rlx_strategy_t *strategy = rlx_strategies[limit->strategy];
    rlx_usec_t retry_at = strategy->retry_at(state, limit, cost, now);
    rlx_state_t back = { 0, 0 }, later;
    int fits = strategy->charge(state, limit, cost, now, next);

    must(retry_at >= now, "room comes back now or later");
    must((retry_at == now) == (fits != 0), "and is there now if it fits");
    must(next->lo >> 48 == 0, "a state fits a word");
    if (retry_at <= RLX_REL_MAX) {
        /* A clock that had stepped back is settled by what was written. */
        must(strategy->charge(fits ? state : *next, limit, cost, retry_at,
                              &later), "there is room when it was said");
    }
    if (fits && strategy->give_back(*next, limit, cost, now, now, &back)) {
        must(back.lo >> 48 == 0, "a state fits a word");
        look(back, limit, now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_t in = { data, size };
    rlx_limit_t limit = limit_of(&in);
    rlx_state_t state, next;
    rlx_usec_t now;

    state.hi = take(&in, 8);
    state.lo = take(&in, 6);
    if (limit.strategy == RLX_FIXED_WINDOW && state.hi > RLX_REL_MAX) {
        return 0;
    }
    do {
        uint32_t cost = (uint32_t)take(&in, 4) & RLX_COUNT_MAX;

        now = time_of(&in);
        look(state, &limit, now);
        charge(state, &limit, cost, now, &next);
        look(next, &limit, now);
        state = next;
    } while (in.left);
    return 0;
}
