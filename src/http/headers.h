/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  headers.h
 * @brief Response fields: X-RateLimit-*, RateLimit, Retry-After.
 */

#ifndef RLX_HTTP_HEADERS_H
#define RLX_HTTP_HEADERS_H

#include "http/request.h"

/** Register the output filter. From register_hooks. */
void rlx_headers_register(apr_pool_t *p);

/** Set the fields that only a refusal has, and the record's wait_sec. Once,
 *  when r is refused. */
void rlx_headers_refuse(request_rec *r, rlx_request_t *request);

/** The name of a limit in fields and bodies: name=, else its canonical
 *  form. */
const char *rlx_policy_name(const rlx_decision_t *decision);

#endif /* RLX_HTTP_HEADERS_H */
