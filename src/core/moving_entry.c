/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The log of a moving window as it lies in the table: the state of its head,
 * its pieces, and the entries in them. What is written to it is in
 * moving_window.c and moving_back.c.
 */

#include "core/moving_inside.h"

/* The head's state. */
#define SUM_BITS      31
#define SUM_MASK      ((UINT64_C(1) << SUM_BITS) - 1)
#define LEN_LOW_BITS  17
#define LEN_LOW_MASK  ((UINT64_C(1) << LEN_LOW_BITS) - 1)
#define LEN_HIGH_BITS 4
#define LEN_HIGH_MASK ((UINT64_C(1) << LEN_HIGH_BITS) - 1)
#define TAIL_BITS     20
#define TAIL_MASK     ((UINT64_C(1) << TAIL_BITS) - 1)
#define NEWEST_SHIFT  (LEN_HIGH_BITS + TAIL_BITS)

/* The key of a piece: the head's slot, the piece's number, and 61 bits of
 * the head's own key, so that a slot's next key does not inherit its log. */
#define OWNER_BITS  14
#define OWNER_MASK  ((UINT64_C(1) << OWNER_BITS) - 1)

/* --- the state of a head ----------------------------------------------- */

rlx_ring_t rlx_ring_unpack(rlx_state_t state)
{
    rlx_ring_t ring;

    ring.sum = (uint32_t)(state.lo & SUM_MASK);
    ring.len = (uint32_t)((state.hi & LEN_HIGH_MASK) << LEN_LOW_BITS
                          | state.lo >> SUM_BITS);
    ring.tail = (uint32_t)(state.hi >> LEN_HIGH_BITS & TAIL_MASK);
    ring.newest = state.hi >> NEWEST_SHIFT;
    return ring;
}

rlx_state_t rlx_ring_pack(const rlx_ring_t *ring)
{
    rlx_state_t state = { 0, 0 };

    if (ring->len != 0) {
        state.lo = ring->sum
                   | ((uint64_t)ring->len & LEN_LOW_MASK) << SUM_BITS;
        state.hi = ring->newest << NEWEST_SHIFT
                   | (uint64_t)ring->tail << LEN_HIGH_BITS
                   | ring->len >> LEN_LOW_BITS;
    }
    return state;
}

uint32_t rlx_moving_count(const rlx_limit_t *limit, uint32_t log_max)
{
    return limit->count < log_max ? limit->count : log_max;
}

uint32_t rlx_moving_capacity(const rlx_limit_t *limit, uint32_t log_max)
{
    return (rlx_moving_count(limit, log_max) + RLX_PIECE_ENTRIES - 1)
           / RLX_PIECE_ENTRIES * RLX_PIECE_ENTRIES;
}

int rlx_moving_is_live(rlx_state_t state, const rlx_limit_t *limit,
                       rlx_usec_t now)
{
    rlx_ring_t ring = rlx_ring_unpack(state);

    return ring.len != 0 && rlx_newest_time(&ring) + limit->window_usec > now;
}

rlx_worth_t rlx_moving_worth(rlx_state_t state, const rlx_limit_t *limit,
                             uint32_t log_max, rlx_usec_t now)
{
    rlx_ring_t ring = rlx_ring_unpack(state);

    return rlx_worth(ring.sum, rlx_moving_count(limit, log_max),
                     rlx_newest_time(&ring) + limit->window_usec,
                     limit->window_usec, now);
}

/* --- pieces ------------------------------------------------------------ */

