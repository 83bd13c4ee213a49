/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_batch.h
 * @brief The counters of a call, in groups that one server can take at once.
 */

#ifndef RLX_STORE_REDIS_BATCH_H
#define RLX_STORE_REDIS_BATCH_H

#include <string.h>

#include "store/redis_key.h"

/** How counters are put into groups. */
typedef enum {
    /** All are one group: there is one server. */
    RLX_REDIS_WHOLE,
    /** A group for each slot. */
    RLX_REDIS_BY_SLOT,
    /** The same, but the order of the counters is kept: a group is what
     *  stands beside each other. */
    RLX_REDIS_BY_RUN,
    /** Each by itself. */
    RLX_REDIS_SINGLY
} rlx_redis_grouping_e;

/** A group: counters of one slot. */
typedef struct rlx_redis_group_t {
    unsigned int slot;
    /** Its counters: n from this one on. */
    int from;
    int n;
} rlx_redis_group_t;

/** Counters of a call, none twice. */
typedef struct rlx_redis_batch_t {
    int n;
    rlx_redis_key_t keys[RLX_STORAGE_BATCH_MAX];
    const rlx_counter_t *counters[RLX_STORAGE_BATCH_MAX];
    /** For each counter of the call: which of these it is; below 0: none. */
    int which[RLX_STORAGE_BATCH_MAX];
    int groups_n;
    rlx_redis_group_t groups[RLX_STORAGE_BATCH_MAX];
} rlx_redis_batch_t;

/** Begin one. */
static inline void rlx_redis_batch_init(rlx_redis_batch_t *batch)
{
    batch->n = 0;
    batch->groups_n = 0;
    memset(batch->which, 0xff, sizeof(batch->which));
}

/**
 * Add a counter, which must outlive the batch.
 * @param nth          which it is in the call
 * @param stores_plain as rlx_redis_key_of()
 * @param ptemp        pool for its key
 */
void rlx_redis_batch_add(rlx_redis_batch_t *batch,
                         const rlx_counter_t *counter, int nth,
                         int stores_plain, apr_pool_t *ptemp);

/** Put what was added into groups; may change its order. */
void rlx_redis_batch_group(rlx_redis_batch_t *batch,
                           rlx_redis_grouping_e grouping);

#endif /* RLX_STORE_REDIS_BATCH_H */
