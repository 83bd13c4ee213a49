/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The Accept field. Works in place, in one pass, and takes whatever a client
 * sends: what it cannot read it passes over.
 */

#include "core/accept.h"

#include <string.h>
#include <strings.h>

/** One range of the field. Points into it. */
typedef struct range_t {
    const char *text;
    size_t len;
    /** The weight in thousandths. */
    int permille;
} range_t;

/** What the field says about one type so far. */
typedef struct opinion_t {
    /** How narrow the range is that says it, see covers(). */
    int narrow;
    int permille;
    /** Where that range begins. */
    const char *at;
} opinion_t;

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " \t");
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
        for (s += 2; *s >= '0' && *s <= '9' && digit; s++, digit /= 10) {
            permille += (*s - '0') * digit;
        }
    }
    return permille > 1000 ? 1000 : permille;
}

/** Read the element at s, up to a comma outside of quotes. Returns where the
 *  next one begins. */
static const char *next_range(const char *s, range_t *range)
{
    int quoted = 0;

    s = skip_blanks(s);
    range->text = s;
    range->len = strcspn(s, ";, \t");
    range->permille = 1000;
    for (; *s && (quoted || *s != ','); s++) {
        if (*s == '"') {
            quoted = !quoted;
        }
        else if (quoted) {
            s += *s == '\\' && s[1];
        }
        else if (*s == ';') {
            const char *name = skip_blanks(s + 1);

            if ((*name == 'q' || *name == 'Q') && name[1] == '=') {
                range->permille = weight(name + 2);
            }
        }
    }
    return *s ? s + 1 : s;
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

/** Of the ranges that cover a type the narrowest has its say. */
static void hear(opinion_t *opinion, const range_t *range, const char *type)
{
    int narrow = covers(range, type);

    if (narrow > opinion->narrow) {
        opinion->narrow = narrow;
        opinion->permille = range->permille;
        opinion->at = range->text;
    }
}

/** Hear what a field says about each type. */
static void hear_all(opinion_t *opinions, const char *accept,
                     const char *const *types)
{
    while (*accept) {
        range_t range;

        accept = next_range(accept, &range);
        for (int i = 0; i < RLX_ACCEPT_TYPES_MAX && types[i]; i++) {
            hear(&opinions[i], &range, types[i]);
        }
    }
}

/** Not 0 if a client that wants two types as much names the first one more
 *  clearly, or before the other. */
static int is_named_before(const opinion_t *opinion, const opinion_t *than)
{
    return opinion->narrow > than->narrow
           || (opinion->narrow == than->narrow && opinion->at < than->at);
}

/** @param by_name not 0: among equals the one that the client names */
static int choose(const char *accept, const char *const *types, int by_name)
{
    opinion_t opinions[RLX_ACCEPT_TYPES_MAX] = { { 0, 0, NULL } };
    int choice = -1, best = 0;

    if (!accept || !*skip_blanks(accept)) {
        return 0;
    }
    hear_all(opinions, accept, types);
    for (int i = 0; i < RLX_ACCEPT_TYPES_MAX && types[i]; i++) {
        const opinion_t *opinion = &opinions[i];

        if (opinion->permille > best
            || (by_name && choice >= 0 && opinion->permille == best
                && is_named_before(opinion, &opinions[choice]))) {
            best = opinion->permille;
            choice = i;
        }
    }
    return choice;
}

int rlx_accept_choose(const char *accept, const char *const *types)
{
    return choose(accept, types, 0);
}

int rlx_accept_choose_named(const char *accept, const char *const *types)
{
    return choose(accept, types, 1);
}
