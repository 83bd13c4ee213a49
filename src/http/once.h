/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  once.h
 * @brief Log lines that are worth one, not one for each request.
 */

#ifndef RLX_HTTP_ONCE_H
#define RLX_HTTP_ONCE_H

#include "http/config.h"

/**
 * Is this the first time in this child? Any thread may ask. Memory is
 * bounded: after some hundred different things, nothing is new any more.
 * @param rule what is spoken of, known by where it stands
 * @param text what is said of it; may be ""
 * @return not 0 the first time
 */
int rlx_once(const rlx_rule_t *rule, const char *text);

#endif /* RLX_HTTP_ONCE_H */
