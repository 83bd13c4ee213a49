/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_inside.h
 * @brief What the files of the provider redis share: an instance, and the
 *        functions of the provider that stand in a file of their own.
 */

#ifndef RLX_STORE_REDIS_INSIDE_H
#define RLX_STORE_REDIS_INSIDE_H

#include <apr_thread_mutex.h>

#include "store/redis_route.h"

struct rlx_storage_t {
    rlx_redis_settings_t settings;
    rlx_redis_scripts_t scripts;
    rlx_redis_route_t *route;
    /** What a request's pool remembers its time by. */
    const char *budget_key;
    const rlx_storage_env_t *env;
    apr_pool_t *pconf;
    /** Guards the words about the last failure. */
    apr_thread_mutex_t *mutex;
    rlx_redis_why_t why;
};

/** Keep in mind why a call failed. Returns its status. */
apr_status_t rlx_redis_failed(rlx_storage_t *store, apr_status_t status,
                              const rlx_redis_why_t *why);

/** decide(), and look() with RLX_REDIS_LOOK for a mode. */
apr_status_t rlx_redis_decide(rlx_storage_t *store, int mode,
                              const rlx_counter_t *counters, int n,
                              rlx_usec_t now, rlx_verdict_t *verdicts,
                              apr_pool_t *ptemp);

/** give_back() */
apr_status_t rlx_redis_give_back(rlx_storage_t *store,
                                 const rlx_counter_t *counters, int n,
                                 rlx_usec_t charged_at, rlx_usec_t now,
                                 apr_pool_t *ptemp);

/** forget() */
apr_status_t rlx_redis_forget(rlx_storage_t *store,
                              const rlx_counter_t *counters, int n,
                              apr_pool_t *ptemp);

/** forget_all() */
apr_status_t rlx_redis_forget_all(rlx_storage_t *store, const char *prefix,
                                  size_t len, apr_pool_t *ptemp);

/** figures() */
apr_status_t rlx_redis_figures(rlx_storage_t *store, rlx_usec_t now,
                               rlx_storage_figures_t *figures,
                               apr_pool_t *ptemp);

#endif /* RLX_STORE_REDIS_INSIDE_H */
