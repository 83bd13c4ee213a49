/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Where a Redis server is.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_place.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <apr_strings.h>

#include "store/redis_address.h"

#define NAME_BYTES_MAX 256
/** Names that are remembered. */
#define NAMES_MAX 256

/** A name that was told. */
typedef struct known_t {
    char name[NAME_BYTES_MAX];
    rlx_redis_lookup_t *lookup;
    int has_place;
    rlx_redis_place_t place;
} known_t;

struct rlx_redis_names_t {
    /** Guards all below. */
    pthread_mutex_t mutex;
    int n;
    known_t *known[NAMES_MAX];
};

rlx_redis_names_t *rlx_redis_names_make(void)
{
    rlx_redis_names_t *names = calloc(1, sizeof(*names));

    if (names) {
        pthread_mutex_init(&names->mutex, NULL);
    }
    return names;
}

/** Not 0 if a text is an address. */
static int is_numeric(const char *text)
{
    struct in6_addr address;

    return inet_pton(AF_INET, text, &address) == 1
           || inet_pton(AF_INET6, text, &address) == 1;
}

/** Find a name, or begin to know it. NULL: there are too many. Called with
 *  the mutex held. */
static known_t *known_get(rlx_redis_names_t *names, const char *name)
{
    known_t *known;

    for (int i = 0; i < names->n; i++) {
        if (!strcmp(names->known[i]->name, name)) {
            return names->known[i];
        }
    }
    known = names->n < NAMES_MAX ? calloc(1, sizeof(*known)) : NULL;
    if (!known) {
        return NULL;
    }
    apr_cpystrn(known->name, name, sizeof(known->name));
    known->lookup = rlx_redis_lookup_make(name);
    if (!known->lookup) {
        free(known);
        return NULL;
    }
    names->known[names->n++] = known;
    return known;
}

/** Called with the mutex held. */
static int known_find(rlx_redis_names_t *names, const char *name,
                      rlx_redis_place_t *place)
{
    known_t *known = known_get(names, name);

    if (!known) {
        return 0;
    }
    if (rlx_redis_lookup_take(known->lookup, &known->place)) {
        known->has_place = 1;
    }
    rlx_redis_lookup_begin(known->lookup);
    if (known->has_place) {
        memcpy(place->address, known->place.address, sizeof(place->address));
        memcpy(place->other, known->place.other, sizeof(place->other));
    }
    return known->has_place;
}

int rlx_redis_names_find(rlx_redis_names_t *names, const char *host,
                         size_t len, int port, rlx_redis_place_t *place)
{
    char name[NAME_BYTES_MAX];
    int is_found;

    memset(place, 0, sizeof(*place));
    place->port = port;
    if (!len || len >= sizeof(name)) {
        return 0;
    }
    memcpy(name, host, len);
    name[len] = '\0';
    if (is_numeric(name)) {
        apr_cpystrn(place->address, name, sizeof(place->address));
        return 1;
    }
    if (!names) {
        return 0;
    }
    pthread_mutex_lock(&names->mutex);
    is_found = known_find(names, name, place);
    pthread_mutex_unlock(&names->mutex);
    return is_found;
}

int rlx_redis_place_is(const rlx_redis_place_t *a, const rlx_redis_place_t *b)
{
    return a->port == b->port && !strcmp(a->address, b->address);
}

void rlx_redis_place_show(const rlx_redis_place_t *place,
                          char shown[RLX_REDIS_SHOWN_MAX])
{
    apr_snprintf(shown, RLX_REDIS_SHOWN_MAX,
                 strchr(place->address, ':') ? "[%s]:%d" : "%s:%d",
                 place->address, place->port);
}

#endif /* RLX_HAVE_HIREDIS */
