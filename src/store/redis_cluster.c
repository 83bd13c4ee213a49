/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The servers of a Redis Cluster. The map of slots is an index for each slot
 * into a table of servers. A server that has no slots any more stays in the
 * table until its place is needed for another: who holds it goes on with it
 * undisturbed.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_cluster.h"

#include <stdlib.h>

#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

/** The map is not asked for more often than that; nor where another child
 *  found another one. */
#define RENEW_EVERY_USEC 1000000
#define RENEW_TOLD_USEC  100000

struct rlx_redis_cluster_t {
    const rlx_redis_settings_t *settings;
    const rlx_redis_place_t *seeds;
    int seeds_n;
    rlx_redis_shared_t *shared;
    rlx_redis_names_t *names;
    /** Guards all below. */
    apr_thread_mutex_t *mutex;
    /** For nodes and their connections; used with the mutex held. */
    apr_pool_t *pool;
    /** The map has been asked for. */
    apr_thread_cond_t *renewed;
    int has_map;
    int is_doubted;
    int is_renewing;
    /** When it was asked for last, and how that went. */
    rlx_usec_t asked_at;
    apr_status_t status;
    rlx_redis_why_t why;
    uint32_t news;
    rlx_redis_node_t *nodes[RLX_REDIS_NODES_MAX];
    int n;
    uint16_t owner[RLX_REDIS_SLOTS];
};

static apr_status_t destroy_pool(void *data)
{
    apr_pool_destroy(data);
    return APR_SUCCESS;
}

apr_status_t rlx_redis_cluster_make(rlx_redis_cluster_t **cluster,
                                    const rlx_redis_settings_t *settings,
                                    const rlx_redis_place_t *seeds, int n,
                                    rlx_redis_shared_t *shared, apr_pool_t *p)
{
    rlx_redis_cluster_t *made = apr_pcalloc(p, sizeof(*made));
    apr_status_t status = apr_thread_mutex_create(
        &made->mutex, APR_THREAD_MUTEX_DEFAULT, p);

    if (status == APR_SUCCESS) {
        status = apr_thread_cond_create(&made->renewed, p);
    }
    if (status == APR_SUCCESS) {
        /* Of an allocator of its own: it is used while others use p's. */
        status = apr_pool_create_unmanaged(&made->pool);
    }
    if (status != APR_SUCCESS) {
        return status;
    }
    apr_pool_cleanup_register(p, made->pool, destroy_pool,
                              apr_pool_cleanup_null);
    made->settings = settings;
    made->seeds = seeds;
    made->seeds_n = n;
    made->shared = shared;
    made->names = rlx_redis_names_make();
    made->news = rlx_redis_shared_news(shared);
    memset(made->owner, 0xff, sizeof(made->owner));
    *cluster = made;
    return APR_SUCCESS;
}

/*
 * The table of servers; all with the mutex held
 */

static int node_find(const rlx_redis_cluster_t *cluster,
                     const rlx_redis_place_t *place)
{
    for (int i = 0; i < cluster->n; i++) {
        if (rlx_redis_place_is(&cluster->nodes[i]->place, place)) {
            return i;
        }
    }
    return -1;
}

/** One that neither has slots nor is held. */
static int node_find_unused(const rlx_redis_cluster_t *cluster)
{
    for (int i = 0; i < cluster->n; i++) {
        if (!cluster->nodes[i]->is_mapped && !cluster->nodes[i]->holders) {
            return i;
        }
    }
    return -1;
}

/** Find a server, or make room for it. Below 0: there is none. */
static int node_get(rlx_redis_cluster_t *cluster,
                    const rlx_redis_place_t *place)
{
    int i = node_find(cluster, place);
    rlx_redis_node_t *node;

    if (i >= 0) {
        return i;
    }
    i = node_find_unused(cluster);
    if (i >= 0) {
        node = cluster->nodes[i];
        rlx_redis_pool_move(node->pool, place);
    }
    else {
        if (cluster->n == RLX_REDIS_NODES_MAX) {
            return -1;
        }
        node = apr_pcalloc(cluster->pool, sizeof(*node));
        if (rlx_redis_pool_make(&node->pool, cluster->settings, place,
                                cluster->pool) != APR_SUCCESS) {
            return -1;
        }
        i = cluster->n++;
        cluster->nodes[i] = node;
    }
    node->place = *place;
    rlx_redis_place_show(place, node->shown);
    node->breaker = rlx_redis_shared_breaker(cluster->shared, node->shown);
    return i;
}

