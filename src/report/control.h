/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  control.h
 * @brief Clearing counters by POST to the handler limiter-status.
 */

#ifndef RLX_REPORT_CONTROL_H
#define RLX_REPORT_CONTROL_H

#include "httpd.h"
#include "apr_tables.h"

/** Not 0 if RateLimitStatusControl is On where the handler is. */
int rlx_control_is_on(const request_rec *r);

/**
 * Do what a POST asks for, and answer it.
 * @param form the form of the answer: "html", "json", "text"; NULL or another:
 *             as "text"
 * @return OK, or a status
 */
int rlx_control_post(request_rec *r, const char *form);

/** The sentence about what was done that a browser is sent back with.
 *  @param args of the query
 *  @return NULL: nothing was done. Escape it */
const char *rlx_control_notice(request_rec *r, const apr_table_t *args);

#endif /* RLX_REPORT_CONTROL_H */
