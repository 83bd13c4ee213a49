/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Giving back charges: one atomic step for each counter. Nothing is made, so
 * nothing is dropped; a counter that has gone is left gone.
 */

#include "core/moving_window.h"
#include "core/table.h"
#include "core/table_inside.h"

/* Entries of a charge, and the state of the head. */
#define STEPS_MAX 4

/* A counter whose charge is given back. */
typedef struct refund_t {
    const rlx_inside_t *in;
    const rlx_counter_t *counter;
    rlx_place_t place;
    rlx_found_t found;
    rlx_word_t state;
    rlx_word_t meta;
    rlx_usec_t charged_at;
    rlx_usec_t now;
} refund_t;

/* Find it and read it, its key once more after the other words. 0 if it has
 * changed meanwhile; `is_there` is 0 if it is nowhere. */
static int read_words(refund_t *r, int *is_there)
{
    const rlx_inside_t *in = r->in;
    rlx_word_t version;
    rlx_slot_t *slot;

    *is_there = rlx_find_quick(in->hot, in->sets, &r->place, &r->found)
                || rlx_find(in, &r->place, &version, &r->found);
    if (!*is_there) {
        return 1;
    }
    slot = rlx_slot(in, r->found.slot);
    r->state = rlx_inside_read(in, &slot->state);
    r->meta = rlx_inside_read(in, rlx_slot_meta(in, r->found.slot));
    return rlx_word_equal(rlx_word_read(&slot->key), r->found.key);
}

/* Not 0 if that is done, or there is nothing to do. */
static int refund_word(const refund_t *r)
{
    const rlx_limit_t *limit = r->counter->limit;
    rlx_state_t state = rlx_word_payload(r->state);
    rlx_word_t seen = r->state;
    rlx_state_t next;

    return !rlx_strategies[limit->strategy]->give_back(
               state, limit, r->counter->cost, r->charged_at, r->now, &next)
           || rlx_word_cas(&rlx_slot(r->in, r->found.slot)->state, &seen,
                           rlx_word_next(seen, next));
}

/* The same for a log. */
static int refund_log(const refund_t *r)
{
    rlx_mcas_change_t step[STEPS_MAX];
    rlx_plan_t plan = { step, STEPS_MAX, NULL, 0, 0, 0, 0, 0 };
    const rlx_limit_t *limit = r->counter->limit;
    rlx_facts_t facts;
    rlx_log_t log;

    /* The ring is as its facts say, whatever the count was edited to. */
    rlx_facts_unpack(rlx_word_payload(r->meta), &facts);
    log.head = r->found.slot;
    log.head_key = r->place.key;
    log.state = r->state;
    log.capacity = facts.limit.burst;
    if (log.capacity == 0 || rlx_state_is_zero(rlx_word_payload(r->state))) {
        return 1;
    }
    if (!rlx_moving_open(r->in, limit, r->now, &log)) {
        return 0;
    }
    if (!rlx_moving_give_back(r->in, &log, limit, r->counter->cost,
                              r->charged_at, &plan)) {
        return !plan.spoilt && rlx_moving_is_same(r->in, &log);
    }
    rlx_plan_append(r->in, &plan, &rlx_slot(r->in, r->found.slot)->state,
                    log.state, rlx_moving_idle(&log));
    return rlx_plan_commit(r->in, &plan);
}

static int try_refund(refund_t *r)
{
    int is_there;

    if (!read_words(r, &is_there)) {
        return 0;
    }
    if (!is_there) {
        return 1;
    }
    return r->counter->limit->strategy == RLX_MOVING_WINDOW ? refund_log(r)
                                                            : refund_word(r);
}

void rlx_table_give_back(const rlx_table_t *table,
                         const rlx_counter_t *counters, int n,
                         rlx_usec_t charged_at, rlx_usec_t now)
{
    rlx_inside_t in = rlx_inside(table);
    refund_t r;
    int tries;
    int i;

    r.in = &in;
    r.charged_at = rlx_time_in(rlx_header(table), charged_at);
    r.now = rlx_time_in(rlx_header(table), now);
    for (i = 0; i < n && r.charged_at <= r.now; ++i) {
        if (counters[i].cost == 0 || counters[i].only_test) {
            continue;
        }
        r.counter = &counters[i];
        r.place = rlx_place_of(counters[i].id);
        for (tries = 0; !try_refund(&r); ++tries) {
            rlx_mcas_backoff(tries);
        }
    }
}
