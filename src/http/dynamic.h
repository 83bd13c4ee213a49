/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  dynamic.h
 * @brief Limits that are an expression, known for each request alone.
 */

#ifndef RLX_HTTP_DYNAMIC_H
#define RLX_HTTP_DYNAMIC_H

#include "http/config.h"

/** The expression, and what has been made of the strings that it gave. */
typedef struct rlx_dynamic_t rlx_dynamic_t;

/**
 * Make one from an expression.
 * @param is_htaccess 0: it outlives requests, and what its strings mean is
 *                    remembered; else it may give few limits, see htaccess.h
 */
rlx_dynamic_t *rlx_dynamic_make(apr_pool_t *p, const rlx_value_t *value,
                                int is_htaccess);

/** The expression as written. */
const char *rlx_dynamic_text(const rlx_dynamic_t *dynamic);

/**
 * The rules that stand in a dynamic rule's place for a request. A string that
 * is no limit gives none, and is logged once.
 * @param n where their number goes, 0 if there are none
 * @return the rules; they live as long as the request at least
 */
const rlx_rule_t *rlx_dynamic_rules(request_rec *r, const rlx_rule_t *rule,
                                    int *n);

/**
 * What the strings mean that a dynamic rule gave so far, in whatever child, one
 * string after the other.
 * @param p  for the rules
 * @param at begin with 0; brought on
 * @param n  where the number of rules goes
 * @return the rules; NULL: there are no more strings
 */
const rlx_rule_t *rlx_dynamic_known(apr_pool_t *p, const rlx_rule_t *rule,
                                    int *at, int *n);

#endif /* RLX_HTTP_DYNAMIC_H */
