/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The few words that all children share about servers of Redis.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_shared.h"

#include <string.h>

#include <apr_shm.h>
#include <apr_strings.h>

/** What is kept over graceful restarts. */
typedef struct segment_t {
    apr_shm_t *shm;
    rlx_redis_shared_t *shared;
} segment_t;

apr_status_t rlx_redis_shared_open(rlx_redis_shared_t **shared,
                                   const char *uri, const char *shown,
                                   const rlx_storage_env_t *env,
                                   apr_pool_t *pconf)
{
    /* The size is of the name: another build of the module may be loaded by
     * a restart. */
    segment_t *segment = env->retain(
        apr_psprintf(pconf, "rlx-redis-%u-%s",
                     (unsigned int)sizeof(rlx_redis_shared_t), uri),
        sizeof(*segment));

    if (!segment->shm) {
        apr_status_t status = apr_shm_create(&segment->shm,
                                             sizeof(rlx_redis_shared_t), NULL,
                                             env->process_pool);

        if (status != APR_SUCCESS) {
            env->log(env->baton, RLX_LOG_ERR, status,
                     apr_pstrcat(pconf, "storage ", shown, ": cannot get "
                                 "shared memory for what is known of its "
                                 "servers", NULL));
            segment->shm = NULL;
            return status;
        }
        segment->shared = apr_shm_baseaddr_get(segment->shm);
        memset(segment->shared, 0, sizeof(*segment->shared));
    }
    *shared = segment->shared;
    return APR_SUCCESS;
}

rlx_breaker_t *rlx_redis_shared_breaker(rlx_redis_shared_t *shared,
                                        const char *name)
{
    uint32_t hash = UINT32_C(2166136261);

    for (const char *c = name; *c; c++) {
        hash = (hash ^ (unsigned char)*c) * UINT32_C(16777619);
    }
    return &shared->breakers[(hash ^ hash >> 16) % RLX_REDIS_BREAKERS];
}

#endif /* RLX_HAVE_HIREDIS */
