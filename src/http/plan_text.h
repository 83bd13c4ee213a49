/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  plan_text.h
 * @brief The limits that hold for a request, as people read them.
 */

#ifndef RLX_HTTP_PLAN_TEXT_H
#define RLX_HTTP_PLAN_TEXT_H

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

#endif /* RLX_HTTP_PLAN_TEXT_H */
