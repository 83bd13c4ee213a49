/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Deciding by compare-and-swap. It goes in rounds: read all counters that
 * something is still to be done with, decide on what was read, write what is
 * to be charged or given back. A write that finds its counter changed has
 * done nothing, and the next round begins with reading it again. Most calls
 * have one round: two exchanges if anything is charged, one if not.
 *
 * There is no step over several counters. Each is charged by itself, and what
 * a refusal must not be charged for is given back.
 *
 * Several calls may go on as a group. They are decided one after the other in
 * memory, each on the states that the one before has left, and a counter that
 * all of them count by is read and written once. What was decided on a state
 * that then could not be written is decided anew.
 */

#include "store/memcached_call.h"

#include <string.h>

#include <apr_time.h>

static const rlx_strategy_t *strategy_of(const rlx_mc_counter_t *item)
{
    return rlx_strategies[item->counter->limit->strategy];
}

int rlx_mc_is_done(const rlx_mc_call_t *call)
{
    for (int i = 0; i < call->n; i++) {
        if (call->items[i].duty != RLX_MC_NOTHING) {
            return 0;
        }
    }
    return 1;
}

/* --- the group --------------------------------------------------------- */

static rlx_mc_cell_t *cell_named(const rlx_mc_group_t *group,
                                 const rlx_mc_counter_t *item)
{
    for (int i = 0; i < group->n; i++) {
        rlx_mc_cell_t *cell = &group->cells[i];

        if (cell->hash == item->hash && cell->name_len == item->name_len
            && cell->server == item->server
            && !memcmp(cell->name, item->name, item->name_len)) {
            return cell;
        }
    }
    return NULL;
}

static rlx_mc_cell_t *cell_make(rlx_mc_group_t *group,
                                const rlx_mc_counter_t *item)
{
    rlx_mc_cell_t *cell = &group->cells[group->n++];

    memset(cell, 0, sizeof(*cell));
    cell->name = item->name;
    cell->name_len = item->name_len;
    cell->generation_name = item->generation_name;
    cell->generation_name_len = item->generation_name_len;
    cell->hash = item->hash;
    cell->server = item->server;
    cell->limit = item->counter->limit;
    return cell;
}

/** Give every counter its cell. No two counters of one call share one. */
static void make_cells(rlx_mc_group_t *group)
{
    apr_size_t n = 0;

    for (rlx_mc_call_t *call = group->calls; call; call = call->next) {
        n += (apr_size_t)call->n;
    }
    group->cells = apr_palloc(group->p, sizeof(rlx_mc_cell_t) * n);
    for (rlx_mc_call_t *call = group->calls; call; call = call->next) {
        for (int i = 0; i < call->n; i++) {
            rlx_mc_counter_t *item = &call->items[i];
            rlx_mc_cell_t *cell = call == group->calls
                                  ? NULL : cell_named(group, item);

            item->cell = cell ? cell : cell_make(group, item);
            group->asked[item->server].len += RLX_MC_TEXT_PER_ITEM;
        }
    }
}

static void begin(rlx_mc_group_t *group, rlx_mc_call_t *calls, apr_pool_t *p)
{
    memset(group, 0, sizeof(*group));
    group->store = calls->store;
    group->calls = calls;
    group->now = calls->now;
    group->until = calls->until;
    group->end = calls->end;
    group->p = p;
    for (rlx_mc_call_t *call = calls->next; call; call = call->next) {
        group->until = call->until < group->until ? call->until : group->until;
        group->end = call->end < group->end ? call->end : group->end;
    }
    group->n_asked = group->store->n_servers;
    group->asked = apr_pcalloc(p, sizeof(rlx_mc_asked_t)
                                  * (apr_size_t)group->n_asked);
    make_cells(group);
    for (int s = 0; s < group->n_asked; s++) {
        rlx_mc_asked_t *asked = &group->asked[s];

        asked->server = &group->store->servers[s];
        if (asked->len) {
            asked->text = apr_palloc(p, asked->len + RLX_MC_TEXT_PER_ITEM);
        }
    }
}

/** Tell what became of the servers. */
static void end(rlx_mc_group_t *group)
{
    for (int s = 0; s < group->n_asked; s++) {
        const rlx_mc_asked_t *asked = &group->asked[s];

        if (asked->has_answered && !asked->has_failed
            && asked->server->breaker) {
            rlx_mc_note_answer(group->store, asked->server, asked->ticket,
                               group->now, group->p);
        }
    }
}

/* --- deciding ---------------------------------------------------------- */

/** How many of the counters of a call, from the first on, are charged. */
static int charged_up_to(const rlx_mc_call_t *call)
{
    for (int i = 0; i < call->n && call->mode != RLX_CHARGE_ALL; i++) {
        if (!call->items[i].fits) {
            return call->mode == RLX_CHARGE_ATOMIC ? 0 : i;
        }
    }
    return call->n;
}

static void plan_charge(const rlx_mc_call_t *call, rlx_mc_counter_t *item)
{
    item->state = item->cell->state;
    item->is_unsure = item->cell->is_dirty;
    item->fits = strategy_of(item)->charge(
        item->state, item->counter->limit, item->counter->cost,
        rlx_mc_relative(call->now), &item->next);
}

static void plan_back(const rlx_mc_call_t *call, rlx_mc_counter_t *item)
{
    rlx_usec_t back_at = call->back_at;

    /* Where time has passed since, gcra gives back less. */
    if (!back_at) {
        back_at = apr_time_now();
        back_at = back_at > call->charged_at ? back_at : call->charged_at;
    }
    item->state = item->cell->state;
    item->is_written = strategy_of(item)->give_back(
        item->state, item->counter->limit, item->counter->cost,
        rlx_mc_relative(call->charged_at), rlx_mc_relative(back_at),
        &item->next);
    if (!item->is_written) {
        item->duty = RLX_MC_NOTHING;
        item->is_charged = 0;
    }
}

