/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_place.h
 * @brief Where a Redis server is.
 */

#ifndef RLX_STORE_REDIS_PLACE_H
#define RLX_STORE_REDIS_PLACE_H

#include <stddef.h>

/** The longest address as text, and with brackets and a port. */
#define RLX_REDIS_ADDRESS_MAX 64
#define RLX_REDIS_SHOWN_MAX   (RLX_REDIS_ADDRESS_MAX + 8)

/** Where a server is. */
typedef struct rlx_redis_place_t {
    /** A numeric address, or "" with a socket's path. */
    char address[RLX_REDIS_ADDRESS_MAX];
    int port;
    /** Or NULL. */
    const char *path;
} rlx_redis_place_t;

/**
 * Find the address of a host. A name is looked up as the system does it, which
 * may take as long as its resolver is told to try; an address is taken as it
 * is.
 * @param place filled in
 * @return 0 if there is none
 */
int rlx_redis_place_find(const char *host, size_t len, int port,
                         rlx_redis_place_t *place);

/** Not 0 if two places on the network are the same. */
int rlx_redis_place_is(const rlx_redis_place_t *a, const rlx_redis_place_t *b);

/** "192.0.2.1:6379", "[2001:db8::1]:6379". */
void rlx_redis_place_show(const rlx_redis_place_t *place,
                          char shown[RLX_REDIS_SHOWN_MAX]);

#endif /* RLX_STORE_REDIS_PLACE_H */
