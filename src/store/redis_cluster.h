/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_cluster.h
 * @brief The servers of a Redis Cluster as one child knows them: which has
 *        which slot, connections to each, and which does not answer.
 *
 * Everything here is thread-safe. No lock is held while anybody waits for the
 * network; one thread at a time asks for the map of slots, and the others go
 * on with what is known.
 */

#ifndef RLX_STORE_REDIS_CLUSTER_H
#define RLX_STORE_REDIS_CLUSTER_H

#include "store/redis_pool.h"
#include "store/redis_shared.h"
#include "store/redis_slots.h"

/** A cluster. */
typedef struct rlx_redis_cluster_t rlx_redis_cluster_t;

/** A server with slots. Who holds one may rely on all of it but is_mapped. */
typedef struct rlx_redis_node_t {
    rlx_redis_place_t place;
    /** The same as text. */
    char shown[RLX_REDIS_SHOWN_MAX];
    rlx_redis_pool_t *pool;
    rlx_breaker_t *breaker;
    /** How many hold it. */
    int holders;
    /** Not 0: it has slots. */
    int is_mapped;
} rlx_redis_node_t;

/**
 * Make it, in a child. Nobody is asked yet.
 * @param settings of the storage; kept
 * @param seeds    n servers to begin with; kept
 * @param p        as long as it lives
 */
apr_status_t rlx_redis_cluster_make(rlx_redis_cluster_t **cluster,
                                    const rlx_redis_settings_t *settings,
                                    const rlx_redis_place_t *seeds, int n,
                                    rlx_redis_shared_t *shared, apr_pool_t *p);

/**
 * Hold the server that has a slot. The map is asked for first where there is
 * none, or where it is known to be wrong, which is tried once in a second.
 * @param node     where it goes, to be released; NULL: nobody has the slot
 * @param deadline by rlx_monotonic_usec()
 * @return APR_SUCCESS; or there is no map, and why is filled in
 */
apr_status_t rlx_redis_cluster_hold(rlx_redis_cluster_t *cluster,
                                    unsigned int slot, rlx_usec_t deadline,
                                    rlx_redis_node_t **node,
                                    rlx_redis_why_t *why);

/**
 * Hold the server that another one names.
 * @param name of a reply of `by`
 * @param slot that it has from now on, or RLX_REDIS_SLOTS: nothing is said of
 *             that
 * @return NULL if it has no address, or there are too many servers
 */
rlx_redis_node_t *rlx_redis_cluster_hold_named(rlx_redis_cluster_t *cluster,
                                               const rlx_redis_name_t *name,
                                               const rlx_redis_node_t *by,
                                               unsigned int slot);

/** Hold all that have slots.
 *  @param nodes room for RLX_REDIS_NODES_MAX
 *  @return how many they are */
int rlx_redis_cluster_hold_all(rlx_redis_cluster_t *cluster,
                               rlx_redis_node_t **nodes);

/** Hold it no longer. */
void rlx_redis_cluster_release(rlx_redis_cluster_t *cluster,
                               rlx_redis_node_t *node);

/** What is known of the slots may be wrong.
 *  @return APR_SUCCESS: the map is new, or was so within the last second, or
 *          is being asked for; APR_EAGAIN: there was too little time, whoever
 *          is next asks; else no server of the cluster answered. why is filled
 *          in then */
apr_status_t rlx_redis_cluster_renew(rlx_redis_cluster_t *cluster,
                                     rlx_usec_t deadline,
                                     rlx_redis_why_t *why);

#endif /* RLX_STORE_REDIS_CLUSTER_H */
