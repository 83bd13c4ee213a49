/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  rule.h
 * @brief Gives a rule its limit, and says what it is.
 */

#ifndef RLX_HTTP_RULE_H
#define RLX_HTTP_RULE_H

#include "http/config.h"

/** Fill in the limit of a rule and its ids, under each strategy. The rest of
 *  the rule is there. */
void rlx_rule_set_limit(rlx_rule_t *rule, const rlx_limit_t *limit);

/** The limit of a rule in canonical form, or the expression that gives it. */
const char *rlx_rule_text(const rlx_rule_t *rule);

#endif /* RLX_HTTP_RULE_H */
