/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  where.h
 * @brief File and line of what stands in the configuration.
 */

#ifndef RLX_REPORT_WHERE_H
#define RLX_REPORT_WHERE_H

#include "apr_pools.h"

/**
 * "/etc/httpd.conf:12". Of what a macro of mod_macro has brought, the line in
 * the macro's file and the place that uses it:
 * "/etc/macros.conf:12, used at /etc/httpd.conf:97".
 * @param file as httpd names it: of a macro, its sentence about that
 * @param line in it: of a macro, counted from its first one
 * @return in p; may hold any bytes of a file's name
 */
const char *rlx_where(apr_pool_t *p, const char *file, int line);

#endif /* RLX_REPORT_WHERE_H */
