/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The Accept field. Works in place, in one pass for each type offered, and
 * takes whatever a client sends: what it cannot read it passes over.
 */

#include "http/accept.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/** One range of the field. Points into it. */
typedef struct range_t {
    const char *text;
    size_t len;
    /** The weight in thousandths. */
    int permille;
} range_t;

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " \t");
}

/** The end of an element: a comma outside quotes, or the end. */
static const char *element_end(const char *s)
{
    int quoted = 0;

    for (; *s && (quoted || *s != ','); s++) {
        if (*s == '"') {
            quoted = !quoted;
        }
        else if (*s == '\\' && quoted && s[1]) {
            s++;
        }
    }
    return s;
}

/** "0.25" to 250; what is no weight counts as 1. */
static int weight(const char *s)
{
    int permille, digit = 100;

    if (*s != '0' && *s != '1') {
        return 1000;
    }
    permille = (*s - '0') * 1000;
    if (s[1] == '.') {
        for (s += 2; isdigit((unsigned char)*s) && digit; s++, digit /= 10) {
            permille += (*s - '0') * digit;
        }
    }
    return permille > 1000 ? 1000 : permille;
}

/** Read the element at s. Returns where the next one begins. */
static const char *next_range(const char *s, range_t *range)
{
    const char *end = element_end(s);

    s = skip_blanks(s);
    range->text = s;
    range->len = strcspn(s, ";, \t");
    range->permille = 1000;
    for (; s < end; s++) {
        if (*s == ';') {
            const char *name = skip_blanks(s + 1);

            if ((*name == 'q' || *name == 'Q') && name[1] == '=') {
                range->permille = weight(name + 2);
            }
        }
    }
    return *end ? end + 1 : end;
}

/** How narrowly a range covers a type: 3 itself, 2 its kind, 1 anything. */
static int covers(const range_t *range, const char *type)
{
    size_t kind = strcspn(type, "/") + 1;

    if (range->len == strlen(type)
        && !strncasecmp(range->text, type, range->len)) {
        return 3;
    }
    if (range->len == kind + 1 && range->text[kind] == '*'
        && !strncasecmp(range->text, type, kind)) {
        return 2;
    }
    return range->len == 3 && !strncmp(range->text, "*/*", 3);
}

/** The weight that a client gives to a type: the narrowest range's. */
static int weight_of(const char *accept, const char *type)
{
    int best = 0, permille = 0;
    range_t range;

    while (*accept) {
        int narrow;

        accept = next_range(accept, &range);
        narrow = covers(&range, type);
        if (narrow > best) {
            best = narrow;
            permille = range.permille;
        }
    }
    return permille;
}

int rlx_accept_choose(const char *accept, const char *const *types)
{
    int choice = -1, best = 0;

    if (!accept || !*skip_blanks(accept)) {
        return 0;
    }
    for (int i = 0; types[i]; i++) {
        int permille = weight_of(accept, types[i]);

        if (permille > best) {
            best = permille;
            choice = i;
        }
    }
    return choice;
}
