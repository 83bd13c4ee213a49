/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  origin.h
 * @brief Whether a page of another site made a browser send a request.
 */

#ifndef RLX_REPORT_ORIGIN_H
#define RLX_REPORT_ORIGIN_H

#include "httpd.h"

/**
 * Not 0 if Origin or Sec-Fetch-Site says that a request comes from elsewhere
 * than from a page of this very origin: scheme, Host and port. A client that
 * sends neither is no browser.
 */
int rlx_is_cross_site(request_rec *r);

#endif /* RLX_REPORT_ORIGIN_H */
