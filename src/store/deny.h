/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  deny.h
 * @brief The deny cache: a provider around one that is asked over a network,
 *        which is not asked what it would refuse for sure.
 */

#ifndef RLX_STORE_DENY_H
#define RLX_STORE_DENY_H

#include "store/store.h"

/** Its options, for sentences of providers that list theirs. */
#define RLX_DENY_OPTION_NAMES "deny_cache= and deny_cache_time="

/** What its options say. */
typedef struct rlx_deny_settings_t {
    /** Of its table; 0: there is no deny cache. */
    apr_size_t bytes;
    /** How long the storage is not asked at most. */
    rlx_usec_t time_max_usec;
} rlx_deny_settings_t;

/**
 * Read the options that are the deny cache's.
 * @param options all of the storage's
 * @param rest    those that are the provider's; from p, or the same
 * @return NULL, or a sentence that names the bad part and what would do
 */
const char *rlx_deny_options(rlx_deny_settings_t *settings,
                             const apr_table_t *options,
                             const apr_table_t **rest, apr_pool_t *p);

/**
 * Put a deny cache before a storage.
 * @param store    provider and instance are replaced
 * @param name     names what is retained over graceful restarts: URI and
 *                 options
 * @param settings with bytes that are not 0
 * @param env      outlives the store
 * @param pconf    pool of the configuration
 */
void rlx_deny_put(rlx_store_t *store, const char *name,
                  const rlx_deny_settings_t *settings,
                  const rlx_storage_env_t *env, apr_pool_t *pconf);

#endif /* RLX_STORE_DENY_H */