void rlx_redis_cluster_release(rlx_redis_cluster_t *cluster,
                               rlx_redis_node_t *node)
{
    apr_thread_mutex_lock(cluster->mutex);
    node->holders--;
    apr_thread_mutex_unlock(cluster->mutex);
}

int rlx_redis_cluster_hold_all(rlx_redis_cluster_t *cluster,
                               rlx_redis_node_t **nodes)
{
    int n = 0;

    apr_thread_mutex_lock(cluster->mutex);
    for (int i = 0; i < cluster->n; i++) {
        if (cluster->nodes[i]->is_mapped) {
            cluster->nodes[i]->holders++;
            nodes[n++] = cluster->nodes[i];
        }
    }
    apr_thread_mutex_unlock(cluster->mutex);
    return n;
}

/** Where a server is that `by` names. 0: nowhere. */
static int place_of(const rlx_redis_cluster_t *cluster,
                    const rlx_redis_name_t *name, const rlx_redis_place_t *by,
                    rlx_redis_place_t *place)
{
    if (name->len) {
        return rlx_redis_names_find(cluster->names, name->host, name->len,
                                    name->port, place);
    }
    *place = *by;
    place->port = name->port;
    return 1;
}

rlx_redis_node_t *rlx_redis_cluster_hold_named(rlx_redis_cluster_t *cluster,
                                               const rlx_redis_name_t *name,
                                               const rlx_redis_node_t *by,
                                               unsigned int slot)
{
    rlx_redis_node_t *node = NULL;
    rlx_redis_place_t place;
    int i;

    if (!place_of(cluster, name, &by->place, &place)) {
        return NULL;
    }
    apr_thread_mutex_lock(cluster->mutex);
    i = node_get(cluster, &place);
    if (i >= 0) {
        node = cluster->nodes[i];
        node->holders++;
        if (slot < RLX_REDIS_SLOTS) {
            cluster->owner[slot] = (uint16_t)i;
            node->is_mapped = 1;
            cluster->is_doubted = 1;
        }
    }
    apr_thread_mutex_unlock(cluster->mutex);
    return node;
}

/*
 * The map
 */

/** What one server says about the slots. */
typedef struct told_t {
    rlx_redis_slots_t slots;
    rlx_redis_place_t places[RLX_REDIS_NODES_MAX];
} told_t;

/** A new map takes the place of the old one. Called with the mutex held.
 *  @return 1: slots changed hands; 0: none did; below 0: no room */
static int take_over(rlx_redis_cluster_t *cluster, const told_t *told)
{
    uint16_t index[RLX_REDIS_NODES_MAX];
    int has_changed = 0, has_holes = 0;

    for (int i = 0; i < told->slots.n; i++) {
        int at = node_get(cluster, &told->places[i]);

        if (at < 0) {
            return -1;
        }
        index[i] = (uint16_t)at;
        /* Or the next one would take its place. */
        cluster->nodes[at]->is_mapped = 1;
    }
    for (int i = 0; i < cluster->n; i++) {
        cluster->nodes[i]->is_mapped = 0;
    }
    for (int i = 0; i < told->slots.n; i++) {
        cluster->nodes[index[i]]->is_mapped = 1;
    }
    for (int i = 0; i < RLX_REDIS_SLOTS; i++) {
        uint16_t to = told->slots.owner[i] == RLX_REDIS_NOBODY
                      ? RLX_REDIS_NOBODY : index[told->slots.owner[i]];

        has_holes |= to == RLX_REDIS_NOBODY;
        has_changed |= to != cluster->owner[i];
        cluster->owner[i] = to;
    }
    if (!has_holes) {
        __atomic_store_n(&cluster->shared->nobody.state, 0, __ATOMIC_RELEASE);
    }
    return has_changed;
}

