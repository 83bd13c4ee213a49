/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * From a call to a server.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_route.h"

#include <stdlib.h>

#include <apr_strings.h>

#include "store/redis_address.h"
#include "store/redis_cluster.h"
#include "store/redis_sentinel.h"

/** How many servers one call is sent to, at most. */
#define HOPS_MAX 4

struct rlx_redis_route_t {
    const rlx_redis_settings_t *settings;
    const char *uri;
    const char *shown;
    const rlx_storage_env_t *env;
    apr_pool_t *pconf;
    /** The server, sentinels, or servers to begin with, that have an
     *  address. */
    rlx_redis_place_t places[RLX_REDIS_HOSTS_MAX];
    int n;
    rlx_redis_shared_t *shared;
    /** Of this child: one of these. */
    rlx_redis_pool_t *pool;
    /** Of a single server; NULL with a socket's path. */
    rlx_redis_lookup_t *lookup;
    rlx_redis_sentinel_t *sentinel;
    rlx_redis_cluster_t *cluster;
};

rlx_redis_route_t *rlx_redis_route_make(const rlx_redis_settings_t *settings,
                                        const char *uri, const char *shown,
                                        const rlx_storage_env_t *env,
                                        apr_pool_t *pconf)
{
    rlx_redis_route_t *route = apr_pcalloc(pconf, sizeof(*route));

    route->settings = settings;
    route->uri = uri;
    route->shown = shown;
    route->env = env;
    route->pconf = pconf;
    return route;
}

static void find_place(rlx_redis_route_t *route, const char *host, int port)
{
    rlx_redis_place_t *place = &route->places[route->n];

    place->port = port;
    if (rlx_redis_address_find(host, place)) {
        route->n++;
        return;
    }
    route->env->log(route->env->baton, RLX_LOG_WARNING, APR_SUCCESS,
                    apr_pstrcat(route->pconf, "storage redis: the host ",
                                host, " has no address", NULL));
}

apr_status_t rlx_redis_route_open(rlx_redis_route_t *route)
{
    const rlx_redis_settings_t *settings = route->settings;

    if (settings->kind == RLX_REDIS_SINGLE) {
        route->places[0].port = settings->port;
        route->places[0].path = settings->path;
        if (!settings->path) {
            find_place(route, settings->host, settings->port);
        }
        return APR_SUCCESS;
    }
    for (int i = 0; i < settings->hosts_n; i++) {
        find_place(route, settings->hosts[i].name, settings->hosts[i].port);
    }
    return rlx_redis_shared_open(&route->shared, route->uri, route->shown,
                                 route->env, route->pconf);
}

/* Not the child's pool: httpd destroys that while threads may still be at
 * work, and this one not before the process ends. */
apr_status_t rlx_redis_route_child_init(rlx_redis_route_t *route)
{
    switch (route->settings->kind) {
    case RLX_REDIS_SENTINEL:
        return rlx_redis_sentinel_make(&route->sentinel, route->settings,
                                       route->places, route->n, route->shared,
                                       route->pconf);
    case RLX_REDIS_CLUSTER:
        return rlx_redis_cluster_make(&route->cluster, route->settings,
                                      route->places, route->n, route->shared,
                                      route->pconf);
    default:
        if (route->settings->host) {
            route->lookup = rlx_redis_lookup_make(route->settings->host);
        }
        return rlx_redis_pool_make(&route->pool, route->settings,
                                   &route->places[0], route->pconf);
    }
}

int rlx_redis_route_has_slots(const rlx_redis_route_t *route)
{
    return route->settings->kind == RLX_REDIS_CLUSTER;
}

/*
 * One server
 */

/** How a call to one server ended. */
typedef enum {
    /** With a reply. */
    DONE,
    /** There was no connection: nothing was done. */
    UNREACHED,
    /** Something broke: it may have been done. */
    BROKE,
    /** It refuses such calls now: nothing was done. */
    REFUSED,
    /** It names another server, this once or from now on. */
    ASK,
    MOVED,
    /** Nobody has the slot: nothing was done. */
    LACKING,
    /** Some of the keys are elsewhere: nothing was done. */
    APART
} outcome_e;

