/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Calls of memcached://, from their counters to their verdicts.
 *
 * A call first tries by itself, beside those of other threads. If it loses a
 * counter to another, it goes into a queue, and so do those that come for the
 * same counters meanwhile. One thread leads: it takes all calls that are in
 * the queue and runs them as a group, so that a counter that many ask for is
 * charged once for all of them, in place of each losing it to the others.
 */

#include "store/memcached_call.h"

#include <string.h>

#include <apr_thread_mutex.h>

/** As many counters as a group may have. */
#define GROUP_MAX (4 * RLX_STORAGE_BATCH_MAX)

/* --- the queue --------------------------------------------------------- */

/** The bits of all counters of a call. */
static apr_uint64_t bits_of(const rlx_mc_call_t *call)
{
    apr_uint64_t bits = 0;

    for (int i = 0; i < call->n; i++) {
        bits |= UINT64_C(1) << (call->items[i].hash >> 26);
    }
    return bits;
}

/** Take a call out of the queue. */
static void leave(rlx_mc_gate_t *gate, rlx_mc_call_t *call)
{
    for (rlx_mc_call_t **at = &gate->queue; *at; at = &(*at)->next) {
        if (*at == call) {
            *at = call->next;
            call->next = NULL;
            return;
        }
    }
}

/** Not 0 if a call's time is nearly over: with it, a group would have no more
 *  than that. */
static int is_late(const rlx_mc_call_t *call, rlx_usec_t now)
{
    return call->until - now < call->store->budget_usec / 4;
}

/** Take calls out of the queue for a group, the own one first. Who is late
 *  goes alone. */
static rlx_mc_call_t *gather(rlx_mc_gate_t *gate, rlx_mc_call_t *own)
{
    rlx_usec_t now = rlx_monotonic_usec();
    rlx_mc_call_t **at = &gate->queue;
    rlx_mc_call_t **last = &own->next;
    int n = own->n;

    leave(gate, own);
    own->is_taken = 1;
    while (*at && !is_late(own, now)) {
        rlx_mc_call_t *call = *at;

        if (n + call->n > GROUP_MAX || is_late(call, now)) {
            at = &call->next;
            continue;
        }
        *at = call->next;
        call->next = NULL;
        call->is_taken = 1;
        *last = call;
        last = &call->next;
        n += call->n;
    }
    return own;
}

/** Run a group. The gate is locked before and after, not meanwhile. */
static void lead(rlx_mc_gate_t *gate, rlx_mc_call_t *own)
{
    rlx_mc_call_t *calls = gather(gate, own);
    apr_status_t status;

    gate->has_leader = 1;
    apr_thread_mutex_unlock(gate->mutex);
    status = rlx_mc_group_run(calls, own->p);
    apr_thread_mutex_lock(gate->mutex);
    gate->has_leader = 0;
    while (calls) {
        rlx_mc_call_t *call = calls;

        /* Once it is done, it is its thread's again. */
        calls = call->next;
        call->status = status;
        call->is_done = 1;
    }
    if (!gate->queue) {
        __atomic_store_n(&gate->bits, 0, __ATOMIC_RELAXED);
    }
    apr_thread_cond_broadcast(gate->changed);
}

/** Go into the queue, and wait until somebody has run the call; or lead. */
static apr_status_t queue_up(rlx_mc_call_t *call)
{
    rlx_mc_gate_t *gate = &call->store->gate;

    apr_thread_mutex_lock(gate->mutex);
    call->next = gate->queue;
    gate->queue = call;
    __atomic_store_n(&gate->bits, gate->bits | bits_of(call),
                     __ATOMIC_RELAXED);
    while (!call->is_done) {
        rlx_usec_t left = call->until - rlx_monotonic_usec();

        if (call->is_taken) {
            /* Who leads has no more time than this call has. */
            apr_thread_cond_wait(gate->changed, gate->mutex);
        }
        else if (left <= 0) {
            leave(gate, call);
            call->status = APR_EAGAIN;
            break;
        }
        else if (!gate->has_leader) {
            lead(gate, call);
        }
        else {
            apr_thread_cond_timedwait(gate->changed, gate->mutex, left);
        }
    }
    apr_thread_mutex_unlock(gate->mutex);
    if (!call->is_taken) {
        rlx_mc_give_up(call);
    }
    return call->status;
}