/** Ask on a connection. */
static apr_status_t ask_on(const rlx_redis_cluster_t *cluster,
                           rlx_redis_conn_t *conn,
                           const rlx_redis_place_t *by, rlx_usec_t deadline,
                           redisReply **reply, told_t *told,
                           rlx_redis_why_t *why)
{
    const char *part[] = { "CLUSTER", "SLOTS" };
    size_t len[] = { 7, 5 };
    rlx_redis_command_t command = { 2, part, len };
    apr_status_t status = rlx_redis_ask(conn, &command, deadline, reply, why);
    const char *wrong;

    if (status != APR_SUCCESS) {
        return status;
    }
    if ((*reply)->type == REDIS_REPLY_ERROR) {
        return rlx_redis_refused(conn, *reply, why);
    }
    wrong = rlx_redis_slots_read(*reply, &told->slots);
    for (int i = 0; i < told->slots.n && !wrong; i++) {
        if (!place_of(cluster, &told->slots.nodes[i], by, &told->places[i])) {
            rlx_redis_why(why, "a server's name has no address yet");
            return APR_EGENERAL;
        }
    }
    return wrong ? rlx_redis_nonsense(conn, wrong, why) : APR_SUCCESS;
}

/** Ask one server, by a connection of its own: there may be none to spare. */
static apr_status_t ask_one(const rlx_redis_cluster_t *cluster,
                            const rlx_redis_place_t *place,
                            rlx_usec_t deadline, told_t *told,
                            rlx_redis_why_t *why)
{
    rlx_redis_conn_t *conn;
    redisReply *reply = NULL;
    rlx_redis_why_t own;
    char shown[RLX_REDIS_SHOWN_MAX];
    apr_status_t status = rlx_redis_connect(&conn, cluster->settings, place,
                                            deadline, &own);

    if (status == APR_SUCCESS) {
        status = ask_on(cluster, conn, place, deadline, &reply, told, &own);
        rlx_redis_close(conn);
        if (reply) {
            freeReplyObject(reply);
        }
    }
    if (status != APR_SUCCESS) {
        rlx_redis_place_show(place, shown);
        rlx_redis_why(why, "%s does not say who has which slots: %s", shown,
                      own.text);
    }
    return status;
}

/** Whom to ask: servers that are not known to fail, then where the URI says
 *  to begin. Called with the mutex held.
 *  @return how many */
static int list_places(const rlx_redis_cluster_t *cluster,
                       rlx_redis_place_t *places)
{
    int n = 0;

    for (int i = 0; i < cluster->n; i++) {
        const rlx_redis_node_t *node = cluster->nodes[i];

        if (node->is_mapped && !rlx_breaker_down_since(node->breaker)) {
            places[n++] = node->place;
        }
    }
    for (int i = 0; i < cluster->seeds_n; i++) {
        places[n++] = cluster->seeds[i];
    }
    return n;
}

/** What part of a call's time is enough to say of a server that it does not
 *  answer. */
static rlx_usec_t fair_share(const rlx_redis_cluster_t *cluster)
{
    return cluster->settings->timeout_usec / 8;
}

/** Ask one after the other, each for half of the time that is left.
 *  @return APR_EAGAIN if one of them may have had too little of it */
static apr_status_t ask_all(const rlx_redis_cluster_t *cluster,
                            const rlx_redis_place_t *places, int n,
                            rlx_usec_t deadline, told_t *told,
                            rlx_redis_why_t *why)
{
    apr_status_t status = APR_EGENERAL;
    int is_sure = 1;

    rlx_redis_why(why, "none of its hosts has an address");
    for (int i = 0; i < n && status != APR_SUCCESS; i++) {
        rlx_usec_t now = rlx_monotonic_usec();
        rlx_usec_t share = (deadline - now) / 2;

        if (i && share < 500) {
            is_sure = 0;
            break;
        }
        status = ask_one(cluster, &places[i], now + share, told, why);
        is_sure = is_sure && (!APR_STATUS_IS_TIMEUP(status)
                              || share >= fair_share(cluster));
    }
    return status == APR_SUCCESS || is_sure ? status : APR_EAGAIN;
}

/** What asking for the map needs, too much for a thread's stack. */
typedef struct work_t {
    told_t told;
    rlx_redis_place_t places[RLX_REDIS_NODES_MAX + RLX_REDIS_HOSTS_MAX];
    int n;
    rlx_redis_why_t why;
} work_t;

/** Ask without the mutex. Called with it held, and returns so. */
static void ask_unlocked(rlx_redis_cluster_t *cluster, work_t *work,
                         rlx_usec_t deadline)
{
    apr_status_t status;

    /* The last quarter is for what is to be asked once the map is known. */
    deadline -= (deadline - rlx_monotonic_usec()) / 4;
    work->n = list_places(cluster, work->places);
    cluster->is_renewing = 1;
    apr_thread_mutex_unlock(cluster->mutex);
    status = ask_all(cluster, work->places, work->n, deadline, &work->told,
                     &work->why);
    apr_thread_mutex_lock(cluster->mutex);
    cluster->is_renewing = 0;
    cluster->status = status;
    cluster->why = work->why;
}

