/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  store.h
 * @brief Storages by URI: one instance per different RateLimitStorage value.
 *
 * Knows APR and the provider interface, not httpd: how providers are found
 * and where lines are logged is given to it.
 */

#ifndef RLX_STORE_STORE_H
#define RLX_STORE_STORE_H

#include "ratelimit_storage.h"

#include "store/health.h"

/** The storage where RateLimitStorage is not set. */
#define RLX_STORE_DEFAULT_URI "shm://"

/** The table in which requests are counted while another storage cannot
 *  answer, and its size. */
#define RLX_STORE_LOCAL_URI  "shm://fallback"
#define RLX_STORE_LOCAL_SIZE "8M"

/** A storage that is in use: provider and instance. */
typedef struct rlx_store_t {
    const rlx_storage_provider_t *provider;
    rlx_storage_t *instance;
    /** The scheme, "shm". */
    const char *scheme;
    /** The URI as it may be shown: user and password replaced by ***. */
    const char *shown_uri;
    /** Behind the deny cache; NULL: there is none. */
    const rlx_storage_provider_t *behind_provider;
    rlx_storage_t *behind_instance;
    /** When a storage that does not answer is asked again; `now` if it is not
     *  known not to answer. NULL: it always answers. */
    rlx_usec_t (*retry_at)(const rlx_storage_t *instance, rlx_usec_t now);
    /** Where it stands how calls went; there it is NULL before it is open.
     *  NULL: nobody keeps that, for it always answers. */
    rlx_health_t *const *health;
} rlx_store_t;

/** What a storage's state changed to. */
typedef enum {
    /** It stopped answering. */
    RLX_STORE_DOWN,
    /** It was asked again, and does not. */
    RLX_STORE_STILL_DOWN,
    /** It answers again. */
    RLX_STORE_UP
} rlx_store_state_e;

/** A change of a storage's state. */
typedef struct rlx_store_change_t {
    /** As in rlx_store_t. */
    const char *shown_uri;
    rlx_store_state_e state;
    /** What it said; APR_SUCCESS if it is up. */
    apr_status_t status;
    /** The same in the storage's own words, or NULL. */
    const char *trouble;
    /** How long it was down, or else how long nobody asks it now. */
    rlx_usec_t usec;
} rlx_store_change_t;

/** Told of a change: one thread of one child is, for the whole server.
 *  @param baton the environment's */
typedef void (*rlx_store_change_fn)(void *baton,
                                    const rlx_store_change_t *change);

/** All storages of one configuration. Made anew at each restart. */
typedef struct rlx_store_set_t rlx_store_set_t;

/** Finds a provider: ap_lookup_provider() in httpd. NULL if there is none. */
typedef const rlx_storage_provider_t *(*rlx_store_lookup_fn)(
    const char *scheme);

/**
 * Make an empty set.
 * @param lookup how to find providers
 * @param env    lent to the instances; outlives the set
 * @param change told when a storage stops answering and when it goes on
 * @param names  the schemes that exist, in one phrase, for error messages
 * @param pconf  pool of the configuration
 */
rlx_store_set_t *rlx_store_set_make(rlx_store_lookup_fn lookup,
                                    const rlx_storage_env_t *env,
                                    rlx_store_change_fn change,
                                    const char *names, apr_pool_t *pconf);

/**
 * Get the storage for a URI; the same URI and options give the same one.
 * @param store   where it goes
 * @param uri     as written; NULL: RLX_STORE_DEFAULT_URI, with the options
 *                that some earlier call gave it
 * @param options option=value pairs; may be NULL
 * @return NULL, or a sentence that names the bad part and what would do,
 *         without user and password
 */
const char *rlx_store_get(rlx_store_set_t *set, rlx_store_t **store,
                          const char *uri, const apr_table_t *options);

/** Get the table RLX_STORE_LOCAL_URI, which is made when it is first asked
 *  for. As rlx_store_get(). */
const char *rlx_store_get_local(rlx_store_set_t *set, rlx_store_t **store);

/** Open every storage of the set. In the parent, once per (re)start. */
apr_status_t rlx_store_open_all(rlx_store_set_t *set);

/** Make every storage of the set ready in a child. */
apr_status_t rlx_store_child_init_all(rlx_store_set_t *set,
                                      apr_pool_t *pchild);

/** rlx_store_decide() and the others for more counters than a provider takes
 *  in one call. */
apr_status_t rlx_store_decide_many(const rlx_store_t *store, rlx_charge_e mode,
                                   const rlx_counter_t *counters, int n,
                                   rlx_usec_t now, rlx_verdict_t *verdicts,
                                   apr_pool_t *ptemp);
apr_status_t rlx_store_look_many(const rlx_store_t *store,
                                 const rlx_counter_t *counters, int n,
                                 rlx_usec_t now, rlx_verdict_t *verdicts,
                                 apr_pool_t *ptemp);
