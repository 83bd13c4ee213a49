/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_pool.h
 * @brief The connections that one child has to one Redis server: made when
 *        they are needed, kept, and never more than pool_max=.
 */

#ifndef RLX_STORE_REDIS_POOL_H
#define RLX_STORE_REDIS_POOL_H

#include "store/redis_conn.h"

/** Connections to one place. */
typedef struct rlx_redis_pool_t rlx_redis_pool_t;

/**
 * Make a pool without connections, after the fork.
 * @param place copied
 * @param p     as long as the pool lives; its connections are closed with it
 */
apr_status_t rlx_redis_pool_make(rlx_redis_pool_t **pool,
                                 const rlx_redis_settings_t *settings,
                                 const rlx_redis_place_t *place,
                                 apr_pool_t *p);

/** Send the connections that are made from now on to another place. Those
 *  that are idle are closed; if it is the same place, nothing happens; thread-safe, as are the others below. */
void rlx_redis_pool_move(rlx_redis_pool_t *pool,
                         const rlx_redis_place_t *place);

/**
 * Take a connection: an idle one, a new one, or, where there are pool_max=,
 * the first that comes back.
 * @param deadline by rlx_monotonic_usec()
 * @return APR_SUCCESS, or why is filled in
 */
apr_status_t rlx_redis_pool_take(rlx_redis_pool_t *pool,
                                 rlx_redis_conn_t **conn, rlx_usec_t deadline,
                                 rlx_redis_why_t *why);

/** Give it back; one that is broken is closed. */
void rlx_redis_pool_give(rlx_redis_pool_t *pool, rlx_redis_conn_t *conn);

#endif /* RLX_STORE_REDIS_POOL_H */