static apr_status_t run(rlx_mc_call_t *call)
{
    const rlx_mc_gate_t *gate = &call->store->gate;

    if (!(__atomic_load_n(&gate->bits, __ATOMIC_RELAXED) & bits_of(call))) {
        apr_status_t status = rlx_mc_try_once(call);

        if (status != APR_SUCCESS || rlx_mc_is_done(call)) {
            return status;
        }
    }
    return queue_up(call);
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

static apr_uint32_t hash_of(const char *text, apr_size_t len)
{
    apr_uint32_t hash = 2166136261u; /* FNV-1a */

    for (apr_size_t i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    }
    return hash;
}

static void begin(rlx_mc_call_t *call, rlx_storage_t *store,
                  const rlx_counter_t *counters, int n, rlx_usec_t now,
                  apr_pool_t *p)
{
    memset(call, 0, sizeof(*call));
    call->store = store;
    call->mode = RLX_CHARGE_ALL;
    call->now = call->charged_at = now;
    call->end = rlx_monotonic_usec() + store->budget_usec;
    /* The rest is for giving back. */
    call->until = call->end - store->budget_usec / 4;
    call->p = p;
    call->n = n;
    call->items = apr_pcalloc(p, sizeof(rlx_mc_counter_t) * (apr_size_t)n);
    for (int i = 0; i < n; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        item->counter = &counters[i];
        item->name = rlx_mc_name_of(&counters[i], store->shows_keys,
                                    &item->name_len, p);
        item->hash = hash_of(item->name, item->name_len);
        name_generation(call, item, i ? item - 1 : NULL);
        item->server = rlx_mc_place(store->servers, store->n_servers,
                                    counters[i].key, counters[i].key_len);
        /* A count of 0 has no state. */
        item->duty = counters[i].limit->count ? RLX_MC_CHARGE
                                              : RLX_MC_NOTHING;
    }
}

/** A time of a state as wall clock. */
static rlx_usec_t absolute(const rlx_mc_call_t *call, rlx_usec_t rel)
{
    return rel >= RLX_NEVER - call->now
           ? RLX_NEVER : rel - rlx_mc_relative(call->now) + call->now;
}

static void tell(const rlx_mc_call_t *call, const rlx_mc_counter_t *item,
                 rlx_verdict_t *verdict)
{
    const rlx_limit_t *limit = item->counter->limit;
    const rlx_strategy_t *strategy = rlx_strategies[limit->strategy];
    rlx_usec_t now = rlx_mc_relative(call->now);
    rlx_reading_t reading;

    memset(verdict, 0, sizeof(*verdict));
    verdict->decided_at = call->now;
    if (!limit->count) {
        verdict->reset_at = call->now;
        verdict->retry_at = RLX_NEVER;
        return;
    }
    strategy->read(item->state, limit, now, &reading);
    verdict->has_room = item->fits;
    verdict->charged = item->is_charged;
    verdict->remaining = reading.remaining;
    verdict->reset_at = absolute(call, reading.reset_at);
    verdict->retry_at = call->now;
    if (!item->fits) {
        verdict->retry_at = absolute(call, strategy->retry_at(
            item->state, limit, item->counter->cost, now));
    }
}

static apr_status_t finish(const rlx_mc_call_t *call, apr_status_t status,
                           rlx_verdict_t *verdicts)
{
    for (int i = 0; status == APR_SUCCESS && i < call->n; i++) {
        tell(call, &call->items[i], &verdicts[i]);
    }
    return status;
}

apr_status_t rlx_mc_decide(rlx_storage_t *store, rlx_charge_e mode,
                           const rlx_counter_t *counters, int n,
                           rlx_usec_t now, rlx_verdict_t *verdicts,
                           apr_pool_t *ptemp)
{
    rlx_mc_call_t call;

    begin(&call, store, counters, n, now, ptemp);
    call.mode = mode;
    return finish(&call, run(&call), verdicts);
}

apr_status_t rlx_mc_look(rlx_storage_t *store, const rlx_counter_t *counters,
                         int n, rlx_usec_t now, rlx_verdict_t *verdicts,
                         apr_pool_t *ptemp)
{
    rlx_mc_call_t call;

    begin(&call, store, counters, n, now, ptemp);
    call.is_look = 1;
    return finish(&call, rlx_mc_try_once(&call), verdicts);
}

apr_status_t rlx_mc_give_back(rlx_storage_t *store,
                              const rlx_counter_t *counters, int n,
                              rlx_usec_t charged_at, rlx_usec_t now,
                              apr_pool_t *ptemp)
{
    rlx_mc_call_t call;

    begin(&call, store, counters, n, now, ptemp);
    call.is_back = 1;
    call.charged_at = charged_at;
    call.back_at = now;
    for (int i = 0; i < n; i++) {
        rlx_mc_counter_t *item = &call.items[i];

        if (item->duty == RLX_MC_CHARGE) {
            item->duty = rlx_mc_is_charging(&call, item) ? RLX_MC_GIVE_BACK
                                                         : RLX_MC_NOTHING;
        }
        item->is_charged = item->fits = item->duty == RLX_MC_GIVE_BACK;
    }
    return run(&call);
}
