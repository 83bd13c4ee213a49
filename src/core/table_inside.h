/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  table_inside.h
 * @brief What the parts of the table know of each other: where slots lie,
 *        what their words hold, and plans, which gather the changes of one
 *        atomic step. Only table*.c and moving_window.c include this.
 */

#ifndef RLX_CORE_TABLE_INSIDE_H
#define RLX_CORE_TABLE_INSIDE_H

#include "core/mcas.h"
#include "core/strategy.h"
#include "core/table.h"
#include "core/word.h"

/** Slots in a set. */
#define RLX_SET_SLOTS 8

/** Sets that a key may lie in: A, B and, where A has overflowed, C and D. */
#define RLX_SETS_USUAL 2
#define RLX_SETS_ALL   4

/** A slot's number has 30 bits: it fits the key of a piece of a log. */
#define RLX_SLOT_BITS 30
#define RLX_SLOTS_MAX (UINT64_C(1) << RLX_SLOT_BITS)

/** No slot. */
#define RLX_SLOT_NONE UINT32_MAX

/** The hot part of a slot: two of them share a cache line. */
typedef struct rlx_slot_t {
    rlx_word_t key;
    rlx_word_t state;
} rlx_slot_t;

/** The cold part of a set, looked at only when a key is inserted: its
 *  version, and the facts of its slots. */
typedef struct rlx_cold_t {
    rlx_word_t version;
    rlx_word_t meta[RLX_SET_SLOTS];
} rlx_cold_t;

/** What stands at the beginning of the block. Constant after the format, but
 *  for one flag. */
typedef struct rlx_header_t {
    uint64_t magic;
    uint64_t bytes;
    /** What the times inside are relative to: wall clock, microseconds. */
    rlx_usec_t epoch;
    uint64_t sets;
    uint64_t hot_at;
    uint64_t cold_at;
    uint64_t mcas_at;
    uint32_t smalls;
    uint32_t larges;
    uint64_t log_max;
    rlx_secret_t secret;
    /** Not 0: some key has ever been put into a set C or D. */
    uint64_t has_overflowed;
} rlx_header_t;

/** The same, ready for use by one call. */
typedef struct rlx_inside_t {
    rlx_slot_t *hot;
    rlx_cold_t *cold;
    uint64_t sets;
    rlx_mcas_t mcas;
    uint64_t *has_overflowed;
    uint32_t log_max;
    rlx_secret_t secret;
} rlx_inside_t;

/** See rlx_inside_t. */
rlx_inside_t rlx_inside(const rlx_table_t *table);

/** The header of a table. */
static inline const rlx_header_t *rlx_header(const rlx_table_t *table)
{
    return (const rlx_header_t *)(const void *)table->base;
}

/** Wall clock to the table's own time, 1 to RLX_REL_MAX. */
static inline rlx_usec_t rlx_time_in(const rlx_header_t *header,
                                     rlx_usec_t now)
{
    rlx_usec_t rel = now - header->epoch;

    return rel < 1 ? 1 : rel > RLX_REL_MAX ? RLX_REL_MAX : rel;
}

/** The table's own time to wall clock. `now_rel` and `now` are one instant in
 *  both, so that a clock outside of what the table can hold does no harm. */
static inline rlx_usec_t rlx_time_out(rlx_usec_t rel, rlx_usec_t now_rel,
                                      rlx_usec_t now)
{
    return rel >= RLX_NEVER - now ? RLX_NEVER : rel - now_rel + now;
}

/** A slot by its number. */
static inline rlx_slot_t *rlx_slot(const rlx_inside_t *in, uint32_t slot)
{
    return &in->hot[slot];
}

/** The facts of a slot. */
static inline rlx_word_t *rlx_slot_meta(const rlx_inside_t *in, uint32_t slot)
{
    return &in->cold[slot / RLX_SET_SLOTS].meta[slot % RLX_SET_SLOTS];
}

