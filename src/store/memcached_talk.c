/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What is said to memcached and by it: its text protocol, "gets", "cas" and
 * "add", which every version and every proxy speaks; the values of counters;
 * and which server keeps them.
 */

#include "store/memcached_inside.h"

#include <limits.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "core/hash.h"

/** memcached takes a longer time to live for a point in time. */
#define TTL_SEC_MAX (30 * 24 * 3600)

/** Added to each time to live: clocks of several servers never agree. */
#define TTL_SEC_SLACK 10

/** The key of the hash that spreads keys over servers. No secret: all who
 *  share the servers must agree on it. */
static const rlx_secret_t spread = { UINT64_C(0x6d656d6361636865),
                                     UINT64_C(0x726c78312f686173) };

/** Read digits. @return what follows them, or NULL if there are none or too
 *  many */
static const char *read_digits(const char *text, apr_uint64_t *number)
{
    const char *c = text;
    apr_uint64_t n = 0;

    for (; *c >= '0' && *c <= '9'; c++) {
        apr_uint64_t digit = (apr_uint64_t)(*c - '0');

        if (n > (APR_UINT64_MAX - digit) / 10) {
            return NULL;
        }
        n = n * 10 + digit;
    }
    *number = n;
    return c == text ? NULL : c;
}

int rlx_mc_read_number(const char *text, apr_uint64_t *number)
{
    const char *end = read_digits(text, number);

    return end && !*end;
}

int rlx_mc_read_item(const char *line, rlx_mc_item_t *item)
{
    apr_uint64_t flags;
    const char *c = line;

    if (strncmp(c, "VALUE ", 6)) {
        return 0;
    }
    item->name = c += 6;
    while (*c && *c != ' ') {
        c++;
    }
    item->name_len = (apr_size_t)(c - item->name);
    if (!item->name_len || *c != ' '
        || !(c = read_digits(c + 1, &flags)) || *c != ' '
        || !(c = read_digits(c + 1, &item->bytes)) || *c != ' '
        || !(c = read_digits(c + 1, &item->cas))) {
        return 0;
    }
    return !*c;
}

rlx_mc_stored_e rlx_mc_read_stored(const char *line)
{
    if (!strcmp(line, "STORED")) {
        return RLX_MC_STORED;
    }
    return !strcmp(line, "EXISTS") || !strcmp(line, "NOT_FOUND")
           || !strcmp(line, "NOT_STORED") ? RLX_MC_LOST : RLX_MC_FAILED;
}

apr_size_t rlx_mc_write_value(char *to, apr_uint64_t generation,
                              rlx_state_t state)
{
    return (apr_size_t)apr_snprintf(to, RLX_MC_VALUE_MAX,
                                    "%" APR_UINT64_T_FMT
                                    " %" APR_UINT64_T_FMT
                                    " %" APR_UINT64_T_FMT,
                                    generation, (apr_uint64_t)state.hi,
                                    (apr_uint64_t)state.lo);
}

int rlx_mc_read_value(const char *text, apr_uint64_t *generation,
                      rlx_state_t *state)
{
    apr_uint64_t hi, lo;
    const char *c = read_digits(text, generation);

    if (!c || *c != ' ' || !(c = read_digits(c + 1, &hi)) || *c != ' '
        || !rlx_mc_read_number(c + 1, &lo) || lo >> 48) {
        return 0;
    }
    state->hi = hi;
    state->lo = lo;
    return 1;
}

apr_int32_t rlx_mc_ttl(rlx_usec_t keep_usec, rlx_usec_t now)
{
    rlx_usec_t sec = keep_usec / 1000000;

    if (sec <= TTL_SEC_MAX - TTL_SEC_SLACK - 1) {
        return (apr_int32_t)sec + 1 + TTL_SEC_SLACK;
    }
    if (sec >= INT32_MAX) {
        return 0;
    }
    sec += now / 1000000 + 1 + TTL_SEC_SLACK;
    return sec <= INT32_MAX ? (apr_int32_t)sec : 0;
}

/** Mix the bits of a number: the end of splitmix64 (Steele, Lea and Flood,
 *  "Fast splittable pseudorandom number generators", 2014). */
static apr_uint64_t mix(apr_uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

apr_uint64_t rlx_mc_seed(const char *name)
{
    return rlx_siphash128(&spread, name, strlen(name)).word[0];
}

/* Rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to
 * increase hit rates", 1998): the highest of one number for each server. */
int rlx_mc_place(const rlx_mc_server_t *servers, int n, const char *key,
                 apr_size_t key_len)
{
    apr_uint64_t hash, best = 0;
    int place = 0;

    if (n == 1) {
        return 0;
    }
    hash = rlx_siphash128(&spread, key, key_len).word[0];
    for (int i = 0; i < n; i++) {
        apr_uint64_t weight = mix(hash ^ servers[i].seed);

        if (i == 0 || weight > best) {
            best = weight;
            place = i;
        }
    }
    return place;
}
