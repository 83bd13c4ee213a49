/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  refusal.h
 * @brief The body of a refusal, in the form that the client asks for.
 */

#ifndef RLX_HTTP_REFUSAL_H
#define RLX_HTTP_REFUSAL_H

#include <apr_pools.h>

/** Register the output filter and its hook. From register_hooks. */
void rlx_refusal_register(apr_pool_t *p);

#endif /* RLX_HTTP_REFUSAL_H */
