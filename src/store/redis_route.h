/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_route.h
 * @brief From a call to the server that it is for, and on to another one where
 *        that is not, or no longer, the one: a single server, the master that
 *        sentinels name, or the servers of a cluster.
 */

#ifndef RLX_STORE_REDIS_ROUTE_H
#define RLX_STORE_REDIS_ROUTE_H

#include "store/redis_script.h"

/** The way to all servers of one storage. */
typedef struct rlx_redis_route_t rlx_redis_route_t;

/** One call: a command whose keys lie in one slot. */
typedef struct rlx_redis_call_t {
    /** What it says may be changed: NOSCRIPT is answered by the whole
     *  script. */
    rlx_redis_command_t *command;
    /** Which script it is for; NULL: it is for none. */
    const rlx_redis_script_t *script;
    /** Of a cluster; else of no use. */
    unsigned int slot;
    /** By rlx_monotonic_usec(). */
    rlx_usec_t deadline;
    /** Wall clock, for what is known of servers that do not answer; 0: one
     *  that does not is asked, too. */
    rlx_usec_t now;
    /** Reads the reply, which is no error. NULL, or what is wrong with it. */
    const char *(*read)(const redisReply *reply, void *baton);
    void *baton;
    /** Filled in: not 0 if its keys are on two servers for now, so that none
     *  can take it as a whole. The status is APR_EAGAIN then. */
    int is_apart;
} rlx_redis_call_t;

/**
 * Make it from a configuration.
 * @param settings kept
 * @param uri      as written; shown is the same for the log
 */
rlx_redis_route_t *rlx_redis_route_make(const rlx_redis_settings_t *settings,
                                        const char *uri, const char *shown,
                                        const rlx_storage_env_t *env,
                                        apr_pool_t *pconf);

/** Find addresses and make what children share. In the parent. */
apr_status_t rlx_redis_route_open(rlx_redis_route_t *route);

/** Make ready what a child needs; nothing is asked yet. */
apr_status_t rlx_redis_route_child_init(rlx_redis_route_t *route);

/** Not 0 if keys in different slots are different calls. */
int rlx_redis_route_has_slots(const rlx_redis_route_t *route);

/**
 * Make a call. Thread-safe. What is known not to have been done is tried
 * elsewhere, within the time of the call; what may have been done is not.
 * @param why filled in on failure
 * @return APR_SUCCESS if there was a reply that makes sense; APR_EAGAIN if
 *         the server that it is for does not answer, though others do: all
 *         children know, and the log has it
 */
apr_status_t rlx_redis_route_run(rlx_redis_route_t *route,
                                 rlx_redis_call_t *call, rlx_redis_why_t *why);

/** Does something on a connection to each server, see below. */
typedef apr_status_t (*rlx_redis_visit_fn)(rlx_redis_conn_t *conn,
                                           void *baton, rlx_redis_why_t *why);

/**
 * Visit each server that has keys, up to the first that fails.
 * @param usec how long finding and connecting to one may take
 */
apr_status_t rlx_redis_route_visit(rlx_redis_route_t *route, rlx_usec_t usec,
                                   rlx_redis_visit_fn visit, void *baton,
                                   rlx_redis_why_t *why);

#endif /* RLX_STORE_REDIS_ROUTE_H */
