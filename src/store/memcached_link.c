/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Connections to memcached servers: a bounded pool of them in each child and
 * for each server, every wait bounded by the time of the call.
 *
 * The pool is apr_reslist's. It makes its entries under a lock, so what it
 * makes is an unopened connection; who takes it opens it.
 */

#include "store/memcached_inside.h"

#include <string.h>
#include <time.h>

#include <apr_lib.h>
#include <apr_strings.h>

/** Below this APR would not wait at all. */
#define WAIT_USEC_MIN 1000

/** A pool with memory of its own, so that no two threads share any. */
static apr_status_t make_pool(apr_pool_t **pool, apr_pool_t *parent)
{
    apr_allocator_t *allocator;
    apr_status_t status = apr_allocator_create(&allocator);

    if (status != APR_SUCCESS) {
        return status;
    }
    status = apr_pool_create_ex(pool, parent, NULL, allocator);
    if (status != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return status;
    }
    apr_allocator_owner_set(allocator, *pool);
    return APR_SUCCESS;
}

static apr_status_t link_make(void **resource, void *params, apr_pool_t *pool)
{
    rlx_mc_link_t *link = apr_pcalloc(pool, sizeof(*link));

    link->server = params;
    *resource = link;
    return make_pool(&link->pool, pool);
}

static void link_close(rlx_mc_link_t *link)
{
    apr_pool_clear(link->pool);
    link->socket = NULL;
    link->is_old = 0;
    link->from = link->to = 0;
}

static apr_status_t link_unmake(void *resource, void *params, apr_pool_t *pool)
{
    link_close(resource);
    return APR_SUCCESS;
}

apr_status_t rlx_mc_links_make(rlx_mc_server_t *server, int most,
                               rlx_usec_t max_wait, apr_pool_t *pchild)
{
    apr_pool_t *pool;
    apr_status_t status = make_pool(&pool, pchild);

    if (status == APR_SUCCESS) {
        status = apr_reslist_create(&server->links, 0, most, most, 0,
                                    link_make, link_unmake, server, pool);
    }
    if (status == APR_SUCCESS) {
        apr_reslist_timeout_set(server->links, max_wait);
        apr_reslist_cleanup_order_set(server->links,
                                      APR_RESLIST_CLEANUP_FIRST);
    }
    return status;
}

apr_status_t rlx_mc_link_take(rlx_mc_server_t *server, rlx_mc_link_t **link)
{
    void *resource;

    if (apr_reslist_acquire(server->links, &resource) != APR_SUCCESS) {
        return APR_EAGAIN;
    }
    *link = resource;
    (*link)->is_old = (*link)->socket != NULL;
    return APR_SUCCESS;
}

void rlx_mc_link_give(rlx_mc_link_t *link, int is_sound)
{
    if (!is_sound) {
        link_close(link);
    }
    apr_reslist_release(link->server->links, link);
}

/** Let the socket wait until then; not at all if that has passed. On a busy
 *  machine it is often the waiting thread that is late, and the answer has
 *  been there for long. */
static apr_status_t wait_until(rlx_mc_link_t *link, rlx_usec_t until)
{
    rlx_usec_t left = until - rlx_monotonic_usec();

    if (left <= 0) {
        return apr_socket_timeout_set(link->socket, 0);
    }
    return apr_socket_timeout_set(link->socket,
                                  left > WAIT_USEC_MIN ? left : WAIT_USEC_MIN);
}

/** What did not come in no time at all has timed out like all else. */
static apr_status_t timed_out(apr_status_t status)
{
    return APR_STATUS_IS_EAGAIN(status) || APR_STATUS_IS_EINPROGRESS(status)
           ? APR_TIMEUP : status;
}

static apr_status_t try_address(rlx_mc_link_t *link, apr_sockaddr_t *address,
                                rlx_usec_t until)
{
    apr_status_t status = apr_socket_create(&link->socket, address->family,
                                            SOCK_STREAM, APR_PROTO_TCP,
                                            link->pool);

    if (status != APR_SUCCESS) {
        link->socket = NULL;
        return status;
    }
    status = wait_until(link, until);
    if (status == APR_SUCCESS) {
        status = timed_out(apr_socket_connect(link->socket, address));
    }
    if (status != APR_SUCCESS) {
        apr_socket_close(link->socket);
        link->socket = NULL;
        return status;
    }
    apr_socket_opt_set(link->socket, APR_TCP_NODELAY, 1);
    apr_socket_opt_set(link->socket, APR_SO_KEEPALIVE, 1);
    return APR_SUCCESS;
}

