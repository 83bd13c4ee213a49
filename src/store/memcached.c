/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The storage memcached://: the provider, its options and its servers.
 *
 * APR's own client, apr_memcache, has neither "gets" nor "cas", and no limit
 * to the time that it waits; so the little of the protocol that is needed is
 * spoken here, on APR's sockets and with APR's pool of connections.
 */

#include "store/memcached_inside.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <apr_time.h>

#include "store/segment.h"

#define SCHEME          "memcached://"
#define PORT_DEFAULT    11211
#define TIMEOUT_DEFAULT 50
#define TIMEOUT_MAX     10000
#define POOL_DEFAULT    16
#define POOL_MAX        1000
/** A child does not tell more often what a server has to say. */
#define COMPLAINT_USEC  ((rlx_usec_t)30 * 1000000)

/* --- options ----------------------------------------------------------- */

static const char *set_number(rlx_storage_t *store, const char *name,
                              const char *value, int most, const char *what,
                              int *number)
{
    apr_uint64_t n;

    if (!rlx_mc_read_number(value, &n) || n < 1 || n > (apr_uint64_t)most) {
        return apr_psprintf(store->pool, "%s=%s is not a number from 1 to %d "
                            "(%s)", name, value, most, what);
    }
    *number = (int)n;
    return NULL;
}

static const char *set_timeout(rlx_storage_t *store, const char *value)
{
    int ms = 0;
    const char *error = set_number(store, "timeout", value, TIMEOUT_MAX,
                                   "milliseconds that a request may wait for "
                                   "this storage", &ms);

    store->budget_usec = (rlx_usec_t)ms * 1000;
    return error;
}

static const char *set_pool_max(rlx_storage_t *store, const char *value)
{
    return set_number(store, "pool_max", value, POOL_MAX,
                      "connections to each server that a child keeps",
                      &store->pool_max);
}

static const char *set_store_keys(rlx_storage_t *store, const char *value)
{
    store->shows_keys = !strcasecmp(value, "plain");
    return store->shows_keys || !strcasecmp(value, "hashed") ? NULL
        : apr_psprintf(store->pool, "store_keys=%s is neither hashed nor "
                       "plain (how keys stand in the storage that are "
                       "neither addresses nor users)", value);
}

/** The options and who sets them: parser and error text come from here. */
static const struct {
    const char *name;
    const char *(*set)(rlx_storage_t *store, const char *value);
} memcached_options[] = {
    { "timeout", set_timeout },
    { "pool_max", set_pool_max },
    { "store_keys", set_store_keys },
};

static const char *set_option(rlx_storage_t *store, const char *name,
                              const char *value)
{
    for (apr_size_t i = 0;
         i < sizeof(memcached_options) / sizeof(memcached_options[0]); i++) {
        if (!strcasecmp(name, memcached_options[i].name)) {
            return memcached_options[i].set(store, value);
        }
    }
    return apr_psprintf(store->pool, SCHEME " has no option \"%s\"; it has "
                        "timeout=, pool_max= and store_keys=", name);
}

/* --- the URI ----------------------------------------------------------- */

static const char *bad_server(rlx_storage_t *store, const char *text)
{
    return apr_psprintf(store->pool, "\"%s\" in \"%s\" is not a server; "
                        "write host, host:port or [IPv6 address]:port, "
                        "several with commas between", text, store->uri);
}

static const char *add_server(rlx_storage_t *store, const char *text)
{
    rlx_mc_server_t *server = &store->servers[store->n_servers];
    char *host, *scope_id, *name;
    apr_port_t port;

    if (!*text
        || apr_parse_addr_port(&host, &scope_id, &port, text, store->pool)
           != APR_SUCCESS
        || !host || scope_id || strpbrk(host, "/@?# \t")
        || (strchr(host, ':') && *text != '[')) {
        return bad_server(store, text);
    }
    if (store->n_servers == RLX_MC_SERVERS_MAX) {
        return apr_psprintf(store->pool, "\"%s\" has more than %d servers",
                            store->uri, RLX_MC_SERVERS_MAX);
    }
    server->host = host;
    server->port = port ? port : PORT_DEFAULT;
    name = apr_psprintf(store->pool, strchr(host, ':') ? "[%s]:%d" : "%s:%d",
                        host, server->port);
    for (char *c = name; *c; c++) {
        *c = (char)apr_tolower(*c);
    }
    for (int i = 0; i < store->n_servers; i++) {
        if (!strcmp(store->servers[i].name, name)) {
            return apr_psprintf(store->pool, "\"%s\" names %s twice",
                                store->uri, name);
        }
    }
    server->name = name;
    server->seed = rlx_mc_seed(name);
    store->n_servers++;
    return NULL;
}

