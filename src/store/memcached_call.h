/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  memcached_call.h
 * @brief Calls of memcached:// while they run: memcached_decide.c begins and
 *        ends them, memcached_group.c says what is to be read and written,
 *        memcached_ask.c does it.
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

/** What a server keeps of one counter. The calls of a group that count by it
 *  share it. */
typedef struct rlx_mc_cell_t {
    const char *name;
    apr_size_t name_len;
    /** The item that tells which generations count. */
    const char *generation_name;
    apr_size_t generation_name_len;
    apr_uint32_t hash;
    int server;
    /** Not 0: something is to be done with it in this round. */
    int is_wanted;
    int is_found;
    apr_uint64_t cas;
    /** As read, and then as the calls of this round change it. */
    rlx_state_t state;
    /** In which generation it was written; before which nothing counts. */
    apr_uint64_t generation;
    apr_uint64_t oldest;
    /** Not 0: it was changed, by a call with this limit and this time; it
     *  was stored so. */
    int is_dirty;
    int is_stored;
    const rlx_limit_t *limit;
    rlx_usec_t now;
} rlx_mc_cell_t;

/** One counter of a call. */
typedef struct rlx_mc_counter_t {
    const rlx_counter_t *counter;
    const char *name;
    apr_size_t name_len;
    const char *generation_name;
    apr_size_t generation_name_len;
    apr_uint32_t hash;
    int server;
    /** NULL: none is needed. */
    rlx_mc_cell_t *cell;
    rlx_mc_duty_e duty;
    /** What the verdict is told by. */
    rlx_state_t state;
    /** After what is to be written. */
    rlx_state_t next;
    /** Not 0: it is to be written in this round. */
    int is_written;
    /** Not 0: it was decided in this round, by a state that another call of
     *  the group had changed before. */
    int is_unsure;
    int fits;
    int is_charged;
} rlx_mc_counter_t;

/** A call. */
typedef struct rlx_mc_call_t {
    rlx_storage_t *store;
    rlx_charge_e mode;
    /** Not 0: nothing is charged; charges are given back. */
    int is_look;
    int is_back;
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
    apr_pool_t *p;
    /** In the queue, and once it is taken from there by who leads: how that
     *  ended. */
    struct rlx_mc_call_t *next;
    int is_taken;
    int is_done;
    apr_status_t status;
} rlx_mc_call_t;

/** What a group has to do with one server. */
typedef struct rlx_mc_asked_t {
    rlx_mc_server_t *server;
    rlx_mc_link_t *link;
    rlx_breaker_ticket_t ticket;
    /** Not 0: it answered; it did not. */
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

/** Calls that go on together: nearly always a single one. */
typedef struct rlx_mc_group_t {
    rlx_storage_t *store;
    rlx_mc_call_t *calls;
    rlx_mc_cell_t *cells;
    int n;
    rlx_mc_asked_t *asked;
    int n_asked;
    rlx_usec_t now;
    rlx_usec_t until;
    rlx_usec_t end;
    apr_pool_t *p;
} rlx_mc_group_t;

/** A wall clock time on the epoch of states. */
static inline rlx_usec_t rlx_mc_relative(rlx_usec_t time)
{
    rlx_usec_t rel = time - RLX_MC_EPOCH_USEC;

    return rel < 1 ? 1 : rel > RLX_REL_MAX ? RLX_REL_MAX : rel;
}

/*
 * memcached_ask.c
 */

/** Take a connection to each server that keeps a cell that is wanted.
 *  @return an error as the provider's functions return it */
apr_status_t rlx_mc_take_links(rlx_mc_group_t *group);

/** Give them back.
 *  @param is_sound 0: what was asked may yet be answered: they are closed */
void rlx_mc_give_links(rlx_mc_group_t *group, int is_sound);

/** Read all cells that are wanted. One that is not there is as one that was
 *  never charged. */
apr_status_t rlx_mc_read_all(rlx_mc_group_t *group);

/** Write those with is_dirty, where they are still as they were read: they
 *  are is_stored then. */
apr_status_t rlx_mc_write_all(rlx_mc_group_t *group);

/*
 * memcached_group.c
 */

/**
 * Do what is to be done with the counters of some calls, which must have the
 * same storage: in rounds, until nothing is left or the first of them has no
 * time left. Where it fails, what was charged meanwhile is given back as far
 * as that can be done.
 * @param calls linked by `next`
 * @param p     pool for all of them
 * @return as the provider's functions
 */
apr_status_t rlx_mc_group_run(rlx_mc_call_t *calls, apr_pool_t *p);

/** Not 0 if nothing is left to be done in a call. */
int rlx_mc_is_done(const rlx_mc_call_t *call);

/** The same for a single call and but one round: it may not be done then. */
apr_status_t rlx_mc_try_once(rlx_mc_call_t *call);

/** Give back what a call was charged that is given up. */
void rlx_mc_give_up(rlx_mc_call_t *call);

/** Not 0 if a call charges a counter where it has room. */
static inline int rlx_mc_is_charging(const rlx_mc_call_t *call,
                                     const rlx_mc_counter_t *item)
{
    return !call->is_look && item->counter->cost && !item->counter->only_test;
}

#endif /* RLX_STORE_MEMCACHED_CALL_H */
