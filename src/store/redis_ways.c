/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A call on its way through a Redis Cluster: to the server that is known to
 * have its slot, to another one that this one names, or to the one that has
 * taken its place.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_ways.h"

#include <string.h>

#include <apr_strings.h>

#include "store/redis_answer.h"

/** How many servers one call is sent to, at most. */
#define HOPS_MAX 4

/** A server of the cluster did not answer, or has no part in it now: all
 *  children know. */
static void note_failure(const rlx_redis_ways_t *ways,
                         rlx_breaker_t *breaker, const char *who,
                         rlx_breaker_ticket_t ticket, rlx_usec_t now,
                         const rlx_redis_why_t *why)
{
    char text[640];

    if (rlx_breaker_failed(breaker, ticket, now) != RLX_BREAKER_OPENED) {
        return;
    }
    apr_snprintf(text, sizeof(text), "storage %.200s: %s cannot answer (%s): "
                 "requests whose counters it has get what "
                 "RateLimitStorageFailure says until it does, or another "
                 "takes its place", ways->shown, who, why->text);
    ways->env->log(ways->env->baton, RLX_LOG_NOTICE, APR_SUCCESS, text);
}

static void note_answer(const rlx_redis_ways_t *ways,
                        const rlx_redis_node_t *node,
                        rlx_breaker_ticket_t ticket, rlx_usec_t now)
{
    char text[400];
    rlx_usec_t down;

    if (!ticket || rlx_breaker_answered(node->breaker, ticket, now, &down)
                   != RLX_BREAKER_CLOSED) {
        return;
    }
    apr_snprintf(text, sizeof(text), "storage %.200s: %s answers again, after "
                 "%d s", ways->shown, node->shown,
                 (int)((down + 999999) / 1000000));
    ways->env->log(ways->env->baton, RLX_LOG_NOTICE, APR_SUCCESS, text);
}

/** A call on its way through a cluster. */
typedef struct way_t {
    const rlx_redis_ways_t *ways;
    rlx_redis_call_t *call;
    /** Where it is; held. */
    rlx_redis_node_t *node;
    int is_asking;
    int hops;
    rlx_redis_answer_t answer;
} way_t;

static void leave(way_t *way)
{
    rlx_redis_cluster_release(way->ways->cluster, way->node);
    way->node = NULL;
}

/** Ask the cluster anew who has the slot.
 *  @return APR_SUCCESS if it is another server, and then it is held in place
 *          of the one before; APR_EAGAIN if it is the same; else none of the
 *          servers answers, and why is filled in */
static apr_status_t find_another(way_t *way, rlx_redis_why_t *why)
{
    rlx_redis_cluster_t *cluster = way->ways->cluster;
    rlx_redis_node_t *other;
    apr_status_t status = rlx_redis_cluster_renew(cluster, way->call->deadline,
                                                  why);

    if (status == APR_SUCCESS) {
        status = rlx_redis_cluster_hold(cluster, way->call->slot,
                                        way->call->deadline, &other, why);
    }
    if (status != APR_SUCCESS) {
        return status;
    }
    if (!other || other == way->node) {
        if (other) {
            rlx_redis_cluster_release(cluster, other);
        }
        return APR_EAGAIN;
    }
    leave(way);
    way->node = other;
    way->is_asking = 0;
    return APR_SUCCESS;
}

/** The server is elsewhere, as the one says that was asked. 0: nowhere. */
static int follow(way_t *way)
{
    int has_moved = way->answer.outcome == RLX_REDIS_SENT_FOR_GOOD;
    rlx_redis_node_t *next;

    if (way->answer.slot != way->call->slot) {
        return 0;
    }
    next = rlx_redis_cluster_hold_named(way->ways->cluster,
                                        &way->answer.name, way->node,
                                        has_moved ? way->answer.slot
                                                  : RLX_REDIS_SLOTS);
    if (!next) {
        return 0;
    }
    leave(way);
    way->node = next;
    way->is_asking = !has_moved;
    return 1;
}

/** Make the call where it is. A server that had little of the time left is
 *  not to blame if it does not answer within that. */
