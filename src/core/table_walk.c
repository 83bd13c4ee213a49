/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Walks over the whole table: figures, forgetting everything, and the check
 * of all invariants.
 */

#include <stdio.h>
#include <stdlib.h>

#include "core/moving_window.h"
#include "core/table.h"
#include "core/table_inside.h"

#define WHY_BYTES 256

void rlx_table_forget_all(const rlx_table_t *table)
{
    static const rlx_state_t nothing = { 0, 0 };
    rlx_inside_t in = rlx_inside(table);
    uint32_t slots = rlx_slots(&in);
    rlx_word_t state;
    rlx_word_t key;
    uint32_t slot;

    for (slot = 0; slot < slots; ++slot) {
        do {
            state = rlx_inside_read(&in, &in.hot[slot].state);
            key = rlx_inside_read(&in, &in.hot[slot].key);
            /* The pieces of a log go with their head. */
        } while (!rlx_key_is_empty(key) && !rlx_key_is_piece(key)
                 && !rlx_word_cas(&in.hot[slot].state, &state,
                                  rlx_word_next(state, nothing)));
    }
}

static void count_slot(const rlx_inside_t *in, uint32_t slot, rlx_usec_t now,
                       rlx_table_figures_t *figures)
{
    rlx_facts_t facts;
    rlx_piece_t piece;
    rlx_room_t room;

    rlx_room_read(in, slot, &room);
    if (rlx_key_is_empty(room.key)) {
        return;
    }
    if (rlx_key_is_piece(room.key)) {
        figures->log_used += rlx_moving_piece(in, room.key, now, &piece) != 0;
        return;
    }
    rlx_facts_unpack(rlx_word_payload(room.meta), &facts);
    figures->used += !rlx_state_is_zero(rlx_word_payload(room.state))
                     && rlx_counter_is_live(in, rlx_word_payload(room.state),
                                            &facts, now);
}

void rlx_table_figures(const rlx_table_t *table, rlx_usec_t now,
                       rlx_table_figures_t *figures)
{
    rlx_inside_t in = rlx_inside(table);
    rlx_usec_t now_rel = rlx_time_in(rlx_header(table), now);
    uint32_t slots = rlx_slots(&in);
    uint32_t slot;

    figures->slots = slots;
    figures->used = 0;
    figures->log_used = 0;
    figures->evictions = rlx_mcas_tally(&in.mcas);
    for (slot = 0; slot < slots; ++slot) {
        count_slot(&in, slot, now_rel, figures);
    }
}

/* --- validate ---------------------------------------------------------- */

static int complain(char *why, uint32_t slot, const char *what)
{
    snprintf(why, WHY_BYTES, "slot %lu: %s", (unsigned long)slot, what);
    return -1;
}

/* How full a counter is, wherever its window may be: the most that its state
 * tells at any time. 0 if that is within the limit. */
static int is_over(const rlx_state_t state, const rlx_limit_t *limit)
{
    const rlx_strategy_t *strategy = rlx_strategies[limit->strategy];
    uint32_t most = limit->strategy == RLX_GCRA ? limit->burst : limit->count;

    /* At time 1 a window counts as begun now, with all that is in it. */
    return strategy->used(state, limit, 1) > most
           && limit->strategy != RLX_SLIDING_WINDOW_COUNTER;
}

static const char *check_counter(const rlx_inside_t *in,
                                 const rlx_room_t *room)
{
    rlx_state_t state = rlx_word_payload(room->state);
    rlx_facts_t facts;
    rlx_log_t log;

    rlx_facts_unpack(rlx_word_payload(room->meta), &facts);
    if (facts.limit.count == 0 || facts.limit.window_usec <= 0) {
        return "a counter without a limit";
    }
    if (facts.limit.strategy == RLX_MOVING_WINDOW) {
        log.head = room->slot;
        log.head_key = rlx_word_payload(room->key);
        log.state = room->state;
        log.capacity = facts.limit.burst;
        if (log.capacity == 0 || log.capacity % 4 != 0) {
            return "a log of no good capacity";
        }
        if (!facts.is_named
            && rlx_ring_unpack(state).sum > facts.limit.count) {
            return "a log with more units than its limit";
        }
        return rlx_moving_check(in, &log);
    }
    if (!facts.is_named && is_over(state, &facts.limit)) {
        return "a counter with more units than its limit";
    }
    return NULL;
}

static const char *check_slot(const rlx_inside_t *in, uint32_t slot)
{
    rlx_slot_t *hot = rlx_slot(in, slot);
    rlx_room_t room;

    if (rlx_word_is_ref(rlx_word_read(&hot->key))
        || rlx_word_is_ref(rlx_word_read(&hot->state))
        || rlx_word_is_ref(rlx_word_read(rlx_slot_meta(in, slot)))) {
        return "a step half done";
    }
    rlx_room_read(in, slot, &room);
    if (rlx_key_is_empty(room.key) || rlx_key_is_piece(room.key)) {
        return NULL;
    }
    return check_counter(in, &room);
}

/* A key and where it lies. */
typedef struct kept_t {
    rlx_state_t key;
    uint32_t slot;
} kept_t;

static int compare_kept(const void *a, const void *b)
{
    const kept_t *x = (const kept_t *)a;
    const kept_t *y = (const kept_t *)b;

    if (x->key.hi != y->key.hi) {
        return x->key.hi < y->key.hi ? -1 : 1;
    }
    return x->key.lo < y->key.lo ? -1 : x->key.lo > y->key.lo;
}

static int check_doubles(const rlx_inside_t *in, kept_t *kept, char *why)
{
    uint32_t slots = rlx_slots(in);
    uint32_t n = 0;
    uint32_t i;

    for (i = 0; i < slots; ++i) {
        rlx_word_t key = rlx_inside_read(in, &in->hot[i].key);

        if (!rlx_key_is_empty(key)) {
            kept[n].key = rlx_word_payload(key);
            kept[n++].slot = i;
        }
    }
    qsort(kept, n, sizeof(*kept), compare_kept);
    for (i = 1; i < n; ++i) {
        if (compare_kept(&kept[i - 1], &kept[i]) == 0) {
            return complain(why, kept[i].slot, "a key that is there twice");
        }
    }
    return 0;
}

int rlx_table_validate(const rlx_table_t *table, char *why)
{
    rlx_inside_t in = rlx_inside(table);
    uint32_t slots = rlx_slots(&in);
    const char *what;
    kept_t *kept;
    uint32_t slot;
    int status;

    if (rlx_mcas_reclaim(&in.mcas) != 0) {
        return complain(why, 0, "somebody is working on the table");
    }
    for (slot = 0; slot < slots; ++slot) {
        what = check_slot(&in, slot);
        if (what) {
            return complain(why, slot, what);
        }
    }
    kept = (kept_t *)malloc(slots * sizeof(*kept));
    if (!kept) {
        return complain(why, 0, "no memory for the check");
    }
    status = check_doubles(&in, kept, why);
    free(kept);
    return status;
}
