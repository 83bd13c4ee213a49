/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * URIs and options of redis. A sentence about a bad one never shows what may
 * be a password: all before the last @ may be, whatever signs it holds.
 */

#include "store/redis_uri.h"

#include <arpa/inet.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "store/deny.h"

#define PORT_DEFAULT       6379
#define SENTINEL_DEFAULT   26379
#define TIMEOUT_DEFAULT_MS 50
#define TIMEOUT_MAX_MS     10000
#define POOL_DEFAULT       32
#define POOL_MAX           1000
#define LOG_MAX_DEFAULT    10000
#define LOG_MAX_HIGHEST    1000000
#define DB_MAX             1000000
#define CLIENT_NAME_MAX    64

void rlx_redis_settings_init(rlx_redis_settings_t *settings)
{
    memset(settings, 0, sizeof(*settings));
    settings->port = PORT_DEFAULT;
    settings->timeout_usec = TIMEOUT_DEFAULT_MS * 1000;
    settings->connect_usec = 0;
    settings->pool_max = POOL_DEFAULT;
    settings->log_max = LOG_MAX_DEFAULT;
}

/** A number of digits alone. 0 if it is none, or not from least to most. */
static int read_number(const char *text, apr_int64_t least, apr_int64_t most,
                       apr_int64_t *number)
{
    char *end;

    if (!apr_isdigit(*text) || strlen(text) > 12) {
        return 0;
    }
    *number = apr_strtoi64(text, &end, 10);
    return !*end && *number >= least && *number <= most;
}

static int hex_value(char c)
{
    return apr_isdigit(c) ? c - '0' : apr_tolower(c) - 'a' + 10;
}

/** Undo %XX. NULL if a % is not followed by two hex digits, or is %00. */
static char *decoded(const char *text, apr_size_t len, apr_pool_t *p)
{
    char *out = apr_palloc(p, len + 1), *to = out;

    for (apr_size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            *to++ = text[i];
            continue;
        }
        if (len - i < 3 || !apr_isxdigit(text[i + 1])
            || !apr_isxdigit(text[i + 2])) {
            return NULL;
        }
        *to = (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
        if (!*to++) {
            return NULL;
        }
        i += 2;
    }
    *to = '\0';
    return out;
}

const char *rlx_redis_login_parse(rlx_redis_settings_t *settings,
                                  const char *text, const char **rest,
                                  apr_pool_t *p)
{
    const char *at = strrchr(text, '@');
    const char *colon;

    *rest = text;
    if (!at) {
        return NULL;
    }
    colon = memchr(text, ':', at - text);
    if (!colon) {
        return "what stands before the @ has no colon; write user:password@, "
               "or :password@ where there is no user";
    }
    if (colon > text) {
        settings->user = decoded(text, colon - text, p);
    }
    settings->password = decoded(colon + 1, at - colon - 1, p);
    if ((colon > text && !settings->user) || !settings->password) {
        return "before the @ there is a % that two hex digits do not follow; "
               "write a percent sign as %25";
    }
    if (!*settings->password) {
        return "the password before the @ is empty; write user:password@, or "
               "leave both out";
    }
    *rest = at + 1;
    return NULL;
}

/** Not 0 if it is made of signs that names and addresses have. */
static int is_host(const char *text, const char *more)
{
    for (const char *c = text; *c; c++) {
        if (!apr_isalnum(*c) && !strchr(more, *c)) {
            return 0;
        }
    }
    return *text != '\0';
}

const char *rlx_redis_host_parse(const char *text, const char **host,
                                 int *port, apr_pool_t *p)
{
    const char *end = *text == '[' ? strchr(text, ']') : strchr(text, ':');
    const char *after = NULL;
    struct in6_addr address;
    apr_int64_t number;
    char *name;

    if (strchr(text, ',')) {
        return "more than one host is for redis+sentinel:// and "
               "redis+cluster://";
    }
    if (*text == '[') {
        if (!end || (end[1] && end[1] != ':')) {
            return "an IPv6 address stands in brackets, as in [::1]:6379";
        }
        name = apr_pstrmemdup(p, text + 1, end - text - 1);
        after = end[1] ? end + 2 : NULL;
        if (inet_pton(AF_INET6, name, &address) != 1) {
            return "what stands in brackets is no IPv6 address; one is "
                   "written as in [::1]:6379";
        }
    }
    else {
        name = end ? apr_pstrmemdup(p, text, end - text)
                   : apr_pstrdup(p, text);
        after = end ? end + 1 : NULL;
    }
    if (after && *text != '[' && strchr(after, ':')) {
        return "there is more than one colon; an IPv6 address stands in "
               "brackets, as in [::1]:6379";
    }
    if (*text != '[' && !is_host(name, "-._")) {
        return "a host is missing or not understood; write redis://host:port/db, "
               "redis+sentinel://host,host/service or redis+cluster://host,host";
    }
    if (after && !read_number(after, 1, 65535, &number)) {
        return "the port is not a number from 1 to 65535";
    }
    if (after) {
        *port = (int)number;
    }
    *host = name;
    return NULL;
}

