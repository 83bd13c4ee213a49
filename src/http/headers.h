/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  headers.h
 * @brief Response fields: X-RateLimit-*, RateLimit, Retry-After.
 */

#ifndef RLX_HTTP_HEADERS_H
#define RLX_HTTP_HEADERS_H

#include "http/request.h"

/** Register the output filter and its hooks. From register_hooks. */
void rlx_headers_register(apr_pool_t *p);

/** See to it that r's response gets the fields, if it is to have any. The
 *  insert_filter and insert_error_filter hooks; also for what is decided
 *  later than these run. */
void rlx_headers_insert(request_rec *r);

/** Set the fields that only a refusal has, and the record's wait_sec. Once,
 *  when r is refused. */
void rlx_headers_refuse(request_rec *r, rlx_request_t *request);

/** The name of a limit in fields and bodies: name=, else its canonical
 *  form. */
const char *rlx_policy_name(const rlx_decision_t *decision);

#endif /* RLX_HTTP_HEADERS_H */
