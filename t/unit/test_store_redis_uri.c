/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What a RateLimitStorage line about Redis says, and what it must not show.
 */

#include "store_fixture.h"
#include "store/redis_uri.h"

typedef struct good_t {
    const char *uri;
    const char *host;
    const char *path;
    int port;
    int db;
    const char *user;
    const char *password;
    int is_tls;
} good_t;

static const good_t good[] = {
    { "redis://localhost", "localhost", NULL, 6379, 0, NULL, NULL, 0 },
    { "redis://localhost/", "localhost", NULL, 6379, 0, NULL, NULL, 0 },
    { "valkey://10.0.0.1:7000/3", "10.0.0.1", NULL, 7000, 3, NULL, NULL, 0 },
    { "REDIS://h:1/15", "h", NULL, 1, 15, NULL, NULL, 0 },
    { "redis://[::1]:7000/2", "::1", NULL, 7000, 2, NULL, NULL, 0 },
    { "redis://[2001:db8::1]", "2001:db8::1", NULL, 6379, 0, NULL, NULL, 0 },
    { "rediss://h:6380", "h", NULL, 6380, 0, NULL, NULL, 1 },
    { "valkeys://h", "h", NULL, 6379, 0, NULL, NULL, 1 },
    { "redis://:pass@h/1", "h", NULL, 6379, 1, NULL, "pass", 0 },
    { "redis://web:pa%3Ass%40%25@h", "h", NULL, 6379, 0, "web", "pa:ss@%", 0 },
    { "redis://we%62:a:b@h", "h", NULL, 6379, 0, "web", "a:b", 0 },
    { "redis://web:p/a?s#s@w@h:7/2", "h", NULL, 7, 2, "web", "p/a?s#s@w", 0 },
    { "redis+unix:///run/r.sock", NULL, "/run/r.sock", 6379, 0, NULL, NULL, 0 },
    { "valkey+unix:///run/a%20b?db=2", NULL, "/run/a b", 6379, 2, NULL, NULL,
      0 },
    { "redis+unix://u:p@/r.sock", NULL, "/r.sock", 6379, 0, "u", "p", 0 },
};

static void test_good(const good_t *g, apr_pool_t *p)
{
    rlx_redis_settings_t s;

    rlx_redis_settings_init(&s);
    is_str(rlx_redis_uri_parse(&s, g->uri, p), NULL, g->uri);
    is_str(s.host, g->host, "  host");
    is_str(s.path, g->path, "  path");
    is_str(s.user, g->user, "  user");
    is_str(s.password, g->password, "  password");
    ok(s.port == g->port && s.db == g->db && s.is_tls == g->is_tls,
       "  port %d, db %d, tls %d", s.port, s.db, s.is_tls);
}

/* What is wrong, and a word that the sentence has. */
static const char *const bad[][2] = {
    { "redis:localhost", "://" },
    { "redis:/localhost", "://" },
    { "redis://", "host is missing" },
    { "redis:///1", "host is missing" },
    { "redis://:6379", "host is missing" },
    { "redis://a b", "host is missing" },
    { "redis://h:0", "port is not a number" },
    { "redis://h:65536", "port is not a number" },
    { "redis://h:", "port is not a number" },
    { "redis://h:99999999999999999999", "port is not a number" },
    { "redis://h:+1", "port is not a number" },
    { "redis://::1", "brackets" },
    { "redis://[::1", "brackets" },
    { "redis://[::1]x", "brackets" },
    { "redis://[zz]", "brackets" },
    { "redis://[1.2.3.4]", "brackets" },
    { "redis://h/x", "database is not a number" },
    { "redis://h/-1", "database is not a number" },
    { "redis://h/1/2", "database is not a number" },
    { "redis://h/99999999", "database is not a number" },
    { "redis://h?db=1", "? or #" },
    { "redis://h#1", "? or #" },
    { "redis://h,i", "redis+cluster://" },
    { "redis://SeCrEt@h", "no colon" },
    { "redis://SeCrEt:@h", "password before the @ is empty" },
    { "redis://u:SeCrEt%2@h", "two hex digits" },
    { "redis://u:SeCrEt%zz@h", "two hex digits" },
    { "redis://u:SeCrEt%00@h", "two hex digits" },
    { "redis://%zzSeCrEt:x@h", "two hex digits" },
    { "redis://u:SeCrEt@h:x", "port is not a number" },
    { "redis://u:SeC/rEt@", "host is missing" },
    { "redis+unix://run/r.sock", "begins with a slash" },
    { "redis+unix://", "begins with a slash" },
    { "redis+unix:///r%", "two hex digits" },
    { "redis+unix:///r?x=1", "only ?db=" },
    { "redis+unix:///r?db=", "database is not a number" },
    { "redis+unix:///r?db=1&a=b", "database is not a number" },
};

