/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The guard of a storage that may fail. Each call that requests make goes by
 * the breaker, which stands in a small segment of shared memory; calls that
 * an administrator makes (forgetting, figures) are let through.
 */

#include "store/guard.h"

#include <apr_strings.h>

#include "core/breaker.h"
#include "store/clock.h"
#include "store/segment.h"

/** What all children share. */
typedef struct shared_t {
    rlx_breaker_t breaker;
    rlx_health_t health;
} shared_t;

struct rlx_storage_t {
    /** What the guard stands before. */
    const rlx_storage_provider_t *provider;
    rlx_storage_t *instance;
    const char *shown_uri;
    const char *name;
    const rlx_storage_env_t *env;
    rlx_store_change_fn change;
    apr_pool_t *pool;
    /** Shared by all children; NULL before open(). */
    rlx_breaker_t *breaker;
    rlx_health_t *health;
    /** Not 0: the storage could not be made ready in this child. */
    int is_lost;
    /** The guard as a provider. */
    rlx_storage_provider_t own;
};

static const char *guard_refuses(const rlx_storage_t *guard,
                                 const rlx_limit_t *limit, apr_pool_t *ptemp)
{
    return guard->provider->refuses(guard->instance, limit, ptemp);
}

static apr_status_t guard_open(rlx_storage_t *guard)
{
    rlx_segment_t segment = {
        apr_pstrcat(guard->pool, "rlx-guard-", guard->name, NULL),
        sizeof(shared_t), guard->shown_uri, "its state"
    };
    void *memory;
    shared_t *shared;
    apr_status_t status = rlx_segment_open(&segment, guard->env, guard->pool,
                                           &memory);

    if (status != APR_SUCCESS) {
        return status;
    }
    shared = memory;
    if (!shared->health.changed_at) {
        rlx_health_change(&shared->health, apr_time_now(), 0);
    }
    guard->breaker = &shared->breaker;
    guard->health = &shared->health;
    return guard->provider->open(guard->instance);
}

static apr_status_t guard_child_init(rlx_storage_t *guard, apr_pool_t *pchild)
{
    apr_status_t status = guard->provider->child_init(guard->instance, pchild);

    guard->is_lost = status != APR_SUCCESS;
    return status;
}

static void tell(const rlx_storage_t *guard, rlx_store_state_e state,
                 apr_status_t status, const char *trouble, rlx_usec_t usec)
{
    rlx_store_change_t change = { guard->shown_uri, state, status, trouble,
                                  usec };

    if (guard->change) {
        guard->change(guard->env->baton, &change);
    }
}

/** A call that was let through. */
typedef struct call_t {
    rlx_breaker_ticket_t ticket;
    /** As rlx_monotonic_usec(). */
    rlx_usec_t began;
} call_t;

/** Not 0 if the storage may be asked now. */
static int may_ask(rlx_storage_t *guard, rlx_usec_t now, call_t *call)
{
    if (guard->is_lost
        || !rlx_breaker_may_ask(guard->breaker, now, &call->ticket)) {
        return 0;
    }
    call->began = rlx_monotonic_usec();
    return 1;
}

/** It did not answer. */
static __attribute__((noinline)) void
note_failure(rlx_storage_t *guard, rlx_breaker_ticket_t ticket, rlx_usec_t now,
             apr_status_t status, apr_pool_t *ptemp)
{
    const rlx_storage_provider_t *provider = guard->provider;
    rlx_breaker_change_e changed = rlx_breaker_failed(guard->breaker, ticket,
                                                      now);

    if (changed == RLX_BREAKER_OPENED) {
        rlx_health_change(guard->health, now, 1);
    }
    if (changed != RLX_BREAKER_SAME) {
        tell(guard, changed == RLX_BREAKER_OPENED ? RLX_STORE_DOWN
                                                  : RLX_STORE_STILL_DOWN,
             status,
             provider->trouble ? provider->trouble(guard->instance, ptemp)
                               : NULL,
             rlx_breaker_retry_at(guard->breaker, now) - now);
    }
}

/** Keep in mind how a call went. A storage of many servers that cannot answer
 *  this call, though it can others, is no storage that is down. */
