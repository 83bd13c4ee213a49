/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The master of a service. It is asked for when something went wrong with the
 * one that was known, when another child found another, and else once in a
 * second: a master that was replaced without being down goes on taking calls
 * for some ten seconds, until the sentinels make it a replica, and what it
 * counts is lost then. Never by two threads of a child at once.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_sentinel.h"

#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

/** How often sentinels are asked though nothing is wrong; and when they are
 *  again if none of them answers then. */
#define CHECK_EVERY_USEC (1 * 1000000)
#define CHECK_LATER_USEC (10 * 1000000)

struct rlx_redis_sentinel_t {
    const rlx_redis_settings_t *settings;
    /** How sentinels are spoken to. */
    rlx_redis_settings_t own;
    const rlx_redis_place_t *places;
    int n;
    rlx_redis_shared_t *shared;
    rlx_redis_names_t *names;
    rlx_redis_pool_t *pool;
    /** Guards all below. */
    apr_thread_mutex_t *mutex;
    /** The sentinels have been asked. */
    apr_thread_cond_t *told;
    /** The sentinel that is asked first. */
    int first;
    rlx_redis_place_t master;
    /** 0: none is known. */
    unsigned int turn;
    int is_doubted;
    int is_asking;
    /** How often they were asked, and why in vain. */
    unsigned int asked;
    rlx_redis_why_t why;
    /** When they are asked again. */
    rlx_usec_t check_at;
    uint32_t news;
};

apr_status_t rlx_redis_sentinel_make(rlx_redis_sentinel_t **sentinel,
                                     const rlx_redis_settings_t *settings,
                                     const rlx_redis_place_t *places, int n,
                                     rlx_redis_shared_t *shared,
                                     apr_pool_t *p)
{
    rlx_redis_sentinel_t *made = apr_pcalloc(p, sizeof(*made));
    apr_status_t status = apr_thread_mutex_create(
        &made->mutex, APR_THREAD_MUTEX_DEFAULT, p);

    if (status == APR_SUCCESS) {
        status = apr_thread_cond_create(&made->told, p);
    }
    if (status == APR_SUCCESS) {
        status = rlx_redis_pool_make(&made->pool, settings, &made->master, p);
    }
    made->settings = settings;
    made->places = places;
    made->n = n;
    made->shared = shared;
    made->names = rlx_redis_names_make();
    made->news = rlx_redis_shared_news(shared);
    rlx_redis_settings_init(&made->own);
    made->own.user = settings->sentinel_user;
    made->own.password = settings->sentinel_password;
    *sentinel = made;
    return status;
}

rlx_redis_pool_t *rlx_redis_sentinel_pool(rlx_redis_sentinel_t *sentinel)
{
    return sentinel->pool;
}

void rlx_redis_sentinel_doubt(rlx_redis_sentinel_t *sentinel,
                              unsigned int turn)
{
    apr_thread_mutex_lock(sentinel->mutex);
    if (sentinel->turn == turn && !sentinel->is_doubted) {
        sentinel->is_doubted = 1;
        sentinel->first = (sentinel->first + 1) % sentinel->n;
    }
    apr_thread_mutex_unlock(sentinel->mutex);
}

const char *rlx_redis_master_read(const redisReply *reply,
                                  rlx_redis_name_t *name)
{
    const redisReply *host, *port;
    long long number = 0;

    if (reply->type == REDIS_REPLY_NIL) {
        return "it knows no master of that name";
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        return "its reply makes no sense: no address and port";
    }
    host = reply->element[0];
    port = reply->element[1];
    if (host->type != REDIS_REPLY_STRING || !host->len
        || port->type != REDIS_REPLY_STRING || port->len > 5) {
        return "its reply makes no sense: no address and port";
    }
    for (size_t i = 0; i < (size_t)port->len; i++) {
        if (port->str[i] < '0' || port->str[i] > '9') {
            return "its reply makes no sense: the port is no number";
        }
        number = number * 10 + (port->str[i] - '0');
    }
    return rlx_redis_name_read(host->str, (size_t)host->len, number, name)
           ? NULL : "its reply makes no sense: no address and port";
}

