/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_answer.h
 * @brief A call to one server of Redis, and how it ended.
 */

#ifndef RLX_STORE_REDIS_ANSWER_H
#define RLX_STORE_REDIS_ANSWER_H

#include "store/redis_pool.h"
#include "store/redis_route.h"
#include "store/redis_slots.h"

/** How a call to one server ended. */
typedef enum {
    /** With a reply. */
    RLX_REDIS_DONE,
    /** There was no connection: nothing was done. */
    RLX_REDIS_UNREACHED,
    /** Something broke: it may have been done. */
    RLX_REDIS_BROKE,
    /** It refuses such calls now: nothing was done. */
    RLX_REDIS_REFUSED,
    /** It names another server, this once or from now on. */
    RLX_REDIS_SENT_ONCE,
    RLX_REDIS_SENT_FOR_GOOD,
    /** Nobody has the slot: nothing was done. */
    RLX_REDIS_LACKING,
    /** Some of the keys are elsewhere: nothing was done. */
    RLX_REDIS_APART
} rlx_redis_outcome_e;

/** What a server did with a call. */
typedef struct rlx_redis_answer_t {
    rlx_redis_outcome_e outcome;
    apr_status_t status;
    rlx_redis_why_t why;
    /** Not 0: no call is answered there until something changes. */
    int is_unfit;
    /** Of what is sent elsewhere; the name's host points to the reply. */
    unsigned int slot;
    rlx_redis_name_t name;
    /** Or NULL. */
    redisReply *reply;
} rlx_redis_answer_t;

/**
 * Make a call on a connection of a pool. A reply that is no error has been
 * read by the call when this returns.
 * @param is_asking not 0: the slot is about to become this server's
 * @param answer    filled in; to be freed
 */
void rlx_redis_run_at(rlx_redis_pool_t *pool, rlx_redis_call_t *call,
                      int is_asking, rlx_redis_answer_t *answer);

/** Free the reply. May be done twice. */
void rlx_redis_answer_free(rlx_redis_answer_t *answer);

/** Free it, and say what it came to.
 *  @param why filled in unless the status is APR_SUCCESS */
apr_status_t rlx_redis_answer_end(rlx_redis_answer_t *answer,
                                  rlx_redis_why_t *why);

#endif /* RLX_STORE_REDIS_ANSWER_H */
