/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Numbers as text, and text that others made.
 */

#include "http/digits.h"

#include <string.h>

#include "core/text.h"

/** 00 to 99. */
static const char pairs[] =
    "0001020304050607080910111213141516171819"
    "2021222324252627282930313233343536373839"
    "4041424344454647484950515253545556575859"
    "6061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

/* Two digits for each division, and by halves of a register as soon as the
 * number fits one: fields of a response are mostly numbers. */
const char *rlx_digits_in(char *room, apr_uint64_t value)
{
    char *digit = room + RLX_DIGITS_ROOM - 1;
    apr_uint32_t rest;

    *digit = '\0';
    for (; value > APR_UINT32_MAX; value /= 100) {
        digit -= 2;
        memcpy(digit, pairs + 2 * (value % 100), 2);
    }
    for (rest = (apr_uint32_t)value; rest >= 100; rest /= 100) {
        digit -= 2;
        memcpy(digit, pairs + 2 * (rest % 100), 2);
    }
    if (rest >= 10) {
        digit -= 2;
        memcpy(digit, pairs + 2 * rest, 2);
    }
    else {
        *--digit = (char)('0' + rest);
    }
    return digit;
}

const char *rlx_digits(apr_pool_t *p, apr_uint64_t value)
{
    return rlx_digits_in(apr_palloc(p, RLX_DIGITS_ROOM), value);
}

static int is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

const char *rlx_printable(apr_pool_t *p, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    apr_size_t extra = 0;
    char *out, *to;

    for (const char *c = text; *c; c++) {
        extra += is_control((unsigned char)*c) ? 3 : 0;
    }
    if (!extra) {
        return text;
    }
    to = out = apr_palloc(p, strlen(text) + extra + 1);
    for (const char *c = text; *c; c++) {
        if (is_control((unsigned char)*c)) {
            *to++ = '\\';
            *to++ = 'x';
            *to++ = hex[(unsigned char)*c >> 4];
            *to++ = hex[*c & 15];
        }
        else {
            *to++ = *c;
        }
    }
    *to = '\0';
    return out;
}

const char *rlx_json_string(apr_pool_t *p, const char *text)
{
    char *json = apr_palloc(p, RLX_TEXT_JSON_ROOM(strlen(text)));

    rlx_text_json(json, text);
    return json;
}

const char *rlx_clean_string(apr_pool_t *p, const char *text)
{
    char *clean = apr_palloc(p, RLX_TEXT_CLEAN_ROOM(strlen(text)));

    rlx_text_clean(clean, text);
    return clean;
}
