/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  wrong.h
 * @brief Which line of a .htaccess file is wrong: httpd logs the file alone.
 */

#ifndef RLX_REPORT_WRONG_H
#define RLX_REPORT_WRONG_H

#include "httpd.h"

/**
 * Find the line that a message is about.
 * @param r    for its server and its pool
 * @param said what httpd logs of a file, "/srv/.htaccess: sentence"
 * @return "/srv/.htaccess:12"; NULL: it is about no file, or it cannot be told
 */
const char *rlx_wrong_place(request_rec *r, const char *said);

#endif /* RLX_REPORT_WRONG_H */
