/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  why.h
 * @brief Why a limit holds for a request, or does not.
 */

#ifndef RLX_REPORT_WHY_H
#define RLX_REPORT_WHY_H

#include "http/resolve.h"

/** A request as it would be decided. */
typedef struct rlx_why_t {
    /** For all text. */
    apr_pool_t *p;
    request_rec *r;
    const rlx_server_t *sv;
    /** May be NULL. */
    const rlx_dir_t *dir;
    /** rlx_method_of() the client's request, and its name. */
    int method;
    const char *method_name;
    /** What holds, without and with meta limits' leave. */
    rlx_plan_t plan;
    rlx_plan_t meta;
} rlx_why_t;

/** Why a limit of the plan holds, a phrase.
 *  @param innermost see rlx_why_innermost() */
const char *rlx_why(const rlx_why_t *why, const rlx_holding_t *holding,
                    const rlx_section_t *innermost);

/** The innermost section, but for .htaccess files that may only add; NULL if
 *  there is none. */
const rlx_section_t *rlx_why_innermost(const rlx_why_t *why);

/** Told of a limit that does not hold.
 *  @param holding with the endpoint that it would count under
 *  @param reason  a phrase */
typedef void (*rlx_why_not_fn)(void *baton, const rlx_holding_t *holding,
                               const char *reason);

/** Tell of every limit around a request that does not hold, the inner ones
 *  first. */
void rlx_why_not(const rlx_why_t *why, rlx_why_not_fn tell, void *baton);

#endif /* RLX_REPORT_WHY_H */