/** What is to be written, and what is to be done in a next round. */
static void plan_duties(rlx_mc_call_t *call)
{
    int up_to = charged_up_to(call);

    for (int i = 0; i < call->n; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        if (item->duty == RLX_MC_CHARGE) {
            item->is_written = item->fits && i < up_to
                               && rlx_mc_is_charging(call, item);
            item->duty = item->is_written ? RLX_MC_CHARGE : RLX_MC_NOTHING;
        }
        else if (item->duty == RLX_MC_NOTHING && item->is_charged
                 && i >= up_to) {
            item->duty = RLX_MC_GIVE_BACK;
        }
    }
}

/** Decide one call, on the states that those before it have left. */
static void plan(rlx_mc_call_t *call)
{
    for (int i = 0; i < call->n; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        item->is_written = item->is_unsure = 0;
        if (item->duty == RLX_MC_CHARGE) {
            plan_charge(call, item);
        }
        else if (item->duty == RLX_MC_GIVE_BACK) {
            plan_back(call, item);
        }
    }
    plan_duties(call);
    for (int i = 0; i < call->n; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        if (item->is_written) {
            item->cell->state = item->next;
            item->cell->is_dirty = 1;
            item->cell->limit = item->counter->limit;
            item->cell->now = call->now;
        }
    }
}

/** Not 0 if anything was decided on a state that could not be written. */
static int is_shaken(const rlx_mc_call_t *call)
{
    for (int i = 0; i < call->n; i++) {
        const rlx_mc_counter_t *item = &call->items[i];

        if (item->is_unsure && !item->cell->is_stored) {
            return 1;
        }
    }
    return 0;
}

/** All that is not charged is to be decided anew, and what is charged stays
 *  so until that is done. */
static void decide_anew(rlx_mc_call_t *call)
{
    for (int i = 0; i < call->n; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        item->duty = !item->is_charged && item->counter->limit->count
                     ? RLX_MC_CHARGE : RLX_MC_NOTHING;
    }
}

/** Take over what was written. */
static void keep(rlx_mc_call_t *call)
{
    for (int i = 0; i < call->n; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        if (item->is_written && item->cell->is_stored) {
            item->is_charged = item->duty == RLX_MC_CHARGE;
            item->state = item->next;
            item->duty = RLX_MC_NOTHING;
        }
    }
    if (is_shaken(call)) {
        decide_anew(call);
    }
}

/* --- rounds ------------------------------------------------------------ */

/** @return how many cells something is to be done with */
static int want_cells(rlx_mc_group_t *group)
{
    int n = 0;

    for (int i = 0; i < group->n; i++) {
        group->cells[i].is_wanted = group->cells[i].is_dirty = 0;
        group->cells[i].is_stored = 0;
    }
    for (rlx_mc_call_t *call = group->calls; call; call = call->next) {
        for (int i = 0; i < call->n; i++) {
            if (call->items[i].duty != RLX_MC_NOTHING) {
                call->items[i].cell->is_wanted = 1;
                n++;
            }
        }
    }
    return n;
}

static apr_status_t do_round(rlx_mc_group_t *group)
{
    apr_status_t status = rlx_mc_take_links(group);

    if (status == APR_SUCCESS) {
        status = rlx_mc_read_all(group);
    }
    if (status == APR_SUCCESS) {
        for (rlx_mc_call_t *call = group->calls; call; call = call->next) {
            plan(call);
        }
        status = rlx_mc_write_all(group);
        for (rlx_mc_call_t *call = group->calls; call; call = call->next) {
            keep(call);
        }
    }
    rlx_mc_give_links(group, status == APR_SUCCESS);
    return status;
}

static apr_status_t do_rounds(rlx_mc_group_t *group)
{
    apr_status_t status = APR_SUCCESS;

    for (int round = 0; status == APR_SUCCESS && want_cells(group); round++) {
        status = round && rlx_monotonic_usec() >= group->until ? APR_EAGAIN
                                                         : do_round(group);
    }
    return status;
}

/** The calls fail: what they were charged is given back, by what is left of
 *  the time and by the servers that still answer. What was to be given back
 *  anyway is not tried again: it may have been. */
static void undo(rlx_mc_group_t *group)
{
    for (rlx_mc_call_t *call = group->calls; call; call = call->next) {
        for (int i = 0; i < call->n; i++) {
            rlx_mc_counter_t *item = &call->items[i];

            item->duty = item->is_charged && !call->is_back
                         && !group->asked[item->server].has_failed
                         ? RLX_MC_GIVE_BACK : RLX_MC_NOTHING;
        }
        call->mode = RLX_CHARGE_ALL;
    }
    group->until = group->end;
    (void)do_rounds(group);
}

apr_status_t rlx_mc_group_run(rlx_mc_call_t *calls, apr_pool_t *p)
{
    rlx_mc_group_t group;
    apr_status_t status;

    begin(&group, calls, p);
    status = do_rounds(&group);
    if (status != APR_SUCCESS) {
        undo(&group);
    }
    end(&group);
    return status;
}

apr_status_t rlx_mc_try_once(rlx_mc_call_t *call)
{
    rlx_mc_group_t group;
    apr_status_t status = APR_SUCCESS;

    begin(&group, call, call->p);
    if (want_cells(&group)) {
        status = do_round(&group);
    }
    if (status != APR_SUCCESS) {
        undo(&group);
    }
    end(&group);
    return status;
}

void rlx_mc_give_up(rlx_mc_call_t *call)
{
    rlx_mc_group_t group;

    begin(&group, call, call->p);
    undo(&group);
    end(&group);
}
