/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The few words that all children share about servers of Redis.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_shared.h"

#include <string.h>

#include <apr_strings.h>

#include "store/segment.h"

apr_status_t rlx_redis_shared_open(rlx_redis_shared_t **shared,
                                   const char *uri, const char *shown,
                                   const rlx_storage_env_t *env,
                                   apr_pool_t *pconf)
{
    rlx_segment_t segment = {
        apr_pstrcat(pconf, "rlx-redis-", uri, NULL),
        sizeof(rlx_redis_shared_t), shown, "what is known of its servers"
    };
    void *memory = NULL;
    apr_status_t status = rlx_segment_open(&segment, env, pconf, &memory);

    *shared = memory;
    return status;
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