apr_status_t rlx_store_give_back_many(const rlx_store_t *store,
                                      const rlx_counter_t *counters, int n,
                                      rlx_usec_t charged_at, rlx_usec_t now,
                                      apr_pool_t *ptemp);

/**
 * A provider's decide() for any number of counters. Thread-safe, as are the
 * two after it. Up to RLX_STORAGE_BATCH_MAX of them are decided in one atomic
 * step. More are decided in steps of that size: RLX_CHARGE_ATOMIC then looks
 * at all of them before it charges any, so only requests that run beside each
 * other can leave charges for one that is refused.
 * @param n 0: nothing is done
 * @return as decide(); where a later step fails, what earlier ones charged is
 *         given back as far as the storage still listens
 */
static inline apr_status_t rlx_store_decide(const rlx_store_t *store,
                                            rlx_charge_e mode,
                                            const rlx_counter_t *counters,
                                            int n, rlx_usec_t now,
                                            rlx_verdict_t *verdicts,
                                            apr_pool_t *ptemp)
{
    if ((unsigned int)n - 1 < RLX_STORAGE_BATCH_MAX) {
        return store->provider->decide(store->instance, mode, counters, n, now,
                                       verdicts, ptemp);
    }
    return rlx_store_decide_many(store, mode, counters, n, now, verdicts,
                                 ptemp);
}

/** A provider's look() for any number of counters; 0 is allowed. */
static inline apr_status_t rlx_store_look(const rlx_store_t *store,
                                          const rlx_counter_t *counters, int n,
                                          rlx_usec_t now,
                                          rlx_verdict_t *verdicts,
                                          apr_pool_t *ptemp)
{
    if ((unsigned int)n - 1 < RLX_STORAGE_BATCH_MAX) {
        return store->provider->look(store->instance, counters, n, now,
                                     verdicts, ptemp);
    }
    return rlx_store_look_many(store, counters, n, now, verdicts, ptemp);
}

/** A provider's look() past the deny cache: how the counters stand now, not a
 *  moment ago.
 *  @param n 1 to RLX_STORAGE_BATCH_MAX */
static inline apr_status_t rlx_store_look_behind(const rlx_store_t *store,
                                                 const rlx_counter_t *counters,
                                                 int n, rlx_usec_t now,
                                                 rlx_verdict_t *verdicts,
                                                 apr_pool_t *ptemp)
{
    return store->behind_provider
           ? store->behind_provider->look(store->behind_instance, counters, n,
                                          now, verdicts, ptemp)
           : store->provider->look(store->instance, counters, n, now,
                                   verdicts, ptemp);
}

/** A provider's give_back() for any number of counters; 0 is allowed. Every
 *  step is tried, whatever became of those before it.
 *  @return the first error */
static inline apr_status_t rlx_store_give_back(const rlx_store_t *store,
                                               const rlx_counter_t *counters,
                                               int n, rlx_usec_t charged_at,
                                               rlx_usec_t now,
                                               apr_pool_t *ptemp)
{
    if ((unsigned int)n - 1 < RLX_STORAGE_BATCH_MAX) {
        return store->provider->give_back(store->instance, counters, n,
                                          charged_at, now, ptemp);
    }
    return rlx_store_give_back_many(store, counters, n, charged_at, now,
                                    ptemp);
}

/** Not 0 if a storage may ever be unable to answer. Where it was not asked
 *  since it is known not to answer, the status of a call is APR_EAGAIN. */
static inline int rlx_store_may_fail(const rlx_store_t *store)
{
    return store->retry_at != NULL;
}

/** When a storage that does not answer is asked again; `now` if it is not
 *  known not to answer. */
static inline rlx_usec_t rlx_store_retry_at(const rlx_store_t *store,
                                            rlx_usec_t now)
{
    return store->retry_at ? store->retry_at(store->instance, now) : now;
}

/** The built-in provider of shm://. */
extern const rlx_storage_provider_t rlx_shm_provider;

/** The built-in provider of memcached://. */
extern const rlx_storage_provider_t rlx_memcached_provider;

/** The built-in provider of redis://, rediss://, redis+unix://, and the same
 *  with valkey. Built without hiredis it can only say so. */
extern const rlx_storage_provider_t rlx_redis_provider;

/** The schemes of rlx_redis_provider; the last is NULL. */
extern const char *const rlx_redis_schemes[];

/** A URI with *** for user and password, and for what a query says but for
 *  db=; from p or the argument. It need be no right one. */
const char *rlx_store_shown_uri(const char *uri, apr_pool_t *p);

/**
 * A size like "32M": digits and an optional K, M or G.
 * @return 1 and the size, or 0
 */
int rlx_store_parse_size(const char *text, apr_uint64_t *bytes);

#endif /* RLX_STORE_STORE_H */
