/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * From a call to a server.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_route.h"

#include <stdlib.h>

#include <apr_strings.h>

#include "store/redis_address.h"
#include "store/redis_answer.h"
#include "store/redis_sentinel.h"
#include "store/redis_ways.h"

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
    rlx_redis_ways_t ways;
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
        route->ways.shared = route->shared;
        route->ways.timeout_usec = route->settings->timeout_usec;
        route->ways.env = route->env;
        route->ways.shown = route->shown;
        return rlx_redis_cluster_make(&route->ways.cluster, route->settings,
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
    rlx_redis_answer_t answer;

    rlx_redis_run_at(single_pool(route), call, 0, &answer);
    if (answer.status != APR_SUCCESS && route->lookup) {
        rlx_redis_lookup_begin(route->lookup);
    }
    return rlx_redis_answer_end(&answer, why);
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
    rlx_redis_answer_t answer;
    unsigned int turn, next;
    apr_status_t status = rlx_redis_sentinel_find(route->sentinel,
                                                  call->deadline, &turn, why);

    if (status != APR_SUCCESS) {
        return status;
    }
    rlx_redis_run_at(pool, call, 0, &answer);
    if (answer.outcome == RLX_REDIS_DONE || !answer.is_unfit) {
        return rlx_redis_answer_end(&answer, why);
    }
    rlx_redis_sentinel_doubt(route->sentinel, turn);
    if (answer.outcome != RLX_REDIS_BROKE
        && rlx_redis_sentinel_find(route->sentinel, call->deadline, &next,
                                   why) == APR_SUCCESS
        && next != turn) {
        rlx_redis_answer_free(&answer);
        rlx_redis_run_at(pool, call, 0, &answer);
        if (answer.outcome != RLX_REDIS_DONE && answer.is_unfit) {
            rlx_redis_sentinel_doubt(route->sentinel, next);
        }
    }
    return rlx_redis_answer_end(&answer, why);
}

/*
 * All kinds
 */

apr_status_t rlx_redis_route_run(rlx_redis_route_t *route,
                                 rlx_redis_call_t *call, rlx_redis_why_t *why)
{
    call->is_apart = 0;
    switch (route->settings->kind) {
    case RLX_REDIS_SENTINEL:
        return run_at_master(route, call, why);
    case RLX_REDIS_CLUSTER:
        return rlx_redis_ways_run(&route->ways, call, why);
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
                                              rlx_monotonic_usec() + usec, why);

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
        cluster, 0, rlx_monotonic_usec() + usec, &any, why);

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
        return visit_cluster(route->ways.cluster, usec, visit, baton, why);
    case RLX_REDIS_SENTINEL:
        status = rlx_redis_sentinel_find(route->sentinel,
                                         rlx_monotonic_usec() + usec, &turn, why);
        return status != APR_SUCCESS ? status
               : visit_pool(rlx_redis_sentinel_pool(route->sentinel), usec,
                            visit, baton, why);
    default:
        return visit_pool(single_pool(route), usec, visit, baton, why);
    }
}

#endif /* RLX_HAVE_HIREDIS */