/** How many slots there are. */
static inline uint32_t rlx_slots(const rlx_inside_t *in)
{
    return (uint32_t)(in->sets * RLX_SET_SLOTS);
}

/** Read a word of the table; see rlx_mcas_read(). */
static inline rlx_word_t rlx_inside_read(const rlx_inside_t *in,
                                         rlx_word_t *at)
{
    rlx_word_t word = rlx_word_read(at);

    return rlx_word_is_ref(word) ? rlx_mcas_read(&in->mcas, at) : word;
}

/** The change of a word to a value with this payload. */
static inline rlx_mcas_change_t rlx_change(const rlx_inside_t *in,
                                           rlx_word_t *word, rlx_word_t old,
                                           rlx_state_t payload)
{
    rlx_mcas_change_t change;

    change.at = (uint64_t)((unsigned char *)word - in->mcas.base);
    change.old = old;
    change.next = rlx_word_next(old, payload);
    return change;
}

/* --- keys -------------------------------------------------------------- */

/*
 * A key word holds 111 bits of the counter's id; the other 17 pick set A, so
 * in a table of 2^17 sets or more every bit counts. The last bit of the
 * payload tells a piece of a log from a counter; see moving_window.c. All
 * bits zero: the slot is empty.
 */
#define RLX_KEY_ID_BITS 47
#define RLX_KEY_ID_MASK ((UINT64_C(1) << RLX_KEY_ID_BITS) - 1)
#define RLX_KEY_PIECE   (UINT64_C(1) << RLX_KEY_ID_BITS)

/** Where a key is to be looked for. */
typedef struct rlx_place_t {
    /** The key word's payload. */
    rlx_state_t key;
    /** What the sets are picked with. */
    rlx_id_t id;
} rlx_place_t;

/** The place of a counter. */
static inline rlx_place_t rlx_place_of(rlx_id_t id)
{
    rlx_place_t place;

    place.id = id;
    place.key.lo = id.word[0] & RLX_KEY_ID_MASK;
    place.key.hi = id.word[1];
    if (rlx_state_is_zero(place.key)) {
        place.key.hi = 1;
    }
    return place;
}

/** The high half of a product: maps any number evenly to 0 .. sets - 1. */
static inline uint32_t rlx_reduce(uint64_t x, uint64_t sets)
{
    __extension__ typedef unsigned __int128 wide_t;

    return (uint32_t)(((wide_t)x * sets) >> 64);
}

/** The set A (0), B, C or D (3) of a place in a table of so many sets. */
static inline uint32_t rlx_place_set(uint64_t sets, const rlx_place_t *place,
                                     int which)
{
    uint64_t a = place->id.word[0];
    uint64_t b = place->id.word[1];

    switch (which) {
    case 0:
        return rlx_reduce(a, sets);
    case 1:
        return rlx_reduce(b, sets);
    case 2:
        return rlx_reduce((a ^ (b >> 32)) * UINT64_C(0x9e3779b97f4a7c15),
                          sets);
    default:
        return rlx_reduce((b ^ (a >> 32)) * UINT64_C(0xbf58476d1ce4e5b9),
                          sets);
    }
}

/** The slot of a set that a key is put first and looked for first. */
static inline uint32_t rlx_place_first(const rlx_place_t *place)
{
    return (uint32_t)place->id.word[1] & (RLX_SET_SLOTS - 2);
}

/** Fetch the cache line that a key most likely is in, to be written to. */
static inline void rlx_place_prefetch(const rlx_slot_t *hot, uint64_t sets,
                                      const rlx_place_t *place)
{
    uint32_t slot = rlx_place_set(sets, place, 0) * RLX_SET_SLOTS
                    + rlx_place_first(place);

    __builtin_prefetch(&hot[slot], 1);
}

/** Not 0 if a key word (not a reference) is that of a place. */
static inline int rlx_key_is(rlx_word_t key, const rlx_place_t *place)
{
    return key.hi == place->key.hi
           && (key.lo & ~RLX_WORD_GEN_MASK)
                  == place->key.lo << RLX_WORD_LOW_SHIFT;
}

