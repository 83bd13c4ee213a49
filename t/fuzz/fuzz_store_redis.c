/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Fuzz target: any bytes as what is read about Redis and from it. The first
 * byte says as what: u a URI (an error shows nothing that stands before the
 * last @), r the reply of the script that decides (what is accepted fits
 * together), k the texts of a counter (its key is clean and can be taken apart
 * again). The URI of a good line must be a place to connect to.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "store/redis_key.h"
#include "store/redis_script.h"
#include "store/redis_uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEC INT64_C(1000000)

static void must(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_store_redis: not so: %s\n", what);
        abort();
    }
}

static int is_place(const rlx_redis_settings_t *settings)
{
    return (settings->host && *settings->host)
           || (settings->path && *settings->path == '/');
}

static int has_hosts(const rlx_redis_settings_t *settings)
{
    for (int i = 0; i < settings->hosts_n; i++) {
        const rlx_redis_host_t *host = &settings->hosts[i];

        if (!host->name || !*host->name || host->port < 1
            || host->port > 65535) {
            return 0;
        }
    }
    return settings->hosts_n >= 1 && settings->hosts_n <= RLX_REDIS_HOSTS_MAX
           && (settings->kind != RLX_REDIS_SENTINEL
               || (settings->service && *settings->service));
}

static void as_uri(const char *text, apr_pool_t *p)
{
    char *uri = apr_pstrcat(p, "redis+unix", text, NULL);
    rlx_redis_settings_t settings;
    const char *error;
    int round;

    for (round = 0; round < 2; ++round) {
        rlx_redis_settings_init(&settings);
        error = rlx_redis_uri_parse(&settings, round ? uri : uri + 5, p);
        if (!error) {
            must(settings.kind == RLX_REDIS_SINGLE ? is_place(&settings)
                                                   : has_hosts(&settings),
                 "a place");
            must(settings.port >= 1 && settings.port <= 65535, "a port");
            must(settings.db >= 0, "a database");
            must(!settings.user || settings.password, "no user alone");
        }
        else {
            must(*error != '\0' && strlen(error) < 400, "a sentence");
            must(!strstr(error, "hush"), "no secret in it");
        }
        uri[5] = 'r';
        memmove(uri + 5, "redis", 5);
    }
}

static void check_verdict(const rlx_verdict_t *v, const rlx_limit_t *limit,
                          rlx_usec_t now)
{
    uint32_t most = limit->strategy == RLX_GCRA ? limit->burst : limit->count;

    must(v->remaining <= most, "no more remains than there is");
    must(v->has_room || !v->charged, "charged only where there is room");
    must(v->retry_at >= now, "room comes back now or later");
    must(!v->has_room || v->retry_at == now, "and is there now if it fits");
}

static void as_reply(const char *text, size_t len)
{
    static const rlx_limit_t limits[] = {
        { 5, 5, 60 * SEC, RLX_FIXED_WINDOW, "" },
        { 5, 5, 60 * SEC, RLX_SLIDING_WINDOW_COUNTER, "" },
        { 5, 3, 60 * SEC, RLX_GCRA, "" },
        { 5, 5, 60 * SEC, RLX_MOVING_WINDOW, "" },
        { 0, 0, 60 * SEC, RLX_FIXED_WINDOW, "" },
    };
    rlx_usec_t now = INT64_C(1800000000) * SEC;
    rlx_counter_t counter[5] = { { .cost = 0 } };
    const rlx_counter_t *counters[5];
    rlx_verdict_t v[5];
    redisReply reply = { .type = REDIS_REPLY_STRING, .len = len,
                         .str = (char *)text };
    int mode, i;

    for (i = 0; i < 5; ++i) {
        counter[i].limit = &limits[i];
        counter[i].cost = 1;
        counters[i] = &counter[i];
    }
    for (mode = 0; mode <= RLX_REDIS_LOOK; ++mode) {
        if (!rlx_redis_verdicts(&reply, mode, counters, 5, now, v)) {
            for (i = 0; i < 5; ++i) {
                check_verdict(&v[i], &limits[i], now);
            }
        }
        rlx_redis_verdicts(&reply, mode, counters, 1, now, v);
    }
}

static void as_key(const char *text, size_t len, apr_pool_t *p)
{
    static const rlx_limit_t limit = { 5, 5, 60 * SEC, RLX_FIXED_WINDOW,
                                       "5 per 1 minute" };
    size_t half = len / 2;
    rlx_counter_t counter = { .limit = &limit, .scope = text,
                              .scope_len = half, .key = text + half,
                              .key_len = len - half, .key_is_public = 1 };
    rlx_redis_key_t key = rlx_redis_key_of(&counter, 0, p);
    char *copy = apr_pstrmemdup(p, key.text, key.len);
    char *open = strchr(copy, '{');
    char *shut = strchr(copy, '}');
    size_t i;

    must(strlen(copy) == key.len && key.len < 500, "a text");
    for (i = 0; i < key.len; ++i) {
        must(copy[i] > ' ' && copy[i] < 0x7f && !strchr("*?[]\\\"'", copy[i]),
             "nothing that means something");
    }
    must(open && shut > open + 1 && !strchr(open + 1, '{')
         && !strchr(shut + 1, '}'), "one hash tag");
    must(!memcmp(copy, "rlx:", 4) && open[-1] == ':' && shut[1] == ':',
         "its parts");
    must(!strchr(apr_pstrmemdup(p, copy + 4, (apr_size_t)(open - copy - 5)),
                 ':'), "a prefix without a colon");
}

/* Copies of exact size, so that a step past either end is seen. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static apr_pool_t *pool;
    size_t len = size ? size - 1 : 0;
    char *exact = malloc(len ? len : 1);
    char *text = malloc(len + 1);

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    memcpy(text, size ? data + 1 : data, len);
    memcpy(exact, text, len);
    text[len] = '\0';
    switch (size ? data[0] : 0) {
    case 'u':
        as_uri(text, pool);
        break;
    case 'r':
        as_reply(exact, len);
        break;
    case 'k':
        as_key(exact, len, pool);
        break;
    }
    apr_pool_clear(pool);
    free(text);
    free(exact);
    return 0;
}
