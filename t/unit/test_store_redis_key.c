/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * How counters are named in Redis: readable where that is no harm, never two
 * alike, and all of one client under one hash tag.
 */

#include "store_fixture.h"
#include "store/redis_key.h"

static const rlx_limit_t five = { 5, 5, 60 * SEC, RLX_FIXED_WINDOW,
                                  "5 per 1 minute" };

static rlx_counter_t counter_of(const char *scope, size_t scope_len,
                                const char *key, size_t key_len,
                                int is_public)
{
    rlx_counter_t c = { .limit = &five, .scope = scope,
                        .scope_len = scope_len, .key = key,
                        .key_len = key_len, .key_is_public = is_public };

    return c;
}

static const char *name_of(const rlx_counter_t *c, int plain, apr_pool_t *p)
{
    return rlx_redis_key_of(c, plain, p).text;
}

static void test_looks(apr_pool_t *p)
{
    static const char scope[] = "shop:www:section:Location /a:::";
    rlx_counter_t c = counter_of(scope, strlen(scope), "192.0.2.1", 9, 1);
    rlx_limit_t limit = five;

    is_str(name_of(&c, 0, p),
           "rlx:shop:{192.0.2.1}:www:section:Location+/a::::f5/1minute",
           "an address");
    c.key = "2001:db8::/64";
    c.key_len = 13;
    is_str(name_of(&c, 0, p),
           "rlx:shop:{2001:db8::/64}:www:section:Location+/a::::f5/1minute",
           "an IPv6 prefix");
    c.key_is_public = 0;
    c.key = "token-4711";
    c.key_len = 10;
    /* printf 'shop\0token-4711' | sha1sum | xxd -r -p | base64 */
    is_str(name_of(&c, 0, p),
           "rlx:shop:{#0LTyRpaBIr-4Q6NifckGVAve0sU}"
           ":www:section:Location+/a::::f5/1minute",
           "a key that may be a secret");
    is_str(name_of(&c, 1, p),
           "rlx:shop:{token-4711}:www:section:Location+/a::::f5/1minute",
           "store_keys=plain");
    limit.strategy = RLX_GCRA;
    limit.burst = 2;
    c.limit = &limit;
    c.scope = "::";
    c.scope_len = 2;
    is_str(name_of(&c, 1, p), "rlx::{token-4711}:::g5/1minute,2", "a burst");
    c.is_named = 1;
    is_str(name_of(&c, 1, p), "rlx::{token-4711}:::g/60", "a named limit");
}

/* Texts that have been made to be taken for each other. */
static const char *const hostile[] = {
    "", ":", "::", "a", "a:", ":a", "a:b", "{", "}", "{}", "a}", "}:a", "%",
    "%3A", "%7D", "%25", "+", " ", "%20", "*", "?", "[a]", "\\", "#", "#a",
    "\n", "\r\n", "\xff", "\xc3\xa9", "f5/1minute", ":f5/1minute", "\"", "'",
    "rlx:", "rlx::{a}:", "a b", "a+b", "\x01", "\x7f", "A"
};

#define HOSTILE (sizeof(hostile) / sizeof(hostile[0]))

typedef struct named_t {
    char id[80];
    const char *key;
} named_t;

static int by_key(const void *a, const void *b)
{
    return strcmp(((const named_t *)a)->key, ((const named_t *)b)->key);
}

/* Not 0 if it has one pair of braces, and nothing that breaks a line. */
static int is_clean(const char *key)
{
    const char *open = strchr(key, '{');
    const char *shut = strchr(key, '}');

    for (const char *c = key; *c; ++c) {
        if (*c <= ' ' || *c == 0x7f || strchr("*?[]\\\"'", *c)) {
            return 0;
        }
    }
    return open && shut > open + 1 && !strchr(open + 1, '{')
           && !strchr(shut + 1, '}');
}

static void test_hostile(apr_pool_t *p)
{
    size_t n = HOSTILE * HOSTILE * 2;
    named_t *names = apr_palloc(p, n * sizeof(*names));
    int clean = 1;
    int same = 0;
    size_t i, j, k = 0;

    for (i = 0; i < HOSTILE; ++i) {
        for (j = 0; j < HOSTILE; ++j) {
            rlx_counter_t c = counter_of(hostile[i], strlen(hostile[i]),
                                         hostile[j], strlen(hostile[j]), 1);

            names[k].key = name_of(&c, 0, p);
            clean = clean && is_clean(names[k++].key);
            c.key_is_public = 0;
            names[k].key = name_of(&c, 0, p);
            clean = clean && is_clean(names[k++].key);
        }
    }
    qsort(names, n, sizeof(*names), by_key);
    for (i = 1; i < n; ++i) {
        same += !strcmp(names[i - 1].key, names[i].key);
    }
    /* An empty key is none, hidden or not. */
    is_int(same, HOSTILE, "no two hostile texts share a key");
    ok(clean, "one hash tag in each, and no sign that means something");
}

static void test_long(apr_pool_t *p)
{
    char text[3000];
    rlx_counter_t c = counter_of(text, sizeof(text), text, sizeof(text), 1);
    rlx_redis_key_t one, two;

    memset(text, 'a', sizeof(text));
    one = rlx_redis_key_of(&c, 0, p);
    text[2999] = 'b';
    two = rlx_redis_key_of(&c, 0, p);
    ok(one.len < 200 && two.len < 200, "long texts are cut (%d)",
       (int)one.len);
    ok(one.len == two.len && memcmp(one.text, two.text, one.len),
       "and told apart by their ends");
    memset(text, '{', sizeof(text));
    ok(rlx_redis_key_of(&c, 0, p).len < 200, "signs of three bytes too");
}

static void test_pattern(apr_pool_t *p)
{
    is_str(rlx_redis_key_pattern("", 0, p), "rlx::{*", "no prefix");
    is_str(rlx_redis_key_pattern("shop", 4, p), "rlx:shop:{*", "a prefix");
    is_str(rlx_redis_key_pattern("s*[p", 4, p), "rlx:s%2A%5Bp:{*",
           "signs of patterns are none in it");
}

int main(void)
{
    apr_pool_t *p;

    apr_initialize();
    apr_pool_create(&p, NULL);
    test_looks(p);
    test_hostile(p);
    test_long(p);
    test_pattern(p);
    apr_pool_destroy(p);
    apr_terminate();
    return tap_done();
}
