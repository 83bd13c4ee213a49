/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_key.h
 * @brief The names of counters in Redis.
 *
 *     rlx:<prefix>:{<client>}:<scope>:<limit>
 *
 * as in rlx::{192.0.2.1}:www.example.com:section:/login:::f5/1minute. All
 * that one client is counted under shares a cluster slot, by the braces.
 * A blank is written +, and what has a meaning here or in patterns %XX; a client
 * that may be a secret, and texts that are very long, are replaced by # and
 * their SHA-1. No two counters share a key, whatever bytes they are made of.
 */

#ifndef RLX_STORE_REDIS_KEY_H
#define RLX_STORE_REDIS_KEY_H

#include "ratelimit_storage.h"

/** A key: any bytes but NUL; from a pool. */
typedef struct rlx_redis_key_t {
    const char *text;
    size_t len;
} rlx_redis_key_t;

/**
 * Name a counter.
 * @param stores_plain not 0: no client is a secret
 */
rlx_redis_key_t rlx_redis_key_of(const rlx_counter_t *counter,
                                 int stores_plain, apr_pool_t *p);

/** The pattern that all keys of one RateLimitKeyPrefix match, and no other
 *  keys. */
const char *rlx_redis_key_pattern(const char *prefix, size_t len,
                                  apr_pool_t *p);

#endif /* RLX_STORE_REDIS_KEY_H */
