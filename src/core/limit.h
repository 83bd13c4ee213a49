/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  limit.h
 * @brief Limit strings: "100/day, 10 per 5 minutes" to values and back.
 */

#ifndef RLX_CORE_LIMIT_H
#define RLX_CORE_LIMIT_H

#include "ratelimit_limit.h"

/** Room for an error sentence of this file, with its NUL. */
#define RLX_LIMIT_ERROR_MAX 256

/** The most limits that one string may hold. */
#define RLX_LIMITS_PER_STRING 32

/**
 * Parse a limit string: one or more limits separated by , ; or |.
 * Grammar: [count] [per|/] [n (optional)] [second|minute|hour|day|month|
 * year][s]; short units s sec m min h hr d w week mo y are taken too; case and
 * blanks are free. A month is 30 days, a year 360, a week 7 days.
 *
 * @param text   the string, NUL-terminated
 * @param limits where they go, in the order written, strategy fixed-window,
 *               burst = count, canonical text made
 * @param max    how many fit there
 * @param error  buffer of RLX_LIMIT_ERROR_MAX bytes; on failure a sentence
 *               (no directive name, no final period) that quotes the bad part
 *               (control bytes escaped, cut to a sane length) and says what
 *               is accepted
 * @return the number of limits, >= 1; or -1 on any error, an empty string too
 */
int rlx_limits_parse(const char *text, rlx_limit_t *limits, int max,
                     char *error);

#endif /* RLX_CORE_LIMIT_H */
