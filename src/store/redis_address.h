/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_address.h
 * @brief From the name of a host to its address, without a request ever
 *        waiting for a name server.
 */

#ifndef RLX_STORE_REDIS_ADDRESS_H
#define RLX_STORE_REDIS_ADDRESS_H

#include "store/redis_conn.h"

/**
 * Look a name up, and wait for it: at start.
 * @param place address and other are filled in, or left alone if the name
 *              has no address
 * @return not 0 if it has
 */
int rlx_redis_address_find(const char *host, rlx_redis_place_t *place);

/** A name that is looked up beside the requests of a child. */
typedef struct rlx_redis_lookup_t rlx_redis_lookup_t;

/** Make one. NULL if there is no memory for it. Never freed: a thread may be
 *  at it when the child ends. */
rlx_redis_lookup_t *rlx_redis_lookup_make(const char *host);

/** Begin to look it up, in a thread of its own, unless one does already.
 *  Thread-safe, as is the next. */
void rlx_redis_lookup_begin(rlx_redis_lookup_t *lookup);

/**
 * What has been found since this was last asked.
 * @param place as rlx_redis_address_find()
 * @return not 0 if there is something; told to one alone
 */
int rlx_redis_lookup_take(rlx_redis_lookup_t *lookup,
                          rlx_redis_place_t *place);

#endif /* RLX_STORE_REDIS_ADDRESS_H */
