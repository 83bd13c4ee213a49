/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  status.h
 * @brief The handler limiter-status.
 */

#ifndef RLX_REPORT_STATUS_H
#define RLX_REPORT_STATUS_H

#include "httpd.h"

/** The handler hook. */
int rlx_status_handler(request_rec *r);

#endif /* RLX_REPORT_STATUS_H */
