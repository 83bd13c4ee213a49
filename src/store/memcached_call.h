/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  memcached_call.h
 * @brief One call of memcached:// while it runs: memcached_decide.c says what
 *        is to be read and written, memcached_ask.c does it.
 */

#ifndef RLX_STORE_MEMCACHED_CALL_H
#define RLX_STORE_MEMCACHED_CALL_H

#include "store/memcached_inside.h"

/** The epoch of all states, 2025-01-01, the same on all servers; they end 35
 *  years later. */
#define RLX_MC_EPOCH_USEC ((rlx_usec_t)1735689600 * 1000000)

/** What is said about one counter beside its name takes less. */
#define RLX_MC_TEXT_PER_ITEM (2 * RLX_MC_NAME_MAX + RLX_MC_VALUE_MAX + 64)

/** What is still to be done with a counter. */
typedef enum {
    RLX_MC_NOTHING,
    RLX_MC_CHARGE,
    RLX_MC_GIVE_BACK
} rlx_mc_duty_e;

/** One counter of the call. */
typedef struct rlx_mc_counter_t {
    const rlx_counter_t *counter;
    const char *name;
    apr_size_t name_len;
    /** The item that tells which generations count. */
    const char *generation_name;
    apr_size_t generation_name_len;
    int server;
    rlx_mc_duty_e duty;
    /** As the server has it, brought up to what was written since. */
    rlx_state_t state;
    /** What is to be written. */
    rlx_state_t next;
    /** When it was written; and before which one nothing counts. */
    apr_uint64_t generation;
    apr_uint64_t oldest;
    apr_uint64_t cas;
    int is_found;
    /** Not 0: it is to be written in this round. */
    int is_written;
    int fits;
    int is_charged;
} rlx_mc_counter_t;

/** What a call has to do with one server. */
typedef struct rlx_mc_asked_t {
    rlx_mc_server_t *server;
    rlx_mc_link_t *link;
    rlx_breaker_ticket_t ticket;
    /** Not 0: it answered in this call; it did not. */
    int has_answered;
    int has_failed;
    /** When it was given how long it has for an answer. */
    rlx_usec_t asked_at;
    /** What is sent: memory, and how much of it is filled. */
    char *text;
    apr_size_t len;
    /** Lists of items that are awaited. */
    int lists;
} rlx_mc_asked_t;

/** A call. */
typedef struct rlx_mc_call_t {
    rlx_storage_t *store;
    rlx_charge_e mode;
    int is_look;
    rlx_usec_t now;
    /** When what is given back was charged; and when it is given back, 0: the
     *  time when it comes to that. */
    rlx_usec_t charged_at;
    rlx_usec_t back_at;
    /** Monotonic: when no new round begins, and when all is over. */
    rlx_usec_t until;
    rlx_usec_t end;
    rlx_mc_counter_t *items;
    int n;
    rlx_mc_asked_t *asked;
    int n_asked;
    apr_pool_t *p;
} rlx_mc_call_t;

/** A wall clock time on the epoch of states. */
static inline rlx_usec_t rlx_mc_relative(rlx_usec_t time)
{
    rlx_usec_t rel = time - RLX_MC_EPOCH_USEC;

    return rel < 1 ? 1 : rel > RLX_REL_MAX ? RLX_REL_MAX : rel;
}

static inline const rlx_strategy_t *
rlx_mc_strategy_of(const rlx_mc_counter_t *item)
{
    return rlx_strategies[item->counter->limit->strategy];
}

/** Take a connection to each server that keeps a counter with which something
 *  is to be done. @return an error as the provider's functions return it */
apr_status_t rlx_mc_take_links(rlx_mc_call_t *call);

/** Give them back.
 *  @param is_sound 0: what was asked may yet be answered: they are closed */
void rlx_mc_give_links(rlx_mc_call_t *call, int is_sound);

/** Read all counters with which something is to be done. One that is not
 *  there is as one that was never charged. */
apr_status_t rlx_mc_read_all(rlx_mc_call_t *call);

/** Write those with is_written, where they are still as they were read. What
 *  was written has nothing more to be done. */
apr_status_t rlx_mc_write_all(rlx_mc_call_t *call);

#endif /* RLX_STORE_MEMCACHED_CALL_H */