/** What a server did with a call. */
typedef struct answer_t {
    outcome_e outcome;
    apr_status_t status;
    rlx_redis_why_t why;
    /** Not 0: no call is answered there until something changes. */
    int is_unfit;
    /** Of ASK and MOVED; the name's host points to `reply`, to be freed. */
    unsigned int slot;
    rlx_redis_name_t name;
    redisReply *reply;
} answer_t;

static void read_error(rlx_redis_conn_t *conn, answer_t *answer)
{
    rlx_redis_turn_e turn = rlx_redis_turn_read(answer->reply, &answer->slot,
                                                &answer->name);

    answer->status = rlx_redis_refused(conn, answer->reply, &answer->why);
    answer->is_unfit = conn->is_broken;
    answer->outcome = turn == RLX_REDIS_MOVED ? MOVED
        : turn == RLX_REDIS_ASK ? ASK
        : rlx_redis_is_error(answer->reply, "CLUSTERDOWN")
          && strstr(answer->reply->str, "slot not served") ? LACKING
        : rlx_redis_is_error(answer->reply, "TRYAGAIN") ? APART : REFUSED;
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
                         int is_asking, answer_t *answer)
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

/** Make a call to one server. */
static void run_at(rlx_redis_pool_t *pool, rlx_redis_call_t *call,
                   int is_asking, answer_t *answer)
{
    rlx_redis_conn_t *conn;
    const char *wrong;

    answer->reply = NULL;
    answer->is_unfit = 1;
    answer->outcome = UNREACHED;
    answer->status = rlx_redis_pool_take(pool, &conn, call->deadline,
                                         &answer->why);
    if (answer->status != APR_SUCCESS) {
        return;
    }
    answer->outcome = BROKE;
    answer->status = talk(conn, call, is_asking, answer);
    if (answer->status != APR_SUCCESS) {
        answer->reply = NULL;
    }
    else if (answer->reply->type == REDIS_REPLY_ERROR) {
        read_error(conn, answer);
    }
    else {
        wrong = call->read(answer->reply, call->baton);
        answer->outcome = wrong ? BROKE : DONE;
        answer->status = wrong ? rlx_redis_nonsense(conn, wrong, &answer->why)
                               : APR_SUCCESS;
    }
    rlx_redis_pool_give(pool, conn);
}

static void answer_free(answer_t *answer)
{
    if (answer->reply) {
        freeReplyObject(answer->reply);
        answer->reply = NULL;
    }
}

/** How a call ends: what it came to. */
static apr_status_t end(answer_t *answer, rlx_redis_why_t *why)
{
    answer_free(answer);
    if (answer->status != APR_SUCCESS) {
        *why = answer->why;
    }
    return answer->status;
}

/** The pool of a single server. After a failure the name of its host is
 *  looked up, and once that is done connections go where it leads. */
static rlx_redis_pool_t *single_pool(rlx_redis_route_t *route)
{
    rlx_redis_place_t place = route->places[0];

    if (route->lookup && rlx_redis_lookup_take(route->lookup, &place)) {
        rlx_redis_pool_move(route->pool, &place);
    }
    return route->pool;
}

static apr_status_t run_single(rlx_redis_route_t *route,
                               rlx_redis_call_t *call, rlx_redis_why_t *why)
{
    answer_t answer;

    run_at(single_pool(route), call, 0, &answer);
    if (answer.status != APR_SUCCESS && route->lookup) {
        rlx_redis_lookup_begin(route->lookup);
    }
    return end(&answer, why);
}

/*
 * The master of a service
 */

/** At a master that may have become a replica or be gone. If it is, and
 *  nothing was done there, the one that is found then is asked in its
 *  place. */
