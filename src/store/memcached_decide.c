/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Deciding by compare-and-swap. A call goes in rounds: read all counters that
 * something is still to be done with, decide on what was read, write what is
 * to be charged or given back. A write that finds its counter changed has
 * done nothing, and the next round begins with reading it again. Most calls
 * have one round: two exchanges if anything is charged, one if not.
 *
 * There is no step over several counters. Each is charged by itself, and what
 * a refusal must not be charged for is given back.
 */

#include "store/memcached_call.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <apr_time.h>

/* --- small things ------------------------------------------------------ */

/** A time of a state as wall clock. */
static rlx_usec_t absolute(const rlx_mc_call_t *call, rlx_usec_t rel)
{
    return rel >= RLX_NEVER - call->now
           ? RLX_NEVER : rel - rlx_mc_relative(call->now) + call->now;
}

/** Not 0 if it is charged where it has room. */
static int is_charging(const rlx_mc_call_t *call, const rlx_mc_counter_t *item)
{
    return !call->is_look && item->counter->cost && !item->counter->only_test;
}

/** The bit of the gate that a counter is behind. */
static apr_uint64_t gate_bit(const rlx_mc_counter_t *item)
{
    apr_uint32_t hash = 2166136261u;

    for (apr_size_t i = 0; i < item->name_len; i++) {
        hash = (hash ^ (unsigned char)item->name[i]) * 16777619u;
    }
    return UINT64_C(1) << (hash >> 26);
}

/** The bits of all counters with which something is to be done; 0: none. */
static apr_uint64_t duties(const rlx_mc_call_t *call)
{
    apr_uint64_t bits = 0;

    for (int i = 0; i < call->n; i++) {
        if (call->items[i].duty != RLX_MC_NOTHING) {
            bits |= gate_bit(&call->items[i]);
        }
    }
    return bits;
}

/* --- the gate ---------------------------------------------------------- */

/** Wait until nobody holds any of the bits; then hold them, if that is
 *  wanted. @return APR_EAGAIN if that takes too long */
static apr_status_t gate_pass(rlx_mc_call_t *call, apr_uint64_t bits, int holds)
{
    rlx_mc_gate_t *gate = &call->store->gate;
    apr_status_t status = APR_SUCCESS;

    if (!holds && !(__atomic_load_n(&gate->held, __ATOMIC_RELAXED) & bits)) {
        return APR_SUCCESS;
    }
    apr_thread_mutex_lock(gate->mutex);
    while (gate->held & bits) {
        rlx_usec_t left = call->until - rlx_mc_clock();

        if (left <= 0) {
            status = APR_EAGAIN;
            break;
        }
        apr_thread_cond_timedwait(gate->freed, gate->mutex, left);
    }
    if (holds && status == APR_SUCCESS) {
        __atomic_store_n(&gate->held, gate->held | bits, __ATOMIC_RELAXED);
    }
    apr_thread_mutex_unlock(gate->mutex);
    return status;
}

static void gate_free(rlx_mc_gate_t *gate, apr_uint64_t bits)
{
    apr_thread_mutex_lock(gate->mutex);
    __atomic_store_n(&gate->held, gate->held & ~bits, __ATOMIC_RELAXED);
    apr_thread_cond_broadcast(gate->freed);
    apr_thread_mutex_unlock(gate->mutex);
}

/* --- deciding ---------------------------------------------------------- */

/** How many of the counters, from the first on, are charged. */
static int charged_up_to(const rlx_mc_call_t *call)
{
    for (int i = 0; i < call->n && call->mode != RLX_CHARGE_ALL; i++) {
        if (!call->items[i].fits) {
            return call->mode == RLX_CHARGE_ATOMIC ? 0 : i;
        }
    }
    return call->n;
}

static void plan_charge(rlx_mc_call_t *call, rlx_mc_counter_t *item)
{
    item->fits = rlx_mc_strategy_of(item)->charge(
        item->state, item->counter->limit, item->counter->cost,
        rlx_mc_relative(call->now), &item->next);
}

static void plan_back(rlx_mc_call_t *call, rlx_mc_counter_t *item)
{
    rlx_usec_t back_at = call->back_at ? call->back_at : apr_time_now();

    /* Where time has passed since, gcra gives back less. */
    back_at = back_at > call->charged_at || call->back_at ? back_at
                                                          : call->charged_at;
    item->is_written = rlx_mc_strategy_of(item)->give_back(
        item->state, item->counter->limit, item->counter->cost,
        rlx_mc_relative(call->charged_at), rlx_mc_relative(back_at),
        &item->next);
    if (!item->is_written) {
        item->duty = RLX_MC_NOTHING;
        item->is_charged = 0;
    }
}