static const char *read_uri(rlx_storage_t *store)
{
    char *list, *text;
    const char *error = NULL;

    /* What stands there may be a password. */
    if (strchr(store->uri, '@')) {
        return SCHEME " has no user and no password: memcached must be out "
               "of reach for others; write " SCHEME "host:port";
    }
    if (strncasecmp(store->uri, SCHEME, strlen(SCHEME))
        || !store->uri[strlen(SCHEME)]) {
        return apr_psprintf(store->pool, "\"%s\" names no server; write "
                            SCHEME "host:port or " SCHEME
                            "host:port,host:port", store->uri);
    }
    list = apr_pstrdup(store->pool, store->uri + strlen(SCHEME));
    if (list[strlen(list) - 1] == '/') {
        list[strlen(list) - 1] = '\0';
    }
    store->servers = apr_pcalloc(store->pool, sizeof(rlx_mc_server_t)
                                              * RLX_MC_SERVERS_MAX);
    for (text = list; text && !error;) {
        char *comma = strchr(text, ',');

        if (comma) {
            *comma++ = '\0';
        }
        error = add_server(store, text);
        text = comma;
    }
    return error;
}

static const char *mc_create(rlx_storage_t **instance, const char *uri,
                             const apr_table_t *options,
                             const rlx_storage_env_t *env, apr_pool_t *pconf)
{
    const apr_array_header_t *pairs = apr_table_elts(options);
    const apr_table_entry_t *pair = (const apr_table_entry_t *)pairs->elts;
    rlx_storage_t *store = apr_pcalloc(pconf, sizeof(*store));
    const char *error;

    store->env = env;
    store->uri = uri;
    store->pool = pconf;
    store->budget_usec = TIMEOUT_DEFAULT * 1000;
    store->pool_max = POOL_DEFAULT;
    error = read_uri(store);
    for (int i = 0; i < pairs->nelts && !error; i++) {
        error = set_option(store, pair[i].key, pair[i].val);
    }
    *instance = store;
    return error;
}

static const char *mc_refuses(const rlx_storage_t *store,
                              const rlx_limit_t *limit, apr_pool_t *ptemp)
{
    if (limit->strategy != RLX_MOVING_WINDOW) {
        return NULL;
    }
    return apr_psprintf(ptemp, "\"%s\" as a moving-window needs a log of "
                        "times, which memcached has no place for: use "
                        "strategy=sliding-window-counter, or another storage",
                        limit->text);
}

/* --- start ------------------------------------------------------------- */

static void say(const rlx_storage_t *store, rlx_log_level_e level,
                apr_status_t status, const char *line)
{
    store->env->log(store->env->baton, level, status, line);
}

/** Where there are several servers, all children share what is known of each
 *  of them. It is kept over graceful restarts. */
static apr_status_t open_breakers(rlx_storage_t *store)
{
    rlx_segment_t segment = {
        apr_pstrcat(store->pool, "rlx-servers-", store->uri, NULL),
        sizeof(rlx_breaker_t) * (apr_size_t)store->n_servers, store->uri,
        "the state of its servers"
    };
    void *memory;
    apr_status_t status;

    if (store->n_servers == 1) {
        return APR_SUCCESS;
    }
    status = rlx_segment_open(&segment, store->env, store->pool, &memory);
    for (int i = 0; i < store->n_servers && status == APR_SUCCESS; i++) {
        store->servers[i].breaker = (rlx_breaker_t *)memory + i;
    }
    return status;
}

/** Names are looked up once, here. One that is not known yet does not keep
 *  the server from starting: it is looked up again when it is needed. */
static apr_status_t mc_open(rlx_storage_t *store)
{
    for (int i = 0; i < store->n_servers; i++) {
        rlx_mc_server_t *server = &store->servers[i];
        apr_status_t status = apr_sockaddr_info_get(
            &server->address, server->host, APR_UNSPEC, server->port, 0,
            store->pool);

        if (status != APR_SUCCESS) {
            server->address = NULL;
            say(store, RLX_LOG_WARNING, status,
                apr_pstrcat(store->pool, "storage ", store->uri, ": no "
                            "address is found for ", server->name, NULL));
        }
    }
    return open_breakers(store);
}

static apr_status_t mc_child_init(rlx_storage_t *store, apr_pool_t *pchild)
{
    apr_status_t status = apr_thread_mutex_create(&store->gate.mutex,
                                                  APR_THREAD_MUTEX_DEFAULT,
                                                  pchild);

    if (status == APR_SUCCESS) {
        status = apr_thread_cond_create(&store->gate.changed, pchild);
    }
    for (int i = 0; i < store->n_servers && status == APR_SUCCESS; i++) {
        status = rlx_mc_links_make(&store->servers[i], store->pool_max,
                                   store->budget_usec / 2, pchild);
    }
    return status;
}

