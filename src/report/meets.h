/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  meets.h
 * @brief Which sections a request to another section's path meets as well.
 */

#ifndef RLX_REPORT_MEETS_H
#define RLX_REPORT_MEETS_H

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"

/**
 * Does a request to the path of one section meet the other, as far as that is
 * known before any request? Both are <Location>, or both are <Directory>, of
 * whatever form. A pattern's path is what all that it matches begins with.
 * @param other the core's settings of the one that may be met
 * @param core  those of the one that is asked for
 * @param p     pool for the call
 * @return not 0 if it does for certain
 */
int rlx_meets(const core_dir_config *other, const core_dir_config *core,
              apr_pool_t *p);

#endif /* RLX_REPORT_MEETS_H */