const char *rlx_redis_db_parse(const char *text, int *db, apr_pool_t *p)
{
    apr_int64_t number;

    if (!read_number(text, 0, DB_MAX, &number)) {
        return "the database is not a number from 0 on; write it at the end, "
               "as in redis://host:6379/2 or redis+unix:///path?db=2";
    }
    *db = (int)number;
    return NULL;
}

/** host[:port][/db] */
static const char *parse_tcp(rlx_redis_settings_t *settings, const char *text,
                             apr_pool_t *p)
{
    const char *slash = strchr(text, '/');
    const char *error;

    if (strpbrk(text, "?#")) {
        return "there is a ? or # in it; options stand after the URI, as in "
               "timeout=50, and the password's own are written %3F and %23";
    }
    error = rlx_redis_host_parse(slash ? apr_pstrmemdup(p, text, slash - text)
                                       : text,
                                 &settings->host, &settings->port, p);
    if (error || !slash || !slash[1]) {
        return error;
    }
    return rlx_redis_db_parse(slash + 1, &settings->db, p);
}

/** /path[?db=n] */
static const char *parse_unix(rlx_redis_settings_t *settings, const char *text,
                              apr_pool_t *p)
{
    const char *query = strchr(text, '?');

    if (*text != '/') {
        return "the path of a socket begins with a slash, as in "
               "redis+unix:///run/redis.sock";
    }
    settings->path = decoded(text, query ? (apr_size_t)(query - text)
                                         : strlen(text), p);
    if (!settings->path) {
        return "in the path there is a % that two hex digits do not follow";
    }
    if (!query) {
        return NULL;
    }
    if (strncmp(query, "?db=", 4)) {
        return "after the path only ?db= may stand, as in "
               "redis+unix:///run/redis.sock?db=1";
    }
    return rlx_redis_db_parse(query + 4, &settings->db, p);
}

/** host[:port],host[:port] */
static const char *parse_hosts(rlx_redis_settings_t *settings, char *text,
                               int port, apr_pool_t *p)
{
    char *next;

    for (; text; text = next) {
        rlx_redis_host_t *host = &settings->hosts[settings->hosts_n];
        const char *error;

        next = strchr(text, ',');
        if (next) {
            *next++ = '\0';
        }
        if (settings->hosts_n == RLX_REDIS_HOSTS_MAX) {
            return apr_psprintf(p, "there are more than %d hosts; two or three "
                                "are enough, for these tell the others",
                                RLX_REDIS_HOSTS_MAX);
        }
        host->port = port;
        error = rlx_redis_host_parse(text, &host->name, &host->port, p);
        if (error) {
            return error;
        }
        settings->hosts_n++;
    }
    return NULL;
}

/** host[:port],host[:port]/service[?db=n] */
static const char *parse_sentinel(rlx_redis_settings_t *settings,
                                  const char *text, apr_pool_t *p)
{
    const char *slash = strchr(text, '/');
    const char *query = strchr(text, '?');

    settings->kind = RLX_REDIS_SENTINEL;
    settings->wants_master = 1;
    if (!slash || !slash[1] || slash[1] == '?' || (query && query < slash)) {
        return "the name of the service is missing, which stands after the "
               "sentinels, as in redis+sentinel://host1,host2/mymaster";
    }
    settings->service = query ? apr_pstrmemdup(p, slash + 1,
                                               query - slash - 1)
                              : slash + 1;
    if (!is_host(settings->service, "-._")) {
        return "the name of the service has letters, digits and - . _ alone; "
               "a database stands after it, as in /mymaster?db=1";
    }
    if (query && strncmp(query, "?db=", 4)) {
        return "after the service only ?db= may stand, as in "
               "redis+sentinel://host1,host2/mymaster?db=1";
    }
    if (query) {
        const char *error = rlx_redis_db_parse(query + 4, &settings->db, p);

        if (error) {
            return error;
        }
    }
    return parse_hosts(settings, apr_pstrmemdup(p, text, slash - text),
                       SENTINEL_DEFAULT, p);
}

