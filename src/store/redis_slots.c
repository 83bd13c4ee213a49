/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Slots of a Redis Cluster.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_slots.h"

#include <string.h>

#include <apr_lib.h>

/** The longest host name that there can be. */
#define HOST_MAX 253

/** CRC-16/XMODEM, bit by bit: a key is short, and its tag shorter. */
static unsigned int crc16(const char *text, size_t len)
{
    unsigned int crc = 0;

    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned int)(unsigned char)text[i] << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 0x8000 ? (crc << 1 ^ 0x1021) & 0xffff
                               : crc << 1 & 0xffff;
        }
    }
    return crc;
}

unsigned int rlx_redis_slot_of(const char *key, size_t len)
{
    const char *open = memchr(key, '{', len), *close;

    if (open) {
        close = memchr(open + 1, '}', (size_t)(key + len - open - 1));
        if (close && close > open + 1) {
            key = open + 1;
            len = (size_t)(close - key);
        }
    }
    return crc16(key, len) % RLX_REDIS_SLOTS;
}

int rlx_redis_name_read(const char *host, size_t len, long long port,
                        rlx_redis_name_t *name)
{
    if (len > HOST_MAX || port < 1 || port > 65535) {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        if (!host[i] || (!apr_isalnum(host[i]) && !strchr(".:-_", host[i]))) {
            return 0;
        }
    }
    name->host = host;
    name->len = len;
    name->port = (int)port;
    return 1;
}

/*
 * CLUSTER SLOTS: a list of [first, last, [address, port, ...], replica ...]
 */

/** An element that is a number from 0 to most. */
static int is_number(const redisReply *reply, long long most)
{
    return reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0
           && reply->integer <= most;
}

/** The server that has a range. A host that is not there, or empty, is the
 *  one that was asked; "?" is one that nobody knows. */
static int read_node(const redisReply *reply, rlx_redis_name_t *name)
{
    const redisReply *host;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2
        || !is_number(reply->element[1], 65535)) {
        return 0;
    }
    host = reply->element[0];
    if (host->type == REDIS_REPLY_NIL) {
        return rlx_redis_name_read("", 0, reply->element[1]->integer, name);
    }
    return host->type == REDIS_REPLY_STRING
           && rlx_redis_name_read(host->str, (size_t)host->len,
                                  reply->element[1]->integer, name);
}

/** The index of a server, which may be new. Below 0: there are too many. */
static int node_index(rlx_redis_slots_t *slots, const rlx_redis_name_t *name)
{
    int i;

    for (i = 0; i < slots->n; i++) {
        const rlx_redis_name_t *known = &slots->nodes[i];

        if (known->port == name->port && known->len == name->len
            && !memcmp(known->host, name->host, name->len)) {
            return i;
        }
    }
    if (i == RLX_REDIS_NODES_MAX) {
        return -1;
    }
    slots->nodes[slots->n++] = *name;
    return i;
}

static const char *read_range(const redisReply *range,
                              rlx_redis_slots_t *slots)
{
    rlx_redis_name_t name;
    int index;

    if (range->type != REDIS_REPLY_ARRAY || range->elements < 3
        || !is_number(range->element[0], RLX_REDIS_SLOTS - 1)
        || !is_number(range->element[1], RLX_REDIS_SLOTS - 1)
        || range->element[0]->integer > range->element[1]->integer) {
        return "no range of slots";
    }
    if (!read_node(range->element[2], &name)) {
        return "slots of a server without address and port";
    }
    index = node_index(slots, &name);
    if (index < 0) {
        return "more servers than a cluster has";
    }
    for (long long i = range->element[0]->integer;
         i <= range->element[1]->integer; i++) {
        if (slots->owner[i] != RLX_REDIS_NOBODY) {
            return "a slot that two servers have";
        }
        slots->owner[i] = (uint16_t)index;
    }
    return NULL;
}

const char *rlx_redis_slots_read(const redisReply *reply,
                                 rlx_redis_slots_t *slots)
{
    const char *wrong = NULL;

    slots->n = 0;
    memset(slots->owner, 0xff, sizeof(slots->owner));
    if (reply->type != REDIS_REPLY_ARRAY) {
        return "no list of slots";
    }
    if (!reply->elements) {
        return "a cluster without slots";
    }
    for (size_t i = 0; i < reply->elements && !wrong; i++) {
        wrong = read_range(reply->element[i], slots);
    }
    return wrong;
}

/*
 * MOVED and ASK
 */

/** Digits up to a sign. Below 0: something else, or above most. */
static long long read_digits(const char **at, const char *end, char after,
                             long long most)
{
    const char *from = *at;
    long long number = 0;

    while (*at < end && apr_isdigit(**at) && *at - from < 6) {
        number = number * 10 + (*(*at)++ - '0');
    }
    if (*at == from || number > most
        || (after ? *at == end || **at != after : *at != end)) {
        return -1;
    }
    *at += after ? 1 : 0;
    return number;
}

rlx_redis_turn_e rlx_redis_turn_read(const redisReply *reply,
                                     unsigned int *slot,
                                     rlx_redis_name_t *name)
{
    rlx_redis_turn_e turn;
    const char *at, *end, *colon;
    long long number;

    if (reply->type != REDIS_REPLY_ERROR) {
        return RLX_REDIS_STAYS;
    }
    at = reply->str;
    end = at + reply->len;
    if (end - at > 6 && !memcmp(at, "MOVED ", 6)) {
        turn = RLX_REDIS_MOVED;
        at += 6;
    }
    else if (end - at > 4 && !memcmp(at, "ASK ", 4)) {
        turn = RLX_REDIS_ASK;
        at += 4;
    }
    else {
        return RLX_REDIS_STAYS;
    }
    number = read_digits(&at, end, ' ', RLX_REDIS_SLOTS - 1);
    if (number < 0) {
        return RLX_REDIS_STAYS;
    }
    *slot = (unsigned int)number;
    /* An IPv6 address has colons and no brackets. */
    for (colon = end; colon > at && colon[-1] != ':'; colon--) {
    }
    if (colon == at) {
        return RLX_REDIS_STAYS;
    }
    number = read_digits(&(const char *){ colon }, end, '\0', 65535);
    return rlx_redis_name_read(at, (size_t)(colon - 1 - at), number, name)
           ? turn : RLX_REDIS_STAYS;
}

#endif /* RLX_HAVE_HIREDIS */
