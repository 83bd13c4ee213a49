/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Deciding, the general way: read everything, decide on what was read, gather
 * the changes in a plan, carry that out as one atomic step, and begin anew if
 * anything was not as it was read. table_plain.c and table_quick.c do the
 * usual cases.
 */

#include "core/moving_window.h"
#include "core/table.h"
#include "core/table_inside.h"

static const rlx_state_t nothing = { 0, 0 };

/* A plan that finds no slot for a key for so many tries never will: a big
 * batch in a tiny table. That key goes uncounted. */
#define TRIES_MAX 8

/* One counter of the batch. */
typedef struct item_t {
    const rlx_counter_t *counter;
    rlx_place_t place;
    /* The one before it with the same id, or NULL. */
    const struct item_t *same_as;
    /* Where it is, or what proves that it is nowhere. */
    int is_found;
    rlx_found_t found;
    rlx_word_t version;
    /* As read; a value of 0 if it is nowhere. */
    rlx_word_t state;
    rlx_word_t meta;
    /* The state after a charge, and without one. */
    rlx_state_t next;
    rlx_state_t idle;
    rlx_log_t log;
    int is_resized;
    int fits;
    int is_charged;
    /* Its state takes part in the atomic step. */
    int is_bound;
    /* There is no place for it in the table. */
    int is_homeless;
} item_t;

/* A call. */
typedef struct batch_t {
    rlx_inside_t in;
    rlx_usec_t now;
    rlx_usec_t now_rel;
    rlx_charge_e mode;
    int is_look;
    item_t *item;
    int n;
    rlx_plan_t plan;
} batch_t;

static inline int is_moving(const item_t *item)
{
    return item->counter->limit->strategy == RLX_MOVING_WINDOW;
}

static inline const rlx_strategy_t *strategy_of(const rlx_limit_t *limit)
{
    return rlx_strategies[limit->strategy];
}

/* Not 0 if a counter is charged where it has room. */
static inline int is_charging(const rlx_counter_t *counter)
{
    return counter->cost != 0 && !counter->only_test;
}

/* --- verdicts ---------------------------------------------------------- */

static void tell(const batch_t *b, const item_t *item,
                 const rlx_reading_t *reading, rlx_usec_t retry_at,
                 rlx_verdict_t *verdict)
{
    verdict->has_room = item->fits;
    verdict->charged = item->is_charged;
    verdict->remaining = reading->remaining;
    verdict->reset_at = rlx_time_out(reading->reset_at, b->now_rel, b->now);
    verdict->retry_at =
        item->fits ? b->now : rlx_time_out(retry_at, b->now_rel, b->now);
    verdict->decided_at = b->now;
}

/* A count of 0 has no state. */
static void tell_never(const batch_t *b, rlx_verdict_t *verdict)
{
    verdict->has_room = 0;
    verdict->charged = 0;
    verdict->remaining = 0;
    verdict->reset_at = b->now;
    verdict->retry_at = RLX_NEVER;
    verdict->decided_at = b->now;
}

static int tell_moving(const batch_t *b, item_t *item, rlx_verdict_t *verdict)
{
    const rlx_limit_t *limit = item->counter->limit;
    rlx_usec_t retry_at = b->now_rel;
    rlx_reading_t reading;

    if (!item->fits
        && !rlx_moving_retry_at(&b->in, &item->log, limit,
                                item->counter->cost, &retry_at)) {
        return 0;
    }
    rlx_moving_read(&b->in, &item->log, limit, &reading);
    tell(b, item, &reading, retry_at, verdict);
    return !item->is_found || rlx_moving_is_same(&b->in, &item->log);
}

/* Fill in one verdict. 0 if a log has changed, so that it cannot be told. */
static int tell_item(const batch_t *b, item_t *item, rlx_verdict_t *verdict)
{
    const rlx_limit_t *limit = item->counter->limit;
    rlx_state_t state = rlx_word_payload(item->state);
    rlx_usec_t retry_at = b->now_rel;
    rlx_reading_t reading;

    if (limit->count == 0) {
        tell_never(b, verdict);
        return 1;
    }
    if (is_moving(item)) {
        return tell_moving(b, item, verdict);
    }
    if (!item->fits) {
        retry_at = strategy_of(limit)->retry_at(
            state, limit, item->counter->cost, b->now_rel);
    }
    strategy_of(limit)->read(item->is_charged ? item->next : state, limit,
                             b->now_rel, &reading);
    tell(b, item, &reading, retry_at, verdict);
    return 1;
}

