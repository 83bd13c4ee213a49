/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Deciding and giving back. With one server a call is one script. In a cluster
 * it is one for each slot, so that a call whose counters lie in several is
 * done in steps:
 *
 *   atomic    looks at all groups but the first, and charges none if one of
 *             them has no room; then charges group after group, and gives back
 *             what it charged if a later one has no room after all
 *   in-order  runs of counters that share a slot, up to the first that refuses
 *   all       each group by itself
 *
 * A counter never has more charged than it has room for, for each is charged
 * in one step. What others can see is a charge that is given back a moment
 * later.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_inside.h"

#include <string.h>

#include "store/redis_batch.h"

/** The time that the calls of one request take together. */
typedef struct budget_t {
    rlx_usec_t left;
} budget_t;

/** A call within it. */
typedef struct timed_t {
    budget_t *budget;
    rlx_usec_t begin;
    rlx_usec_t deadline;
} timed_t;

/** Begin a call. A request's calls are known by its pool. */
static timed_t begin_call(const rlx_storage_t *store, apr_pool_t *ptemp)
{
    timed_t timed;
    void *found = NULL;

    apr_pool_userdata_get(&found, store->budget_key, ptemp);
    timed.budget = found;
    if (!found) {
        timed.budget = apr_palloc(ptemp, sizeof(*timed.budget));
        timed.budget->left = store->settings.timeout_usec;
        apr_pool_userdata_setn(timed.budget, store->budget_key, NULL, ptemp);
    }
    timed.begin = rlx_monotonic_usec();
    timed.deadline = timed.begin + timed.budget->left;
    return timed;
}

/** End it; keeps why it failed. Returns its status. */
static apr_status_t end_call(rlx_storage_t *store, const timed_t *timed,
                             apr_status_t status, const rlx_redis_why_t *why)
{
    timed->budget->left -= rlx_monotonic_usec() - timed->begin;
    return status == APR_SUCCESS ? status
                                 : rlx_redis_failed(store, status, why);
}

/** Not 0 if there is time for it. */
static int has_time(const timed_t *timed, rlx_redis_why_t *why)
{
    if (timed->budget->left <= 0) {
        rlx_redis_why(why, "earlier calls of the request took all its time");
        return 0;
    }
    return 1;
}

/** A call that decides. */
typedef struct deciding_t {
    rlx_storage_t *store;
    rlx_usec_t deadline;
    rlx_usec_t now;
    apr_pool_t *ptemp;
    rlx_redis_batch_t batch;
    /** Of the batch's counters. */
    rlx_verdict_t told[RLX_STORAGE_BATCH_MAX];
    /** Not 0: keys of one slot are on two servers for now. */
    int is_apart;
    rlx_redis_why_t why;
} deciding_t;

/** One group of it, for its reply. */
typedef struct asking_t {
    deciding_t *deciding;
    const rlx_redis_group_t *group;
    int mode;
} asking_t;

static const char *read_decision(const redisReply *reply, void *baton)
{
    const asking_t *asking = baton;
    deciding_t *d = asking->deciding;
    int from = asking->group->from;

    return rlx_redis_verdicts(reply, asking->mode, &d->batch.counters[from],
                              asking->group->n, d->now, &d->told[from]);
}

static const char *read_number(const redisReply *reply, void *baton)
{
    return reply->type == REDIS_REPLY_INTEGER ? NULL : "no number";
}

/** Decide a group, or look at it. */
static apr_status_t ask_group(deciding_t *d, const rlx_redis_group_t *group,
                              int mode)
{
    rlx_storage_t *store = d->store;
    rlx_redis_command_t command;
    asking_t asking = { d, group, mode };
    rlx_redis_call_t call = {
        .command = &command, .script = &store->scripts.decide,
        .slot = group->slot, .deadline = d->deadline, .now = d->now,
        .read = read_decision, .baton = &asking
    };
    apr_status_t status;

    rlx_redis_decide_command(&command, &store->scripts, mode,
                             &d->batch.keys[group->from],
                             &d->batch.counters[group->from], group->n,
                             d->ptemp);
    status = rlx_redis_route_run(store->route, &call, &d->why);
    d->is_apart = d->is_apart || call.is_apart;
    return status;
}