/** host[:port],host[:port][/] */
static const char *parse_cluster(rlx_redis_settings_t *settings,
                                 const char *text, apr_pool_t *p)
{
    apr_size_t len = strcspn(text, "/?#");

    settings->kind = RLX_REDIS_CLUSTER;
    if (text[len] && strcmp(text + len, "/") && strcmp(text + len, "/0")) {
        return "nothing stands after the hosts; a cluster has database 0 "
               "alone, and options stand after the URI";
    }
    return parse_hosts(settings, apr_pstrmemdup(p, text, len), PORT_DEFAULT,
                       p);
}

const char *rlx_redis_uri_parse(rlx_redis_settings_t *settings,
                                const char *uri, apr_pool_t *p)
{
    const char *colon = strchr(uri, ':');
    const char *rest, *error, *plus;
    char *scheme;

    if (!colon || strncmp(colon, "://", 3)) {
        return "after the scheme comes ://, as in redis://127.0.0.1:6379/0";
    }
    scheme = apr_pstrmemdup(p, uri, colon - uri);
    error = rlx_redis_login_parse(settings, colon + 3, &rest, p);
    if (error) {
        return error;
    }
    for (char *c = scheme; *c; c++) {
        *c = apr_tolower(*c);
    }
    settings->is_tls = !strcmp(scheme, "rediss") || !strcmp(scheme, "valkeys");
    plus = strchr(scheme, '+');
    if (!plus) {
        return parse_tcp(settings, rest, p);
    }
    return !strcmp(plus, "+sentinel") ? parse_sentinel(settings, rest, p)
           : !strcmp(plus, "+cluster") ? parse_cluster(settings, rest, p)
                                       : parse_unix(settings, rest, p);
}

/*
 * Options
 */

static const char *set_msec(const char *name, const char *value,
                            rlx_usec_t *usec, apr_pool_t *p)
{
    apr_int64_t number;

    if (!read_number(value, 1, TIMEOUT_MAX_MS, &number)) {
        return apr_psprintf(p, "%s=%s is not a number of milliseconds from 1 "
                            "to %d", name, value, TIMEOUT_MAX_MS);
    }
    *usec = number * 1000;
    return NULL;
}

static const char *set_timeout(rlx_redis_settings_t *settings,
                               const char *value, apr_pool_t *p)
{
    return set_msec("timeout", value, &settings->timeout_usec, p);
}

static const char *set_connect_timeout(rlx_redis_settings_t *settings,
                                       const char *value, apr_pool_t *p)
{
    return set_msec("connect_timeout", value, &settings->connect_usec, p);
}

static const char *set_pool_max(rlx_redis_settings_t *settings,
                                const char *value, apr_pool_t *p)
{
    apr_int64_t number;

    if (!read_number(value, 1, POOL_MAX, &number)) {
        return apr_psprintf(p, "pool_max=%s is not a number from 1 to %d "
                            "(connections of one child)", value, POOL_MAX);
    }
    settings->pool_max = (int)number;
    return NULL;
}

static const char *set_log_max(rlx_redis_settings_t *settings,
                               const char *value, apr_pool_t *p)
{
    apr_int64_t number;

    if (!read_number(value, 1, LOG_MAX_HIGHEST, &number)) {
        return apr_psprintf(p, "log_max=%s is not a number from 1 to %d (the "
                            "highest count of a moving-window limit)", value,
                            LOG_MAX_HIGHEST);
    }
    settings->log_max = (uint32_t)number;
    return NULL;
}

static const char *set_store_keys(rlx_redis_settings_t *settings,
                                  const char *value, apr_pool_t *p)
{
    settings->stores_plain = !strcasecmp(value, "plain");
    if (!settings->stores_plain && strcasecmp(value, "hashed")) {
        return apr_psprintf(p, "store_keys=%s is neither hashed nor plain",
                            value);
    }
    return NULL;
}

static const char *set_client_name(rlx_redis_settings_t *settings,
                                   const char *value, apr_pool_t *p)
{
    if (!is_host(value, "-._") || strlen(value) > CLIENT_NAME_MAX) {
        return apr_psprintf(p, "client_name=%s is not a name of up to %d "
                            "letters, digits, and - . _", value,
                            CLIENT_NAME_MAX);
    }
    settings->client_name = value;
    return NULL;
}

