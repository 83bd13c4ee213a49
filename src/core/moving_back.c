/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Giving back a charge of a moving window. The newest charge just leaves the
 * log; one in the middle becomes void entries, which are dropped when they
 * are the oldest or when their room is needed.
 */

#include "core/moving_inside.h"

/* What one step writes: at most a charge of two entries to another place. */
#define EDITS_MAX 4

/* An entry to be written; the index counts from the beginning of the ring. */
typedef struct edit_t {
    uint32_t index;
    uint64_t entry;
} edit_t;

static void edit(const rlx_log_t *log, edit_t *edits, int *n, uint32_t place,
                 uint64_t entry)
{
    edits[*n].index = (log->ring.tail + place) % log->capacity;
    edits[*n].entry = entry;
    ++*n;
}

/* Gather the changes of some entries into a plan, a word only once. 0 if the
 * log has changed. */
static int plan_edits(const rlx_inside_t *in, rlx_log_t *log,
                      const edit_t *edits, int n, rlx_plan_t *plan)
{
    int i;
    int k;

    for (i = 0; i < n; ++i) {
        uint32_t index = edits[i].index;
        rlx_state_t payload;
        rlx_word_t word;

        for (k = 0; k < i && edits[k].index / 2 != index / 2; ++k) {
        }
        if (k < i) {
            continue;
        }
        if (!rlx_entry_word_read(in, log, index, &word)) {
            return 0;
        }
        payload = rlx_word_payload(word);
        for (k = i; k < n; ++k) {
            if (edits[k].index / 2 == index / 2) {
                payload = rlx_entry_set(payload, edits[k].index % 2,
                                        edits[k].entry);
            }
        }
        rlx_plan_append(in, plan, rlx_entry_word(in, log->piece.slot, index),
                        word, payload);
    }
    return 1;
}

/* --- making room ------------------------------------------------------- */

/* Move a charge towards the tail, over void entries. Its old place becomes
 * void. The head's state changes with it, for the entries are live. */
static int move(const rlx_inside_t *in, rlx_log_t *log, uint32_t from,
                uint32_t to, const rlx_charged_t *charge)
{
    rlx_mcas_change_t step[EDITS_MAX + 1];
    rlx_plan_t plan = { step, EDITS_MAX + 1, NULL, 0, 0, 0, 0, 0 };
    rlx_word_t *head = &rlx_slot(in, log->head)->state;
    edit_t edits[EDITS_MAX];
    uint64_t entry[2];
    uint32_t i;
    int n = 0;

    rlx_entries_of(charge->time, charge->units, entry);
    for (i = 0; i < charge->len; ++i) {
        edit(log, edits, &n, to + i, entry[i]);
    }
    for (i = 0; i < charge->len; ++i) {
        if (from + i >= to + charge->len) {
            edit(log, edits, &n, from + i, RLX_ENTRY_VOID);
        }
    }
    if (!plan_edits(in, log, edits, n, &plan)) {
        return 0;
    }
    rlx_plan_append(in, &plan, head, log->state,
                    rlx_word_payload(log->state));
    if (!rlx_plan_commit(in, &plan)) {
        return 0;
    }
    log->state = rlx_word_next(log->state, rlx_word_payload(log->state));
    return 1;
}

/* Move all charges from a place on towards the tail. Returns where they end
 * then; 0 if the log has changed. */
static uint32_t move_all(const rlx_inside_t *in, rlx_log_t *log, uint32_t from)
{
    uint32_t to = from;
    rlx_charged_t charge;

    for (; from < log->ring.len; from += charge.len) {
        if (!rlx_charged_read(in, log, log->ring.tail + from, &charge)) {
            return 0;
        }
        if (charge.units == 0) {
            continue;
        }
        if (from != to && !move(in, log, from, to, &charge)) {
            return 0;
        }
        to += charge.len;
    }
    return to;
}

/* Void entries are mostly near the end, for what is given back was charged
 * only just now: so the search begins there. */
