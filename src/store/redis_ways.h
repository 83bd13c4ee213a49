/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_ways.h
 * @brief From a call to the server of a Redis Cluster that has its slot.
 */

#ifndef RLX_STORE_REDIS_WAYS_H
#define RLX_STORE_REDIS_WAYS_H

#include "store/redis_cluster.h"
#include "store/redis_route.h"

/** What is needed to find one's way. */
typedef struct rlx_redis_ways_t {
    rlx_redis_cluster_t *cluster;
    rlx_redis_shared_t *shared;
    /** The time of a whole call. */
    rlx_usec_t timeout_usec;
    /** For lines about servers that fail, and what the storage is called. */
    const rlx_storage_env_t *env;
    const char *shown;
} rlx_redis_ways_t;

/** Make a call: see rlx_redis_route_run(). */
apr_status_t rlx_redis_ways_run(const rlx_redis_ways_t *ways,
                                rlx_redis_call_t *call, rlx_redis_why_t *why);

#endif /* RLX_STORE_REDIS_WAYS_H */
