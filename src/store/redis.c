/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The storage redis://: a Redis whose counters all who use it share. A call is
 * one script on one connection, within one time; see redis_script.h for what
 * the script does, redis_key.h for how counters are named, and redis_route.h
 * for how the server is found.
 */

#include "store/store.h"

#include <apr_strings.h>

#include "store/redis_uri.h"

const char *const rlx_redis_schemes[] = {
    "redis", "rediss", "redis+unix", "redis+sentinel", "redis+cluster",
    "valkey", "valkeys", "valkey+unix", "valkey+sentinel", "valkey+cluster",
    NULL
};

#if RLX_HAVE_HIREDIS

#include "store/redis_inside.h"
#include "store/redis_tls.h"

/*
 * Making
 */

static const char *redis_create(rlx_storage_t **instance, const char *uri,
                                const apr_table_t *options,
                                const rlx_storage_env_t *env,
                                apr_pool_t *pconf)
{
    const apr_array_header_t *pairs = apr_table_elts(options);
    const apr_table_entry_t *pair = (const apr_table_entry_t *)pairs->elts;
    rlx_storage_t *store = apr_pcalloc(pconf, sizeof(*store));
    rlx_redis_settings_t *settings = &store->settings;
    const char *error;

    rlx_redis_settings_init(settings);
    error = rlx_redis_uri_parse(settings, uri, pconf);
    if (error) {
        return apr_psprintf(pconf, "\"%s\": %s",
                            rlx_store_shown_uri(uri, pconf), error);
    }
    for (int i = 0; i < pairs->nelts && !error; i++) {
        error = rlx_redis_option_set(settings, pair[i].key, pair[i].val,
                                     pconf);
    }
    if (!error) {
        error = rlx_redis_settings_check(settings, pconf);
    }
    if (!error && settings->is_tls) {
        error = rlx_redis_tls_make(settings, pconf);
        error = error ? apr_psprintf(pconf, "\"%s\": %s",
                                     rlx_store_shown_uri(uri, pconf), error)
                      : NULL;
    }
    if (error) {
        return error;
    }
    store->env = env;
    store->pconf = pconf;
    store->budget_key = apr_psprintf(pconf, "rlx-redis-%pp", (void *)store);
    rlx_redis_scripts_init(&store->scripts);
    store->route = rlx_redis_route_make(settings, uri,
                                        rlx_store_shown_uri(uri, pconf), env,
                                        pconf);
    *instance = store;
    return NULL;
}

static const char *redis_refuses(const rlx_storage_t *store,
                                 const rlx_limit_t *limit, apr_pool_t *ptemp)
{
    if (limit->strategy != RLX_MOVING_WINDOW
        || limit->count <= store->settings.log_max) {
        return NULL;
    }
    return apr_psprintf(ptemp, "\"%s\" as a moving-window keeps a log of up to "
                        "%u times for each key, and this storage keeps %u: "
                        "raise log_max= of RateLimitStorage, or use "
                        "strategy=sliding-window-counter, which needs no log",
                        limit->text, limit->count, store->settings.log_max);
}

static apr_status_t redis_open(rlx_storage_t *store)
{
    return rlx_redis_route_open(store->route);
}

static apr_status_t redis_child_init(rlx_storage_t *store, apr_pool_t *pchild)
{
    apr_status_t status = apr_thread_mutex_create(
        &store->mutex, APR_THREAD_MUTEX_DEFAULT, store->pconf);

    return status != APR_SUCCESS ? status
                                 : rlx_redis_route_child_init(store->route);
}

/*
 * Asking
 */

apr_status_t rlx_redis_failed(rlx_storage_t *store, apr_status_t status,
                              const rlx_redis_why_t *why)
{
    apr_thread_mutex_lock(store->mutex);
    store->why = *why;
    apr_thread_mutex_unlock(store->mutex);
    return status;
}

static const char *redis_trouble(const rlx_storage_t *store, apr_pool_t *ptemp)
{
    const char *text;

    if (!store->mutex) {
        return NULL;
    }
    apr_thread_mutex_lock(store->mutex);
    text = store->why.text[0] ? apr_pstrdup(ptemp, store->why.text) : NULL;
    apr_thread_mutex_unlock(store->mutex);
    return text;
}

static apr_status_t redis_decide(rlx_storage_t *store, rlx_charge_e mode,
                                 const rlx_counter_t *counters, int n,
                                 rlx_usec_t now, rlx_verdict_t *verdicts,
                                 apr_pool_t *ptemp)
{
    return rlx_redis_decide(store, (int)mode, counters, n, now, verdicts,
                            ptemp);
}

static apr_status_t redis_look(rlx_storage_t *store,
                               const rlx_counter_t *counters, int n,
                               rlx_usec_t now, rlx_verdict_t *verdicts,
                               apr_pool_t *ptemp)
{
    return rlx_redis_decide(store, RLX_REDIS_LOOK, counters, n, now, verdicts,
                            ptemp);
}

const rlx_storage_provider_t rlx_redis_provider = {
    .flags = RLX_STORAGE_WANTS_TEXT | RLX_STORAGE_IS_FAR,
    .create = redis_create,
    .refuses = redis_refuses,
    .open = redis_open,
    .child_init = redis_child_init,
    .decide = redis_decide,
    .look = redis_look,
    .give_back = rlx_redis_give_back,
    .forget = rlx_redis_forget,
    .forget_all = rlx_redis_forget_all,
    .figures = rlx_redis_figures,
    .trouble = redis_trouble,
};

#else /* without hiredis */

static const char *redis_create(rlx_storage_t **instance, const char *uri,
                                const apr_table_t *options,
                                const rlx_storage_env_t *env,
                                apr_pool_t *pconf)
{
    return apr_psprintf(pconf, "\"%s\": this build of the module has no "
                        "hiredis, which Redis is asked by; build it where "
                        "libhiredis-dev is installed, or use shm://",
                        rlx_store_shown_uri(uri, pconf));
}

/** No instance is ever made, so nothing else is called. */
const rlx_storage_provider_t rlx_redis_provider = {
    .create = redis_create
};

#endif /* RLX_HAVE_HIREDIS */
