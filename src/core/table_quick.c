/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The usual cases, with nothing in their way: a few counters that are in the
 * table already, in sets A or B, none of them a moving window. Whatever is
 * not as usual is left to table_decide.c.
 *
 * Fixed windows are worked out in place; what else there is, by its strategy.
 */

#include "core/quick_inside.h"

/* A counter that was found. */
typedef struct hit_t {
    /* NULL: it is nowhere, and it is not going to be charged. */
    rlx_slot_t *slot;
    rlx_word_t state;
    rlx_state_t next;
    int fits;
} hit_t;

static inline const rlx_strategy_t *strategy_of(const rlx_counter_t *counter)
{
    return rlx_strategies[counter->limit->strategy];
}

INLINE int charge(const call_t *call, const rlx_counter_t *counter,
                  rlx_state_t state, rlx_state_t *next)
{
    rlx_state_t after;
    int fits;

    if (counter->limit->strategy == RLX_FIXED_WINDOW) {
        return rlx_window_charge(state, counter->limit, counter->cost,
                                 call->now_rel, next);
    }
    fits = strategy_of(counter)->charge(state, counter->limit, counter->cost,
                                        call->now_rel, &after);
    *next = after;
    return fits;
}

INLINE void look(const call_t *call, const rlx_counter_t *counter,
                 rlx_state_t state, rlx_reading_t *reading)
{
    rlx_reading_t other;

    if (counter->limit->strategy == RLX_FIXED_WINDOW) {
        rlx_window_read(state, counter->limit, call->now_rel, reading);
        return;
    }
    strategy_of(counter)->read(state, counter->limit, call->now_rel, &other);
    *reading = other;
}

static inline int is_usual(const rlx_counter_t *counter)
{
    return counter->limit->strategy != RLX_MOVING_WINDOW
           && counter->limit->count != 0;
}

/*
 * What is not usual, but quick still. Apart, and without a look at what the
 * usual way has in registers.
 */

#define APART static __attribute__((noinline))

/* Not 0 if none of a set's keys is the one, or about to change. */
static int lacks(const rlx_header_t *header, const rlx_place_t *place,
                 int which)
{
    rlx_slot_t *slot =
        &hot_of(header)[rlx_place_set(header->sets, place, which)
                        * RLX_SET_SLOTS];
    int i;

    for (i = 0; i < RLX_SET_SLOTS; ++i) {
        if (rlx_half_load(&slot[i].key.hi) == place->key.hi
            || (rlx_half_load(&slot[i].key.lo) & RLX_WORD_TAG_MASK)
                   != RLX_WORD_VALUE) {
            return 0;
        }
    }
    return 1;
}

/* Not 0 if a counter that was not found is nowhere, for sure. */
APART int is_nowhere(const rlx_header_t *header, rlx_id_t id)
{
    rlx_place_t place = rlx_place_of(id);

    return !__atomic_load_n(&header->has_overflowed, __ATOMIC_SEQ_CST)
           && lacks(header, &place, 0) && lacks(header, &place, 1);
}

/* The facts of a named limit are what they should be. */
APART int is_up_to_date(const rlx_header_t *header,
                        const rlx_counter_t *counter, const rlx_slot_t *at)
{
    uint32_t slot = (uint32_t)(at - hot_of(header));
    rlx_cold_t *cold = (rlx_cold_t *)(void *)((unsigned char *)(uintptr_t)header
                                              + header->cold_at);
    rlx_word_t meta = rlx_word_read(
        &cold[slot / RLX_SET_SLOTS].meta[slot % RLX_SET_SLOTS]);
    rlx_state_t wanted =
        rlx_facts_pack(counter->limit, counter->limit->burst, 1);

    return !rlx_word_is_ref(meta)
           && rlx_state_equal(rlx_word_payload(meta), wanted);
}

/* A key that is not where it is put first: elsewhere in the sets A and B?
 * NULL if not. */
APART rlx_slot_t *search(const rlx_header_t *header, rlx_id_t id)
{
    rlx_place_t place = rlx_place_of(id);
    rlx_slot_t *hot = hot_of(header);
    rlx_found_t found;

    return rlx_find_quick(hot, header->sets, &place, &found)
               ? &hot[found.slot] : NULL;
}

/*
 * The usual way
 */

/* Find a counter's slot. 0 if that is unusual.
 * key_lo: the lower half of its key word as it was read goes there. */
INLINE int find(const call_t *call, const rlx_counter_t *counter, hit_t *hit,
                uint64_t *key_lo)
{
    rlx_place_t place = rlx_place_of(counter->id);

    hit->slot = first_slot(call, counter->id);
    if (!has_key(hit->slot, &place, key_lo)) {
        hit->slot = search(call->header, counter->id);
        if (!hit->slot) {
            hit->state.lo = 0;
            hit->state.hi = 0;
            return !is_charging(counter)
                   && is_nowhere(call->header, counter->id);
        }
        if (!has_key(hit->slot, &place, key_lo)) {
            return 0;
        }
    }
    return !counter->is_named
           || is_up_to_date(call->header, counter, hit->slot);
}

/* Read the state of a hit and decide on it. 0 if its key is another now. */
INLINE int weigh(const call_t *call, const rlx_counter_t *counter, hit_t *hit,
                 uint64_t key_lo)
{
    if (hit->slot) {
        hit->state = rlx_word_read(&hit->slot->state);
        if (rlx_word_is_ref(hit->state)
            || rlx_half_load(&hit->slot->key.lo) != key_lo) {
            return 0;
        }
    }
    hit->fits =
        charge(call, counter, rlx_word_payload(hit->state), &hit->next);
    return 1;
}

