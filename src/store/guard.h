/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  guard.h
 * @brief A storage that may fail, and what all children know of its state: a
 *        provider around a provider.
 */

#ifndef RLX_STORE_GUARD_H
#define RLX_STORE_GUARD_H

#include "store/store.h"

/**
 * Put a guard before a storage: it is not asked while it is known not to
 * answer, but for one probe at a time; what changes is told once for the
 * whole server. A call that is not let through has the status APR_EAGAIN.
 * @param store  provider and instance are replaced
 * @param name   names what is retained over graceful restarts: URI and options
 * @param env    outlives the store
 * @param change told what changes; may be NULL
 * @param pconf  pool of the configuration
 */
void rlx_guard_put(rlx_store_t *store, const char *name,
                   const rlx_storage_env_t *env, rlx_store_change_fn change,
                   apr_pool_t *pconf);

#endif /* RLX_STORE_GUARD_H */
