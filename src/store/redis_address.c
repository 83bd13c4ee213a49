/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Looking up names. getaddrinfo() may wait for a name server as long as it
 * likes, so after the start it is called in a thread that nobody waits for.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_address.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/** What a thread and those who ask share. */
struct rlx_redis_lookup_t {
    pthread_mutex_t mutex;
    /** Not 0: a thread is at it. */
    int is_busy;
    /** Not 0: there are addresses that nobody has taken. */
    int is_found;
    rlx_redis_place_t found;
    char host[];
};

/** Write an address as text. Not 0 if that can be done. */
static int show(const struct addrinfo *info, char text[RLX_REDIS_ADDRESS_MAX])
{
    return getnameinfo(info->ai_addr, info->ai_addrlen, text,
                       RLX_REDIS_ADDRESS_MAX, NULL, 0, NI_NUMERICHOST) == 0;
}

int rlx_redis_address_find(const char *host, rlx_redis_place_t *place)
{
    struct addrinfo hints = { 0 }, *list = NULL;
    char address[RLX_REDIS_ADDRESS_MAX] = "";
    int is_found;

    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, NULL, &hints, &list)) {
        return 0;
    }
    is_found = show(list, address);
    if (is_found) {
        memcpy(place->address, address, sizeof(address));
        if (!list->ai_next || !show(list->ai_next, place->other)) {
            place->other[0] = '\0';
        }
    }
    freeaddrinfo(list);
    return is_found;
}

rlx_redis_lookup_t *rlx_redis_lookup_make(const char *host)
{
    rlx_redis_lookup_t *lookup = calloc(1, sizeof(*lookup) + strlen(host) + 1);

    if (lookup) {
        strcpy(lookup->host, host);
        pthread_mutex_init(&lookup->mutex, NULL);
    }
    return lookup;
}

static void *look_up(void *data)
{
    rlx_redis_lookup_t *lookup = data;
    rlx_redis_place_t found;
    int is_found = rlx_redis_address_find(lookup->host, &found);

    pthread_mutex_lock(&lookup->mutex);
    if (is_found) {
        lookup->found = found;
        lookup->is_found = 1;
    }
    lookup->is_busy = 0;
    pthread_mutex_unlock(&lookup->mutex);
    return NULL;
}

/* httpd's signals are for its own threads. */
static int start_thread(rlx_redis_lookup_t *lookup)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    failed = pthread_create(&thread, &attributes, look_up, lookup);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !failed;
}

void rlx_redis_lookup_begin(rlx_redis_lookup_t *lookup)
{
    int is_mine;

    pthread_mutex_lock(&lookup->mutex);
    is_mine = !lookup->is_busy;
    lookup->is_busy = 1;
    pthread_mutex_unlock(&lookup->mutex);
    if (is_mine && !start_thread(lookup)) {
        pthread_mutex_lock(&lookup->mutex);
        lookup->is_busy = 0;
        pthread_mutex_unlock(&lookup->mutex);
    }
}

int rlx_redis_lookup_take(rlx_redis_lookup_t *lookup,
                          rlx_redis_place_t *place)
{
    int is_found;

    pthread_mutex_lock(&lookup->mutex);
    is_found = lookup->is_found;
    if (is_found) {
        memcpy(place->address, lookup->found.address, sizeof(place->address));
        memcpy(place->other, lookup->found.other, sizeof(place->other));
        lookup->is_found = 0;
    }
    pthread_mutex_unlock(&lookup->mutex);
    return is_found;
}

#endif /* RLX_HAVE_HIREDIS */
