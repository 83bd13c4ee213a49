/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  wait.h
 * @brief How long a refused client has to wait for limits beside those that
 *        were decided together with the one that refuses.
 */

#ifndef RLX_HTTP_WAIT_H
#define RLX_HTTP_WAIT_H

#include "http/counter.h"
#include "http/resolve.h"

/**
 * Limits that were charged before, in another phase or before a redirect, and
 * stay so: note in their decisions when they have room for another request.
 * Asks the storage; where it cannot answer nothing changes.
 * @param before how many decisions of the request there were then
 */
void rlx_wait_earlier(request_rec *r, const rlx_request_t *request,
                      int before);

/**
 * A limit with phase=early refuses: note in request->closed_until when those
 * have room that would be looked at later, as far as they are known before
 * authentication. Asks the storage; charges nothing.
 * @param counting as for the limits that were decided
 * @param plan     all that holds for the request
 */
void rlx_wait_later(rlx_counting_t *counting, const rlx_plan_t *plan,
                    rlx_request_t *request);

#endif /* RLX_HTTP_WAIT_H */