static void test_bad(const char *uri, const char *word, apr_pool_t *p)
{
    rlx_redis_settings_t s;
    const char *error;

    rlx_redis_settings_init(&s);
    error = rlx_redis_uri_parse(&s, uri, p);
    ok(error && strstr(error, word), "%s: %s", uri, error ? error : "taken");
    ok(!error || (!strstr(error, "SeC") && !strstr(error, "rEt")),
       "  without the password");
}

static const char *const bad_options[][3] = {
    { "timeout", "0", "milliseconds" },
    { "timeout", "10001", "milliseconds" },
    { "timeout", "50ms", "milliseconds" },
    { "timeout", "", "milliseconds" },
    { "connect_timeout", "-1", "milliseconds" },
    { "pool_max", "0", "pool_max=0" },
    { "pool_max", "1001", "pool_max=1001" },
    { "log_max", "0", "log_max=0" },
    { "log_max", "1000001", "log_max=1000001" },
    { "store_keys", "no", "neither hashed nor plain" },
    { "client_name", "a b", "client_name=a b" },
    { "client_name", "", "client_name=" },
    { "size", "1M", "no option \"size\"; it has timeout=" },
};

static void test_options(apr_pool_t *p)
{
    rlx_redis_settings_t s;
    size_t i;

    rlx_redis_settings_init(&s);
    is_int(s.timeout_usec, 50000, "50 ms unless told");
    for (i = 0; i < sizeof(bad_options) / sizeof(bad_options[0]); ++i) {
        const char *error = rlx_redis_option_set(
            &s, bad_options[i][0], bad_options[i][1], p);

        ok(error && strstr(error, bad_options[i][2]), "%s=%s: %s",
           bad_options[i][0], bad_options[i][1], error ? error : "taken");
    }
    rlx_redis_settings_init(&s);
    ok(!rlx_redis_option_set(&s, "Timeout", "20", p)
       && !rlx_redis_option_set(&s, "connect_timeout", "20", p)
       && !rlx_redis_option_set(&s, "pool_max", "3", p)
       && !rlx_redis_option_set(&s, "log_max", "77", p)
       && !rlx_redis_option_set(&s, "store_keys", "plain", p)
       && !rlx_redis_option_set(&s, "client_name", "web-1", p),
       "good options are taken");
    ok(s.timeout_usec == 20000 && s.connect_usec == 20000 && s.pool_max == 3
       && s.log_max == 77 && s.stores_plain && !strcmp(s.client_name, "web-1"),
       "and kept");
    is_str(rlx_redis_settings_check(&s, p), NULL, "and go together");
    s.connect_usec = 21000;
    ok(rlx_redis_settings_check(&s, p) != NULL,
       "a connection may not take longer than the call that needs it");
}

int main(void)
{
    apr_pool_t *p;
    size_t i;

    apr_initialize();
    apr_pool_create(&p, NULL);
    for (i = 0; i < sizeof(good) / sizeof(good[0]); ++i) {
        test_good(&good[i], p);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        test_bad(bad[i][0], bad[i][1], p);
    }
    test_options(p);
    apr_pool_destroy(p);
    apr_terminate();
    return tap_done();
}
