/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  digits.h
 * @brief Numbers, and other people's words, as text for responses.
 */

#ifndef RLX_HTTP_DIGITS_H
#define RLX_HTTP_DIGITS_H

#include <apr_pools.h>
#include <apr_time.h>

/** Room for any number in digits. */
#define RLX_DIGITS_ROOM sizeof("18446744073709551615")

/** A number in digits, NUL at their end, at the end of the room given.
 *  @param room RLX_DIGITS_ROOM bytes
 *  @return the first digit */
const char *rlx_digits_in(char *room, apr_uint64_t value);

/** The same in memory of its own. By hand: apr_psprintf() takes some 500 instructions
 *  for it, and there are several in every response.
 *  @param p for the result */
const char *rlx_digits(apr_pool_t *p, apr_uint64_t value);

/** Microseconds to seconds, rounded up. */
static inline apr_int64_t rlx_seconds_up(apr_int64_t usec)
{
    return usec / APR_USEC_PER_SEC + (usec % APR_USEC_PER_SEC > 0);
}

/** Text without control characters: each as \xHH. Such text may go into a
 *  response field.
 *  @return text itself where it has none */
const char *rlx_printable(apr_pool_t *p, const char *text);

/** rlx_text_json() into a pool. */
const char *rlx_json_string(apr_pool_t *p, const char *text);

/** rlx_text_clean() into a pool. */
const char *rlx_clean_string(apr_pool_t *p, const char *text);

#endif /* RLX_HTTP_DIGITS_H */
