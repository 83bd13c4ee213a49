/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The contract of storages, kept by shared memory. pthread_create() is in
 * contract.h.
 */

#include "contract.h"

int main(void)
{
    contract_t c = { "shm", &rlx_shm_provider, NULL, NULL, NULL,
                     CONTRACT_ALL_STRATEGIES };

    apr_initialize();
    apr_pool_create(&c.pool, NULL);
    c.instance = fixture_storage(c.provider, "shm://",
                                 apr_table_make(c.pool, 0), c.pool);
    if (ok(c.instance != NULL, "a table")) {
        contract_run(&c);
    }
    apr_pool_destroy(c.pool);
    apr_terminate();
    return tap_done();
}