/** Not 0 if a slot with this key word holds nothing. */
static inline int rlx_key_is_empty(rlx_word_t key)
{
    return rlx_state_is_zero(rlx_word_payload(key));
}

/** Not 0 if a slot with this key word holds a piece of a log. */
static inline int rlx_key_is_piece(rlx_word_t key)
{
    return (rlx_word_payload(key).lo & RLX_KEY_PIECE) != 0;
}

/* --- facts ------------------------------------------------------------- */

/** The facts of a counter as its meta word holds them. For a moving window
 *  burst is the capacity of its ring of entries. */
typedef struct rlx_facts_t {
    rlx_limit_t limit;
    int is_named;
} rlx_facts_t;

/** Pack the facts of a counter. */
rlx_state_t rlx_facts_pack(const rlx_limit_t *limit, uint32_t burst,
                           int is_named);

/** Unpack them; the limit's text is left undefined. */
void rlx_facts_unpack(rlx_state_t payload, rlx_facts_t *facts);

/* --- plans ------------------------------------------------------------- */

/** What a plan may need for each counter of a batch. A new moving window
 *  takes the most: two versions, and three words each of the head and of a
 *  piece, and the states of two logs that lose a piece. */
#define RLX_PLAN_STEPS_EACH 10
#define RLX_PLAN_PINS_EACH  8

/** The changes of one atomic step, and the slots that it relies on. */
typedef struct rlx_plan_t {
    /** Arrays of the caller, and how long they are. */
    rlx_mcas_change_t *step;
    int steps_max;
    uint32_t *pin;
    int pins_max;
    int steps;
    int pins;
    /** Live counters that lose their places by it. */
    uint32_t evictions;
    /** Not 0: it cannot be carried out; RLX_PLAN_STALE and _CROWDED. */
    int spoilt;
} rlx_plan_t;

/** Something has changed: begin anew with fresh readings. */
#define RLX_PLAN_STALE   1
/** There is no slot that the batch itself does not need. */
#define RLX_PLAN_CROWDED 2

/** Begin a plan anew. */
static inline void rlx_plan_begin(rlx_plan_t *plan)
{
    plan->steps = 0;
    plan->pins = 0;
    plan->evictions = 0;
    plan->spoilt = 0;
}

/** Add a change: at `word`, old becomes a value with this payload. */
void rlx_plan_add(const rlx_inside_t *in, rlx_plan_t *plan, rlx_word_t *word,
                  rlx_word_t old, rlx_state_t payload);

/** The same for a word that cannot be in the plan yet. */
static inline void rlx_plan_append(const rlx_inside_t *in, rlx_plan_t *plan,
                                   rlx_word_t *word, rlx_word_t old,
                                   rlx_state_t payload)
{
    if (plan->steps == plan->steps_max) {
        plan->spoilt |= RLX_PLAN_CROWDED;
        return;
    }
    plan->step[plan->steps++] = rlx_change(in, word, old, payload);
}

/** Keep a slot from being chosen to make room. */
void rlx_plan_pin(rlx_plan_t *plan, uint32_t slot);

/** Not 0 if the slot is pinned. */
int rlx_plan_has_pin(const rlx_plan_t *plan, uint32_t slot);

/** Carry it out. Not 0 if that was done. An empty plan is always done. */
int rlx_plan_commit(const rlx_inside_t *in, rlx_plan_t *plan);

/* --- finding and placing (table_place.c) ------------------------------- */

/** A slot and its key word as it was read. */
typedef struct rlx_found_t {
    uint32_t slot;
    rlx_word_t key;
} rlx_found_t;

/** The quick look into one set, without regard to steps under way: may miss
 *  a key that is there. The halves of the key word need not be of one
 *  instant: it is compared again after the state was read. Not 0 if found. */
