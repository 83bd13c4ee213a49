/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  quick_inside.h
 * @brief What the quick ways of the table have in common. Only table_plain.c
 *        and table_quick.c include this.
 *
 * The key of a slot is looked at before and after its state is read, so the
 * state is its own; and as the state changes whenever the key does, a
 * compare-and-swap of it that succeeds proves that the key is the same still.
 */

#ifndef RLX_CORE_QUICK_INSIDE_H
#define RLX_CORE_QUICK_INSIDE_H

#include "core/fixed_inside.h"
#include "core/table.h"
#include "core/table_inside.h"

/* All of it in one piece, and with plain loads: where gcc 12 joins two fields
 * just written into one vector load, that load has to wait for both stores to
 * reach the cache (18 % of a decision). */
#define INLINE static inline __attribute__((always_inline))
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-slp-vectorize")
#endif

/** More counters than this are not usual. */
#define FEW_MAX 8

/** A call. */
typedef struct call_t {
    const rlx_header_t *header;
    rlx_slot_t *hot;
    uint64_t sets;
    rlx_usec_t now;
    rlx_usec_t now_rel;
} call_t;

/** The slots of a table. */
static inline rlx_slot_t *hot_of(const rlx_header_t *header)
{
    return (rlx_slot_t *)(void *)((unsigned char *)(uintptr_t)header
                                  + header->hot_at);
}

INLINE call_t begin(const rlx_table_t *table, rlx_usec_t now)
{
    const rlx_header_t *header = rlx_header(table);
    call_t call = { header, hot_of(header), header->sets, now,
                    rlx_time_in(header, now) };

    return call;
}

/** Not 0 if a counter is charged where it has room. */
INLINE int is_charging(const rlx_counter_t *counter)
{
    return counter->cost != 0 && !counter->only_test;
}

/** The slot where a key is put first. */
INLINE rlx_slot_t *first_slot(const call_t *call, rlx_id_t id)
{
    rlx_place_t place = rlx_place_of(id);

    return &call->hot[rlx_place_set(call->sets, &place, 0) * RLX_SET_SLOTS
                      + rlx_place_first(&place)];
}

/** Not 0 if a slot has the key of a place.
 *  @param key_lo the lower half of the key word as it was read goes there */
INLINE int has_key(const rlx_slot_t *slot, const rlx_place_t *place,
                   uint64_t *key_lo)
{
    *key_lo = rlx_half_load(&slot->key.lo);
    return rlx_half_load(&slot->key.hi) == place->key.hi
           && (*key_lo & ~RLX_WORD_GEN_MASK)
                  == place->key.lo << RLX_WORD_LOW_SHIFT;
}

/** Where a step finds the state of a slot. */
INLINE uint64_t at_of(const call_t *call, const rlx_slot_t *slot)
{
    return (uint64_t)((const unsigned char *)&slot->state
                      - (const unsigned char *)call->header);
}

/** Carry out the step of several charges. 0 if it has to be decided anew. */
static inline int carry_out(const rlx_header_t *header,
                            rlx_mcas_change_t *change, int changes)
{
    const rlx_mcas_t mcas = { (unsigned char *)(uintptr_t)header,
                              header->mcas_at, header->smalls,
                              header->larges };

    return changes == 0 || rlx_mcas(&mcas, change, changes, 0);
}

/** Decide a counter, or several, the usual way (table_quick.c); see
 *  rlx_table_decide(). */
void rlx_quick_one(const rlx_table_t *table, rlx_charge_e mode,
                   const rlx_counter_t *counter, int n, rlx_usec_t now,
                   rlx_verdict_t *verdict);
void rlx_quick_few(const rlx_table_t *table, rlx_charge_e mode,
                   const rlx_counter_t *counters, int n, rlx_usec_t now,
                   rlx_verdict_t *verdicts);

#endif /* RLX_CORE_QUICK_INSIDE_H */
