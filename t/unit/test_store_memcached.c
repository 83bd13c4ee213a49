/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * memcached://, the parts that need no server: options and servers of a URI,
 * names of counters, lines of the protocol, times to live, the spreading of
 * keys.
 */

#include <stdlib.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "store/memcached_inside.h"
#include "tap.h"

static apr_pool_t *pool;

static const rlx_limit_t ten_an_hour = {
    10, 10, INT64_C(3600000000), RLX_FIXED_WINDOW, "10 per 1 hour"
};

/* --- names ------------------------------------------------------------- */

static const char *name_of(rlx_limit_t limit, int is_named, const char *scope,
                           apr_size_t scope_len, const char *key,
                           apr_size_t key_len, int is_public)
{
    rlx_counter_t counter = { .limit = &limit, .scope = scope,
                              .scope_len = scope_len, .key = key,
                              .key_len = key_len, .key_is_public = is_public,
                              .is_named = is_named };
    apr_size_t len;
    const char *name = rlx_mc_name_of(&counter, 0, &len, pool);

    if (len != strlen(name) || len > RLX_MC_NAME_MAX) {
        ok(0, "%s has its length", name);
    }
    for (const char *c = name; *c; c++) {
        if (*c <= ' ' || *c > '~') {
            ok(0, "%s has only what memcached takes", name);
        }
    }
    return name;
}

static const char *name_of_key(const char *key, apr_size_t len, int is_public)
{
    return name_of(ten_an_hour, 0, ":_main:section:/a:::", 20, key, len,
                   is_public);
}

static void test_plain_names(void)
{
    rlx_limit_t limit = ten_an_hour;

    is_str(name_of_key("192.0.2.7", 9, 1),
           "rlx1|f10/3600|:_main:section:/a:::|192.0.2.7", "an address");
    is_str(name_of_key("joe smith|#1%", 13, 1),
           "rlx1|f10/3600|:_main:section:/a:::|joe%20smith%7c%231%25",
           "a user with signs that mean something here");
    ok(!strstr(name_of_key("s3cret", 6, 0), "s3cret"),
       "what may be a secret is not shown");
    limit.strategy = RLX_SLIDING_WINDOW_COUNTER;
    is_str(name_of(limit, 0, "s", 1, "k", 1, 1), "rlx1|s10/3600|s|k",
           "sliding-window-counter");
    limit.strategy = RLX_GCRA;
    is_str(name_of(limit, 0, "s", 1, "k", 1, 1), "rlx1|g10/3600|s|k", "gcra");
    limit.burst = 3;
    is_str(name_of(limit, 0, "s", 1, "k", 1, 1), "rlx1|g10/3600+3|s|k",
           "gcra with a burst");
    is_str(name_of(limit, 1, "s", 1, "k", 1, 1), "rlx1|gn/3600|s|k",
           "a name stands for count and burst");
}

/* Each pair would be one if parts were joined carelessly. */
static void test_names_differ(void)
{
    static const struct {
        const char *scope[2];
        const char *key[2];
        apr_size_t key_len[2];
    } pairs[] = {
        { { "a", "a|b" }, { "b|c", "c" }, { 3, 1 } },
        { { "a", "a" }, { "a b", "a%20b" }, { 3, 5 } },
        { { "a", "a" }, { "a", "a\0" }, { 1, 2 } },
        { { "a", "a" }, { "", " " }, { 0, 1 } },
        { { "a", "a" }, { "a\r\n", "a\n\r" }, { 3, 3 } },
        { { "a", "A" }, { "k", "k" }, { 1, 1 } },
        { { "", "%" }, { "%", "" }, { 1, 0 } },
        { { "a", "a" }, { "\xc3\xa9", "\xe9" }, { 2, 1 } },
    };

    for (apr_size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        for (int is_public = 0; is_public < 2; is_public++) {
            const char *names[2];

            for (int j = 0; j < 2; j++) {
                names[j] = name_of(ten_an_hour, 0, pairs[i].scope[j],
                                   strlen(pairs[i].scope[j]), pairs[i].key[j],
                                   pairs[i].key_len[j], is_public);
            }
            ok(strcmp(names[0], names[1]), "%s is not %s", names[0],
               names[1]);
        }
    }
}