INLINE void tell(const call_t *call, const rlx_counter_t *counter,
                 const hit_t *hit, int is_charged, rlx_verdict_t *verdict)
{
    rlx_state_t state =
        is_charged ? hit->next : rlx_word_payload(hit->state);
    rlx_reading_t reading;

    verdict->has_room = hit->fits;
    verdict->charged = is_charged;
    verdict->retry_at = call->now;
    verdict->decided_at = call->now;
    if (!hit->fits) {
        verdict->retry_at = rlx_time_out(
            strategy_of(counter)->retry_at(state, counter->limit,
                                           counter->cost, call->now_rel),
            call->now_rel, call->now);
    }
    look(call, counter, state, &reading);
    verdict->remaining = reading.remaining;
    verdict->reset_at =
        rlx_time_out(reading.reset_at, call->now_rel, call->now);
}

static inline int is_changed(const hit_t *hit)
{
    return hit->slot
           && !rlx_state_equal(hit->next, rlx_word_payload(hit->state));
}

/* One counter: one compare-and-swap, or none. */
INLINE int decide_one(const call_t *call, const rlx_counter_t *counter,
                      rlx_verdict_t *verdict)
{
    uint64_t key_lo = 0;
    rlx_word_t seen;
    hit_t hit;

    if (!is_usual(counter) || counter->only_test
        || !find(call, counter, &hit, &key_lo)) {
        return 0;
    }
    do {
        if (!weigh(call, counter, &hit, key_lo)) {
            return 0;
        }
        if (!is_changed(&hit)) {
            break;
        }
        seen = hit.state;
    } while (!rlx_word_cas(&hit.slot->state, &seen,
                           rlx_word_next(seen, hit.next)));
    tell(call, counter, &hit, hit.fits && counter->cost != 0, verdict);
    return 1;
}

/* Find and decide one of several. 0 if anything is unusual. */
INLINE int weigh_one(const call_t *call, const rlx_counter_t *counter,
                     hit_t *hit)
{
    uint64_t key_lo = 0;

    return is_usual(counter) && find(call, counter, hit, &key_lo)
           && weigh(call, counter, hit, key_lo)
           && ((hit->fits && counter->cost != 0) || !is_changed(hit));
}

/* One of several has no room: look at all of them, and charge none. 0 if
 * anything is unusual, or all have room by now. */
APART int refuse_few(const rlx_table_t *table, const rlx_counter_t *counters,
                     int n, rlx_usec_t now, rlx_verdict_t *verdicts)
{
    const call_t call = begin(table, now);
    int refused = 0;
    hit_t hit = { 0 };
    int i;

    for (i = 0; i < n; ++i) {
        if (!weigh_one(&call, &counters[i], &hit)) {
            return 0;
        }
        refused |= !hit.fits;
        tell(&call, &counters[i], &hit, 0, &verdicts[i]);
    }
    return refused;
}

static inline void plan_charge(const call_t *call, const hit_t *hit,
                               rlx_mcas_change_t *change)
{
    change->at = at_of(call, hit->slot);
    change->old = hit->state;
    change->next = rlx_word_next(hit->state, hit->next);
}

/* A few counters of which all are charged, or none. Each is told at once as
 * if all had room, as they mostly have. */
INLINE int decide_few(const rlx_table_t *table, rlx_charge_e mode,
                      const rlx_counter_t *counters, int n, rlx_usec_t now,
                      rlx_verdict_t *verdicts)
{
    const call_t call = begin(table, now);
    rlx_mcas_change_t change[FEW_MAX];
    int changes = 0;
    int i;

    for (i = 0; i < n; ++i) {
        rlx_place_t place = rlx_place_of(counters[i].id);

        rlx_place_prefetch(call.hot, call.sets, &place);
    }
    for (i = 0; i < n; ++i) {
        int is_charged = is_charging(&counters[i]);
        hit_t hit;

        if (!weigh_one(&call, &counters[i], &hit)) {
            return 0;
        }
        if (!hit.fits) {
            return mode == RLX_CHARGE_ATOMIC
                   && refuse_few(table, counters, n, now, verdicts);
        }
        if (is_charged) {
            plan_charge(&call, &hit, &change[changes++]);
        }
        tell(&call, &counters[i], &hit, is_charged, &verdicts[i]);
    }
    return carry_out(call.header, change, changes);
}

void rlx_quick_one(const rlx_table_t *table, rlx_charge_e mode,
                   const rlx_counter_t *counter, int n, rlx_usec_t now,
                   rlx_verdict_t *verdict)
{
    const call_t call = begin(table, now);

    if (!decide_one(&call, counter, verdict)) {
        rlx_batch_decide(table, mode, 0, counter, n, now, verdict);
    }
}

void rlx_quick_few(const rlx_table_t *table, rlx_charge_e mode,
                   const rlx_counter_t *counters, int n, rlx_usec_t now,
                   rlx_verdict_t *verdicts)
{
    if (n > FEW_MAX
        || !decide_few(table, mode, counters, n, now, verdicts)) {
        rlx_batch_decide(table, mode, 0, counters, n, now, verdicts);
    }
}