static uint64_t mix(uint64_t x)
{
    /* The finalizer of SplitMix64 (Steele, Lea and Flood, 2014). */
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

rlx_place_t rlx_piece_place(const rlx_inside_t *in, const rlx_log_t *log,
                            uint32_t number)
{
    uint64_t owner = log->head_key.hi;
    rlx_place_t place;

    place.key.hi = (uint64_t)log->head << (RLX_PIECE_NUMBER_BITS + OWNER_BITS)
                   | (uint64_t)number << OWNER_BITS | (owner & OWNER_MASK);
    place.key.lo = RLX_KEY_PIECE | (owner >> OWNER_BITS & RLX_KEY_ID_MASK);
    place.id.word[0] = mix(place.key.hi + in->secret.k0);
    place.id.word[1] = mix(place.id.word[0] ^ place.key.lo ^ in->secret.k1);
    return place;
}

uint32_t rlx_moving_piece_head(rlx_word_t key)
{
    return (uint32_t)(key.hi >> (RLX_PIECE_NUMBER_BITS + OWNER_BITS));
}

static int is_owner(rlx_word_t piece_key, rlx_word_t head_key)
{
    uint64_t owner = head_key.hi;

    return (piece_key.hi & OWNER_MASK) == (owner & OWNER_MASK)
           && (rlx_word_payload(piece_key).lo & RLX_KEY_ID_MASK)
                  == (owner >> OWNER_BITS & RLX_KEY_ID_MASK)
           && !rlx_key_is_piece(head_key);
}

/* Not 0 if any entry of the piece is live. */
static int is_inside(const rlx_ring_t *ring, uint32_t capacity,
                     uint32_t number)
{
    uint64_t start = (uint64_t)number * RLX_PIECE_ENTRIES;

    if (ring->len == 0 || start >= capacity) {
        return 0;
    }
    return ring->tail / RLX_PIECE_ENTRIES == number
           || (start + capacity - ring->tail) % capacity < ring->len;
}

int rlx_moving_piece(const rlx_inside_t *in, rlx_word_t key, rlx_usec_t now,
                     rlx_piece_t *piece)
{
    uint32_t number = (uint32_t)(key.hi >> OWNER_BITS & RLX_PIECE_NUMBER_MASK);
    rlx_facts_t facts;
    rlx_room_t head;
    rlx_ring_t ring;

    piece->head = rlx_moving_piece_head(key);
    if (piece->head >= rlx_slots(in)) {
        return 0;
    }
    rlx_room_read(in, piece->head, &head);
    if (rlx_key_is_empty(head.key) || !is_owner(key, head.key)) {
        return 0;
    }
    rlx_facts_unpack(rlx_word_payload(head.meta), &facts);
    ring = rlx_ring_unpack(rlx_word_payload(head.state));
    if (facts.limit.strategy != RLX_MOVING_WINDOW
        || !is_inside(&ring, facts.limit.burst, number)) {
        return 0;
    }
    piece->head_state = head.state;
    piece->worth = rlx_counter_worth(in, rlx_word_payload(head.state), &facts,
                                     now);
    return 1;
}

/* --- entries ----------------------------------------------------------- */

int rlx_piece_search(const rlx_inside_t *in, rlx_log_t *log, uint32_t number)
{
    rlx_place_t place = rlx_piece_place(in, log, number);
    rlx_word_t version;

    log->piece_number = RLX_PIECE_NONE;
    if (!rlx_find_quick(in->hot, in->sets, &place, &log->piece)
        && !rlx_find(in, &place, &version, &log->piece)) {
        return 0;
    }
    log->piece_number = number;
    return 1;
}

static int entry_read(const rlx_inside_t *in, rlx_log_t *log, uint32_t index,
                      uint64_t *entry)
{
    rlx_word_t word;

    index %= log->capacity;
    if (!rlx_entry_word_read(in, log, index, &word)) {
        return 0;
    }
    *entry = rlx_entry_get(rlx_word_payload(word), index % 2);
    return 1;
}

int rlx_charged_read(const rlx_inside_t *in, rlx_log_t *log, uint32_t index,
                     rlx_charged_t *charge)
{
    uint64_t entry;

    if (!entry_read(in, log, index, &entry)) {
        return 0;
    }
    charge->time = (rlx_usec_t)(entry >> RLX_UNITS_BITS);
    charge->units = (uint32_t)(entry & RLX_UNITS_MASK);
    charge->len = 1;
    if (entry == RLX_ENTRY_VOID) {
        charge->units = 0;
    }
    else if (charge->units == 0) {
        if (!entry_read(in, log, index + 1, &entry)) {
            return 0;
        }
        charge->units = (uint32_t)(entry >> RLX_UNITS_BITS);
        charge->len = 2;
    }
    return 1;
}

int rlx_charged_read_back(const rlx_inside_t *in, rlx_log_t *log,
                          uint32_t end, rlx_charged_t *charge)
{
    uint64_t entry;

    if (!entry_read(in, log, end - 1, &entry)) {
        return 0;
    }
    return rlx_charged_read(
        in, log, (entry & RLX_UNITS_MASK) != 0 ? end - 1 : end - 2, charge);
}