/* --- reading ----------------------------------------------------------- */

/* A named limit whose numbers were edited: the facts follow, but for the
 * capacity of a log, which only changes together with its state. */
static void follow_limit(const batch_t *b, item_t *item)
{
    const rlx_limit_t *limit = item->counter->limit;
    rlx_word_t *meta = rlx_slot_meta(&b->in, item->found.slot);
    rlx_facts_t facts;
    rlx_state_t wanted;
    rlx_word_t next;

    rlx_facts_unpack(rlx_word_payload(item->meta), &facts);
    wanted = rlx_facts_pack(
        limit, is_moving(item) ? facts.limit.burst : limit->burst, 1);
    if (!b->is_look
        && !rlx_state_equal(wanted, rlx_word_payload(item->meta))) {
        next = rlx_word_next(item->meta, wanted);
        if (rlx_word_cas(meta, &item->meta, next)) {
            item->meta = next;
        }
    }
    item->log.capacity = facts.limit.burst;
}

/* Read a counter that was found. Its key once more after the other words:
 * the same means that they were its own. */
static int read_found(const batch_t *b, item_t *item)
{
    const rlx_counter_t *counter = item->counter;
    rlx_slot_t *slot = rlx_slot(&b->in, item->found.slot);

    item->state = rlx_inside_read(&b->in, &slot->state);
    item->log.capacity =
        rlx_moving_capacity(counter->limit, b->in.log_max);
    if (counter->is_named) {
        item->meta = rlx_inside_read(
            &b->in, rlx_slot_meta(&b->in, item->found.slot));
    }
    if (!rlx_word_equal(rlx_word_read(&slot->key), item->found.key)) {
        return 0;
    }
    if (counter->is_named) {
        follow_limit(b, item);
    }
    return 1;
}

static int read_item(const batch_t *b, item_t *item)
{
    item->is_found = rlx_find_quick(b->in.hot, b->in.sets, &item->place,
                                    &item->found)
                     || rlx_find(&b->in, &item->place, &item->version,
                                 &item->found);
    if (item->is_found) {
        return read_found(b, item);
    }
    item->state.lo = 0;
    item->state.hi = 0;
    item->log.capacity =
        rlx_moving_capacity(item->counter->limit, b->in.log_max);
    return 1;
}

/* --- deciding ---------------------------------------------------------- */

static int weigh_moving(const batch_t *b, item_t *item)
{
    const rlx_limit_t *limit = item->counter->limit;
    uint32_t wanted = rlx_moving_capacity(limit, b->in.log_max);
    uint32_t cost = item->counter->cost;

    item->log.head = item->found.slot;
    item->log.head_key = item->place.key;
    item->log.state = item->state;
    if (item->log.capacity == 0) {
        item->log.capacity = wanted;
    }
    if (!rlx_moving_open(&b->in, limit, b->now_rel, &item->log)) {
        return 0;
    }
    if (item->log.capacity != wanted
        && rlx_moving_may_resize(&item->log, wanted)) {
        item->log.capacity = wanted;
        item->is_resized = 1;
    }
    item->idle = rlx_moving_idle(&item->log);
    item->fits = rlx_moving_fits(&b->in, &item->log, limit, cost);
    if (!item->fits && rlx_moving_is_cramped(&b->in, &item->log, limit, cost)
        && rlx_moving_compact(&b->in, &item->log, cost)) {
        return 0;
    }
    return 1;
}

/* Decide one counter on what was read. 0 if that is no longer so. */
static int weigh(const batch_t *b, item_t *item)
{
    const rlx_counter_t *counter = item->counter;

    item->is_resized = 0;
    item->is_charged = 0;
    item->is_bound = 0;
    if (is_moving(item)) {
        return weigh_moving(b, item);
    }
    item->idle = rlx_word_payload(item->state);
    item->fits = strategy_of(counter->limit)
                     ->charge(item->idle, counter->limit, counter->cost,
                              b->now_rel, &item->next);
    if (!item->fits || counter->cost == 0) {
        item->idle = item->next;
    }
    return 1;
}

