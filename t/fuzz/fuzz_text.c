/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Fuzz target: any bytes as text that a client sent. What comes out is UTF-8,
 * holds nothing that a page or a JSON parser must not meet, and says what was
 * sent.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_text: not so: %s\n", what);
        abort();
    }
}

/* One character by arithmetic, from U+0000 on; -1 if it is none. */
static long decode(const unsigned char **s)
{
    static const long least[] = { 0, 0x80, 0x800, 0x10000 };
    unsigned char first = *(*s)++;
    int more = first < 0x80 ? 0 : first < 0xc0 ? -1 : first < 0xe0 ? 1
               : first < 0xf0 ? 2 : first < 0xf8 ? 3 : -1;
    long code = more > 0 ? first & (0x3f >> more) : first;

    if (more < 0) {
        return -1;
    }
    for (int i = 0; i < more; i++) {
        if ((**s & 0xc0) != 0x80) {
            return -1;
        }
        code = code << 6 | (*(*s)++ & 0x3f);
    }
    return code < least[more] || code > 0x10ffff
           || (code >= 0xd800 && code < 0xe000) ? -1 : code;
}

/* The characters of JSON, which must be those of the text but for U+FFFD. */
static long next_of_json(const unsigned char **s)
{
    char hex[5] = "";
    char *end;
    long code;

    must(**s != '"', "a quote is escaped");
    if (**s != '\\') {
        code = decode(s);
        must(code >= 0x20 && (code < 0x7f || code > 0x9f) && code != '<'
                 && code != '>' && code != '&' && code != 0x2028
                 && code != 0x2029, "JSON has none of what must be escaped");
        return code;
    }
    must((*s)[1] == 'u', "escapes are \\u");
    memcpy(hex, *s + 2, 4);
    code = strtol(hex, &end, 16);
    must(end == hex + 4, "and four digits");
    *s += 6;
    return code;
}

static void check_json(const char *json, const char *text)
{
    const unsigned char *s = (const unsigned char *)json + 1;
    const unsigned char *t = (const unsigned char *)text;

    must(json[0] == '"', "JSON begins with a quote");
    while (*t) {
        const unsigned char *before = t;
        long wanted = decode(&t);

        if (wanted < 0) {
            t = before + 1;
            wanted = 0xfffd;
        }
        must(next_of_json(&s) == wanted, "JSON says what was sent");
    }
    must(s[0] == '"' && s[1] == '\0', "JSON ends with a quote");
}

static void check_clean(const char *clean, const char *text)
{
    const unsigned char *s = (const unsigned char *)clean;
    const unsigned char *t = (const unsigned char *)text;

    while (*t) {
        const unsigned char *before = t;
        long wanted = decode(&t);

        if (wanted < 0) {
            t = before + 1;
        }
        if ((wanted < 0x20 && wanted != '\t' && wanted != '\n')
            || (wanted >= 0x7f && wanted < 0xa0)) {
            wanted = 0xfffd;
        }
        must(decode(&s) == wanted, "clean text says what was sent");
    }
    must(*s == '\0', "clean text ends with it");
}

/* Rooms of exact size, so that a step past either end is seen. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char *json, *clean;
    size_t len;

    must(text != NULL, "there is memory");
    if (size) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    len = strlen(text);
    json = malloc(RLX_TEXT_JSON_ROOM(len));
    clean = malloc(RLX_TEXT_CLEAN_ROOM(len));
    must(json && clean, "there is memory");
    must(rlx_text_json(json, text) == json + strlen(json), "the end of JSON");
    must(rlx_text_clean(clean, text) == clean + strlen(clean), "the end");
    check_json(json, text);
    check_clean(clean, text);
    free(clean);
    free(json);
    free(text);
    return 0;
}