static void test_long_names(void)
{
    char a[5000], b[5000];
    const char *digest;

    memset(a, 'x', sizeof(a));
    memset(b, 'x', sizeof(b));
    b[sizeof(b) - 1] = 'y';
    ok(strcmp(name_of_key(a, sizeof(a), 1), name_of_key(b, sizeof(b), 1)),
       "keys that differ only far behind have different names");
    ok(strcmp(name_of(ten_an_hour, 0, a, sizeof(a), "k", 1, 1),
              name_of(ten_an_hour, 0, b, sizeof(b), "k", 1, 1)),
       "so have scopes");
    memset(a, '\n', 100);
    name_of(ten_an_hour, 0, a, 100, a, 100, 1);
    digest = strrchr(name_of_key(a, sizeof(a), 1), '|') + 1;
    ok(strcmp(name_of_key(a, sizeof(a), 1),
              name_of_key(digest, strlen(digest), 1)),
       "nobody can be called by another's digest");
    ok(strcmp(name_of(ten_an_hour, 0, "s", 1, "k", 1, 0),
              name_of(ten_an_hour, 0, "t", 1, "k", 1, 0)),
       "scopes keep secret keys apart too");
    is_str(strrchr(name_of(ten_an_hour, 0, "s", 1, "k", 1, 0), '|'),
           /* printf '1:sk' | sha1sum */
           "|#2d4d63f87cdc0afd27e3c4f6dfc12ef271901fe3",
           "the digest is the same on every server");
}

static void test_generation_names(void)
{
    apr_size_t len;

    is_str(rlx_mc_generation_name("", 0, &len, pool), "rlx1|!|", "no prefix");
    is_int((int64_t)len, 7, "its length");
    is_str(rlx_mc_generation_name("shop", 4, &len, pool), "rlx1|!|shop",
           "a prefix");
}

/* --- the protocol ------------------------------------------------------ */

static void test_items(void)
{
    static const char *const wrong[] = {
        "", "END", "VALUE", "VALUE ", "VALUE a", "VALUE a 0", "VALUE a 0 1",
        "VALUE a 0 1 ", "VALUE a 0 1 x", "VALUE a 0 1 2 ", "VALUE a 0 1 2x",
        "VALUE  0 1 2", "VALUE a -1 1 2", "VALUE a 0 -1 2", "value a 0 1 2",
        "VALUE a 0 1 18446744073709551616", "VALUE a 0  1 2", "ERROR"
    };
    rlx_mc_item_t item;

    ok(rlx_mc_read_item("VALUE a|b 0 12 18446744073709551615", &item),
       "an item");
    is_int((int64_t)item.name_len, 3, "length of its name");
    ok(!memcmp(item.name, "a|b", 3), "its name");
    is_int((int64_t)item.bytes, 12, "its bytes");
    ok(item.cas == APR_UINT64_MAX, "its version");
    for (apr_size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ok(!rlx_mc_read_item(wrong[i], &item), "no item: \"%s\"", wrong[i]);
    }
}

static void test_stored(void)
{
    is_int(rlx_mc_read_stored("STORED"), RLX_MC_STORED, "STORED");
    is_int(rlx_mc_read_stored("EXISTS"), RLX_MC_LOST, "EXISTS");
    is_int(rlx_mc_read_stored("NOT_FOUND"), RLX_MC_LOST, "NOT_FOUND");
    is_int(rlx_mc_read_stored("NOT_STORED"), RLX_MC_LOST, "NOT_STORED");
    is_int(rlx_mc_read_stored("SERVER_ERROR out of memory storing object"),
           RLX_MC_FAILED, "SERVER_ERROR");
    is_int(rlx_mc_read_stored("STORED "), RLX_MC_FAILED, "not quite STORED");
    is_int(rlx_mc_read_stored(""), RLX_MC_FAILED, "nothing");
}

