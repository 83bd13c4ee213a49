/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_place.h
 * @brief Where a Redis server is, and where the hosts are that it names.
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
    /** One more where the first refuses, as 127.0.0.1 beside ::1; or "". */
    char other[RLX_REDIS_ADDRESS_MAX];
    int port;
    /** Or NULL. */
    const char *path;
} rlx_redis_place_t;

/** Names of hosts that servers have told of. They are looked up in threads of
 *  their own, and what was found is remembered. */
typedef struct rlx_redis_names_t rlx_redis_names_t;

/** Make it. NULL: no memory. Never freed: threads may be at it when the child
 *  ends. */
rlx_redis_names_t *rlx_redis_names_make(void);

/**
 * Find the place of a host. An address is taken as it is; of a name what was
 * found for it last, and it is looked up once more, for who asks next.
 * Thread-safe; waits for nobody.
 * @param place filled in
 * @return 0 if it is none, or is not known yet
 */
int rlx_redis_names_find(rlx_redis_names_t *names, const char *host,
                         size_t len, int port, rlx_redis_place_t *place);

/** Not 0 if two places on the network are the same. */
int rlx_redis_place_is(const rlx_redis_place_t *a, const rlx_redis_place_t *b);

/** "192.0.2.1:6379", "[2001:db8::1]:6379". */
void rlx_redis_place_show(const rlx_redis_place_t *place,
                          char shown[RLX_REDIS_SHOWN_MAX]);

#endif /* RLX_STORE_REDIS_PLACE_H */
