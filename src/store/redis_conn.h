/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_conn.h
 * @brief One connection to one Redis server, and asking it something within a
 *        time. Of all files only redis_conn.c calls hiredis, but for
 *        freeReplyObject().
 *
 * A connection belongs to one thread at a time. Once anything went wrong on
 * it that leaves open what the next bytes are, it is broken: it answers
 * nothing any more and is to be closed.
 */

#ifndef RLX_STORE_REDIS_CONN_H
#define RLX_STORE_REDIS_CONN_H

#include "store/clock.h"
#include "store/redis_place.h"
#include "store/redis_uri.h"

#include <hiredis/hiredis.h>

/** A sentence about what went wrong. */
#define RLX_REDIS_WHY_MAX 200

/** What went wrong, for people; no secret in it. */
typedef struct rlx_redis_why_t {
    char text[RLX_REDIS_WHY_MAX];
} rlx_redis_why_t;

/** A command: its parts. */
typedef struct rlx_redis_command_t {
    int n;
    const char **part;
    size_t *len;
} rlx_redis_command_t;

/** A connection. Made by malloc(). */
typedef struct rlx_redis_conn_t {
    redisContext *context;
    /** Not 0: to be closed. */
    int is_broken;
    /** The pool's: which of its places this one goes to. */
    unsigned int moves;
    /** How many more elements the reply that is being read may have. */
    size_t elements_left;
    /** hiredis' own ways to build a reply, and these with our bounds. */
    const redisReplyObjectFunctions *makers;
    redisReplyObjectFunctions bounded;
} rlx_redis_conn_t;

/** Put a phrase into why. */
void rlx_redis_why(rlx_redis_why_t *why, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/**
 * Connect, log in and choose the database.
 * @param conn     where it goes
 * @param deadline by rlx_monotonic_usec()
 * @param why      filled in on failure
 */
apr_status_t rlx_redis_connect(rlx_redis_conn_t **conn,
                               const rlx_redis_settings_t *settings,
                               const rlx_redis_place_t *place,
                               rlx_usec_t deadline, rlx_redis_why_t *why);

/** Close it. NULL is none. */
void rlx_redis_close(rlx_redis_conn_t *conn);

/** Not 0 if nothing has come from the other side, not even its end: a
 *  connection that was idle can be used. */
int rlx_redis_is_quiet(const rlx_redis_conn_t *conn);

/**
 * Ask, and wait for the reply.
 * @param reply where it goes; to be freed by freeReplyObject(). Also an error
 *              reply: see rlx_redis_refused()
 * @return APR_SUCCESS if there is a reply; else the connection is broken
 */
apr_status_t rlx_redis_ask(rlx_redis_conn_t *conn,
                           const rlx_redis_command_t *command,
                           rlx_usec_t deadline, redisReply **reply,
                           rlx_redis_why_t *why);

/** Not 0 if a reply is an error whose code is this, as in "NOSCRIPT". */
int rlx_redis_is_error(const redisReply *reply, const char *code);

/**
 * What an error reply means: why is filled in; the connection is broken if
 * another one may fare better (it lost its login, its server became a replica
 * or is loading).
 * @return never APR_SUCCESS
 */
apr_status_t rlx_redis_refused(rlx_redis_conn_t *conn,
                               const redisReply *reply, rlx_redis_why_t *why);

/** A reply that makes no sense: as rlx_redis_refused(). */
apr_status_t rlx_redis_nonsense(rlx_redis_conn_t *conn, const char *what,
                                rlx_redis_why_t *why);

#endif /* RLX_STORE_REDIS_CONN_H */
