/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The log of a moving window: reading and deciding. What it changes goes
 * through a plan, together with the head's state: as long as that has not
 * changed since it was read, no live entry has changed either, and none of
 * their pieces has gone. moving_inside.h tells what an entry is.
 */

#include "core/moving_inside.h"

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
    if (!rlx_entry_word_read(in, log, index, &word)) {
        return 0;
    }
    payload = rlx_word_payload(word);
    entry = rlx_entry_get(payload, index % 2);
    entry = (uint64_t)time << RLX_UNITS_BITS | (entry & RLX_UNITS_MASK);
    payload = rlx_entry_set(payload, index % 2, entry);
    change[0] = rlx_change(in, rlx_entry_word(in, log->piece.slot, index), word,
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
    rlx_charged_t charge;
    rlx_word_t state;

    while (end > log->ring.tail) {
        if (!rlx_charged_read_back(in, log, end, &charge)) {
            return;
        }
        if (charge.units != 0 && charge.time <= now) {
            break;
        }
        end -= charge.len;
        if (charge.units != 0 && !redate_one(in, log, end, now)) {
            return;
        }
    }
    state = log->state;
    log->ring.newest = rlx_newest_of(now);
    rlx_word_cas(&rlx_slot(in, log->head)->state, &state,
                 rlx_word_next(state, rlx_ring_pack(&log->ring)));
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

/* The last charge that is not void; if all are, a void one of time 0. */
static int newest_read(const rlx_inside_t *in, rlx_log_t *log,
                       rlx_charged_t *newest)
{
    uint32_t end = log->ring.tail + log->ring.len;

    do {
        if (!rlx_charged_read_back(in, log, end, newest)) {
            return 0;
        }
        end -= newest->len;
    } while (newest->units == 0 && end > log->ring.tail);
    return 1;
}

/* Make log->now no earlier than the newest entry. 0 if the head changed. */
static int settle_now(const rlx_inside_t *in, rlx_log_t *log)
{
    rlx_charged_t newest;

    if (log->now >= rlx_newest_time(&log->ring)) {
        return 1;
    }
    if (!newest_read(in, log, &newest)) {
        forget_broken(in, log);
        return 0;
    }
    if (newest.time - log->now > RLX_SKEW_USEC) {
        redate(in, log, log->now);
        return 0;
    }
    if (newest.time > log->now) {
        log->now = newest.time;
    }
    return 1;
}

static void drop(rlx_log_t *log, const rlx_charged_t *charge)
{
    rlx_ring_t *ring = &log->ring;

    ring->tail = (ring->tail + charge->len) % log->capacity;
    ring->len -= charge->len < ring->len ? charge->len : ring->len;
    ring->sum -= charge->units < ring->sum ? charge->units : ring->sum;
}

int rlx_moving_open(const rlx_inside_t *in, const rlx_limit_t *limit,
                    rlx_usec_t now, rlx_log_t *log)
{
    rlx_charged_t charge;

    log->ring = rlx_ring_unpack(rlx_word_payload(log->state));
    log->now = now;
    log->oldest = 0;
    log->piece_number = RLX_PIECE_NONE;
    if (log->ring.len != 0 && !settle_now(in, log)) {
        return 0;
    }
    while (log->ring.len != 0) {
        if (!rlx_charged_read(in, log, log->ring.tail, &charge)) {
            forget_broken(in, log);
            return 0;
        }
        if (charge.units != 0
            && charge.time > log->now - limit->window_usec) {
            log->oldest = charge.time;
            return 1;
        }
        drop(log, &charge);
    }
    log->ring.tail = 0;
    log->ring.sum = 0;
    return 1;
}

int rlx_moving_fits(const rlx_inside_t *in, const rlx_log_t *log,
                    const rlx_limit_t *limit, uint32_t cost)
{
    uint32_t count = rlx_moving_count(limit, in->log_max);

    return count != 0 && (uint64_t)log->ring.sum + cost <= count
           && log->ring.len + rlx_entries_for(cost) <= log->capacity;
}

int rlx_moving_is_cramped(const rlx_inside_t *in, const rlx_log_t *log,
                          const rlx_limit_t *limit, uint32_t cost)
{
    uint32_t count = rlx_moving_count(limit, in->log_max);

    return (uint64_t)log->ring.sum + cost <= count
           && log->ring.len + rlx_entries_for(cost) > log->capacity;
}

/* How many of the entries are void. 0 if the log has changed. */
static int count_voids(const rlx_inside_t *in, rlx_log_t *log,
                       uint32_t *voids)
{
    uint32_t i = 0;
    rlx_charged_t charge;

    *voids = 0;
    while (i < log->ring.len) {
        if (!rlx_charged_read(in, log, log->ring.tail + i, &charge)) {
            return 0;
        }
        *voids += charge.units == 0 ? charge.len : 0;
        i += charge.len;
    }
    return 1;
}

#define NOT_COUNTED UINT32_MAX

/* As rlx_moving_fits(), but void entries are no hindrance: they will be
 * dropped when it comes to that. They are counted once. 0 if the log has
 * changed. */
static int would_fit(const rlx_inside_t *in, rlx_log_t *log,
                     const rlx_limit_t *limit, uint32_t cost, uint32_t *voids,
                     int *fits)
{
    *fits = rlx_moving_fits(in, log, limit, cost);
    if (!*fits && rlx_moving_is_cramped(in, log, limit, cost)) {
        if (*voids == NOT_COUNTED && !count_voids(in, log, voids)) {
            return 0;
        }
        *fits = log->ring.len - *voids + rlx_entries_for(cost)
                <= log->capacity;
    }
    return 1;
}

int rlx_moving_retry_at(const rlx_inside_t *in, rlx_log_t *log,
                        const rlx_limit_t *limit, uint32_t cost,
                        rlx_usec_t *at)
{
    uint32_t voids = NOT_COUNTED;
    rlx_log_t later = *log;
    rlx_charged_t charge;
    int fits;

    *at = RLX_NEVER;
    if (limit->count == 0 || cost > rlx_moving_count(limit, in->log_max)) {
        return 1;
    }
    *at = log->now;
    while (would_fit(in, &later, limit, cost, &voids, &fits) && !fits) {
        if (later.ring.len == 0
            || !rlx_charged_read(in, &later, later.ring.tail, &charge)) {
            return later.ring.len == 0;
        }
        if (charge.units != 0) {
            *at = charge.time + limit->window_usec;
        }
        else if (voids != NOT_COUNTED) {
            voids -= charge.len;
        }
        drop(&later, &charge);
    }
    return fits;
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
    return rlx_ring_pack(&log->ring);
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
    uint64_t entry[RLX_PIECE_ENTRIES];
    int is_set[RLX_PIECE_ENTRIES];
} writing_t;

static rlx_state_t merged(rlx_state_t payload, const writing_t *w,
                          uint32_t half)
{
    uint32_t i;

    for (i = 0; i < 2; ++i) {
        if (w->is_set[half * 2 + i]) {
            payload = rlx_entry_set(payload, i, w->entry[half * 2 + i]);
        }
    }
    return payload;
}

static void write_new(const rlx_inside_t *in, rlx_log_t *log,
                      const writing_t *w, rlx_plan_t *plan)
{
    static const rlx_state_t nothing = { 0, 0 };
    rlx_place_t place = rlx_piece_place(in, log, w->number);
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
    if (!rlx_piece_find(in, log, w->number)
        || rlx_plan_has_pin(plan, log->piece.slot)) {
        write_new(in, log, w, plan);
        return;
    }
    rlx_plan_pin(plan, log->piece.slot);
    for (half = 0; half < 2; ++half) {
        uint32_t index = w->number * RLX_PIECE_ENTRIES + half * 2;
        rlx_word_t word;

        if (!w->is_set[half * 2] && !w->is_set[half * 2 + 1]) {
            continue;
        }
        if (!rlx_entry_word_read(in, log, index, &word)) {
            plan->spoilt |= RLX_PLAN_STALE;
            return;
        }
        rlx_plan_add(in, plan, rlx_entry_word(in, log->piece.slot, index), word,
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
        writing_t w = { index / RLX_PIECE_ENTRIES, { 0 }, { 0 } };

        do {
            w.entry[index % RLX_PIECE_ENTRIES] = entry[i++];
            w.is_set[index % RLX_PIECE_ENTRIES] = 1;
            ++log->ring.len;
        } while (i < n && ++index % RLX_PIECE_ENTRIES != 0);
        write_piece(in, log, &w, plan);
    }
}

void rlx_moving_charge(const rlx_inside_t *in, rlx_log_t *log, uint32_t cost,
                       rlx_plan_t *plan)
{
    uint64_t entry[2];
    uint32_t n = rlx_entries_of(log->now, cost, entry);

    append(in, log, entry, n, plan);
    log->ring.sum += cost;
    log->ring.newest = rlx_newest_of(log->now);
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
    rlx_charged_t charge;

    log->ring = rlx_ring_unpack(rlx_word_payload(log->state));
    log->piece_number = RLX_PIECE_NONE;
    while (i < log->ring.len) {
        if (!rlx_charged_read(in, log, log->ring.tail + i, &charge)) {
            return "a log lacks a piece";
        }
        if (charge.units != 0 && charge.time < before) {
            return "a log is not in the order of time";
        }
        before = charge.units != 0 ? charge.time : before;
        sum += charge.units;
        i += charge.len;
    }
    if (i != log->ring.len || sum != log->ring.sum) {
        return "a log does not add up";
    }
    return NULL;
}
