/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  hash.h
 * @brief Keyed 128-bit hashing (SipHash-2-4-128, Aumasson and Bernstein,
 *        "SipHash: a fast short-input PRF", 2012, with the 128-bit output of
 *        the reference code), and the ids of counters made of it.
 */

#ifndef RLX_CORE_HASH_H
#define RLX_CORE_HASH_H

#include "ratelimit_limit.h"

/** The secret that keys the hash. */
typedef struct rlx_secret_t {
    uint64_t k0;
    uint64_t k1;
} rlx_secret_t;

/** What a hashed text is. Texts of different kinds never share a hash. */
typedef enum {
    RLX_ID_KEY = 1,
    RLX_ID_SECTION,
    RLX_ID_ENDPOINT,
    RLX_ID_SCOPE,
    RLX_ID_LIMIT,
    RLX_ID_METHOD,
    RLX_ID_SERVER
} rlx_id_kind_e;

/**
 * SipHash-2-4 with 128 bits of output, as the reference code computes it.
 * @param data any bytes; may be NULL if len is 0
 */
rlx_id_t rlx_siphash128(const rlx_secret_t *secret, const void *data,
                        size_t len);

/**
 * The id of one part of a counter's name. Ids of parts are combined with
 * rlx_id_mix(); different (kind, text) pairs have independent ids.
 */
rlx_id_t rlx_id_of(const rlx_secret_t *secret, rlx_id_kind_e kind,
                   const void *data, size_t len);

/** Join two ids: exclusive or. Order does not matter; the parts must be of
 *  different kinds. With independent keyed parts this is simple tabulation
 *  hashing (Patrascu and Thorup, "The Power of Simple Tabulation Hashing",
 *  2011): as good as a hash of the whole for a table like ours. */
static inline rlx_id_t rlx_id_mix(rlx_id_t a, rlx_id_t b)
{
    a.word[0] ^= b.word[0];
    a.word[1] ^= b.word[1];
    return a;
}

/** Not 0 if two ids are the same. */
static inline int rlx_id_equal(rlx_id_t a, rlx_id_t b)
{
    return a.word[0] == b.word[0] && a.word[1] == b.word[1];
}

#endif /* RLX_CORE_HASH_H */