static apr_status_t note(rlx_storage_t *guard, const call_t *call,
                         rlx_usec_t now, apr_status_t status,
                         apr_pool_t *ptemp)
{
    rlx_breaker_ticket_t ticket = call->ticket;
    rlx_usec_t down_usec;

    rlx_health_note(guard->health, call->began, status == APR_SUCCESS);
    if (status != APR_SUCCESS && status != APR_EAGAIN) {
        note_failure(guard, ticket, now, status, ptemp);
    }
    else if (rlx_breaker_answered(guard->breaker, ticket, now, &down_usec)
             == RLX_BREAKER_CLOSED) {
        rlx_health_change(guard->health, now, 0);
        tell(guard, RLX_STORE_UP, APR_SUCCESS, NULL, down_usec);
    }
    return status;
}

static apr_status_t guard_decide(rlx_storage_t *guard, rlx_charge_e mode,
                                 const rlx_counter_t *counters, int n,
                                 rlx_usec_t now, rlx_verdict_t *verdicts,
                                 apr_pool_t *ptemp)
{
    call_t call;

    if (!may_ask(guard, now, &call)) {
        return APR_EAGAIN;
    }
    return note(guard, &call, now,
                guard->provider->decide(guard->instance, mode, counters, n,
                                        now, verdicts, ptemp), ptemp);
}

static apr_status_t guard_look(rlx_storage_t *guard,
                               const rlx_counter_t *counters, int n,
                               rlx_usec_t now, rlx_verdict_t *verdicts,
                               apr_pool_t *ptemp)
{
    call_t call;

    if (!may_ask(guard, now, &call)) {
        return APR_EAGAIN;
    }
    return note(guard, &call, now,
                guard->provider->look(guard->instance, counters, n, now,
                                      verdicts, ptemp), ptemp);
}

static apr_status_t guard_give_back(rlx_storage_t *guard,
                                    const rlx_counter_t *counters, int n,
                                    rlx_usec_t charged_at, rlx_usec_t now,
                                    apr_pool_t *ptemp)
{
    call_t call;

    if (!may_ask(guard, now, &call)) {
        return APR_EAGAIN;
    }
    return note(guard, &call, now,
                guard->provider->give_back(guard->instance, counters, n,
                                           charged_at, now, ptemp), ptemp);
}

static apr_status_t guard_forget(rlx_storage_t *guard,
                                 const rlx_counter_t *counters, int n,
                                 apr_pool_t *ptemp)
{
    return guard->is_lost ? APR_EAGAIN
                          : guard->provider->forget(guard->instance, counters,
                                                    n, ptemp);
}

static apr_status_t guard_forget_all(rlx_storage_t *guard, const char *prefix,
                                     size_t len, apr_pool_t *ptemp)
{
    return guard->is_lost ? APR_EAGAIN
                          : guard->provider->forget_all(guard->instance,
                                                        prefix, len, ptemp);
}

static apr_status_t guard_figures(rlx_storage_t *guard, rlx_usec_t now,
                                  rlx_storage_figures_t *figures,
                                  apr_pool_t *ptemp)
{
    apr_status_t status = guard->is_lost ? APR_EAGAIN
        : guard->provider->figures(guard->instance, now, figures, ptemp);

    if (status == APR_SUCCESS && rlx_breaker_down_since(guard->breaker)) {
        figures->healthy = 0;
        figures->state = "does not answer";
    }
    return status;
}

static const char *guard_trouble(const rlx_storage_t *guard, apr_pool_t *ptemp)
{
    return guard->provider->trouble
           ? guard->provider->trouble(guard->instance, ptemp) : NULL;
}

static rlx_usec_t guard_retry_at(const rlx_storage_t *guard, rlx_usec_t now)
{
    return rlx_breaker_retry_at(guard->breaker, now);
}

/** No URI leads to it, so create() is never called. */
static const rlx_storage_provider_t guard_provider = {
    .refuses = guard_refuses,
    .open = guard_open,
    .child_init = guard_child_init,
    .decide = guard_decide,
    .look = guard_look,
    .give_back = guard_give_back,
    .forget = guard_forget,
    .forget_all = guard_forget_all,
    .figures = guard_figures,
    .trouble = guard_trouble,
};

void rlx_guard_put(rlx_store_t *store, const char *name,
                   const rlx_storage_env_t *env, rlx_store_change_fn change,
                   apr_pool_t *pconf)
{
    rlx_storage_t *guard = apr_pcalloc(pconf, sizeof(*guard));

    guard->provider = store->provider;
    guard->instance = store->instance;
    guard->shown_uri = store->shown_uri;
    guard->name = name;
    guard->env = env;
    guard->change = change;
    guard->pool = pconf;
    guard->own = guard_provider;
    guard->own.flags = store->provider->flags;
    store->provider = &guard->own;
    store->instance = guard;
    store->retry_at = guard_retry_at;
    store->health = &guard->health;
}
