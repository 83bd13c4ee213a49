/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Fuzz target: any bytes as what a memcached says, on a connection that it
 * then closes. The first two bytes say what it is asked. The bytes 1 to 3
 * stand for the names of the counters, 4 for that of their generation, so
 * that an answer may speak of them. What is told of the counters is within
 * their limits, and nobody waits.
 */

#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_portable.h>

#include "store/memcached_call.h"

#define SEC INT64_C(1000000)
#define NOW (INT64_C(1800000000) * SEC)

#define COUNTERS 3
/* As much as a socket takes at once. */
#define SAID_MAX 32768

static const rlx_limit_t limits[] = {
    { 5, 5, 60 * SEC, RLX_FIXED_WINDOW, "5 per 1 minute" },
    { 5, 5, 60 * SEC, RLX_SLIDING_WINDOW_COUNTER, "5 per 1 minute" },
    { 5, 3, 60 * SEC, RLX_GCRA, "5 per 1 minute" },
    { RLX_COUNT_MAX, RLX_COUNT_MAX, INT64_C(3110400000) * SEC, RLX_GCRA, "" },
};

static void log_nothing(void *baton, rlx_log_level_e level,
                        apr_status_t status, const char *message)
{
    must(strlen(message) < 1000, "a line of log");
}

static rlx_storage_t *storage_make(apr_sockaddr_t *address, apr_pool_t *p)
{
    static const rlx_storage_env_t env = { .log = log_nothing };
    static rlx_mc_server_t server = { .name = "127.0.0.1:1",
                                      .host = "127.0.0.1", .port = 1 };
    static rlx_storage_t store = { .env = &env, .uri = "memcached://fuzz",
                                   .servers = &server, .n_servers = 1,
                                   .budget_usec = 50000, .pool_max = 1 };

    server.address = address;
    store.pool = p;
    must(rlx_mc_links_make(&server, 1, 1000, p) == APR_SUCCESS
             && apr_thread_mutex_create(&store.gate.mutex, 0, p)
                    == APR_SUCCESS
             && apr_thread_cond_create(&store.gate.changed, p) == APR_SUCCESS,
         "a storage");
    return &store;
}

static void counters_make(rlx_counter_t *counters, unsigned int what)
{
    static const char *const keys[COUNTERS] = { "a", "b", "c" };
    int i;

    memset(counters, 0, COUNTERS * sizeof(*counters));
    for (i = 0; i < COUNTERS; ++i) {
        counters[i].limit = &limits[(what + (unsigned int)i) % 4];
        counters[i].scope = "p:s";
        counters[i].scope_len = 3;
        counters[i].key = keys[i];
        counters[i].key_len = 1;
        counters[i].key_is_public = 1;
        counters[i].cost = 1 + (what >> 2 & 3);
    }
}

/* What the server is to say, the names in place. */
static size_t spell(const input_t *in, const rlx_counter_t *counters,
                    char *said, apr_pool_t *p)
{
    size_t n = 0, i;

    for (i = 0; i < in->left && n < SAID_MAX - 256; ++i) {
        const char *name = NULL;
        apr_size_t len = 1;

        if (in->at[i] >= 1 && in->at[i] <= COUNTERS) {
            name = rlx_mc_name_of(&counters[in->at[i] - 1], 0, &len, p);
        }
        else if (in->at[i] == COUNTERS + 1) {
            name = rlx_mc_generation_name("p", 1, &len, p);
        }
        memcpy(said + n, name ? name : (const char *)&in->at[i], len);
        n += len;
    }
    return n;
}

/* Have a connection lie in the pool on which all that has been said. Returns
 * the server's end. */
static int connect_to(rlx_mc_server_t *server, const char *said, size_t len)
{
    rlx_mc_link_t *link;
    int pair[2];
    apr_os_sock_info_t info = { .os_sock = &pair[1], .family = APR_UNIX,
                                .type = SOCK_STREAM };

    must(rlx_mc_link_take(server, &link) == APR_SUCCESS, "a connection");
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "sockets");
    must(write(pair[0], said, len) == (ssize_t)len, "an answer");
    shutdown(pair[0], SHUT_WR);
    must(apr_os_sock_make(&link->socket, &info, link->pool) == APR_SUCCESS,
         "a socket");
    rlx_mc_link_give(link, 1);
    return pair[0];
}

/* No connection stays in the pool. */
static void disconnect(rlx_mc_server_t *server, int peer)
{
    rlx_mc_link_t *link;

    must(rlx_mc_link_take(server, &link) == APR_SUCCESS, "a connection");
    rlx_mc_link_give(link, 0);
    close(peer);
}

static void ask(rlx_storage_t *store, const rlx_counter_t *counters,
                unsigned int how, apr_pool_t *p)
{
    int n = 1 + (int)(how >> 3 & 3) % COUNTERS;
    rlx_verdict_t v[COUNTERS];
    apr_status_t status;
    int i;

    if (how % 8 == 4) {
        rlx_mc_give_back(store, counters, n, NOW - SEC, NOW, p);
        return;
    }
    status = how % 8 == 3 ? rlx_mc_look(store, counters, n, NOW, v, p)
                          : rlx_mc_decide(store, (rlx_charge_e)(how % 8 % 3),
                                          counters, n, NOW, v, p);
    for (i = 0; status == APR_SUCCESS && i < n; ++i) {
        must_be_verdict(&v[i], counters[i].limit, NOW);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char said[SAID_MAX];
    static apr_sockaddr_t *address;
    apr_pool_t *pool;
    rlx_storage_t *store;
    rlx_counter_t counters[COUNTERS];
    input_t in = { data, size };
    unsigned int how = (unsigned int)take(&in, 1);
    size_t len;
    int peer;

    if (!address) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
        must(apr_sockaddr_info_get(&address, "127.0.0.1", APR_INET, 1, 0, pool)
                 == APR_SUCCESS, "an address");
    }
    apr_pool_create(&pool, NULL);
    store = storage_make(address, pool);
    counters_make(counters, (unsigned int)take(&in, 1));
    len = spell(&in, counters, said, pool);
    peer = connect_to(store->servers, said, len);
    ask(store, counters, how, pool);
    disconnect(store->servers, peer);
    apr_pool_destroy(pool);
    return 0;
}