/* --- what is logged ---------------------------------------------------- */

void rlx_mc_note_failure(rlx_storage_t *store, const rlx_mc_server_t *server,
                         rlx_breaker_ticket_t ticket, rlx_usec_t now,
                         apr_status_t status, apr_pool_t *ptemp)
{
    rlx_breaker_change_e change = rlx_breaker_failed(server->breaker, ticket,
                                                     now);

    if (change != RLX_BREAKER_SAME) {
        say(store, change == RLX_BREAKER_OPENED ? RLX_LOG_NOTICE
                                                : RLX_LOG_INFO, status,
            apr_psprintf(ptemp, "storage %s: server %s %scannot answer: "
                         "requests whose counters it keeps get what "
                         "RateLimitStorageFailure says; it is asked again in "
                         "%d seconds or less", store->uri, server->name,
                         change == RLX_BREAKER_OPENED ? "" : "still ",
                         (int)((rlx_breaker_retry_at(server->breaker, now)
                                - now + 999999) / 1000000)));
    }
}

void rlx_mc_note_answer(rlx_storage_t *store, const rlx_mc_server_t *server,
                        rlx_breaker_ticket_t ticket, rlx_usec_t now,
                        apr_pool_t *ptemp)
{
    rlx_usec_t down_usec;

    if (rlx_breaker_answered(server->breaker, ticket, now, &down_usec)
        == RLX_BREAKER_CLOSED) {
        say(store, RLX_LOG_NOTICE, APR_SUCCESS,
            apr_psprintf(ptemp, "storage %s: server %s answers again",
                         store->uri, server->name));
    }
}

