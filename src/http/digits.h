/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  digits.h
 * @brief Numbers as text, for responses.
 */

#ifndef RLX_HTTP_DIGITS_H
#define RLX_HTTP_DIGITS_H

#include <apr_pools.h>

/** A number in digits. By hand: apr_psprintf() takes some 500 instructions
 *  for it, and there are several in every response.
 *  @param p for the result */
const char *rlx_digits(apr_pool_t *p, apr_uint64_t value);

#endif /* RLX_HTTP_DIGITS_H */