/** Decide what is to be written, and what is to be done in a next round. A
 *  counter that was found without room stays so, and thus fewer and fewer
 *  are left to be charged. */
static void plan(rlx_mc_call_t *call)
{
    int up_to;

    for (int i = 0; i < call->n; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        item->is_written = 0;
        if (item->duty == RLX_MC_CHARGE) {
            plan_charge(call, item);
        }
        else if (item->duty == RLX_MC_GIVE_BACK) {
            plan_back(call, item);
        }
    }
    up_to = charged_up_to(call);
    for (int i = 0; i < call->n; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        if (item->duty == RLX_MC_CHARGE) {
            item->is_written = item->fits && i < up_to
                               && is_charging(call, item);
            item->duty = item->is_written ? RLX_MC_CHARGE : RLX_MC_NOTHING;
        }
        else if (item->duty == RLX_MC_NOTHING && item->is_charged
                 && i >= up_to) {
            item->duty = RLX_MC_GIVE_BACK;
        }
    }
}

/* --- rounds ------------------------------------------------------------ */

static apr_status_t do_round(rlx_mc_call_t *call)
{
    apr_status_t status = rlx_mc_take_links(call);

    if (status == APR_SUCCESS) {
        status = rlx_mc_read_all(call);
    }
    if (status == APR_SUCCESS) {
        plan(call);
        status = rlx_mc_write_all(call);
    }
    rlx_mc_give_links(call, status == APR_SUCCESS);
    return status;
}

/** Rounds, until nothing is left to be done. The first runs beside those of
 *  other threads; one that lost against another waits for its turn. */
static apr_status_t do_rounds(rlx_mc_call_t *call)
{
    apr_status_t status = APR_SUCCESS;
    apr_uint64_t held = 0, bits;

    for (int round = 0; status == APR_SUCCESS && (bits = duties(call)) != 0;
         round++) {
        if (round && rlx_mc_clock() >= call->until) {
            status = APR_EAGAIN;
            break;
        }
        if (!held) {
            status = gate_pass(call, bits, round);
            held = round && status == APR_SUCCESS ? bits : 0;
        }
        if (status == APR_SUCCESS) {
            status = do_round(call);
        }
    }
    if (held) {
        gate_free(&call->store->gate, held);
    }
    return status;
}

/** The call fails: what it was charged is given back, by what is left of the
 *  time and by the servers that still answer. */
static void undo(rlx_mc_call_t *call)
{
    for (int i = 0; i < call->n; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        item->duty = item->is_charged && !call->asked[item->server].has_failed
                     ? RLX_MC_GIVE_BACK : RLX_MC_NOTHING;
    }
    call->mode = RLX_CHARGE_ALL;
    call->until = call->end;
    (void)do_rounds(call);
}

/* --- calls ------------------------------------------------------------- */

/** A counter's key prefix is what its scope begins with. */
static void name_generation(const rlx_mc_call_t *call, rlx_mc_counter_t *item,
                            const rlx_mc_counter_t *before)
{
    const rlx_counter_t *counter = item->counter;
    const char *end = memchr(counter->scope, ':', counter->scope_len);
    apr_size_t len = end ? (apr_size_t)(end - counter->scope) : 0;

    if (before && before->counter->scope_len > len
        && before->counter->scope[len] == ':'
        && !memcmp(before->counter->scope, counter->scope, len)) {
        item->generation_name = before->generation_name;
        item->generation_name_len = before->generation_name_len;
        return;
    }
    item->generation_name = rlx_mc_generation_name(
        counter->scope, len, &item->generation_name_len, call->p);
}

static void begin_items(rlx_mc_call_t *call, const rlx_counter_t *counters)
{
    rlx_storage_t *store = call->store;

    for (int i = 0; i < call->n; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        item->counter = &counters[i];
        item->name = rlx_mc_name_of(&counters[i], store->shows_keys,
                                    &item->name_len, call->p);
        name_generation(call, item, i ? item - 1 : NULL);
        item->server = rlx_mc_place(store->servers, store->n_servers,
                                    counters[i].key, counters[i].key_len);
        /* A count of 0 has no state. */
        item->duty = counters[i].limit->count ? RLX_MC_CHARGE : RLX_MC_NOTHING;
        call->asked[item->server].len += RLX_MC_TEXT_PER_ITEM;
    }
}

