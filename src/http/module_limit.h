/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  module_limit.h
 * @brief Limits that other modules prepare: what rlx_ext_limits_t is.
 */

#ifndef RLX_HTTP_MODULE_LIMIT_H
#define RLX_HTTP_MODULE_LIMIT_H

#include "ratelimit_ext.h"

#include "http/config.h"

struct rlx_ext_limits_t {
    /** Of all the rules; scope is set. */
    rlx_options_t options;
    rlx_value_t scope;
    rlx_value_t error_message;
    /** Others that were prepared while the configuration was read. */
    rlx_ext_limits_t *next;
    /** 1 to RLX_LIMITS_PER_STRING, by window, the shortest first; no two have
     *  the same counter. */
    int n;
    rlx_rule_t rules[];
};

/** The optional function; see include/ratelimit_ext.h. */
const char *rlx_ext_prepare(apr_pool_t *p, const server_rec *s,
                            const rlx_ext_spec_t *spec,
                            const rlx_ext_limits_t **limits);

/** A sentence that says why a storage cannot keep limits by the strategy that
 *  they ask for themselves; NULL if it can. */
const char *rlx_module_limits_refused(const rlx_ext_limits_t *limits,
                                      const rlx_store_t *store,
                                      apr_pool_t *ptemp);

/** Limits that were prepared while the configuration was read, by whatever
 *  module, in the pool of the configuration; `next` leads through them. NULL: none. */
const rlx_ext_limits_t *rlx_module_limits_prepared(void);

#endif /* RLX_HTTP_MODULE_LIMIT_H */