/** Not 0 if all counters of a group have room. */
static int has_room(const deciding_t *d, const rlx_redis_group_t *group)
{
    for (int i = group->from; i < group->from + group->n; i++) {
        if (!d->told[i].has_room) {
            return 0;
        }
    }
    return 1;
}

/*
 * Giving back
 */

static apr_status_t give_back_group(rlx_storage_t *store,
                                    const rlx_redis_batch_t *batch,
                                    const rlx_redis_group_t *group,
                                    rlx_usec_t charged_at, rlx_usec_t now,
                                    rlx_usec_t deadline, apr_pool_t *ptemp,
                                    rlx_redis_why_t *why)
{
    rlx_redis_command_t command;
    rlx_redis_call_t call = {
        .command = &command, .script = &store->scripts.give_back,
        .slot = group->slot, .deadline = deadline, .now = now,
        .read = read_number
    };

    rlx_redis_give_back_command(&command, &store->scripts,
                                &batch->keys[group->from],
                                &batch->counters[group->from], group->n,
                                charged_at, ptemp);
    return rlx_redis_route_run(store->route, &call, why);
}

/** Counters of a call that have something to give back, in groups. */
static void batch_of_charged(rlx_redis_batch_t *batch,
                             const rlx_storage_t *store,
                             const rlx_counter_t *counters, int n,
                             apr_pool_t *ptemp)
{
    rlx_redis_batch_init(batch);
    for (int i = 0; i < n; i++) {
        if (counters[i].cost && !counters[i].only_test
            && counters[i].limit->count) {
            rlx_redis_batch_add(batch, &counters[i], i,
                                store->settings.stores_plain, ptemp);
        }
    }
    /* One by one in a cluster, so that a slot that is being moved, and whose
     * keys are on two servers, is as good as any other. */
    rlx_redis_batch_group(batch, rlx_redis_route_has_slots(store->route)
                                 ? RLX_REDIS_SINGLY : RLX_REDIS_WHOLE);
}

apr_status_t rlx_redis_give_back(rlx_storage_t *store,
                                 const rlx_counter_t *counters, int n,
                                 rlx_usec_t charged_at, rlx_usec_t now,
                                 apr_pool_t *ptemp)
{
    timed_t timed = begin_call(store, ptemp);
    apr_status_t result = APR_SUCCESS;
    rlx_redis_batch_t batch;
    rlx_redis_why_t why, first;

    batch_of_charged(&batch, store, counters, n, ptemp);
    if (batch.groups_n && !has_time(&timed, &first)) {
        return end_call(store, &timed, APR_TIMEUP, &first);
    }
    for (int i = 0; i < batch.groups_n; i++) {
        apr_status_t status = give_back_group(store, &batch, &batch.groups[i],
                                              charged_at, now,
                                              timed.deadline, ptemp, &why);

        if (status != APR_SUCCESS && result == APR_SUCCESS) {
            result = status;
            first = why;
        }
    }
    return end_call(store, &timed, result, &first);
}

/** Undo what the first n groups of a call were charged, as far as their
 *  servers listen. Their verdicts are then as if nothing had been. */
static void undo(deciding_t *d, int n)
{
    rlx_redis_why_t why;

    for (int i = 0; i < n; i++) {
        rlx_redis_group_t one = d->batch.groups[i];
        int end = one.from + one.n;

        for (one.n = 1; one.from < end; one.from++) {
            rlx_verdict_t *told = &d->told[one.from];
            const rlx_counter_t *counter = d->batch.counters[one.from];

            if (!told->charged) {
                continue;
            }
            if (give_back_group(d->store, &d->batch, &one, told->decided_at,
                                d->now, d->deadline, d->ptemp, &why)
                == APR_SUCCESS) {
                told->remaining += counter->cost;
            }
            told->charged = 0;
        }
    }
}

/*
 * Several groups
 */

