/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  decide.h
 * @brief Decides the limits that hold for a request.
 */

#ifndef RLX_HTTP_DECIDE_H
#define RLX_HTTP_DECIDE_H

#include "http/request.h"

/** Which limits are looked at. */
typedef enum {
    /** Those with phase=early. */
    RLX_PHASE_EARLY,
    /** The others; and those, where other sections have come into play. */
    RLX_PHASE_FIXUPS,
    /** All. */
    RLX_PHASE_ALL
} rlx_phase_e;

/**
 * Decide what holds and was not decided before, meta limits first; charge,
 * and refuse where there is no room. Where the storage cannot answer, what
 * RateLimitStorageFailure says is done.
 * @param sv      the request's server
 * @param dir     its configuration; may be NULL
 * @param request its record, with room for the plan
 * @param plan    what holds
 * @return DECLINED, or the status of the refusal
 */
int rlx_decide(request_rec *r, const rlx_server_t *sv, const rlx_dir_t *dir,
               rlx_request_t *request, const rlx_plan_t *plan,
               rlx_phase_e phase);

#endif /* RLX_HTTP_DECIDE_H */