apr_status_t rlx_mc_link_open(rlx_mc_link_t *link, rlx_usec_t until)
{
    apr_sockaddr_t *address = link->server->address;
    apr_status_t status = APR_SUCCESS;

    link_close(link);
    if (!address || link->distrusts_address) {
        status = apr_sockaddr_info_get(&address, link->server->host,
                                       APR_UNSPEC, link->server->port, 0,
                                       link->pool);
        if (status != APR_SUCCESS) {
            return status;
        }
    }
    /* A name may have several; "localhost" often has one too many. */
    for (; address; address = address->next) {
        status = try_address(link, address, until);
        if (status == APR_SUCCESS || APR_STATUS_IS_TIMEUP(status)) {
            break;
        }
    }
    link->distrusts_address = status != APR_SUCCESS;
    return status;
}

apr_status_t rlx_mc_link_send(rlx_mc_link_t *link, const char *data,
                              apr_size_t len, rlx_usec_t until)
{
    while (len) {
        apr_size_t sent = len;
        apr_status_t status = wait_until(link, until);

        if (status == APR_SUCCESS) {
            status = timed_out(apr_socket_send(link->socket, data, &sent));
        }
        if (status != APR_SUCCESS) {
            return status;
        }
        data += sent;
        len -= sent;
    }
    return APR_SUCCESS;
}

/** Read more into the buffer. */
static apr_status_t receive(rlx_mc_link_t *link, rlx_usec_t until)
{
    apr_size_t room;
    apr_status_t status = wait_until(link, until);

    if (status != APR_SUCCESS) {
        return status;
    }
    if (link->from) {
        memmove(link->in, link->in + link->from, link->to - link->from);
        link->to -= link->from;
        link->from = 0;
    }
    room = sizeof(link->in) - link->to;
    status = timed_out(apr_socket_recv(link->socket, link->in + link->to,
                                       &room));
    if (status == APR_SUCCESS && !room) {
        status = APR_EOF;
    }
    if (status == APR_SUCCESS) {
        link->to += room;
    }
    return status;
}

apr_status_t rlx_mc_link_line(rlx_mc_link_t *link, char **line,
                              rlx_usec_t until)
{
    apr_size_t looked_at = 0;

    for (;;) {
        char *begin = link->in + link->from;
        apr_size_t there = link->to - link->from;
        char *end = memchr(begin + looked_at, '\n', there - looked_at);
        apr_status_t status;

        if (end) {
            link->from += (apr_size_t)(end - begin) + 1;
            if (end > begin && end[-1] == '\r') {
                end--;
            }
            *end = '\0';
            *line = begin;
            return APR_SUCCESS;
        }
        if (there > RLX_MC_LINE_MAX) {
            return RLX_MC_NONSENSE;
        }
        looked_at = there;
        status = receive(link, until);
        if (status != APR_SUCCESS) {
            return status;
        }
    }
}

/** One byte. */
static apr_status_t next_byte(rlx_mc_link_t *link, char *byte,
                              rlx_usec_t until)
{
    if (link->from == link->to) {
        apr_status_t status = receive(link, until);

        if (status != APR_SUCCESS) {
            return status;
        }
    }
    *byte = link->in[link->from++];
    return APR_SUCCESS;
}

apr_status_t rlx_mc_link_data(rlx_mc_link_t *link, apr_size_t bytes, char *to,
                              apr_size_t room, rlx_usec_t until)
{
    apr_status_t status;
    char end[2];

    for (apr_size_t done = 0; done < bytes;) {
        apr_size_t there = link->to - link->from;

        if (!there) {
            status = receive(link, until);
            if (status != APR_SUCCESS) {
                return status;
            }
            continue;
        }
        there = there < bytes - done ? there : bytes - done;
        if (done < room - 1) {
            memcpy(to + done, link->in + link->from,
                   there < room - 1 - done ? there : room - 1 - done);
        }
        link->from += there;
        done += there;
    }
    to[bytes < room ? bytes : room - 1] = '\0';
    for (int i = 0; i < 2; i++) {
        status = next_byte(link, &end[i], until);
        if (status != APR_SUCCESS) {
            return status;
        }
    }
    return end[0] == '\r' && end[1] == '\n' ? APR_SUCCESS : RLX_MC_NONSENSE;
}
