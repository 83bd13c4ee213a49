/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What a configuration needs, by the words that stand in it.
 */

#include "http/needs.h"

#include "http_core.h"

#define ALL (RLX_NEEDS_EARLY | RLX_NEEDS_SETTLE | RLX_NEEDS_HTACCESS)

static int begins(const char *text, const char *with)
{
    return !ap_cstr_casecmpn(text, with, strlen(with));
}

static int holds(const char *text, const char *word)
{
    return ap_strcasestr(text, word) != NULL;
}

/** Not 0 if what is read at request time, or made by a program as the
 *  configuration is read, may hold limits. */
static int is_open(const ap_directive_t *d)
{
    if (begins(d->directive, "AllowOverride")) {
        return holds(d->args, "limit") || holds(d->args, "all");
    }
    return begins(d->directive, "<Perl") || begins(d->directive, "Perl");
}

unsigned int rlx_needs_of(const ap_directive_t *tree)
{
    unsigned int needs = 0;

    for (const ap_directive_t *d = tree; d && needs != ALL; d = d->next) {
        if (is_open(d)) {
            return ALL;
        }
        if (begins(d->directive, "RateLimit")) {
            needs |= holds(d->args, "early") ? RLX_NEEDS_EARLY : 0;
            needs |= holds(d->args, "deduct_when") ? RLX_NEEDS_SETTLE : 0;
        }
        needs |= rlx_needs_of(d->first_child);
    }
    return needs;
}
