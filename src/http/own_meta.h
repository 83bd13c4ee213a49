/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  own_meta.h
 * @brief meta= of a limit: meta limits for this limit alone.
 */

#ifndef RLX_HTTP_OWN_META_H
#define RLX_HTTP_OWN_META_H

#include "http/parse.h"

/**
 * Make the rules of meta=, which is there. They look like the limit that they
 * belong to (key, scope=, exempt_when, status, message) and count one for each
 * of its refusals.
 * @param kind    the directive
 * @param limits  its limits in canonical form, or its expression
 * @param options its options; `meta` is set
 * @return NULL, or one error sentence as in parse.h
 */
const char *rlx_own_meta_make(const cmd_parms *cmd, rlx_rule_e kind,
                              const char *limits, rlx_options_t *options);

#endif /* RLX_HTTP_OWN_META_H */
