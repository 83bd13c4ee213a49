/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_slots.h
 * @brief Which slot of a Redis Cluster a key lies in, and what its servers say
 *        about who has which slot. Pure functions; whatever a server says, no
 *        more is believed than makes sense.
 */

#ifndef RLX_STORE_REDIS_SLOTS_H
#define RLX_STORE_REDIS_SLOTS_H

#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

/** Slots of a cluster, and the most servers with slots that are believed. */
#define RLX_REDIS_SLOTS     16384
#define RLX_REDIS_NODES_MAX 1024

/** The owner of a slot that nobody has. */
#define RLX_REDIS_NOBODY 0xffff

/** A server as a reply names it; points into the reply. */
typedef struct rlx_redis_name_t {
    /** Letters, digits and . : - _ alone. */
    const char *host;
    /** 0: the host that was asked. */
    size_t len;
    int port;
} rlx_redis_name_t;

/** Who has which slot. */
typedef struct rlx_redis_slots_t {
    int n;
    rlx_redis_name_t nodes[RLX_REDIS_NODES_MAX];
    /** For each slot an index into nodes, or RLX_REDIS_NOBODY. */
    uint16_t owner[RLX_REDIS_SLOTS];
} rlx_redis_slots_t;

/** What an error reply says about where to go. */
typedef enum {
    /** Nothing. */
    RLX_REDIS_STAYS,
    /** The slot is elsewhere from now on. */
    RLX_REDIS_MOVED,
    /** Elsewhere this once, after ASKING. */
    RLX_REDIS_ASK
} rlx_redis_turn_e;

/** The slot of a key: of its hash tag, if it has one. */
unsigned int rlx_redis_slot_of(const char *key, size_t len);

/**
 * Read the reply to CLUSTER SLOTS.
 * @param slots filled in; undefined if the reply is wrong
 * @return NULL, or what is wrong with it
 */
const char *rlx_redis_slots_read(const redisReply *reply,
                                 rlx_redis_slots_t *slots);

/**
 * Read "MOVED 3999 127.0.0.1:6381" and the like.
 * @param slot filled in unless it stays
 * @param name likewise
 * @return RLX_REDIS_STAYS also for what is no error, or makes no sense
 */
rlx_redis_turn_e rlx_redis_turn_read(const redisReply *reply,
                                     unsigned int *slot,
                                     rlx_redis_name_t *name);

/**
 * Read an address and a port of a reply.
 * @return 0 if that is none
 */
int rlx_redis_name_read(const char *host, size_t len, long long port,
                        rlx_redis_name_t *name);

#endif /* RLX_STORE_REDIS_SLOTS_H */