static inline int rlx_find_in_set(rlx_slot_t *hot, uint32_t set,
                                  const rlx_place_t *place,
                                  rlx_found_t *found)
{
    uint32_t first = rlx_place_first(place);
    uint32_t i;

    for (i = 0; i < RLX_SET_SLOTS; ++i) {
        uint32_t slot = set * RLX_SET_SLOTS
                        + ((first + i) & (RLX_SET_SLOTS - 1));
        rlx_word_t *key = &hot[slot].key;

        if (rlx_half_load(&key->hi) == place->key.hi) {
            found->slot = slot;
            found->key.hi = place->key.hi;
            found->key.lo = rlx_half_load(&key->lo);
            if (rlx_key_is(found->key, place)) {
                return 1;
            }
        }
    }
    return 0;
}

/** The quick look into the sets A and B. */
static inline int rlx_find_quick(rlx_slot_t *hot, uint64_t sets,
                                 const rlx_place_t *place, rlx_found_t *found)
{
    return rlx_find_in_set(hot, rlx_place_set(sets, place, 0), place, found)
           || rlx_find_in_set(hot, rlx_place_set(sets, place, 1), place,
                              found);
}

/**
 * The whole search.
 * @param version the version of set A, read before: a key that was not found
 *                is not there as long as that has not changed
 * @return not 0 if found
 */
int rlx_find(const rlx_inside_t *in, const rlx_place_t *place,
             rlx_word_t *version, rlx_found_t *found);

/** The words of a slot as they were read. */
typedef struct rlx_room_t {
    uint32_t slot;
    rlx_word_t key;
    rlx_word_t state;
    rlx_word_t meta;
} rlx_room_t;

/** Read a slot, its words as they stand at one instant. */
void rlx_room_read(const rlx_inside_t *in, uint32_t slot, rlx_room_t *room);

/**
 * Choose a slot for a key that was not found and plan to empty it: the
 * version of set A and what depends on the slot go into the plan, the words
 * of the slot itself are left to rlx_room_fill().
 * @param version from rlx_find()
 * @return not 0 if there is one; 0 only if every candidate is pinned
 */
int rlx_room_make(const rlx_inside_t *in, const rlx_place_t *place,
                  rlx_word_t version, rlx_usec_t now, rlx_plan_t *plan,
                  rlx_room_t *room);

/** Plan to put a key into the room made. */
void rlx_room_fill(const rlx_inside_t *in, const rlx_place_t *place,
                   const rlx_room_t *room, rlx_state_t state,
                   rlx_state_t meta, rlx_plan_t *plan);

/** What a slot is worth; see docs/shared-table.md. Larger is worth more. */
typedef uint64_t rlx_worth_t;

#define RLX_WORTH_NOTHING  UINT64_C(0)
#define RLX_WORTH_LIVE     (UINT64_C(1) << 62)
#define RLX_WORTH_AT_LIMIT (UINT64_C(2) << 62)

/** Not 0 if a counter of this state does matter at `now`. */
int rlx_counter_is_live(const rlx_inside_t *in, rlx_state_t state,
                        const rlx_facts_t *facts, rlx_usec_t now);

/** What a counter is worth. */
rlx_worth_t rlx_counter_worth(const rlx_inside_t *in, rlx_state_t state,
                              const rlx_facts_t *facts, rlx_usec_t now);

/**
 * The worth of a counter.
 * @param used    units in use, of `most`
 * @param release when they are forgotten
 * @param life    how long before that they were charged, if all at once
 */
rlx_worth_t rlx_worth(uint32_t used, uint32_t most, rlx_usec_t release,
                      rlx_usec_t life, rlx_usec_t now);

/* --- deciding (table_decide.c) ----------------------------------------- */

/**
 * Decide a batch, whatever is in it.
 * @param is_look not 0: only say what would become of it
 */
void rlx_batch_decide(const rlx_table_t *table, rlx_charge_e mode,
                      int is_look, const rlx_counter_t *counters, int n,
                      rlx_usec_t now, rlx_verdict_t *verdicts);

#endif /* RLX_CORE_TABLE_INSIDE_H */
