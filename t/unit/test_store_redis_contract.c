/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The contract of storages, kept by Redis; once more with fewer connections
 * than threads. pthread_create() is in contract.h.
 */

#include "contract.h"

static void run(contract_t *c, fixture_redis_t *server, const char *pool_max)
{
    apr_table_t *options;

    apr_pool_create(&c->pool, NULL);
    options = apr_table_make(c->pool, 2);
    apr_table_set(options, "timeout", "10000");
    apr_table_set(options, "pool_max", pool_max);
    c->instance = fixture_storage(c->provider, server->uri, options, c->pool);
    if (ok(c->instance != NULL, "with pool_max=%s", pool_max)) {
        c->provider->forget_all(c->instance, "", 0, c->pool);
        contract_run(c);
    }
    apr_pool_destroy(c->pool);
}

int main(void)
{
    fixture_redis_t server;
    contract_t c = { "redis", &rlx_redis_provider, NULL, NULL, NULL,
                     CONTRACT_ALL_STRATEGIES };

    apr_initialize();
    if (ok(fixture_redis_start(&server), "a redis-server")) {
        c.clock = server.clock;
        run(&c, &server, "32");
        run(&c, &server, "3");
    }
    fixture_redis_stop();
    apr_terminate();
    return tap_done();
}
