/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The log of a moving window: reading and deciding. What it changes goes
 * through a plan, together with the head's state: as long as that has not
 * changed since it was read, no live entry has changed either, and none of
 * their pieces has gone.
 *
 * An entry: 56 bits, time 50 and units 6; two in a word. A charge of more
 * than 63 units is two entries: one with the time and 0 units, and one with
 * the number of units in place of the time, and again 0.
 */

#include "core/moving_window.h"

#define UNITS_BITS 6
#define UNITS_MASK ((UINT64_C(1) << UNITS_BITS) - 1)
#define UNITS_MOST 63

#define ENTRY_BITS 56
#define ENTRY_MASK ((UINT64_C(1) << ENTRY_BITS) - 1)
#define PIECE_ENTRIES 4

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
#define NEWEST_MAX    ((UINT64_C(1) << 40) - 1)
#define NEWEST_UNIT_BITS 10

/* The key of a piece: the head's slot, the piece's number, and 61 bits of
 * the head's own key, so that a slot's next key does not inherit its log. */
#define NUMBER_BITS 20
#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)
#define OWNER_BITS  14
#define OWNER_MASK  ((UINT64_C(1) << OWNER_BITS) - 1)

/* A clock that is less than this behind the newest entry did not step: the
 * thread was interrupted between reading the clock and coming here. */
#define SKEW_USEC 16384

#define NO_PIECE UINT32_MAX

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

static rlx_state_t ring_pack(const rlx_ring_t *ring)
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

static uint64_t newest_of(rlx_usec_t time)
{
    uint64_t newest = ((uint64_t)time >> NEWEST_UNIT_BITS) + 1;

    return newest < NEWEST_MAX ? newest : NEWEST_MAX;
}

/* Later than the newest entry, by no more than 1,024 us. */
static rlx_usec_t newest_time(const rlx_ring_t *ring)
{
    return (rlx_usec_t)(ring->newest << NEWEST_UNIT_BITS);
}

uint32_t rlx_moving_count(const rlx_limit_t *limit, uint32_t log_max)
{
    return limit->count < log_max ? limit->count : log_max;
}

uint32_t rlx_moving_capacity(const rlx_limit_t *limit, uint32_t log_max)
{
    return (rlx_moving_count(limit, log_max) + PIECE_ENTRIES - 1)
           / PIECE_ENTRIES * PIECE_ENTRIES;
}

int rlx_moving_is_live(rlx_state_t state, const rlx_limit_t *limit,
                       rlx_usec_t now)
{
    rlx_ring_t ring = rlx_ring_unpack(state);

    return ring.len != 0 && newest_time(&ring) + limit->window_usec > now;
}

