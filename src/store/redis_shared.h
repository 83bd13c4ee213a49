/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_shared.h
 * @brief What all children know together about the servers behind
 *        redis+sentinel:// and redis+cluster://: a few words of shared memory,
 *        each changed in one step.
 */

#ifndef RLX_STORE_REDIS_SHARED_H
#define RLX_STORE_REDIS_SHARED_H

#include "core/breaker.h"
#include "ratelimit_storage.h"

/** Breakers for the servers of a cluster. Two of them may share one. */
#define RLX_REDIS_BREAKERS 256

/** Zeroed: nothing is known. */
typedef struct rlx_redis_shared_t {
    /** Grows when a child finds that servers have changed their parts, so
     *  that the others look, too, and need not find out by failing. */
    uint32_t news;
    /** Servers of a cluster that do not answer. */
    rlx_breaker_t breakers[RLX_REDIS_BREAKERS];
    /** Opened while slots are known that no server has. */
    rlx_breaker_t nobody;
} rlx_redis_shared_t;

/**
 * Find or make it. In the parent, as open().
 * @param uri   of the storage, as written: the same one finds the same memory
 * @param shown the same for the log
 */
apr_status_t rlx_redis_shared_open(rlx_redis_shared_t **shared,
                                   const char *uri, const char *shown,
                                   const rlx_storage_env_t *env,
                                   apr_pool_t *pconf);

/** The breaker of the server that is called so. */
rlx_breaker_t *rlx_redis_shared_breaker(rlx_redis_shared_t *shared,
                                        const char *name);

/** What the news are at. */
static inline uint32_t rlx_redis_shared_news(const rlx_redis_shared_t *shared)
{
    return __atomic_load_n(&shared->news, __ATOMIC_ACQUIRE);
}

/** There are news. Returns what they are at. */
static inline uint32_t rlx_redis_shared_tell(rlx_redis_shared_t *shared)
{
    return __atomic_add_fetch(&shared->news, 1, __ATOMIC_ACQ_REL);
}

#endif /* RLX_STORE_REDIS_SHARED_H */