/** Ask for the map, and take it over. Called with the mutex held, and returns
 *  so. */
static void renew(rlx_redis_cluster_t *cluster, rlx_usec_t deadline)
{
    work_t *work = malloc(sizeof(*work));
    uint32_t news = rlx_redis_shared_news(cluster->shared);
    int is_told = news != cluster->news, has_changed;

    cluster->status = APR_ENOMEM;
    rlx_redis_why(&cluster->why, "no memory for a map of slots");
    if (work) {
        ask_unlocked(cluster, work, deadline);
    }
    cluster->asked_at = rlx_monotonic_usec();
    cluster->news = news;
    if (cluster->status == APR_SUCCESS) {
        has_changed = take_over(cluster, &work->told);
        cluster->is_doubted = has_changed < 0;
        if (cluster->has_map && has_changed > 0 && !is_told) {
            cluster->news = rlx_redis_shared_tell(cluster->shared);
        }
        cluster->has_map = cluster->has_map || has_changed >= 0;
    }
    free(work);
    apr_thread_cond_broadcast(cluster->renewed);
}

/** Not 0 if it may be asked for again. Called with the mutex held. */
static int is_due(const rlx_redis_cluster_t *cluster)
{
    rlx_usec_t wait = cluster->news == rlx_redis_shared_news(cluster->shared)
                      ? RENEW_EVERY_USEC : RENEW_TOLD_USEC;

    return !cluster->is_renewing
           && rlx_monotonic_usec() - cluster->asked_at >= wait;
}

/** There is no map: ask, or wait for who does. Called with the mutex held. */
static apr_status_t begin(rlx_redis_cluster_t *cluster, rlx_usec_t deadline)
{
    if (!cluster->is_renewing) {
        renew(cluster, deadline);
    }
    while (cluster->is_renewing) {
        rlx_usec_t left = deadline - rlx_monotonic_usec();

        if (left <= 0) {
            rlx_redis_why(&cluster->why, "it did not say in time who has "
                          "which slots");
            return APR_TIMEUP;
        }
        apr_thread_cond_timedwait(cluster->renewed, cluster->mutex, left);
    }
    if (cluster->has_map) {
        return APR_SUCCESS;
    }
    return cluster->status == APR_EAGAIN ? APR_TIMEUP
           : cluster->status != APR_SUCCESS ? cluster->status : APR_EGENERAL;
}

apr_status_t rlx_redis_cluster_hold(rlx_redis_cluster_t *cluster,
                                    unsigned int slot, rlx_usec_t deadline,
                                    rlx_redis_node_t **node,
                                    rlx_redis_why_t *why)
{
    apr_status_t status = APR_SUCCESS;

    *node = NULL;
    apr_thread_mutex_lock(cluster->mutex);
    if (!cluster->has_map) {
        status = begin(cluster, deadline);
    }
    else if ((cluster->is_doubted
              || cluster->news != rlx_redis_shared_news(cluster->shared))
             && is_due(cluster)) {
        renew(cluster, deadline);
    }
    if (status != APR_SUCCESS) {
        *why = cluster->why;
    }
    else if (cluster->owner[slot] != RLX_REDIS_NOBODY) {
        *node = cluster->nodes[cluster->owner[slot]];
        (*node)->holders++;
    }
    apr_thread_mutex_unlock(cluster->mutex);
    return status;
}

apr_status_t rlx_redis_cluster_renew(rlx_redis_cluster_t *cluster,
                                     rlx_usec_t deadline, rlx_redis_why_t *why)
{
    apr_status_t status = APR_SUCCESS;

    apr_thread_mutex_lock(cluster->mutex);
    cluster->is_doubted = 1;
    if (deadline - rlx_monotonic_usec() < 3 * fair_share(cluster)) {
        status = APR_EAGAIN;
        rlx_redis_why(why, "there is no time left to ask who has which slots");
    }
    else if (is_due(cluster)) {
        renew(cluster, deadline);
        status = cluster->status;
        *why = cluster->why;
    }
    apr_thread_mutex_unlock(cluster->mutex);
    return status;
}

#endif /* RLX_HAVE_HIREDIS */
