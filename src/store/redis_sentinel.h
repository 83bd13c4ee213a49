/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_sentinel.h
 * @brief Which server is the master of a service, as sentinels say.
 */

#ifndef RLX_STORE_REDIS_SENTINEL_H
#define RLX_STORE_REDIS_SENTINEL_H

#include "store/redis_pool.h"
#include "store/redis_shared.h"
#include "store/redis_slots.h"

/** Sentinels, and connections to the master that they name. */
typedef struct rlx_redis_sentinel_t rlx_redis_sentinel_t;

/**
 * Make it, in a child. Nobody is asked yet.
 * @param settings of the storage; kept
 * @param places   of n sentinels; kept
 * @param p        as long as it lives
 */
apr_status_t rlx_redis_sentinel_make(rlx_redis_sentinel_t **sentinel,
                                     const rlx_redis_settings_t *settings,
                                     const rlx_redis_place_t *places, int n,
                                     rlx_redis_shared_t *shared,
                                     apr_pool_t *p);

/**
 * Make sure that the master is known. The sentinels are asked if it is not,
 * or is doubted: by one thread at a time, the others wait for what it finds.
 * Thread-safe.
 * @param deadline by rlx_monotonic_usec()
 * @param turn     which master it is: grows when it becomes another
 * @return APR_SUCCESS, or why is filled in
 */
apr_status_t rlx_redis_sentinel_find(rlx_redis_sentinel_t *sentinel,
                                     rlx_usec_t deadline, unsigned int *turn,
                                     rlx_redis_why_t *why);

/** The master did not do as one should: whoever is next asks the sentinels,
 *  beginning with another one. Thread-safe.
 *  @param turn as it was when it failed; what is known since is not doubted */
void rlx_redis_sentinel_doubt(rlx_redis_sentinel_t *sentinel,
                              unsigned int turn);

/** The connections to the master that was found. */
rlx_redis_pool_t *rlx_redis_sentinel_pool(rlx_redis_sentinel_t *sentinel);

/**
 * Read what a sentinel says to SENTINEL GET-MASTER-ADDR-BY-NAME.
 * @param name points into the reply
 * @return NULL, or what is wrong with it
 */
const char *rlx_redis_master_read(const redisReply *reply,
                                  rlx_redis_name_t *name);

#endif /* RLX_STORE_REDIS_SENTINEL_H */
