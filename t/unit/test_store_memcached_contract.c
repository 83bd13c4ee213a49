/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The contract of storages, kept by memcached; once more with fewer
 * connections than threads. pthread_create() is in contract.h.
 */

#include "contract.h"
#include "memcached_fixture.h"

static void run(const char *pool_max)
{
    contract_t c = { "memcached", &rlx_memcached_provider, NULL, NULL, NULL,
                     CONTRACT_ALL_STRATEGIES & ~(1u << RLX_MOVING_WINDOW) };
    apr_table_t *options;

    apr_pool_create(&c.pool, NULL);
    options = apr_table_make(c.pool, 2);
    apr_table_set(options, "timeout", "10000");
    apr_table_set(options, "pool_max", pool_max);
    c.instance = fixture_storage(c.provider, memcached_uri, options, c.pool);
    if (ok(c.instance != NULL, "with pool_max=%s", pool_max)) {
        c.provider->forget_all(c.instance, "", 0, c.pool);
        contract_run(&c);
    }
    apr_pool_destroy(c.pool);
}

int main(void)
{
    if (ok(memcached_start(), "memcached answers")) {
        run("32");
        run("3");
    }
    return tap_done();
}