static apr_status_t run_at_master(rlx_redis_route_t *route,
                                  rlx_redis_call_t *call, rlx_redis_why_t *why)
{
    rlx_redis_pool_t *pool = rlx_redis_sentinel_pool(route->sentinel);
    answer_t answer;
    unsigned int turn, next;
    apr_status_t status = rlx_redis_sentinel_find(route->sentinel,
                                                  call->deadline, &turn, why);

    if (status != APR_SUCCESS) {
        return status;
    }
    run_at(pool, call, 0, &answer);
    if (answer.outcome == DONE || !answer.is_unfit) {
        return end(&answer, why);
    }
    rlx_redis_sentinel_doubt(route->sentinel, turn);
    if (answer.outcome != BROKE
        && rlx_redis_sentinel_find(route->sentinel, call->deadline, &next,
                                   why) == APR_SUCCESS
        && next != turn) {
        answer_free(&answer);
        run_at(pool, call, 0, &answer);
        if (answer.outcome != DONE && answer.is_unfit) {
            rlx_redis_sentinel_doubt(route->sentinel, next);
        }
    }
    return end(&answer, why);
}

/*
 * The servers of a cluster
 */

/** A server of the cluster did not answer, or has no part in it now: all
 *  children know. */
static void note_failure(const rlx_redis_route_t *route,
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
                 "takes its place", route->shown, who, why->text);
    route->env->log(route->env->baton, RLX_LOG_NOTICE, APR_SUCCESS, text);
}

static void note_answer(const rlx_redis_route_t *route,
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
                 "%d s", route->shown, node->shown,
                 (int)((down + 999999) / 1000000));
    route->env->log(route->env->baton, RLX_LOG_NOTICE, APR_SUCCESS, text);
}

/** A call on its way through a cluster. */
typedef struct way_t {
    rlx_redis_route_t *route;
    rlx_redis_call_t *call;
    /** Where it is; held. */
    rlx_redis_node_t *node;
    int is_asking;
    int hops;
    answer_t answer;
} way_t;

static void leave(way_t *way)
{
    rlx_redis_cluster_release(way->route->cluster, way->node);
    way->node = NULL;
}

/** Ask the cluster anew who has the slot.
 *  @return APR_SUCCESS if it is another server, and then it is held in place
 *          of the one before; APR_EAGAIN if it is the same; else none of the
 *          servers answers, and why is filled in */