int rlx_moving_compact(const rlx_inside_t *in, rlx_log_t *log, uint32_t cost)
{
    uint32_t wanted = rlx_entries_for(cost);
    uint32_t at = log->ring.len;
    uint32_t voids = 0;
    rlx_charged_t charge;
    rlx_word_t state;

    while (at > 0 && voids < wanted) {
        if (!rlx_charged_read_back(in, log, log->ring.tail + at, &charge)) {
            return 1;
        }
        at -= charge.len;
        voids += charge.units == 0 ? charge.len : 0;
    }
    if (voids == 0) {
        return 0;
    }
    at = move_all(in, log, at);
    if (at != 0) {
        log->ring.len = at;
        state = log->state;
        rlx_word_cas(&rlx_slot(in, log->head)->state, &state,
                     rlx_word_next(state, rlx_ring_pack(&log->ring)));
    }
    return 1;
}

/* --- giving back ------------------------------------------------------- */

/* A charge and where in the log it begins. */
typedef struct spot_t {
    uint32_t place;
    rlx_charged_t charge;
} spot_t;

/* How well a charge goes with what is to be given back; 0: not at all. A
 * thread whose clock was read before that of the newest charge has its own
 * entered at the time of that. */
static int likeness(const rlx_charged_t *charge, uint32_t cost,
                    rlx_usec_t charged_at)
{
    if (charge->units < cost || charge->time > charged_at + RLX_SKEW_USEC) {
        return 0;
    }
    return 1 + (charge->units == cost) + 2 * (charge->time == charged_at);
}

/* Find the charge; of those that are equally like it the oldest. 0 if the log
 * has changed; units are 0 if there is none. */
static int find(const rlx_inside_t *in, rlx_log_t *log, uint32_t cost,
                rlx_usec_t charged_at, spot_t *spot)
{
    uint32_t at = log->ring.len;
    rlx_charged_t charge;
    int best = 1;

    spot->charge.units = 0;
    while (at > 0) {
        if (!rlx_charged_read_back(in, log, log->ring.tail + at, &charge)) {
            return 0;
        }
        at -= charge.len;
        if (charge.units == 0) {
            continue;
        }
        if (charge.time < charged_at) {
            break;
        }
        if (likeness(&charge, cost, charged_at) >= best) {
            best = likeness(&charge, cost, charged_at);
            spot->place = at;
            spot->charge = charge;
        }
    }
    return 1;
}

/* Cut the log off after its last charge before a place. 0 if it has
 * changed. */
static int cut(const rlx_inside_t *in, rlx_log_t *log, uint32_t at)
{
    rlx_charged_t charge;

    while (at > 0) {
        if (!rlx_charged_read_back(in, log, log->ring.tail + at, &charge)) {
            return 0;
        }
        if (charge.units != 0) {
            log->ring.newest = rlx_newest_of(charge.time);
            break;
        }
        at -= charge.len;
    }
    log->ring.len = at;
    return 1;
}

/* Write what is left of the charge in its place. */
static int rewrite(const rlx_inside_t *in, rlx_log_t *log, const spot_t *spot,
                   uint32_t units, rlx_plan_t *plan)
{
    uint64_t entry[2];
    uint32_t len = rlx_entries_of(spot->charge.time, units, entry);
    edit_t edits[EDITS_MAX];
    uint32_t i;
    int n = 0;

    for (i = 0; i < spot->charge.len; ++i) {
        edit(log, edits, &n, spot->place + i,
             i < len ? entry[i] : RLX_ENTRY_VOID);
    }
    return plan_edits(in, log, edits, n, plan);
}

int rlx_moving_give_back(const rlx_inside_t *in, rlx_log_t *log,
                         const rlx_limit_t *limit, uint32_t cost,
                         rlx_usec_t charged_at, rlx_plan_t *plan)
{
    uint32_t units;
    spot_t spot;
    int done;

    if (charged_at <= log->now - limit->window_usec) {
        return 0;
    }
    if (!find(in, log, cost, charged_at, &spot)) {
        plan->spoilt |= RLX_PLAN_STALE;
        return 0;
    }
    if (spot.charge.units == 0) {
        return 0;
    }
    units = spot.charge.units - cost;
    done = units == 0 && spot.place + spot.charge.len == log->ring.len
               ? cut(in, log, spot.place)
               : rewrite(in, log, &spot, units, plan);
    if (!done) {
        plan->spoilt |= RLX_PLAN_STALE;
        return 0;
    }
    log->ring.sum -= cost;
    return 1;
}