rlx_worth_t rlx_moving_worth(rlx_state_t state, const rlx_limit_t *limit,
                             uint32_t log_max, rlx_usec_t now)
{
    rlx_ring_t ring = rlx_ring_unpack(state);

    return rlx_worth(ring.sum, rlx_moving_count(limit, log_max),
                     newest_time(&ring) + limit->window_usec,
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

static rlx_place_t piece_place(const rlx_inside_t *in, const rlx_log_t *log,
                               uint32_t number)
{
    uint64_t owner = log->head_key.hi;
    rlx_place_t place;

    place.key.hi = (uint64_t)log->head << (NUMBER_BITS + OWNER_BITS)
                   | (uint64_t)number << OWNER_BITS | (owner & OWNER_MASK);
    place.key.lo = RLX_KEY_PIECE | (owner >> OWNER_BITS & RLX_KEY_ID_MASK);
    place.id.word[0] = mix(place.key.hi + in->secret.k0);
    place.id.word[1] = mix(place.id.word[0] ^ place.key.lo ^ in->secret.k1);
    return place;
}

uint32_t rlx_moving_piece_head(rlx_word_t key)
{
    return (uint32_t)(key.hi >> (NUMBER_BITS + OWNER_BITS));
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
    uint64_t start = (uint64_t)number * PIECE_ENTRIES;

    if (ring->len == 0 || start >= capacity) {
        return 0;
    }
    return ring->tail / PIECE_ENTRIES == number
           || (start + capacity - ring->tail) % capacity < ring->len;
}

int rlx_moving_piece(const rlx_inside_t *in, rlx_word_t key, rlx_usec_t now,
                     rlx_piece_t *piece)
{
    uint32_t number = (uint32_t)(key.hi >> OWNER_BITS & NUMBER_MASK);
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

/* Entry 0 or 1 of a word. */
static inline uint64_t entry_get(rlx_state_t payload, uint32_t which)
{
    return which == 0 ? payload.hi >> 8
                      : (payload.hi << 48 | payload.lo) & ENTRY_MASK;
}

static inline rlx_state_t entry_set(rlx_state_t payload, uint32_t which,
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

static inline rlx_word_t *entry_word(const rlx_inside_t *in, uint32_t slot,
                                     uint32_t index)
{
    return index % PIECE_ENTRIES < 2 ? &in->hot[slot].state
                                     : rlx_slot_meta(in, slot);
}

/* Have the piece of an entry at hand. */
static int piece_find(const rlx_inside_t *in, rlx_log_t *log, uint32_t number)
{
    rlx_word_t version;
    rlx_place_t place;

    if (log->piece_number != number) {
        log->piece_number = NO_PIECE;
        place = piece_place(in, log, number);
        if (!rlx_find_quick(in->hot, in->sets, &place, &log->piece)
            && !rlx_find(in, &place, &version, &log->piece)) {
            return 0;
        }
        log->piece_number = number;
    }
    return 1;
}

/* Read the word of an entry. The key after the word: a slot that takes
 * another key gets other words. */
static int word_read(const rlx_inside_t *in, rlx_log_t *log, uint32_t index,
                     rlx_word_t *word)
{
    rlx_word_t key;

    if (!piece_find(in, log, index / PIECE_ENTRIES)) {
        return 0;
    }
    *word = rlx_inside_read(in, entry_word(in, log->piece.slot, index));
    key = rlx_inside_read(in, &in->hot[log->piece.slot].key);
    return rlx_state_equal(rlx_word_payload(key),
                           rlx_word_payload(log->piece.key));
}

static int entry_read(const rlx_inside_t *in, rlx_log_t *log, uint32_t index,
                      uint64_t *entry)
{
    rlx_word_t word;

    index %= log->capacity;
    if (!word_read(in, log, index, &word)) {
        return 0;
    }
    *entry = entry_get(rlx_word_payload(word), index % 2);
    return 1;
}

/* One charge in the log. */
typedef struct charge_t {
    rlx_usec_t time;
    uint32_t units;
    /** Entries that it takes: 1 or 2. */
    uint32_t len;
} charge_t;

/* The charge that begins at an entry. */
static int charge_read(const rlx_inside_t *in, rlx_log_t *log, uint32_t index,
                       charge_t *charge)
{
    uint64_t entry;

    if (!entry_read(in, log, index, &entry)) {
        return 0;
    }
    charge->time = (rlx_usec_t)(entry >> UNITS_BITS);
    charge->units = (uint32_t)(entry & UNITS_MASK);
    charge->len = 1;
    if (charge->units == 0) {
        if (!entry_read(in, log, index + 1, &entry)) {
            return 0;
        }
        charge->units = (uint32_t)(entry >> UNITS_BITS);
        charge->len = 2;
    }
    return 1;
}

/* The charge whose last entry is the one before `end`. */
static int charge_read_back(const rlx_inside_t *in, rlx_log_t *log,
                            uint32_t end, charge_t *charge)
{
    uint64_t entry;

    if (!entry_read(in, log, end - 1, &entry)) {
        return 0;
    }
    return charge_read(in, log, (entry & UNITS_MASK) != 0 ? end - 1 : end - 2,
                       charge);
}

/* --- looking ----------------------------------------------------------- */

/* Give one charge another time, if the head is still the same. */
static int redate_one(const rlx_inside_t *in, rlx_log_t *log, uint32_t index,
                      rlx_usec_t time)
{
    rlx_word_t *head = &rlx_slot(in, log->head)->state;
    rlx_mcas_change_t change[2];
    rlx_state_t payload;
    uint64_t entry;
    rlx_word_t word;

    index %= log->capacity;
    if (!word_read(in, log, index, &word)) {
        return 0;
    }
    payload = rlx_word_payload(word);
    entry = entry_get(payload, index % 2);
    entry = (uint64_t)time << UNITS_BITS | (entry & UNITS_MASK);
    payload = entry_set(payload, index % 2, entry);
    change[0] = rlx_change(in, entry_word(in, log->piece.slot, index), word,
                           payload);
    change[1] = rlx_change(in, head, log->state,
                           rlx_word_payload(log->state));
    log->state = change[1].next;
    return rlx_mcas(&in->mcas, change, 2, 0);
}

/* The clock stepped back: nobody may be blocked for longer than a window
 * from now, nor freed. Charges of the future happened now. */
static void redate(const rlx_inside_t *in, rlx_log_t *log, rlx_usec_t now)
{
    uint32_t end = log->ring.tail + log->ring.len;
    charge_t charge;
    rlx_word_t state;

    while (end > log->ring.tail) {
        if (!charge_read_back(in, log, end, &charge)) {
            return;
        }
        if (charge.time <= now) {
            break;
        }
        end -= charge.len;
        if (!redate_one(in, log, end, now)) {
            return;
        }
    }
    state = log->state;
    log->ring.newest = newest_of(now);
    rlx_word_cas(&rlx_slot(in, log->head)->state, &state,
                 rlx_word_next(state, ring_pack(&log->ring)));
}

/* A piece of a log is not where it must be. If the head is still the same,
 * the log is broken, which cannot happen; then it begins anew. Else it has
 * only changed under our hands. */
static void forget_broken(const rlx_inside_t *in, const rlx_log_t *log)
{
    static const rlx_state_t nothing = { 0, 0 };
    rlx_word_t state = log->state;

    rlx_word_cas(&rlx_slot(in, log->head)->state, &state,
                 rlx_word_next(state, nothing));
}

/* Make log->now no earlier than the newest entry. 0 if the head changed. */
static int settle_now(const rlx_inside_t *in, rlx_log_t *log)
{
    uint32_t end = log->ring.tail + log->ring.len;
    charge_t newest;

    if (log->now >= newest_time(&log->ring)) {
        return 1;
    }
    if (!charge_read_back(in, log, end, &newest)) {
        forget_broken(in, log);
        return 0;
    }
    if (newest.time - log->now > SKEW_USEC) {
        redate(in, log, log->now);
        return 0;
    }
    if (newest.time > log->now) {
        log->now = newest.time;
    }
    return 1;
}

static void drop(rlx_log_t *log, const charge_t *charge)
{
    rlx_ring_t *ring = &log->ring;

    ring->tail = (ring->tail + charge->len) % log->capacity;
    ring->len -= charge->len < ring->len ? charge->len : ring->len;
    ring->sum -= charge->units < ring->sum ? charge->units : ring->sum;
}

int rlx_moving_open(const rlx_inside_t *in, const rlx_limit_t *limit,
                    rlx_usec_t now, rlx_log_t *log)
{
    charge_t charge;

    log->ring = rlx_ring_unpack(rlx_word_payload(log->state));
    log->now = now;
    log->oldest = 0;
    log->piece_number = NO_PIECE;
    if (log->ring.len != 0 && !settle_now(in, log)) {
        return 0;
    }
    while (log->ring.len != 0) {
        if (!charge_read(in, log, log->ring.tail, &charge)) {
            forget_broken(in, log);
            return 0;
        }
        if (charge.time > log->now - limit->window_usec) {
            log->oldest = charge.time;
            return 1;
        }
        drop(log, &charge);
    }
    log->ring.tail = 0;
    log->ring.sum = 0;
    return 1;
}

/* Entries that a charge takes. */
static inline uint32_t entries_for(uint32_t cost)
{
    return cost == 0 ? 0 : cost <= UNITS_MOST ? 1 : 2;
}

int rlx_moving_fits(const rlx_inside_t *in, const rlx_log_t *log,
                    const rlx_limit_t *limit, uint32_t cost)
{
    uint32_t count = rlx_moving_count(limit, in->log_max);

    return count != 0 && (uint64_t)log->ring.sum + cost <= count
           && log->ring.len + entries_for(cost) <= log->capacity;
}

int rlx_moving_retry_at(const rlx_inside_t *in, rlx_log_t *log,
                        const rlx_limit_t *limit, uint32_t cost,
                        rlx_usec_t *at)
{
    rlx_log_t later = *log;
    charge_t charge;

    *at = RLX_NEVER;
    if (limit->count == 0 || cost > rlx_moving_count(limit, in->log_max)) {
        return 1;
    }
    *at = log->now;
    while (!rlx_moving_fits(in, &later, limit, cost)) {
        if (later.ring.len == 0
            || !charge_read(in, &later, later.ring.tail, &charge)) {
            return later.ring.len == 0;
        }
        *at = charge.time + limit->window_usec;
        drop(&later, &charge);
    }
    return 1;
}

void rlx_moving_read(const rlx_inside_t *in, const rlx_log_t *log,
                     const rlx_limit_t *limit, rlx_reading_t *reading)
{
    uint32_t count = rlx_moving_count(limit, in->log_max);

    reading->remaining = log->ring.sum < count ? count - log->ring.sum : 0;
    reading->reset_at = log->oldest != 0 ? log->oldest + limit->window_usec
                                         : log->now;
}

rlx_state_t rlx_moving_idle(const rlx_log_t *log)
{
    return ring_pack(&log->ring);
}

int rlx_moving_may_resize(const rlx_log_t *log, uint32_t capacity)
{
    if (log->ring.len == 0) {
        return 1;
    }
    return capacity > log->capacity
           && log->ring.tail + log->ring.len <= log->capacity;
}

/* --- charging ---------------------------------------------------------- */

/* What is to be written into one piece. */
typedef struct writing_t {
    uint32_t number;
    uint64_t entry[PIECE_ENTRIES];
    int is_set[PIECE_ENTRIES];
} writing_t;

static rlx_state_t merged(rlx_state_t payload, const writing_t *w,
                          uint32_t half)
{
    uint32_t i;

    for (i = 0; i < 2; ++i) {
        if (w->is_set[half * 2 + i]) {
            payload = entry_set(payload, i, w->entry[half * 2 + i]);
        }
    }
    return payload;
}

static void write_new(const rlx_inside_t *in, rlx_log_t *log,
                      const writing_t *w, rlx_plan_t *plan)
{
    static const rlx_state_t nothing = { 0, 0 };
    rlx_place_t place = piece_place(in, log, w->number);
    rlx_word_t version;
    rlx_found_t found;
    rlx_room_t room;

    if (rlx_find(in, &place, &version, &found)
        && !rlx_plan_has_pin(plan, found.slot)) {
        plan->spoilt |= RLX_PLAN_STALE;
        return;
    }
    if (!rlx_room_make(in, &place, version, log->now, plan, &room)) {
        return;
    }
    rlx_room_fill(in, &place, &room, merged(nothing, w, 0),
                  merged(nothing, w, 1), plan);
}

static void write_piece(const rlx_inside_t *in, rlx_log_t *log,
                        const writing_t *w, rlx_plan_t *plan)
{
    uint32_t half;

    /* A piece that is left over from a former life of this key may be what
     * gives way to another counter of the batch. */
    if (!piece_find(in, log, w->number)
        || rlx_plan_has_pin(plan, log->piece.slot)) {
        write_new(in, log, w, plan);
        return;
    }
    rlx_plan_pin(plan, log->piece.slot);
    for (half = 0; half < 2; ++half) {
        uint32_t index = w->number * PIECE_ENTRIES + half * 2;
        rlx_word_t word;

        if (!w->is_set[half * 2] && !w->is_set[half * 2 + 1]) {
            continue;
        }
        if (!word_read(in, log, index, &word)) {
            plan->spoilt |= RLX_PLAN_STALE;
            return;
        }
        rlx_plan_add(in, plan, entry_word(in, log->piece.slot, index), word,
                     merged(rlx_word_payload(word), w, half));
    }
}

/* Write entries to the end of the ring. */
static void append(const rlx_inside_t *in, rlx_log_t *log,
                   const uint64_t *entry, uint32_t n, rlx_plan_t *plan)
{
    uint32_t i = 0;

    while (i < n) {
        uint32_t index = (log->ring.tail + log->ring.len) % log->capacity;
        writing_t w = { index / PIECE_ENTRIES, { 0 }, { 0 } };

        do {
            w.entry[index % PIECE_ENTRIES] = entry[i++];
            w.is_set[index % PIECE_ENTRIES] = 1;
            ++log->ring.len;
        } while (i < n && ++index % PIECE_ENTRIES != 0);
        write_piece(in, log, &w, plan);
    }
}

void rlx_moving_charge(const rlx_inside_t *in, rlx_log_t *log, uint32_t cost,
                       rlx_plan_t *plan)
{
    uint64_t time = (uint64_t)log->now << UNITS_BITS;
    uint64_t entry[2];

    entry[0] = cost <= UNITS_MOST ? time | cost : time;
    entry[1] = (uint64_t)cost << UNITS_BITS;
    append(in, log, entry, entries_for(cost), plan);
    log->ring.sum += cost;
    log->ring.newest = newest_of(log->now);
    if (log->oldest == 0) {
        log->oldest = log->now;
    }
}

/* --- checking ---------------------------------------------------------- */

const char *rlx_moving_check(const rlx_inside_t *in, rlx_log_t *log)
{
    rlx_usec_t before = 0;
    uint64_t sum = 0;
    uint32_t i = 0;
    charge_t charge;

    log->ring = rlx_ring_unpack(rlx_word_payload(log->state));
    log->piece_number = NO_PIECE;
    while (i < log->ring.len) {
        if (!charge_read(in, log, log->ring.tail + i, &charge)) {
            return "a log lacks a piece";
        }
        if (charge.time < before) {
            return "a log is not in the order of time";
        }
        before = charge.time;
        sum += charge.units;
        i += charge.len;
    }
    if (i != log->ring.len || sum != log->ring.sum) {
        return "a log does not add up";
    }
    return NULL;
}