/** Look at the groups from one on. `is_open` is cleared if one has no room. */
static apr_status_t look_from(deciding_t *d, int from, int *is_open)
{
    apr_status_t status = APR_SUCCESS;

    for (int i = from; i < d->batch.groups_n && status == APR_SUCCESS; i++) {
        status = ask_group(d, &d->batch.groups[i], RLX_REDIS_LOOK);
        *is_open = *is_open && has_room(d, &d->batch.groups[i]);
    }
    return status;
}

static apr_status_t decide_atomic(deciding_t *d)
{
    int is_open = 1;
    apr_status_t status = look_from(d, 1, &is_open);

    if (status == APR_SUCCESS && !is_open) {
        return ask_group(d, &d->batch.groups[0], RLX_REDIS_LOOK);
    }
    for (int i = 0; i < d->batch.groups_n && status == APR_SUCCESS; i++) {
        status = ask_group(d, &d->batch.groups[i], RLX_CHARGE_ATOMIC);
        if (status != APR_SUCCESS || !has_room(d, &d->batch.groups[i])) {
            undo(d, i);
            break;
        }
    }
    return status;
}

static apr_status_t decide_in_order(deciding_t *d)
{
    int is_open = 1;

    for (int i = 0; i < d->batch.groups_n; i++) {
        const rlx_redis_group_t *group = &d->batch.groups[i];
        apr_status_t status = ask_group(d, group, is_open ? RLX_CHARGE_IN_ORDER
                                                          : RLX_REDIS_LOOK);

        if (status != APR_SUCCESS) {
            undo(d, i);
            return status;
        }
        is_open = is_open && has_room(d, group);
    }
    return APR_SUCCESS;
}

static apr_status_t decide_each(deciding_t *d, int mode)
{
    for (int i = 0; i < d->batch.groups_n; i++) {
        apr_status_t status = ask_group(d, &d->batch.groups[i], mode);

        if (status != APR_SUCCESS) {
            undo(d, i);
            return status;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t decide_groups(deciding_t *d, int mode)
{
    if (d->batch.groups_n > 1 && mode == RLX_CHARGE_ATOMIC) {
        return decide_atomic(d);
    }
    return mode == RLX_CHARGE_IN_ORDER ? decide_in_order(d)
                                       : decide_each(d, mode);
}

/** All counters of a call, in groups. */
static void batch_of_all(rlx_redis_batch_t *batch, const rlx_storage_t *store,
                         const rlx_counter_t *counters, int n, int mode,
                         apr_pool_t *ptemp)
{
    rlx_redis_batch_init(batch);
    for (int i = 0; i < n; i++) {
        rlx_redis_batch_add(batch, &counters[i], i,
                            store->settings.stores_plain, ptemp);
    }
    rlx_redis_batch_group(batch, !rlx_redis_route_has_slots(store->route)
                                 ? RLX_REDIS_WHOLE
                                 : mode == RLX_CHARGE_IN_ORDER
                                   ? RLX_REDIS_BY_RUN : RLX_REDIS_BY_SLOT);
}

apr_status_t rlx_redis_decide(rlx_storage_t *store, int mode,
                              const rlx_counter_t *counters, int n,
                              rlx_usec_t now, rlx_verdict_t *verdicts,
                              apr_pool_t *ptemp)
{
    timed_t timed = begin_call(store, ptemp);
    deciding_t d;
    apr_status_t status;

    d.store = store;
    d.deadline = timed.deadline;
    d.now = now;
    d.ptemp = ptemp;
    d.is_apart = 0;
    if (!has_time(&timed, &d.why)) {
        return end_call(store, &timed, APR_TIMEUP, &d.why);
    }
    batch_of_all(&d.batch, store, counters, n, mode, ptemp);
    status = decide_groups(&d, mode);
    if (status != APR_SUCCESS && d.is_apart) {
        /* Each key by itself is on one server or the other. */
        rlx_redis_batch_group(&d.batch, RLX_REDIS_SINGLY);
        status = decide_groups(&d, mode);
    }
    for (int i = 0; i < n && status == APR_SUCCESS; i++) {
        verdicts[i] = d.told[d.batch.which[i]];
    }
    return end_call(store, &timed, status, &d.why);
}

#endif /* RLX_HAVE_HIREDIS */
