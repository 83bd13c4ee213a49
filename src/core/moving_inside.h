/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  moving_inside.h
 * @brief What the parts of the moving window know of each other: the entries
 *        of a log and the charges made of them. Only moving*.c include this.
 *
 * An entry: 56 bits, time 50 and units 6; two in a word. A charge of more
 * than 63 units is two entries: one with the time and 0 units, and one with
 * the number of units in place of the time, and again 0. An entry with time 0
 * and 1 unit is void: it was given back and waits to be dropped. A charge
 * never has more entries than units.
 */

#ifndef RLX_CORE_MOVING_INSIDE_H
#define RLX_CORE_MOVING_INSIDE_H

#include "core/moving_window.h"

#define RLX_UNITS_BITS 6
#define RLX_UNITS_MASK ((UINT64_C(1) << RLX_UNITS_BITS) - 1)
#define RLX_UNITS_MOST 63

#define RLX_ENTRY_BITS 56
#define RLX_ENTRY_MASK ((UINT64_C(1) << RLX_ENTRY_BITS) - 1)
#define RLX_ENTRY_VOID UINT64_C(1)

/** Entries in a piece, and how many pieces a log may have: 20 bits. */
#define RLX_PIECE_ENTRIES 4
#define RLX_PIECE_NUMBER_BITS 20
#define RLX_PIECE_NUMBER_MASK ((UINT64_C(1) << RLX_PIECE_NUMBER_BITS) - 1)

/** No piece is at hand; see rlx_log_t.piece_number. */
#define RLX_PIECE_NONE UINT32_MAX

/** A clock that is less than this behind the newest entry did not step: the
 *  thread was interrupted between reading the clock and coming here. */
#define RLX_SKEW_USEC 16384

#define RLX_NEWEST_UNIT_BITS 10
#define RLX_NEWEST_MAX ((UINT64_C(1) << 40) - 1)

/** A time as rlx_ring_t.newest. */
static inline uint64_t rlx_newest_of(rlx_usec_t time)
{
    uint64_t newest = ((uint64_t)time >> RLX_NEWEST_UNIT_BITS) + 1;

    return newest < RLX_NEWEST_MAX ? newest : RLX_NEWEST_MAX;
}

/** Later than the newest entry, by no more than 1,024 us. */
static inline rlx_usec_t rlx_newest_time(const rlx_ring_t *ring)
{
    return (rlx_usec_t)(ring->newest << RLX_NEWEST_UNIT_BITS);
}

/** Pack the state of a head. */
rlx_state_t rlx_ring_pack(const rlx_ring_t *ring);

/** Where a piece of a log is to be looked for. */
rlx_place_t rlx_piece_place(const rlx_inside_t *in, const rlx_log_t *log,
                            uint32_t number);

/** Look for a piece in the table; see rlx_piece_find(). */
int rlx_piece_search(const rlx_inside_t *in, rlx_log_t *log, uint32_t number);

/** Have a piece at hand: log->piece. Not 0 if it is there. */
static inline int rlx_piece_find(const rlx_inside_t *in, rlx_log_t *log,
                                 uint32_t number)
{
    return log->piece_number == number || rlx_piece_search(in, log, number);
}

/** Entry 0 or 1 of a word. */
static inline uint64_t rlx_entry_get(rlx_state_t payload, uint32_t which)
{
    return which == 0 ? payload.hi >> 8
                      : (payload.hi << 48 | payload.lo) & RLX_ENTRY_MASK;
}

/** A word with its entry 0 or 1 replaced. */
static inline rlx_state_t rlx_entry_set(rlx_state_t payload, uint32_t which,
                                        uint64_t entry)
{
    if (which == 0) {
        payload.hi = (payload.hi & 0xff) | entry << 8;
    }
    else {
        payload.hi = (payload.hi & ~UINT64_C(0xff)) | entry >> 48;
        payload.lo = entry & RLX_WORD_LOW_MASK;
    }
    return payload;
}

/** The word of a piece that an entry is in. */
static inline rlx_word_t *rlx_entry_word(const rlx_inside_t *in,
                                         uint32_t slot, uint32_t index)
{
    return index % RLX_PIECE_ENTRIES < 2 ? &in->hot[slot].state
                                         : rlx_slot_meta(in, slot);
}

/** Read the word of an entry, index < capacity. Its piece is then at hand.
 *  0 if that is not there: the log has changed. */
static inline int rlx_entry_word_read(const rlx_inside_t *in, rlx_log_t *log,
                                      uint32_t index, rlx_word_t *word)
{
    rlx_word_t key;

    if (!rlx_piece_find(in, log, index / RLX_PIECE_ENTRIES)) {
        return 0;
    }
    *word = rlx_inside_read(in, rlx_entry_word(in, log->piece.slot, index));
    /* The key after the word: a slot that takes another key gets other
     * words. */
    key = rlx_inside_read(in, &in->hot[log->piece.slot].key);
    return rlx_state_equal(rlx_word_payload(key),
                           rlx_word_payload(log->piece.key));
}

/** One charge in a log. */
typedef struct rlx_charged_t {
    rlx_usec_t time;
    /** 0: void, given back. */
    uint32_t units;
    /** Entries that it takes: 1 or 2. */
    uint32_t len;
} rlx_charged_t;

/** The entries that a charge takes. */
static inline uint32_t rlx_entries_for(uint32_t cost)
{
    return cost == 0 ? 0 : cost <= RLX_UNITS_MOST ? 1 : 2;
}

/** The entries of a charge of so many units. Returns how many: 1 or 2. */
static inline uint32_t rlx_entries_of(rlx_usec_t time, uint32_t units,
                                      uint64_t entry[2])
{
    entry[0] = (uint64_t)time << RLX_UNITS_BITS
               | (units <= RLX_UNITS_MOST ? units : 0);
    entry[1] = (uint64_t)units << RLX_UNITS_BITS;
    return rlx_entries_for(units);
}

/** The charge that begins at an entry. 0 if the log has changed. */
int rlx_charged_read(const rlx_inside_t *in, rlx_log_t *log, uint32_t index,
                     rlx_charged_t *charge);

/** The charge whose last entry is the one before `end`. */
int rlx_charged_read_back(const rlx_inside_t *in, rlx_log_t *log,
                          uint32_t end, rlx_charged_t *charge);

#endif /* RLX_CORE_MOVING_INSIDE_H */
