/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The shortest way, which most requests go: fixed windows that are charged,
 * each in the slot where its key is put first. Nothing is called until all is
 * known, so a compiler can keep everything in registers: that halves it.
 * Whatever else there is, a quicker neighbour too, is left to table_quick.c,
 * which begins anew.
 */

#include "core/quick_inside.h"

static inline int is_plain(const rlx_counter_t *counter)
{
    return counter->limit->strategy == RLX_FIXED_WINDOW
           && is_charging(counter) && !counter->is_named;
}

/* Not 0 if the clock is one that the table can hold: then its own time and
 * the wall clock's differ by the epoch, and nothing overflows. */
INLINE int begin_plain(const rlx_table_t *table, rlx_usec_t now, call_t *call)
{
    const rlx_header_t *header = rlx_header(table);

    call->header = header;
    call->hot = hot_of(header);
    call->sets = header->sets;
    call->now = now;
    call->now_rel = now - header->epoch;
    return (uint64_t)call->now_rel - 1 < RLX_REL_MAX;
}

/* Read the state of a counter that is in this slot. 0 if it is not. */
INLINE int read_plain(const rlx_counter_t *counter, rlx_slot_t *slot,
                      rlx_word_t *state)
{
    rlx_place_t place = rlx_place_of(counter->id);
    uint64_t key_lo;

    if (!has_key(slot, &place, &key_lo)) {
        return 0;
    }
    *state = rlx_word_read(&slot->state);
    return !rlx_word_is_ref(*state)
           && rlx_half_load(&slot->key.lo) == key_lo;
}

INLINE int has_room(const rlx_counter_t *counter, rlx_window_t w)
{
    return (uint64_t)w.charged + counter->cost <= counter->limit->count;
}

/* Charge a window that has room, and tell what is left. One that is charged is
 * open, so there is less to ask than in fixed_inside.h. */
INLINE rlx_word_t charge_window(const call_t *call,
                                const rlx_counter_t *counter, rlx_word_t seen,
                                rlx_window_t w, rlx_verdict_t *verdict)
{
    rlx_state_t next;

    w.charged += counter->cost;
    w.start = w.start != 0 ? w.start : call->now_rel;
    next.hi = (uint64_t)w.start;
    next.lo = w.charged;
    verdict->has_room = 1;
    verdict->charged = 1;
    verdict->remaining = counter->limit->count - w.charged;
    verdict->reset_at =
        w.start + counter->limit->window_usec + call->header->epoch;
    verdict->retry_at = call->now;
    verdict->decided_at = call->now;
    return rlx_word_next(seen, next);
}

/* Tell of a window without room. 0 if it never has any, or the clock stepped
 * back. */
INLINE int refuse_window(const call_t *call, const rlx_counter_t *counter,
                         rlx_word_t seen, rlx_window_t w,
                         rlx_verdict_t *verdict)
{
    if (counter->cost > counter->limit->count
        || w.start != (rlx_usec_t)seen.hi) {
        return 0;
    }
    verdict->has_room = 0;
    verdict->charged = 0;
    verdict->remaining = counter->limit->count > w.charged
                             ? counter->limit->count - w.charged : 0;
    verdict->reset_at =
        w.start + counter->limit->window_usec + call->header->epoch;
    verdict->retry_at = verdict->reset_at;
    verdict->decided_at = call->now;
    return 1;
}

/* 0 if it is not for this way. */
INLINE int plain_one(const rlx_table_t *table, const rlx_counter_t *counter,
                     rlx_usec_t now, rlx_verdict_t *verdict)
{
    rlx_slot_t *slot;
    rlx_word_t seen;
    rlx_window_t w;
    call_t call;

    if (!begin_plain(table, now, &call)) {
        return 0;
    }
    slot = first_slot(&call, counter->id);
    if (!read_plain(counter, slot, &seen)) {
        return 0;
    }
    w = rlx_window_at(rlx_word_payload(seen), counter->limit, call.now_rel);
    return has_room(counter, w)
               ? rlx_word_cas(&slot->state, &seen,
                              charge_window(&call, counter, seen, w, verdict))
               : refuse_window(&call, counter, seen, w, verdict);
}

/* The slot whose state a step finds there. */
INLINE rlx_slot_t *slot_at(const call_t *call, uint64_t at)
{
    return (rlx_slot_t *)(void *)((unsigned char *)(uintptr_t)call->header + at
                                  - offsetof(rlx_slot_t, state));
}

/* 0 if one of them is not for this way. */
INLINE int plain_few(const rlx_table_t *table, const rlx_counter_t *counters,
                     int n, rlx_usec_t now, rlx_verdict_t *verdicts)
{
    rlx_mcas_change_t change[FEW_MAX];
    call_t call;
    int i;

    if (!begin_plain(table, now, &call)) {
        return 0;
    }
    /* First all places: the processor may fetch their lines at once. */
    for (i = 0; i < n; ++i) {
        rlx_slot_t *slot = first_slot(&call, counters[i].id);

        __builtin_prefetch(slot, 1);
        change[i].at = at_of(&call, slot);
    }
    for (i = 0; i < n; ++i) {
        rlx_slot_t *slot = slot_at(&call, change[i].at);
        rlx_word_t seen;
        rlx_window_t w;

        if (!is_plain(&counters[i])
            || !read_plain(&counters[i], slot, &seen)) {
            return 0;
        }
        w = rlx_window_at(rlx_word_payload(seen), counters[i].limit,
                          call.now_rel);
        if (!has_room(&counters[i], w)) {
            return 0;
        }
        change[i].old = seen;
        change[i].next = charge_window(&call, &counters[i], seen, w,
                                       &verdicts[i]);
    }
    return carry_out(call.header, change, n);
}

/* Apart from rlx_table_decide(), which then needs no register of its own. */
static __attribute__((noinline)) void
decide_plain(const rlx_table_t *table, rlx_charge_e mode,
             const rlx_counter_t *counter, int n, rlx_usec_t now,
             rlx_verdict_t *verdict)
{
    if (!plain_one(table, counter, now, verdict)) {
        rlx_quick_one(table, mode, counter, n, now, verdict);
    }
}

static __attribute__((noinline)) void
decide_more(const rlx_table_t *table, rlx_charge_e mode,
            const rlx_counter_t *counters, int n, rlx_usec_t now,
            rlx_verdict_t *verdicts)
{
    if (n > FEW_MAX || !plain_few(table, counters, n, now, verdicts)) {
        rlx_quick_few(table, mode, counters, n, now, verdicts);
    }
}

/* All have the same arguments: this is a jump. */
void rlx_table_decide(const rlx_table_t *table, rlx_charge_e mode,
                      const rlx_counter_t *counters, int n, rlx_usec_t now,
                      rlx_verdict_t *verdicts)
{
    if (n != 1) {
        decide_more(table, mode, counters, n, now, verdicts);
    }
    else if (is_plain(counters)) {
        decide_plain(table, mode, counters, n, now, verdicts);
    }
    else {
        rlx_quick_one(table, mode, counters, n, now, verdicts);
    }
}