static void run_here(way_t *way)
{
    rlx_redis_call_t *call = way->call;
    rlx_redis_node_t *node = way->node;
    rlx_breaker_ticket_t ticket = 0;
    rlx_redis_answer_t *answer = &way->answer;
    int is_fair = call->deadline - rlx_monotonic_usec()
                  >= way->ways->timeout_usec / 4;

    rlx_redis_answer_free(answer);
    if (call->now && !rlx_breaker_may_ask(node->breaker, call->now, &ticket)) {
        answer->outcome = RLX_REDIS_UNREACHED;
        answer->status = APR_EAGAIN;
        rlx_redis_why(&answer->why, "%s does not answer", node->shown);
        return;
    }
    rlx_redis_run_at(node->pool, call, way->is_asking, answer);
    if (answer->outcome != RLX_REDIS_UNREACHED
        && answer->outcome != RLX_REDIS_BROKE
        && answer->outcome != RLX_REDIS_REFUSED) {
        note_answer(way->ways, node, ticket, call->now);
    }
    else if (call->now) {
        if (is_fair || answer->outcome == RLX_REDIS_REFUSED) {
            note_failure(way->ways, node->breaker, node->shown, ticket,
                         call->now, &answer->why);
        }
        answer->status = APR_EAGAIN;
    }
}

/** A slot that no server has, or that the one named has not. */
static apr_status_t lack(const rlx_redis_ways_t *ways,
                         const rlx_redis_call_t *call, rlx_redis_why_t *why)
{
    rlx_breaker_ticket_t ticket;

    rlx_redis_why(why, "no server has slot %u", call->slot);
    if (call->now && rlx_breaker_may_ask(&ways->shared->nobody, call->now,
                                         &ticket)) {
        note_failure(ways, &ways->shared->nobody, "a part of the cluster",
                     ticket, call->now, why);
    }
    return APR_EAGAIN;
}

/** One step. Not 0 if there is another. */
static int go_on(way_t *way)
{
    rlx_redis_answer_t *answer = &way->answer;
    rlx_redis_why_t why;
    apr_status_t status;

    run_here(way);
    switch (answer->outcome) {
    case RLX_REDIS_DONE:
        return 0;
    case RLX_REDIS_APART:
        way->call->is_apart = 1;
        answer->status = APR_EAGAIN;
        return 0;
    case RLX_REDIS_SENT_FOR_GOOD:
    case RLX_REDIS_SENT_ONCE:
        if (!follow(way)) {
            answer->status = APR_EAGAIN;
            return 0;
        }
        return 1;
    default:
        break;
    }
    status = find_another(way, &why);
    if (status == APR_SUCCESS) {
        /* What may have been done is not done again. */
        return answer->outcome != RLX_REDIS_BROKE;
    }
    if (status != APR_EAGAIN) {
        answer->status = status;
        answer->why = why;
    }
    else if (answer->outcome == RLX_REDIS_LACKING) {
        answer->status = lack(way->ways, way->call, &answer->why);
    }
    return 0;
}

apr_status_t rlx_redis_ways_run(const rlx_redis_ways_t *ways,
                                rlx_redis_call_t *call, rlx_redis_why_t *why)
{
    way_t way = { .ways = ways, .call = call };
    apr_status_t status = rlx_redis_cluster_hold(ways->cluster, call->slot,
                                                 call->deadline, &way.node,
                                                 why);

    if (status != APR_SUCCESS) {
        return status;
    }
    if (!way.node) {
        status = rlx_redis_cluster_renew(ways->cluster, call->deadline, why);
        return status == APR_SUCCESS ? lack(ways, call, why) : status;
    }
    while (go_on(&way)) {
        if (++way.hops == HOPS_MAX || rlx_monotonic_usec() >= call->deadline) {
            rlx_redis_why(&way.answer.why, "its servers send a call from one "
                          "to the other");
            way.answer.status = APR_EAGAIN;
            break;
        }
    }
    leave(&way);
    return rlx_redis_answer_end(&way.answer, why);
}

#endif /* RLX_HAVE_HIREDIS */
