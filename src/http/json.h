/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  json.h
 * @brief Text as JSON strings.
 */

#ifndef RLX_HTTP_JSON_H
#define RLX_HTTP_JSON_H

#include <apr_pools.h>

/**
 * A JSON string of any text, with its quotes. What is not UTF-8 becomes
 * U+FFFD, what could end a <script> (<, >, &) is escaped too.
 * @param text NUL-terminated
 * @param p    for the result
 */
const char *rlx_json_string(apr_pool_t *p, const char *text);

#endif /* RLX_HTTP_JSON_H */