static void test_values(void)
{
    static const char *const wrong[] = {
        "", "1", "1 2", "1 2 ", "1 2 3 ", "1 2 3 4", "-1 2 3", "1 2 x", " 1 2 3",
        "1 2 281474976710656", "18446744073709551616 0 0", "hello", "0x1 2 3"
    };
    rlx_state_t state = { APR_UINT64_MAX, (UINT64_C(1) << 48) - 1 };
    char text[RLX_MC_VALUE_MAX];
    apr_uint64_t generation;

    is_int((int64_t)rlx_mc_write_value(text, APR_UINT64_MAX, state), 20 + 1
           + 20 + 1 + 15, "the longest value");
    memset(&state, 0, sizeof(state));
    ok(rlx_mc_read_value(text, &generation, &state), "is read again");
    ok(generation == APR_UINT64_MAX && state.hi == APR_UINT64_MAX
       && state.lo == (UINT64_C(1) << 48) - 1, "and the same");
    for (apr_size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ok(!rlx_mc_read_value(wrong[i], &generation, &state),
           "no value: \"%s\"", wrong[i]);
    }
}

static void test_ttl(void)
{
    const rlx_usec_t sec = 1000000, day = 86400 * sec;
    const rlx_usec_t now = INT64_C(1800000000) * sec;

    is_int(rlx_mc_ttl(0, now), 11, "what ends now is kept for the slack");
    is_int(rlx_mc_ttl(60 * sec, now), 71, "a minute");
    is_int(rlx_mc_ttl(30 * day - 11 * sec, now), 30 * 86400,
           "the longest that is a length");
    is_int(rlx_mc_ttl(30 * day - 10 * sec, now),
           1800000000 + 30 * 86400 + 1, "from there on a point in time");
    is_int(rlx_mc_ttl(360 * day, now), 1800000000 + 360 * 86400 + 11,
           "a year");
    is_int(rlx_mc_ttl(36000 * day, now), 0, "100 years: for ever");
    is_int(rlx_mc_ttl(RLX_NEVER, now), 0, "never");
}

/* --- spreading --------------------------------------------------------- */

#define KEYS 3000

static void test_places(void)
{
    rlx_mc_server_t all[4] = {
        { .name = "a:11211" }, { .name = "b:11211" }, { .name = "c:11211" },
        { .name = "d:11211" }
    };
    rlx_mc_server_t turned[3];
    int count[4] = { 0 }, moved = 0, astray = 0, differ = 0;

    for (int i = 0; i < 4; i++) {
        all[i].seed = rlx_mc_seed(all[i].name);
    }
    for (int i = 0; i < 3; i++) {
        turned[i] = all[2 - i];
    }
    for (int k = 0; k < KEYS; k++) {
        const char *key = apr_psprintf(pool, "10.0.%d.%d", k / 250, k % 250);
        int of3 = rlx_mc_place(all, 3, key, strlen(key));
        int of4 = rlx_mc_place(all, 4, key, strlen(key));

        count[of4]++;
        moved += of3 != of4;
        astray += of3 != of4 && of4 != 3;
        differ += 2 - rlx_mc_place(turned, 3, key, strlen(key)) != of3;
    }
    for (int i = 0; i < 4; i++) {
        ok(count[i] > KEYS / 5 && count[i] < KEYS * 3 / 10,
           "server %d has about a quarter: %d of %d", i, count[i], KEYS);
    }
    ok(moved > KEYS / 5 && moved < KEYS * 3 / 10,
       "a fourth server takes its share: %d of %d", moved, KEYS);
    is_int(astray, 0, "and moves no other key");
    is_int(differ, 0, "the order of the servers does not matter");
}

/* --- the URI ----------------------------------------------------------- */

