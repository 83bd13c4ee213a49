/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Text that a client may have sent, for bodies that other programs read.
 */

#include "core/text.h"

#include <string.h>

/** U+FFFD, what stands for a byte that means nothing. */
static const char replacement[] = "\xef\xbf\xbd";

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

static char *put(char *to, const void *bytes, size_t length)
{
    memcpy(to, bytes, length);
    return to + length;
}

/** Not 0 if an ASCII character must be escaped in JSON. */
static int is_special(unsigned char c)
{
    return c < 0x20 || c == 0x7f || c == '"' || c == '\\' || c == '<'
           || c == '>' || c == '&';
}

/** Not 0 for a letter, a digit, a blank and little else that stands for
 *  itself everywhere. */
static inline int is_plain(unsigned char c)
{
    return c == ' ' || (c >= '0' && c <= '9') || (c >= '@' && c <= 'Z')
           || (c >= 'a' && c <= 'z');
}

/** \uXXXX */
static char *put_escape(char *to, unsigned int c)
{
    static const char hex[] = "0123456789abcdef";

    to = put(to, "\\u", 2);
    for (int shift = 12; shift >= 0; shift -= 4) {
        *to++ = hex[c >> shift & 15];
    }
    return to;
}

/** The character if it is one of several bytes that must be escaped, else 0:
 *  what controls a terminal (U+0080 to U+009F), what ends a line in older
 *  JavaScript (U+2028, U+2029). */
static unsigned int special_character(const unsigned char *s)
{
    if (*s == 0xc2 && s[1] < 0xa0) {
        return s[1];
    }
    return *s == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9)
           ? 0x2000u + (s[2] & 0x3f) : 0;
}

/** A character of several bytes. */
static char *put_long(char *to, const unsigned char *s, int length)
{
    unsigned int special = special_character(s);

    return special ? put_escape(to, special) : put(to, s, (size_t)length);
}

char *rlx_text_json(char *to, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    *to++ = '"';
    while (*s) {
        int length;

        /* Nearly all there is. */
        if (is_plain(*s)) {
            *to++ = (char)*s++;
            continue;
        }
        length = utf8_length(s);
        if (!length) {
            to = put(to, "\\ufffd", 6);
            s++;
        }
        else if (length == 1 && is_special(*s)) {
            to = put_escape(to, *s++);
        }
        else {
            to = length > 1 ? put_long(to, s, length) : put(to, s, 1);
            s += length;
        }
    }
    *to++ = '"';
    *to = '\0';
    return to;
}

/** Not 0 if a character, whose UTF-8 is whole, is there to control a device
 *  and not to be read. */
static int is_control(const unsigned char *s)
{
    return (*s < 0x20 && *s != '\t' && *s != '\n') || *s == 0x7f
           || (*s == 0xc2 && s[1] < 0xa0);
}

char *rlx_text_clean(char *to, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    while (*s) {
        int length = utf8_length(s);

        if (!length || is_control(s)) {
            to = put(to, replacement, 3);
            s += length ? length : 1;
        }
        else {
            to = put(to, s, (size_t)length);
            s += length;
        }
    }
    *to = '\0';
    return to;
}
