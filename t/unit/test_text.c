/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Text that others made: what is UTF-8 and what is not, what JSON and pages
 * must not hold.
 */

#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "tap.h"

#define FFFD "\xef\xbf\xbd"

static const struct {
    const char *text;
    const char *json;  /* without its quotes */
    const char *clean;
} cases[] = {
    { "", "", "" },
    { "10 per 1 hour", "10 per 1 hour", "10 per 1 hour" },
    { "a\"b\\c/d'e", "a\\u0022b\\u005cc/d'e", "a\"b\\c/d'e" },
    { "</script>&", "\\u003c/script\\u003e\\u0026", "</script>&" },
    { "\t\n", "\\u0009\\u000a", "\t\n" },
    { "\r\v\f\b", "\\u000d\\u000b\\u000c\\u0008", FFFD FFFD FFFD FFFD },
    { "\x01\x1b[31m\x7f", "\\u0001\\u001b[31m\\u007f", FFFD FFFD "[31m" FFFD },
    /* The first and the last of each length. */
    { "\xc2\xa0", "\xc2\xa0", "\xc2\xa0" },
    { "\xdf\xbf", "\xdf\xbf", "\xdf\xbf" },
    { "\xe0\xa0\x80", "\xe0\xa0\x80", "\xe0\xa0\x80" },
    { "\xed\x9f\xbf", "\xed\x9f\xbf", "\xed\x9f\xbf" },
    { "\xee\x80\x80", "\xee\x80\x80", "\xee\x80\x80" },
    { "\xef\xbf\xbf", "\xef\xbf\xbf", "\xef\xbf\xbf" },
    { "\xf0\x90\x80\x80", "\xf0\x90\x80\x80", "\xf0\x90\x80\x80" },
    { "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
    /* Control characters of two bytes. */
    { "\xc2\x80", "\\u0080", FFFD },
    { "\xc2\x9b" "31m", "\\u009b" "31m", FFFD "31m" },
    { "\xc2\x9f", "\\u009f", FFFD },
    /* Ends of lines to older JavaScript, and their neighbours. */
    { "\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa",
      "\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa",
      "\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa" },
    /* Longer than need be, halves of a pair, past the end of Unicode. */
    { "\xc0\x80", "\\ufffd\\ufffd", FFFD FFFD },
    { "\xc1\xbf", "\\ufffd\\ufffd", FFFD FFFD },
    { "\xe0\x9f\xbf", "\\ufffd\\ufffd\\ufffd", FFFD FFFD FFFD },
    { "\xf0\x8f\xbf\xbf", "\\ufffd\\ufffd\\ufffd\\ufffd",
      FFFD FFFD FFFD FFFD },
    { "\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd", FFFD FFFD FFFD },
    { "\xed\xbf\xbf", "\\ufffd\\ufffd\\ufffd", FFFD FFFD FFFD },
    { "\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd",
      FFFD FFFD FFFD FFFD },
    { "\xf5\xff", "\\ufffd\\ufffd", FFFD FFFD },
    /* Cut off, and what stands behind is still there. */
    { "\x80", "\\ufffd", FFFD },
    { "\xc3", "\\ufffd", FFFD },
    { "\xc3(", "\\ufffd(", FFFD "(" },
    { "\xe2\x80", "\\ufffd\\ufffd", FFFD FFFD },
    { "\xe2\x80<", "\\ufffd\\ufffd\\u003c", FFFD FFFD "<" },
    { "\xf0\x9f\x98", "\\ufffd\\ufffd\\ufffd", FFFD FFFD FFFD },
    { "\xf0\x9f\x98\x80!", "\xf0\x9f\x98\x80!", "\xf0\x9f\x98\x80!" },
    { "caf\xe9 caf\xc3\xa9", "caf\\ufffd caf\xc3\xa9", "caf" FFFD " caf\xc3\xa9" },
};

/* The room is of exact size: a step past it is seen by the sanitizer. */
static void test_case(int i)
{
    size_t len = strlen(cases[i].text);
    char *json = malloc(RLX_TEXT_JSON_ROOM(len));
    char *clean = malloc(RLX_TEXT_CLEAN_ROOM(len));
    char wanted[100];
    char name[40];

    snprintf(name, sizeof(name), "case %d as JSON", i);
    snprintf(wanted, sizeof(wanted), "\"%s\"", cases[i].json);
    ok(rlx_text_json(json, cases[i].text) == json + strlen(wanted),
       "%s: the end", name);
    is_str(json, wanted, name);
    snprintf(name, sizeof(name), "case %d clean", i);
    ok(rlx_text_clean(clean, cases[i].text) == clean + strlen(cases[i].clean),
       "%s: the end", name);
    is_str(clean, cases[i].clean, name);
    free(json);
    free(clean);
}

/* Every byte needs its most room at once. */
static void test_room(void)
{
    enum { LEN = 7000 };
    static char text[LEN + 1];
    char *json = malloc(RLX_TEXT_JSON_ROOM(LEN));
    char *clean = malloc(RLX_TEXT_CLEAN_ROOM(LEN));

    memset(text, 0xff, LEN);
    ok(rlx_text_json(json, text) == json + 6 * LEN + 2, "the most of JSON");
    ok(rlx_text_clean(clean, text) == clean + 3 * LEN, "the most of clean");
    free(json);
    free(clean);
}

int main(void)
{
    for (int i = 0; i < (int)(sizeof(cases) / sizeof(cases[0])); i++) {
        test_case(i);
    }
    test_room();
    return tap_done();
}
