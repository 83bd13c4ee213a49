/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A call to one server.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_answer.h"

#include <string.h>

static void read_error(rlx_redis_conn_t *conn, rlx_redis_answer_t *answer)
{
    rlx_redis_turn_e turn = rlx_redis_turn_read(answer->reply, &answer->slot,
                                                &answer->name);

    answer->status = rlx_redis_refused(conn, answer->reply, &answer->why);
    answer->is_unfit = conn->is_broken;
    answer->outcome = turn == RLX_REDIS_MOVED ? RLX_REDIS_SENT_FOR_GOOD
        : turn == RLX_REDIS_ASK ? RLX_REDIS_SENT_ONCE
        : rlx_redis_is_error(answer->reply, "CLUSTERDOWN")
          && strstr(answer->reply->str, "slot not served") ? RLX_REDIS_LACKING
        : rlx_redis_is_error(answer->reply, "TRYAGAIN") ? RLX_REDIS_APART
                                                        : RLX_REDIS_REFUSED;
}

/** The next command is for a slot that this server is about to get. */
static apr_status_t say_asking(rlx_redis_conn_t *conn, rlx_usec_t deadline,
                               rlx_redis_why_t *why)
{
    const char *part[] = { "ASKING" };
    size_t len[] = { 6 };
    rlx_redis_command_t command = { 1, part, len };
    redisReply *reply;
    apr_status_t status = rlx_redis_ask(conn, &command, deadline, &reply, why);

    if (status == APR_SUCCESS) {
        status = reply->type == REDIS_REPLY_STATUS
                 ? APR_SUCCESS : rlx_redis_nonsense(conn, "no ASKING", why);
        freeReplyObject(reply);
    }
    return status;
}

static apr_status_t talk(rlx_redis_conn_t *conn, rlx_redis_call_t *call,
                         int is_asking, rlx_redis_answer_t *answer)
{
    apr_status_t status = is_asking ? say_asking(conn, call->deadline,
                                                 &answer->why) : APR_SUCCESS;

    if (status != APR_SUCCESS) {
        return status;
    }
    if (call->script) {
        status = rlx_redis_try(conn, call->command, call->script,
                               call->deadline, &answer->reply, &answer->why);
    }
    else {
        status = rlx_redis_ask(conn, call->command, call->deadline,
                               &answer->reply, &answer->why);
    }
    return status;
}

void rlx_redis_run_at(rlx_redis_pool_t *pool, rlx_redis_call_t *call,
                      int is_asking, rlx_redis_answer_t *answer)
{
    rlx_redis_conn_t *conn;
    const char *wrong;

    answer->reply = NULL;
    answer->is_unfit = 1;
    answer->outcome = RLX_REDIS_UNREACHED;
    answer->status = rlx_redis_pool_take(pool, &conn, call->deadline,
                                         &answer->why);
    if (answer->status != APR_SUCCESS) {
        return;
    }
    answer->outcome = RLX_REDIS_BROKE;
    answer->status = talk(conn, call, is_asking, answer);
    if (answer->status != APR_SUCCESS) {
        answer->reply = NULL;
    }
    else if (answer->reply->type == REDIS_REPLY_ERROR) {
        read_error(conn, answer);
    }
    else {
        wrong = call->read(answer->reply, call->baton);
        answer->outcome = wrong ? RLX_REDIS_BROKE : RLX_REDIS_DONE;
        answer->status = wrong ? rlx_redis_nonsense(conn, wrong, &answer->why)
                               : APR_SUCCESS;
    }
    rlx_redis_pool_give(pool, conn);
}

void rlx_redis_answer_free(rlx_redis_answer_t *answer)
{
    if (answer->reply) {
        freeReplyObject(answer->reply);
        answer->reply = NULL;
    }
}

apr_status_t rlx_redis_answer_end(rlx_redis_answer_t *answer,
                                  rlx_redis_why_t *why)
{
    rlx_redis_answer_free(answer);
    if (answer->status != APR_SUCCESS) {
        *why = answer->why;
    }
    return answer->status;
}

#endif /* RLX_HAVE_HIREDIS */