/* Read and decide each counter alone. */
static int weigh_all(const batch_t *b)
{
    int i;

    for (i = 0; i < b->n; ++i) {
        item_t *item = &b->item[i];

        if (item->same_as) {
            continue;
        }
        if (item->counter->limit->count == 0) {
            item->fits = 0;
            item->is_found = 0;
            item->is_charged = 0;
            item->is_bound = 0;
        }
        else if (!read_item(b, item) || !weigh(b, item)) {
            return 0;
        }
    }
    return 1;
}

/* Which are charged, and whose states have to stay as they were read until
 * that is done: also of those whose refusal others depend on. */
static int choose_charged(const batch_t *b)
{
    int charged = 0;
    int refused = 0;
    int i;

    for (i = 0; i < b->n; ++i) {
        refused |= !b->item[i].same_as && !b->item[i].fits;
    }
    if (b->is_look || (refused && b->mode == RLX_CHARGE_ATOMIC)) {
        return 0;
    }
    for (i = 0; i < b->n; ++i) {
        item_t *item = &b->item[i];

        if (item->same_as) {
            continue;
        }
        item->is_charged = item->fits && is_charging(item->counter);
        item->is_bound = item->is_charged || (!item->fits && item->is_found);
        charged |= item->is_charged;
        if (!item->fits && b->mode == RLX_CHARGE_IN_ORDER) {
            break;
        }
    }
    for (i = 0; i < b->n && !charged; ++i) {
        b->item[i].is_bound = 0;
    }
    return charged;
}

/* --- planning ---------------------------------------------------------- */

/* Plan the charge of a log whose head is at item->log.head. */
static void plan_log(batch_t *b, item_t *item)
{
    rlx_moving_charge(&b->in, &item->log, item->counter->cost, &b->plan);
    item->next = rlx_moving_idle(&item->log);
}

static void plan_found(batch_t *b, item_t *item)
{
    const rlx_counter_t *counter = item->counter;
    uint32_t slot = item->found.slot;

    if (item->is_charged && is_moving(item)) {
        if (item->is_resized) {
            rlx_plan_add(&b->in, &b->plan, rlx_slot_meta(&b->in, slot),
                         item->meta,
                         rlx_facts_pack(counter->limit, item->log.capacity,
                                        counter->is_named));
        }
        plan_log(b, item);
    }
    rlx_plan_add(&b->in, &b->plan, &rlx_slot(&b->in, slot)->state,
                 item->state, item->is_charged ? item->next : item->idle);
}

static void plan_new(batch_t *b, item_t *item)
{
    const rlx_counter_t *counter = item->counter;
    uint32_t burst = counter->limit->burst;
    rlx_room_t room;

    if (!rlx_room_make(&b->in, &item->place, item->version, b->now_rel,
                       &b->plan, &room)) {
        return;
    }
    if (is_moving(item)) {
        burst = item->log.capacity;
        item->log.head = room.slot;
        plan_log(b, item);
    }
    rlx_room_fill(&b->in, &item->place, &room, item->next,
                  rlx_facts_pack(counter->limit, burst, counter->is_named),
                  &b->plan);
}

/* Gather the changes. Slots in use are pinned before room is made. */
static void make_plan(batch_t *b, int tries)
{
    int i;

    for (i = 0; i < b->n && b->n > 1; ++i) {
        if (b->item[i].is_bound && b->item[i].is_found) {
            rlx_plan_pin(&b->plan, b->item[i].found.slot);
        }
    }
    for (i = 0; i < b->n && !b->plan.spoilt; ++i) {
        item_t *item = &b->item[i];

        if (!item->is_bound || item->is_homeless) {
            continue;
        }
        if (item->is_found) {
            rlx_plan_pin(&b->plan, item->found.slot);
            plan_found(b, item);
        }
        else {
            plan_new(b, item);
        }
        item->is_homeless =
            (b->plan.spoilt & RLX_PLAN_CROWDED) && tries > TRIES_MAX;
    }
}

/* --- the whole --------------------------------------------------------- */

/* A state brought up to now though nothing was charged: worth keeping, so
 * that a clock that stepped back stays settled and no log is walked twice.
 * If somebody else was quicker, they will have done it. */