void rlx_mc_complain(rlx_storage_t *store, const rlx_mc_server_t *server,
                     const char *said, apr_pool_t *ptemp)
{
    apr_uint64_t now = (apr_uint64_t)rlx_monotonic_usec();
    apr_uint64_t last = __atomic_load_n(&store->complained_usec,
                                        __ATOMIC_RELAXED);

    if ((!last || now - last >= COMPLAINT_USEC)
        && __atomic_compare_exchange_n(&store->complained_usec, &last, now, 0,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        /* httpd escapes what is not printable. */
        say(store, RLX_LOG_WARNING, APR_SUCCESS,
            apr_psprintf(ptemp, "storage %s: server %s said \"%.100s\"",
                         store->uri, server->name, said));
    }
}

/* --- what an administrator asks for ------------------------------------ */

/** Say something to a server and read its answer, line by line.
 *  @param heard told each line; returns 0 where the answer goes on, 1 at its
 *               end, -1 if it is wrong */
static apr_status_t ask(rlx_storage_t *store, rlx_mc_server_t *server,
                        const char *text,
                        int (*heard)(void *baton, const char *line),
                        void *baton, apr_pool_t *ptemp)
{
    rlx_usec_t until = rlx_monotonic_usec() + store->budget_usec;
    rlx_mc_link_t *link;
    apr_status_t status = rlx_mc_link_take(server, &link);
    int done = 0;

    if (status != APR_SUCCESS) {
        return status;
    }
    /* What is asked for here may change something, and is not asked twice:
     * so by a connection that cannot have been cut. */
    status = rlx_mc_link_open(link, until);
    if (status == APR_SUCCESS) {
        status = rlx_mc_link_send(link, text, strlen(text), until);
    }
    while (status == APR_SUCCESS && !done) {
        char *line;

        status = rlx_mc_link_line(link, &line, until);
        if (status == APR_SUCCESS) {
            done = heard(baton, line);
        }
        if (done < 0) {
            rlx_mc_complain(store, server, line, ptemp);
            status = RLX_MC_NONSENSE;
        }
    }
    rlx_mc_link_give(link, status == APR_SUCCESS);
    return status;
}

static int hear_deleted(void *baton, const char *line)
{
    return !strcmp(line, "DELETED") || !strcmp(line, "NOT_FOUND") ? 1 : -1;
}

static apr_status_t mc_forget(rlx_storage_t *store,
                              const rlx_counter_t *counters, int n,
                              apr_pool_t *ptemp)
{
    apr_status_t result = APR_SUCCESS;

    for (int i = 0; i < n; i++) {
        int place = rlx_mc_place(store->servers, store->n_servers,
                                 counters[i].key, counters[i].key_len);
        apr_status_t status = ask(
            store, &store->servers[place],
            apr_pstrcat(ptemp, "delete ",
                        rlx_mc_name_of(&counters[i], store->shows_keys, NULL,
                                    ptemp),
                        "\r\n", NULL),
            hear_deleted, NULL, ptemp);

        result = result == APR_SUCCESS ? status : result;
    }
    return result;
}

/** @param baton int, not 0 then: there is no such item */
static int hear_number(void *baton, const char *line)
{
    apr_uint64_t number;

    *(int *)baton = !strcmp(line, "NOT_FOUND");
    return *(int *)baton || rlx_mc_read_number(line, &number) ? 1 : -1;
}

/** @param baton int, not 0 then: somebody else was quicker */
static int hear_stored(void *baton, const char *line)
{
    *(int *)baton = !strcmp(line, "NOT_STORED");
    return *(int *)baton || !strcmp(line, "STORED") ? 1 : -1;
}

/** Begin a new generation on one server: one more than the last, so that
 *  clocks need not agree; the first is the time. */
static apr_status_t raise_generation(rlx_storage_t *store,
                                     rlx_mc_server_t *server,
                                     const char *name, apr_pool_t *ptemp)
{
    const char *first = apr_psprintf(ptemp, "%" APR_TIME_T_FMT,
                                     apr_time_now());
    const char *raise = apr_pstrcat(ptemp, "incr ", name, " 1\r\n", NULL);
    const char *add = apr_psprintf(ptemp, "add %s 0 0 %d\r\n%s\r\n", name,
                                   (int)strlen(first), first);
    int is_missing = 0, is_late = 0;
    apr_status_t status = ask(store, server, raise, hear_number, &is_missing,
                              ptemp);

    if (status == APR_SUCCESS && is_missing) {
        status = ask(store, server, add, hear_stored, &is_late, ptemp);
    }
    if (status == APR_SUCCESS && is_late) {
        status = ask(store, server, raise, hear_number, &is_missing, ptemp);
    }
    return status;
}

/* memcached cannot list what it holds. Each server has an item that tells the
 * generation, which is read with the counters, and counters of an earlier one
 * count nothing. Were that item lost, those older than the clearing would be
 * back: stricter than right, and only until their windows end. */
static apr_status_t mc_forget_all(rlx_storage_t *store, const char *prefix,
                                  size_t len, apr_pool_t *ptemp)
{
    apr_status_t result = APR_SUCCESS;
    apr_size_t name_len;
    const char *name = rlx_mc_generation_name(prefix, len, &name_len, ptemp);

    for (int i = 0; i < store->n_servers; i++) {
        apr_status_t status = raise_generation(store, &store->servers[i],
                                               name, ptemp);

        result = result == APR_SUCCESS ? status : result;
    }
    return result;
}

static int hear_figure(void *baton, const char *line)
{
    static const struct {
        const char *name;
        apr_size_t offset;
    } known[] = {
        { "STAT limit_maxbytes ",
          APR_OFFSETOF(rlx_storage_figures_t, size_bytes) },
        { "STAT curr_items ",
          APR_OFFSETOF(rlx_storage_figures_t, keys_used) },
        { "STAT evictions ",
          APR_OFFSETOF(rlx_storage_figures_t, evictions) },
    };
    apr_uint64_t number;

    for (int i = 0; i < 3; i++) {
        apr_size_t len = strlen(known[i].name);

        if (!strncmp(line, known[i].name, len)
            && rlx_mc_read_number(line + len, &number)) {
            *(apr_uint64_t *)((char *)baton + known[i].offset) += number;
        }
    }
    return !strcmp(line, "END") ? 1 : strncmp(line, "STAT ", 5) ? -1 : 0;
}

/** The figures of the servers, whatever else they are used for. */
static apr_status_t mc_figures(rlx_storage_t *store, rlx_usec_t now,
                               rlx_storage_figures_t *figures,
                               apr_pool_t *ptemp)
{
    const char *silent = NULL;

    memset(figures, 0, sizeof(*figures));
    for (int i = 0; i < store->n_servers; i++) {
        rlx_mc_server_t *server = &store->servers[i];

        if (ask(store, server, "stats\r\n", hear_figure, figures, ptemp)
            != APR_SUCCESS) {
            silent = silent ? apr_pstrcat(ptemp, silent, ", ", server->name,
                                          NULL)
                            : server->name;
        }
    }
    figures->healthy = !silent;
    figures->state = silent ? apr_pstrcat(ptemp, "no answer from ", silent,
                                          NULL)
                            : "in memcached";
    return APR_SUCCESS;
}

const rlx_storage_provider_t rlx_memcached_provider = {
    .flags = RLX_STORAGE_WANTS_TEXT,
    .create = mc_create,
    .refuses = mc_refuses,
    .open = mc_open,
    .child_init = mc_child_init,
    .decide = rlx_mc_decide,
    .look = rlx_mc_look,
    .give_back = rlx_mc_give_back,
    .forget = mc_forget,
    .forget_all = mc_forget_all,
    .figures = mc_figures,
};
