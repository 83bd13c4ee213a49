/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Text as JSON strings (RFC 8259), safe in HTML as well.
 */

#include "http/json.h"

#include <string.h>

#include <apr_strings.h>

/** The length of the UTF-8 character at s (RFC 3629), or 0 if it is none. */
static int utf8_length(const unsigned char *s)
{
    static const struct {
        unsigned char first, last, second_low, second_high, length;
    } forms[] = {
        { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
        { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
        { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };

    if (*s < 0x80) {
        return 1;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (*s < forms[i].first || *s > forms[i].last) {
            continue;
        }
        if (s[1] < forms[i].second_low || s[1] > forms[i].second_high) {
            return 0;
        }
        for (int k = 2; k < forms[i].length; k++) {
            if ((s[k] & 0xc0) != 0x80) {
                return 0;
            }
        }
        return forms[i].length;
    }
    return 0;
}

/** Not 0 if an ASCII character must be escaped. */
static int is_special(unsigned char c)
{
    return c < 0x20 || c == 0x7f || c == '"' || c == '\\' || c == '<'
           || c == '>' || c == '&';
}

/** How many characters at the beginning need no care at all. */
static size_t plain_length(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    while (*s && *s < 0x80 && !is_special(*s)) {
        s++;
    }
    return (size_t)(s - (const unsigned char *)text);
}

const char *rlx_json_string(apr_pool_t *p, const char *text)
{
    size_t plain = plain_length(text);
    /* No byte after that needs more than \uXXXX. */
    char *out = apr_palloc(p, plain + strlen(text + plain) * 6 + 3);
    char *to = out;
    const unsigned char *s = (const unsigned char *)text + plain;

    *to++ = '"';
    memcpy(to, text, plain);
    to += plain;
    while (*s) {
        int length = utf8_length(s);

        if (!length || (length == 1 && is_special(*s))) {
            apr_snprintf(to, 7, "\\u%04x", length ? *s : 0xfffd);
            to += 6;
            s++;
            continue;
        }
        memcpy(to, s, (size_t)length);
        to += length;
        s += length;
    }
    *to++ = '"';
    *to = '\0';
    return out;
}