/** From its reply to where the master is. */
static apr_status_t read_master(const rlx_redis_sentinel_t *sentinel,
                                const redisReply *reply,
                                rlx_redis_place_t *master,
                                rlx_redis_why_t *why)
{
    rlx_redis_name_t name;
    const char *wrong = rlx_redis_master_read(reply, &name);

    if (reply->type == REDIS_REPLY_ERROR) {
        rlx_redis_why(why, "it says \"%.100s\"", reply->str);
        return APR_EGENERAL;
    }
    if (wrong) {
        rlx_redis_why(why, "%s", wrong);
        return APR_EGENERAL;
    }
    if (!rlx_redis_names_find(sentinel->names, name.host, name.len, name.port,
                              master)) {
        rlx_redis_why(why, "the master's name %.*s has no address yet",
                      (int)(name.len < 100 ? name.len : 100), name.host);
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

static apr_status_t ask_one(const rlx_redis_sentinel_t *sentinel,
                            const rlx_redis_place_t *place,
                            rlx_usec_t deadline, rlx_redis_place_t *master,
                            rlx_redis_why_t *why)
{
    const char *service = sentinel->settings->service;
    const char *part[] = { "SENTINEL", "GET-MASTER-ADDR-BY-NAME", service };
    size_t len[] = { 8, 23, strlen(service) };
    rlx_redis_command_t command = { 3, part, len };
    rlx_redis_conn_t *conn;
    redisReply *reply;
    apr_status_t status = rlx_redis_connect(&conn, &sentinel->own, place,
                                            deadline, why);

    if (status != APR_SUCCESS) {
        return status;
    }
    status = rlx_redis_ask(conn, &command, deadline, &reply, why);
    if (status == APR_SUCCESS) {
        status = read_master(sentinel, reply, master, why);
        freeReplyObject(reply);
    }
    rlx_redis_close(conn);
    return status;
}

/** Ask them in turn. Each has a share of the time: as much as is left for
 *  each of those after it, and for the master. */
static apr_status_t ask_all(const rlx_redis_sentinel_t *sentinel, int *first,
                            rlx_usec_t deadline, rlx_redis_place_t *master,
                            rlx_redis_why_t *why)
{
    apr_status_t status = APR_EGENERAL;
    rlx_redis_why_t one;
    char shown[RLX_REDIS_SHOWN_MAX];

    rlx_redis_why(why, "none of its sentinels has an address");
    for (int i = 0; i < sentinel->n; i++) {
        int which = (*first + i) % sentinel->n;
        const rlx_redis_place_t *place = &sentinel->places[which];
        rlx_usec_t now = rlx_monotonic_usec();

        status = ask_one(sentinel, place,
                         now + (deadline - now) / (sentinel->n - i + 1),
                         master, &one);
        if (status == APR_SUCCESS) {
            *first = which;
            return status;
        }
        rlx_redis_place_show(place, shown);
        rlx_redis_why(why, "the sentinel %s does not help: %s", shown,
                      one.text);
    }
    return status;
}

/** Ask, without the mutex, and keep what they say. Called with it held, and
 *  returns so. */
static apr_status_t renew(rlx_redis_sentinel_t *sentinel, int is_told,
                          rlx_usec_t deadline)
{
    rlx_redis_place_t master;
    rlx_redis_why_t why;
    int first = sentinel->first;
    apr_status_t status;

    sentinel->is_asking = 1;
    apr_thread_mutex_unlock(sentinel->mutex);
    status = ask_all(sentinel, &first, deadline, &master, &why);
    apr_thread_mutex_lock(sentinel->mutex);
    sentinel->is_asking = 0;
    sentinel->asked++;
    sentinel->why = why;
    sentinel->check_at = rlx_monotonic_usec()
                         + (status == APR_SUCCESS ? CHECK_EVERY_USEC
                                                  : CHECK_LATER_USEC);
    if (status == APR_SUCCESS) {
        sentinel->is_doubted = 0;
        sentinel->first = first;
        if (!rlx_redis_place_is(&master, &sentinel->master)) {
            sentinel->master = master;
            rlx_redis_pool_move(sentinel->pool, &master);
            if (sentinel->turn++ && !is_told) {
                sentinel->news = rlx_redis_shared_tell(sentinel->shared);
            }
        }
    }
    apr_thread_cond_broadcast(sentinel->told);
    return status;
}

/** Wait for the thread that asks. Called with the mutex held. */
static apr_status_t wait_for_it(rlx_redis_sentinel_t *sentinel,
                                rlx_usec_t deadline)
{
    unsigned int asked = sentinel->asked;

    while (sentinel->is_asking && sentinel->asked == asked) {
        rlx_usec_t left = deadline - rlx_monotonic_usec();

        if (left <= 0) {
            rlx_redis_why(&sentinel->why, "no sentinel answered in time");
            return APR_TIMEUP;
        }
        apr_thread_cond_timedwait(sentinel->told, sentinel->mutex, left);
    }
    return sentinel->is_doubted || !sentinel->turn ? APR_EGENERAL
                                                   : APR_SUCCESS;
}

apr_status_t rlx_redis_sentinel_find(rlx_redis_sentinel_t *sentinel,
                                     rlx_usec_t deadline, unsigned int *turn,
                                     rlx_redis_why_t *why)
{
    uint32_t news = rlx_redis_shared_news(sentinel->shared);
    apr_status_t status = APR_SUCCESS;
    int is_told;

    apr_thread_mutex_lock(sentinel->mutex);
    is_told = news != sentinel->news;
    sentinel->news = news;
    if (sentinel->is_doubted || !sentinel->turn || is_told) {
        sentinel->is_doubted = 1;
        status = sentinel->is_asking ? wait_for_it(sentinel, deadline)
                                     : renew(sentinel, is_told, deadline);
    }
    else if (!sentinel->is_asking && rlx_monotonic_usec() > sentinel->check_at) {
        /* If nobody tells, what is known will do. */
        renew(sentinel, 0, deadline - (deadline - rlx_monotonic_usec()) / 2);
    }
    *turn = sentinel->turn;
    if (status != APR_SUCCESS) {
        *why = sentinel->why;
    }
    apr_thread_mutex_unlock(sentinel->mutex);
    return status;
}

#endif /* RLX_HAVE_HIREDIS */
