/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A pool of connections. Idle ones lie on a stack: the one used last is used
 * next, and what a peak needed falls asleep at the bottom.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_pool.h"

#include <string.h>

#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

struct rlx_redis_pool_t {
    const rlx_redis_settings_t *settings;
    /** Guards all below. */
    apr_thread_mutex_t *mutex;
    /** A connection came back, or may be made. */
    apr_thread_cond_t *freed;
    rlx_redis_place_t place;
    /** Grows with each move: which place a connection goes to. */
    unsigned int moves;
    rlx_redis_conn_t **idle;
    int idle_n;
    /** Idle, taken, and on their way. */
    int all_n;
};

static apr_status_t close_idle(void *data)
{
    rlx_redis_pool_t *pool = data;

    while (pool->idle_n) {
        rlx_redis_close(pool->idle[--pool->idle_n]);
        pool->all_n--;
    }
    return APR_SUCCESS;
}

apr_status_t rlx_redis_pool_make(rlx_redis_pool_t **pool,
                                 const rlx_redis_settings_t *settings,
                                 const rlx_redis_place_t *place,
                                 apr_pool_t *p)
{
    rlx_redis_pool_t *made = apr_pcalloc(p, sizeof(*made));
    apr_status_t status = apr_thread_mutex_create(
        &made->mutex, APR_THREAD_MUTEX_DEFAULT, p);

    if (status == APR_SUCCESS) {
        status = apr_thread_cond_create(&made->freed, p);
    }
    if (status != APR_SUCCESS) {
        return status;
    }
    made->settings = settings;
    made->place = *place;
    made->idle = apr_pcalloc(p, sizeof(*made->idle)
                                * (apr_size_t)settings->pool_max);
    apr_pool_cleanup_register(p, made, close_idle, apr_pool_cleanup_null);
    *pool = made;
    return APR_SUCCESS;
}

static int is_same(const rlx_redis_place_t *a, const rlx_redis_place_t *b)
{
    return !strcmp(a->address, b->address) && !strcmp(a->other, b->other)
           && a->port == b->port && a->path == b->path;
}

void rlx_redis_pool_move(rlx_redis_pool_t *pool,
                         const rlx_redis_place_t *place)
{
    apr_thread_mutex_lock(pool->mutex);
    if (!is_same(&pool->place, place)) {
        pool->place = *place;
        pool->moves++;
        close_idle(pool);
        apr_thread_cond_broadcast(pool->freed);
    }
    apr_thread_mutex_unlock(pool->mutex);
}

/** One place less is taken. */
static void forget_one(rlx_redis_pool_t *pool)
{
    apr_thread_mutex_lock(pool->mutex);
    pool->all_n--;
    apr_thread_cond_signal(pool->freed);
    apr_thread_mutex_unlock(pool->mutex);
}

/** An idle connection, or the right to make one (NULL). Called with the
 *  mutex held. */
static apr_status_t take_turn(rlx_redis_pool_t *pool, rlx_redis_conn_t **conn,
                              rlx_usec_t deadline, rlx_redis_why_t *why)
{
    for (;;) {
        rlx_usec_t left;

        *conn = NULL;
        if (pool->idle_n) {
            *conn = pool->idle[--pool->idle_n];
            return APR_SUCCESS;
        }
        if (pool->all_n < pool->settings->pool_max) {
            pool->all_n++;
            return APR_SUCCESS;
        }
        left = deadline - rlx_monotonic_usec();
        if (left <= 0) {
            rlx_redis_why(why, "all %d connections of this child "
                          "(pool_max=) are in use", pool->settings->pool_max);
            return APR_TIMEUP;
        }
        apr_thread_cond_timedwait(pool->freed, pool->mutex, left);
    }
}

apr_status_t rlx_redis_pool_take(rlx_redis_pool_t *pool,
                                 rlx_redis_conn_t **conn, rlx_usec_t deadline,
                                 rlx_redis_why_t *why)
{
    rlx_redis_place_t place;
    unsigned int moves;
    apr_status_t status;

    for (;;) {
        apr_thread_mutex_lock(pool->mutex);
        status = take_turn(pool, conn, deadline, why);
        place = pool->place;
        moves = pool->moves;
        apr_thread_mutex_unlock(pool->mutex);
        if (status != APR_SUCCESS) {
            return status;
        }
        if (!*conn) {
            break;
        }
        if (rlx_redis_is_quiet(*conn)) {
            return APR_SUCCESS;
        }
        /* The server closed it meanwhile, or was restarted. */
        rlx_redis_close(*conn);
        forget_one(pool);
    }
    status = rlx_redis_connect(conn, pool->settings, &place, deadline, why);
    if (status != APR_SUCCESS) {
        forget_one(pool);
        return status;
    }
    (*conn)->moves = moves;
    return APR_SUCCESS;
}

void rlx_redis_pool_give(rlx_redis_pool_t *pool, rlx_redis_conn_t *conn)
{
    rlx_redis_conn_t *closed = NULL;

    apr_thread_mutex_lock(pool->mutex);
    if (conn->is_broken || conn->moves != pool->moves) {
        closed = conn;
        pool->all_n--;
    }
    else {
        pool->idle[pool->idle_n++] = conn;
    }
    apr_thread_cond_signal(pool->freed);
    apr_thread_mutex_unlock(pool->mutex);
    rlx_redis_close(closed);
}

#endif /* RLX_HAVE_HIREDIS */
