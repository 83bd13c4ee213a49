/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Fuzz target: any bytes from the socket of a Redis, as hiredis reads them, as
 * the reply to everything that servers are asked: what was decided, who has
 * which slot, where a call is to go, who the master is. What is accepted fits
 * together and names no server that cannot be.
 */

#include "fuzz.h"

#include <hiredis/hiredis.h>

#include "store/redis_conn.h"
#include "store/redis_script.h"
#include "store/redis_sentinel.h"
#include "store/redis_slots.h"

#define SEC INT64_C(1000000)
#define NOW (INT64_C(1800000000) * SEC)

#define COUNTERS 5

static void must_be_name(const rlx_redis_name_t *name)
{
    size_t i;

    must(name->port >= 1 && name->port <= 65535, "a port");
    for (i = 0; i < name->len; ++i) {
        char c = name->host[i];

        must((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z')
                 || (c && strchr(".:-_", c)), "a host");
    }
}

static void as_slots(const redisReply *reply)
{
    static rlx_redis_slots_t slots;
    int i;

    if (rlx_redis_slots_read(reply, &slots)) {
        return;
    }
    must(slots.n >= 0 && slots.n <= RLX_REDIS_NODES_MAX, "servers");
    for (i = 0; i < slots.n; ++i) {
        must_be_name(&slots.nodes[i]);
    }
    for (i = 0; i < RLX_REDIS_SLOTS; ++i) {
        must(slots.owner[i] == RLX_REDIS_NOBODY || slots.owner[i] < slots.n,
             "an owner");
    }
}

static void as_verdicts(const redisReply *reply)
{
    static const rlx_limit_t limits[COUNTERS] = {
        { 5, 5, 60 * SEC, RLX_FIXED_WINDOW, "" },
        { 5, 5, 60 * SEC, RLX_SLIDING_WINDOW_COUNTER, "" },
        { 5, 3, 60 * SEC, RLX_GCRA, "" },
        { 5, 5, 60 * SEC, RLX_MOVING_WINDOW, "" },
        { 0, 0, 60 * SEC, RLX_FIXED_WINDOW, "" },
    };
    rlx_counter_t counter[COUNTERS] = { { .cost = 0 } };
    const rlx_counter_t *counters[COUNTERS];
    rlx_verdict_t v[COUNTERS];
    int mode, first, i;

    for (i = 0; i < COUNTERS; ++i) {
        counter[i].limit = &limits[i];
        counter[i].cost = 1;
        counters[i] = &counter[i];
    }
    for (mode = 0; mode <= RLX_REDIS_LOOK; ++mode) {
        for (first = 0; first < COUNTERS; ++first) {
            int n = first ? 1 : COUNTERS;

            if (!rlx_redis_verdicts(reply, mode, counters + first, n, NOW,
                                    v)) {
                for (i = 0; i < n; ++i) {
                    must_be_verdict(&v[i], counters[first + i]->limit, NOW);
                }
            }
        }
    }
}

static void as_any(const redisReply *reply)
{
    rlx_redis_name_t name;
    unsigned int slot;

    rlx_redis_is_error(reply, "NOSCRIPT");
    if (rlx_redis_turn_read(reply, &slot, &name) != RLX_REDIS_STAYS) {
        must(slot < RLX_REDIS_SLOTS, "a slot");
        must_be_name(&name);
    }
    if (!rlx_redis_master_read(reply, &name)) {
        must_be_name(&name);
    }
    as_slots(reply);
    as_verdicts(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    must(reader != NULL, "there is memory");
    redisReaderFeed(reader, (const char *)data, size);
    while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
        as_any(reply);
        freeReplyObject(reply);
    }
    redisReaderFree(reader);
    return 0;
}