static void begin(rlx_mc_call_t *call, rlx_storage_t *store,
                  const rlx_counter_t *counters, int n, rlx_usec_t now,
                  apr_pool_t *p)
{
    memset(call, 0, sizeof(*call));
    call->store = store;
    call->mode = RLX_CHARGE_ALL;
    call->now = call->charged_at = now;
    call->end = rlx_mc_clock() + store->budget_usec;
    /* The rest is for giving back. */
    call->until = call->end - store->budget_usec / 4;
    call->p = p;
    call->n = n;
    call->items = apr_pcalloc(p, sizeof(rlx_mc_counter_t) * (apr_size_t)n);
    call->n_asked = store->n_servers;
    call->asked = apr_pcalloc(p, sizeof(rlx_mc_asked_t)
                                 * (apr_size_t)call->n_asked);
    begin_items(call, counters);
    for (int s = 0; s < call->n_asked; s++) {
        rlx_mc_asked_t *asked = &call->asked[s];

        asked->server = &store->servers[s];
        if (asked->len) {
            asked->text = apr_palloc(p, asked->len + RLX_MC_TEXT_PER_ITEM);
        }
    }
}

static void tell(const rlx_mc_call_t *call, const rlx_mc_counter_t *item,
                 rlx_verdict_t *verdict)
{
    const rlx_limit_t *limit = item->counter->limit;
    rlx_usec_t now = rlx_mc_relative(call->now);
    rlx_reading_t reading;

    memset(verdict, 0, sizeof(*verdict));
    if (!limit->count) {
        verdict->reset_at = call->now;
        verdict->retry_at = RLX_NEVER;
        return;
    }
    rlx_mc_strategy_of(item)->read(item->state, limit, now, &reading);
    verdict->has_room = item->fits;
    verdict->charged = item->is_charged;
    verdict->remaining = reading.remaining;
    verdict->reset_at = absolute(call, reading.reset_at);
    verdict->retry_at = item->fits ? call->now
        : absolute(call, rlx_mc_strategy_of(item)->retry_at(item->state, limit,
                                                     item->counter->cost,
                                                     now));
}

/** Tell what became of the servers, and what was decided. */
static apr_status_t end(rlx_mc_call_t *call, apr_status_t status,
                        rlx_verdict_t *verdicts)
{
    for (int s = 0; s < call->n_asked; s++) {
        const rlx_mc_asked_t *asked = &call->asked[s];

        if (asked->has_answered && !asked->has_failed
            && asked->server->breaker) {
            rlx_mc_note_answer(call->store, asked->server, asked->ticket,
                               call->now, call->p);
        }
    }
    for (int i = 0; verdicts && status == APR_SUCCESS && i < call->n; i++) {
        tell(call, &call->items[i], &verdicts[i]);
    }
    return status;
}

apr_status_t rlx_mc_decide(rlx_storage_t *store, rlx_charge_e mode,
                           const rlx_counter_t *counters, int n,
                           rlx_usec_t now, rlx_verdict_t *verdicts,
                           apr_pool_t *ptemp)
{
    apr_status_t status;
    rlx_mc_call_t call;

    begin(&call, store, counters, n, now, ptemp);
    call.mode = mode;
    status = do_rounds(&call);
    if (status != APR_SUCCESS) {
        undo(&call);
    }
    return end(&call, status, verdicts);
}

apr_status_t rlx_mc_look(rlx_storage_t *store, const rlx_counter_t *counters,
                         int n, rlx_usec_t now, rlx_verdict_t *verdicts,
                         apr_pool_t *ptemp)
{
    rlx_mc_call_t call;

    begin(&call, store, counters, n, now, ptemp);
    call.is_look = 1;
    return end(&call, do_rounds(&call), verdicts);
}

apr_status_t rlx_mc_give_back(rlx_storage_t *store,
                              const rlx_counter_t *counters, int n,
                              rlx_usec_t charged_at, rlx_usec_t now,
                              apr_pool_t *ptemp)
{
    rlx_mc_call_t call;

    begin(&call, store, counters, n, now, ptemp);
    call.charged_at = charged_at;
    call.back_at = now;
    for (int i = 0; i < n; i++) {
        rlx_mc_counter_t *item = &call.items[i];

        if (item->duty == RLX_MC_CHARGE) {
            item->duty = is_charging(&call, item) ? RLX_MC_GIVE_BACK
                                                  : RLX_MC_NOTHING;
        }
    }
    return end(&call, do_rounds(&call), NULL);
}
