/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Numbers as text.
 */

#include "http/digits.h"

const char *rlx_digits(apr_pool_t *p, apr_uint64_t value)
{
    enum { ROOM = sizeof("18446744073709551615") };
    char *digit = (char *)apr_palloc(p, ROOM) + ROOM - 1;

    *digit = '\0';
    do {
        *--digit = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return digit;
}
