/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  dump.h
 * @brief The configuration on the command line, and its warnings in the log.
 */

#ifndef RLX_REPORT_DUMP_H
#define RLX_REPORT_DUMP_H

#include "httpd.h"

/** The test_config hook: with -D DUMP_RATELIMIT, print configuration, tree and
 *  warnings to standard output. */
void rlx_dump_test_config(apr_pool_t *pconf, server_rec *main_server);

/** The post_config hook: log the warnings, once for each start and restart,
 *  and work out beforehand what the handler limiter-status will show. */
int rlx_dump_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                         apr_pool_t *ptemp, server_rec *main_server);

#endif /* RLX_REPORT_DUMP_H */