static apr_status_t find_another(way_t *way, rlx_redis_why_t *why)
{
    rlx_redis_cluster_t *cluster = way->route->cluster;
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
    int has_moved = way->answer.outcome == MOVED;
    rlx_redis_node_t *next;

    if (way->answer.slot != way->call->slot) {
        return 0;
    }
    next = rlx_redis_cluster_hold_named(way->route->cluster,
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
    answer_t *answer = &way->answer;
    int is_fair = call->deadline - rlx_redis_clock()
                  >= way->route->settings->timeout_usec / 4;

    answer_free(answer);
    if (call->now && !rlx_breaker_may_ask(node->breaker, call->now, &ticket)) {
        answer->outcome = UNREACHED;
        answer->status = APR_EAGAIN;
        rlx_redis_why(&answer->why, "%s does not answer", node->shown);
        return;
    }
    run_at(node->pool, call, way->is_asking, answer);
    if (answer->outcome != UNREACHED && answer->outcome != BROKE
        && answer->outcome != REFUSED) {
        note_answer(way->route, node, ticket, call->now);
    }
    else if (call->now) {
        if (is_fair || answer->outcome == REFUSED) {
            note_failure(way->route, node->breaker, node->shown, ticket,
                         call->now, &answer->why);
        }
        answer->status = APR_EAGAIN;
    }
}

/** A slot that no server has, or that the one named has not. */
static apr_status_t lack(rlx_redis_route_t *route,
                         const rlx_redis_call_t *call, rlx_redis_why_t *why)
{
    rlx_breaker_ticket_t ticket;

    rlx_redis_why(why, "no server has slot %u", call->slot);
    if (call->now && rlx_breaker_may_ask(&route->shared->nobody, call->now,
                                         &ticket)) {
        note_failure(route, &route->shared->nobody, "a part of the cluster",
                     ticket, call->now, why);
    }
    return APR_EAGAIN;
}

/** One step. Not 0 if there is another. */
static int go_on(way_t *way)
{
    answer_t *answer = &way->answer;
    rlx_redis_why_t why;
    apr_status_t status;

    run_here(way);
    switch (answer->outcome) {
    case DONE:
        return 0;
    case APART:
        way->call->is_apart = 1;
        answer->status = APR_EAGAIN;
        return 0;
    case MOVED:
    case ASK:
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
        return answer->outcome != BROKE;
    }
    if (status != APR_EAGAIN) {
        answer->status = status;
        answer->why = why;
    }
    else if (answer->outcome == LACKING) {
        answer->status = lack(way->route, way->call, &answer->why);
    }
    return 0;
}

static apr_status_t run_in_cluster(rlx_redis_route_t *route,
                                   rlx_redis_call_t *call,
                                   rlx_redis_why_t *why)
{
    way_t way = { .route = route, .call = call };
    apr_status_t status = rlx_redis_cluster_hold(route->cluster, call->slot,
                                                 call->deadline, &way.node,
                                                 why);

    if (status != APR_SUCCESS) {
        return status;
    }
    if (!way.node) {
        status = rlx_redis_cluster_renew(route->cluster, call->deadline, why);
        return status == APR_SUCCESS ? lack(route, call, why) : status;
    }
    while (go_on(&way)) {
        if (++way.hops == HOPS_MAX || rlx_redis_clock() >= call->deadline) {
            rlx_redis_why(&way.answer.why, "its servers send a call from one "
                          "to the other");
            way.answer.status = APR_EAGAIN;
            break;
        }
    }
    leave(&way);
    return end(&way.answer, why);
}

apr_status_t rlx_redis_route_run(rlx_redis_route_t *route,
                                 rlx_redis_call_t *call, rlx_redis_why_t *why)
{
    call->is_apart = 0;
    switch (route->settings->kind) {
    case RLX_REDIS_SENTINEL:
        return run_at_master(route, call, why);
    case RLX_REDIS_CLUSTER:
        return run_in_cluster(route, call, why);
    default:
        return run_single(route, call, why);
    }
}

/*
 * All servers
 */

static apr_status_t visit_pool(rlx_redis_pool_t *pool, rlx_usec_t usec,
                               rlx_redis_visit_fn visit, void *baton,
                               rlx_redis_why_t *why)
{
    rlx_redis_conn_t *conn;
    apr_status_t status = rlx_redis_pool_take(pool, &conn,
                                              rlx_redis_clock() + usec, why);

    if (status == APR_SUCCESS) {
        status = visit(conn, baton, why);
        rlx_redis_pool_give(pool, conn);
    }
    return status;
}

static apr_status_t visit_cluster(rlx_redis_cluster_t *cluster,
                                  rlx_usec_t usec, rlx_redis_visit_fn visit,
                                  void *baton, rlx_redis_why_t *why)
{
    rlx_redis_node_t **nodes, *any;
    int n;
    apr_status_t status = rlx_redis_cluster_hold(
        cluster, 0, rlx_redis_clock() + usec, &any, why);

    if (status != APR_SUCCESS) {
        return status;
    }
    if (any) {
        rlx_redis_cluster_release(cluster, any);
    }
    nodes = malloc(sizeof(*nodes) * RLX_REDIS_NODES_MAX);
    if (!nodes) {
        return APR_ENOMEM;
    }
    n = rlx_redis_cluster_hold_all(cluster, nodes);
    for (int i = 0; i < n; i++) {
        if (status == APR_SUCCESS) {
            status = visit_pool(nodes[i]->pool, usec, visit, baton, why);
        }
        rlx_redis_cluster_release(cluster, nodes[i]);
    }
    free(nodes);
    return status;
}

apr_status_t rlx_redis_route_visit(rlx_redis_route_t *route, rlx_usec_t usec,
                                   rlx_redis_visit_fn visit, void *baton,
                                   rlx_redis_why_t *why)
{
    unsigned int turn;
    apr_status_t status;

    switch (route->settings->kind) {
    case RLX_REDIS_CLUSTER:
        return visit_cluster(route->cluster, usec, visit, baton, why);
    case RLX_REDIS_SENTINEL:
        status = rlx_redis_sentinel_find(route->sentinel,
                                         rlx_redis_clock() + usec, &turn, why);
        return status != APR_SUCCESS ? status
               : visit_pool(rlx_redis_sentinel_pool(route->sentinel), usec,
                            visit, baton, why);
    default:
        return visit_pool(single_pool(route), usec, visit, baton, why);
    }
}

#endif /* RLX_HAVE_HIREDIS */
