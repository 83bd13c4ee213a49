/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Where a Redis server is.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_place.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include <apr_strings.h>

#define NAME_MAX_BYTES 256

/** Not 0 if a text is an address. */
static int is_numeric(const char *text)
{
    struct in6_addr address;

    return inet_pton(AF_INET, text, &address) == 1
           || inet_pton(AF_INET6, text, &address) == 1;
}

static int look_up(const char *name, char address[RLX_REDIS_ADDRESS_MAX])
{
    struct addrinfo hints = { 0 }, *list = NULL;
    int found;

    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(name, NULL, &hints, &list)) {
        return 0;
    }
    found = getnameinfo(list->ai_addr, list->ai_addrlen, address,
                        RLX_REDIS_ADDRESS_MAX, NULL, 0, NI_NUMERICHOST) == 0;
    freeaddrinfo(list);
    return found;
}

int rlx_redis_place_find(const char *host, size_t len, int port,
                         rlx_redis_place_t *place)
{
    char name[NAME_MAX_BYTES];

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
    return look_up(name, place->address);
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