/** The value is a secret, and never shown. */
static const char *set_sentinel_password(rlx_redis_settings_t *settings,
                                         const char *value, apr_pool_t *p)
{
    settings->sentinel_password = value;
    return *value ? NULL : "sentinel_password= is empty; leave it out where "
                           "the sentinels want none";
}

static const char *set_sentinel_user(rlx_redis_settings_t *settings,
                                     const char *value, apr_pool_t *p)
{
    settings->sentinel_user = value;
    return *value ? NULL : "sentinel_user= is empty; leave it out where the "
                           "sentinels' password belongs to no user";
}

static const char *set_file(const char *name, const char *value,
                            const char **file, apr_pool_t *p)
{
    if (*value != '/') {
        return apr_psprintf(p, "%s=%s is not the path of a file (it begins "
                            "with a slash)", name, value);
    }
    *file = value;
    return NULL;
}

static const char *set_tls_ca(rlx_redis_settings_t *settings,
                              const char *value, apr_pool_t *p)
{
    return set_file("tls_ca", value, &settings->tls_ca, p);
}

static const char *set_tls_cert(rlx_redis_settings_t *settings,
                                const char *value, apr_pool_t *p)
{
    return set_file("tls_cert", value, &settings->tls_cert, p);
}

static const char *set_tls_key(rlx_redis_settings_t *settings,
                               const char *value, apr_pool_t *p)
{
    return set_file("tls_key", value, &settings->tls_key, p);
}

/** The options and who sets them. */
static const struct {
    const char *name;
    const char *(*set)(rlx_redis_settings_t *settings, const char *value,
                       apr_pool_t *p);
} redis_options[] = {
    { "timeout", set_timeout },
    { "connect_timeout", set_connect_timeout },
    { "pool_max", set_pool_max },
    { "store_keys", set_store_keys },
    { "log_max", set_log_max },
    { "client_name", set_client_name },
    { "sentinel_password", set_sentinel_password },
    { "sentinel_user", set_sentinel_user },
    { "tls_ca", set_tls_ca },
    { "tls_cert", set_tls_cert },
    { "tls_key", set_tls_key },
};

#define REDIS_OPTIONS (sizeof(redis_options) / sizeof(redis_options[0]))

const char *rlx_redis_option_set(rlx_redis_settings_t *settings,
                                 const char *name, const char *value,
                                 apr_pool_t *p)
{
    const char *names = "";

    for (apr_size_t i = 0; i < REDIS_OPTIONS; i++) {
        if (!strcasecmp(name, redis_options[i].name)) {
            return redis_options[i].set(settings, value, p);
        }
        names = apr_pstrcat(p, names, redis_options[i].name, "=, ", NULL);
    }
    return apr_psprintf(p, "redis has no option \"%s\"; it has %s%s", name,
                        names, RLX_DENY_OPTION_NAMES);
}

const char *rlx_redis_settings_check(rlx_redis_settings_t *settings,
                                     apr_pool_t *p)
{
    if (settings->connect_usec > settings->timeout_usec) {
        return apr_psprintf(p, "connect_timeout=%d is longer than timeout=%d, "
                            "which holds for connecting and asking together",
                            (int)(settings->connect_usec / 1000),
                            (int)(settings->timeout_usec / 1000));
    }
    if (settings->kind != RLX_REDIS_SENTINEL
        && (settings->sentinel_password || settings->sentinel_user)) {
        return apr_psprintf(p, "sentinel_%s= is for redis+sentinel:// alone; "
                            "what a server wants stands in the URI, as in "
                            "redis://user:password@host",
                            settings->sentinel_password ? "password"
                                                        : "user");
    }
    if (settings->sentinel_user && !settings->sentinel_password) {
        return "sentinel_user= needs sentinel_password=";
    }
    /* Where there are others to be asked, one must not take all the time. */
    if (settings->kind != RLX_REDIS_SINGLE && !settings->connect_usec) {
        settings->connect_usec = settings->timeout_usec / 2;
    }
    if (!settings->is_tls && (settings->tls_ca || settings->tls_cert
                              || settings->tls_key)) {
        return "tls_ca=, tls_cert= and tls_key= are for rediss:// alone";
    }
    if (settings->tls_key && !settings->tls_cert) {
        return "tls_key= is the key of tls_cert=, which is missing";
    }
    return NULL;
}