static const char *create(rlx_storage_t **store, const char *uri,
                          const char *option, const char *value)
{
    static const rlx_storage_env_t env;
    apr_table_t *options = apr_table_make(pool, 1);

    if (option) {
        apr_table_setn(options, option, value);
    }
    return rlx_memcached_provider.create(store, uri, options, &env, pool);
}

static void test_uris(void)
{
    static const struct {
        const char *uri;
        const char *option;
        const char *value;
        const char *error;
    } wrong[] = {
        { "memcached://", NULL, NULL, "names no server" },
        { "memcached:", NULL, NULL, "names no server" },
        { "memcached:///", NULL, NULL, "is not a server" },
        { "memcached://a,", NULL, NULL, "is not a server" },
        { "memcached://a,,b", NULL, NULL, "is not a server" },
        { "memcached://a:0", NULL, NULL, "\"a:0\"" },
        { "memcached://a:99999", NULL, NULL, "\"a:99999\"" },
        { "memcached://11211", NULL, NULL, "\"11211\"" },
        { "memcached://a:b", NULL, NULL, "\"a:b\"" },
        { "memcached://::1", NULL, NULL, "\"::1\"" },
        { "memcached://a/b", NULL, NULL, "\"a/b\"" },
        { "memcached://a?x=1", NULL, NULL, "\"a?x=1\"" },
        { "memcached://a,A:11211", NULL, NULL, "a:11211 twice" },
        { "memcached://joe:pw@a", NULL, NULL, "no user and no password" },
        { "memcached://a", "timeout", "0", "timeout=0 is not a number" },
        { "memcached://a", "timeout", "50ms", "timeout=50ms is not" },
        { "memcached://a", "timeout", "10001", "from 1 to 10000" },
        { "memcached://a", "pool_max", "1001", "from 1 to 1000" },
        { "memcached://a", "store_keys", "no", "hashed nor plain" },
        { "memcached://a", "size", "1", "no option \"size\"" },
    };
    rlx_storage_t *store;

    for (apr_size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const char *error = create(&store, wrong[i].uri, wrong[i].option,
                                   wrong[i].value);

        ok(error && strstr(error, wrong[i].error) && !strstr(error, "pw"),
           "%s %s: %s", wrong[i].uri, wrong[i].option ? wrong[i].option : "",
           error ? error : "taken");
    }
    ok(!create(&store, "memcached://Cache-1,[::1]:11212,10.0.0.1/", NULL,
               NULL), "three servers");
    is_int(store->n_servers, 3, "are three");
    is_str(store->servers[0].name, "cache-1:11211", "the first");
    is_str(store->servers[1].name, "[::1]:11212", "the second");
    is_str(store->servers[2].name, "10.0.0.1:11211", "the third");
    is_int(store->budget_usec, 50000, "50 ms unless told otherwise");
    ok(!create(&store, "memcached://a", "timeout", "7"), "timeout=7");
    is_int(store->budget_usec, 7000, "is 7 ms");
}

static void test_refusal(void)
{
    rlx_storage_t *store;
    rlx_limit_t limit = ten_an_hour;
    const char *error;

    create(&store, "memcached://a", NULL, NULL);
    for (int s = 0; s < RLX_STRATEGIES; s++) {
        limit.strategy = (rlx_strategy_e)s;
        error = rlx_memcached_provider.refuses(store, &limit, pool);
        if (s != RLX_MOVING_WINDOW) {
            ok(!error, "%s is kept", rlx_strategies[s]->name);
        }
        else {
            ok(error && strstr(error, "10 per 1 hour")
               && strstr(error, "sliding-window-counter"),
               "moving-window is not: %s", error ? error : "taken");
        }
    }
}

int main(void)
{
    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    test_plain_names();
    test_names_differ();
    test_long_names();
    test_generation_names();
    test_items();
    test_stored();
    test_values();
    test_ttl();
    test_places();
    test_uris();
    test_refusal();
    return tap_done();
}
