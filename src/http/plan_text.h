/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  plan_text.h
 * @brief The limits that hold for a request, as people read them.
 */

#ifndef RLX_HTTP_PLAN_TEXT_H
#define RLX_HTTP_PLAN_TEXT_H

#include "http/request.h"
#include "http/resolve.h"

/**
 * One line: the endpoint, then each limit with where it counts and where it
 * comes from.
 *
 *     limits in force for endpoint "Location /a": 1 per 1 second [Location /a];
 *     2 per 1 minute [Location /a] from Location /; 5 per 1 hour [application]
 *
 * In brackets what the counter bears: the endpoint's section ("-" where no
 * section speaks of limits), "shared" and the scope as written, or
 * "application". Then what the limit comes from where that is another place:
 * a section or "default".
 * @param p for the text
 */
const char *rlx_plan_text(apr_pool_t *p, const rlx_plan_t *plan);

/** What stands in the brackets of a limit.
 *  @param p for the text */
const char *rlx_plan_scope(apr_pool_t *p, const rlx_holding_t *holding);

/**
 * One line: what the storage said of one counter of a request.
 *
 *     "5 per 1 hour" of key "192.0.2.7" in "Location /a": 1 taken, 4 left,
 *     resets in 3600 s
 *
 * or "no room for 1" where it does not fit, "room for 1, not taken" where it
 * is not charged. The text is from r->pool; what a client sent is not escaped
 * in it: httpd's log does that.
 */
const char *rlx_decision_text(request_rec *r, const rlx_request_t *request,
                              const rlx_decision_t *decision);

#endif /* RLX_HTTP_PLAN_TEXT_H */