static void keep_idle(const batch_t *b)
{
    int i;

    for (i = 0; i < b->n && !b->is_look; ++i) {
        item_t *item = &b->item[i];
        rlx_word_t state = item->state;

        if (!item->same_as && item->is_found && !item->is_bound
            && !rlx_state_equal(item->idle, rlx_word_payload(state))) {
            rlx_word_cas(&rlx_slot(&b->in, item->found.slot)->state, &state,
                         rlx_word_next(state, item->idle));
        }
    }
}

static int tell_all(const batch_t *b, rlx_verdict_t *verdicts)
{
    int i;

    for (i = 0; i < b->n; ++i) {
        item_t *item = &b->item[i];

        if (item->same_as) {
            verdicts[i] = verdicts[item->same_as - b->item];
        }
        else if (!tell_item(b, item, &verdicts[i])) {
            return 0;
        }
    }
    return 1;
}

/* One try. */
static int try_batch(batch_t *b, rlx_verdict_t *verdicts, int tries)
{
    if (!weigh_all(b)) {
        return 0;
    }
    rlx_plan_begin(&b->plan);
    if (choose_charged(b)) {
        make_plan(b, tries);
    }
    /* A log can be walked only as long as its head is as it was read. */
    if (!tell_all(b, verdicts) || !rlx_plan_commit(&b->in, &b->plan)) {
        return 0;
    }
    keep_idle(b);
    return 1;
}

static void find_doubles(batch_t *b)
{
    int i;
    int j;

    for (i = 0; i < b->n; ++i) {
        b->item[i].same_as = NULL;
        for (j = 0; j < i; ++j) {
            if (rlx_id_equal(b->item[i].counter->id, b->item[j].counter->id)) {
                b->item[i].same_as = &b->item[j];
                break;
            }
        }
    }
}

static void decide_batch(batch_t *b, const rlx_counter_t *counters,
                         rlx_verdict_t *verdicts)
{
    rlx_mcas_change_t step[b->n * RLX_PLAN_STEPS_EACH];
    uint32_t pin[b->n * RLX_PLAN_PINS_EACH];
    item_t item[b->n];
    int tries;
    int i;

    b->item = item;
    b->plan.step = step;
    b->plan.steps_max = b->n * RLX_PLAN_STEPS_EACH;
    b->plan.pin = pin;
    b->plan.pins_max = b->n * RLX_PLAN_PINS_EACH;
    for (i = 0; i < b->n; ++i) {
        item[i].counter = &counters[i];
        item[i].is_bound = 0;
        item[i].is_homeless = 0;
        item[i].place = rlx_place_of(counters[i].id);
        rlx_place_prefetch(b->in.hot, b->in.sets, &item[i].place);
    }
    find_doubles(b);
    for (tries = 0; !try_batch(b, verdicts, tries); ++tries) {
        rlx_mcas_backoff(tries);
    }
}

void rlx_batch_decide(const rlx_table_t *table, rlx_charge_e mode,
                      int is_look, const rlx_counter_t *counters, int n,
                      rlx_usec_t now, rlx_verdict_t *verdicts)
{
    batch_t b;

    b.in = rlx_inside(table);
    b.now = now;
    b.now_rel = rlx_time_in(rlx_header(table), now);
    b.mode = mode;
    b.is_look = is_look;
    b.n = n;
    decide_batch(&b, counters, verdicts);
}

void rlx_table_look(const rlx_table_t *table, const rlx_counter_t *counters,
                    int n, rlx_usec_t now, rlx_verdict_t *verdicts)
{
    rlx_batch_decide(table, RLX_CHARGE_ATOMIC, 1, counters, n, now, verdicts);
}

void rlx_table_forget(const rlx_table_t *table, const rlx_counter_t *counter)
{
    rlx_inside_t in = rlx_inside(table);
    rlx_place_t place = rlx_place_of(counter->id);
    rlx_word_t version;
    rlx_found_t found;
    rlx_word_t state;

    while (rlx_find(&in, &place, &version, &found)) {
        rlx_slot_t *slot = rlx_slot(&in, found.slot);

        state = rlx_inside_read(&in, &slot->state);
        if (rlx_word_equal(rlx_word_read(&slot->key), found.key)
            && rlx_word_cas(&slot->state, &state,
                            rlx_word_next(state, nothing))) {
            return;
        }
    }
}
