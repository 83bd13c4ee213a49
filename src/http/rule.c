/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A limit of a directive, and what names it in the ids of counters.
 */

#include "http/rule.h"

#include <string.h>

#include "http/dynamic.h"
#include "http/parse.h"

/** Room for what names a limit: fixed parts, and a name or canonical text. */
#define ID_BYTES (RLX_NAME_MAX + RLX_LIMIT_TEXT_MAX)

static char *put(char *out, const void *data, apr_size_t len)
{
    memcpy(out, data, len);
    return out + len;
}

/** What sets a limit's ids under different strategies apart. Any constants
 *  do: what they are mixed with is hashed. */
static const rlx_id_t strategy_marks[RLX_STRATEGIES] = {
    [RLX_MOVING_WINDOW] = { { UINT64_C(0x6d6f76696e670001),
                              UINT64_C(0xd1b54a32d192ed03) } },
    [RLX_SLIDING_WINDOW_COUNTER] = { { UINT64_C(0x736c6964696e0001),
                                       UINT64_C(0x8cb92ba72f3d8dd7) } },
    [RLX_GCRA] = { { UINT64_C(0x6763726100000001),
                     UINT64_C(0xaef17502108ef2d9) } }
};

/** The limit's part of a counter's id. A name stands for count and burst, so
 *  that what was used stays used when they are edited. */
static rlx_id_t id_of(const rlx_limit_t *limit, const char *name)
{
    const char *text = name ? name : limit->text;
    uint32_t burst = name || limit->burst == limit->count ? 0 : limit->burst;
    char bytes[ID_BYTES];
    char *out = bytes;

    *out++ = name ? 'n' : 't';
    out = put(out, &limit->window_usec, sizeof(limit->window_usec));
    out = put(out, &burst, sizeof(burst));
    out = put(out, text, strlen(text));
    return rlx_id_of(rlx_secret(), RLX_ID_LIMIT, bytes,
                     (size_t)(out - bytes));
}

/** Canonical text begins with the count, and a space after it. */
static void set_count_text(rlx_rule_t *rule, const rlx_limit_t *limit)
{
    apr_size_t len = 0;

    while (limit->text[len] >= '0' && limit->text[len] <= '9'
           && len < sizeof(rule->count_text) - 1) {
        rule->count_text[len] = limit->text[len];
        len++;
    }
    rule->count_text[len] = '\0';
}

/* A dynamic limit comes here within a request, and so may a .htaccess file: no
 * more hashes than needed. */
void rlx_rule_set_limit(rlx_rule_t *rule, const rlx_limit_t *limit)
{
    const rlx_options_t *options = rule->options;
    rlx_id_t plain = id_of(limit, options->name);

    set_count_text(rule, limit);
    if (rule->of) {
        plain = rlx_id_mix(plain, rlx_id_of(rlx_secret(), RLX_ID_SCOPE,
                                            rule->of, strlen(rule->of)));
    }
    for (int s = 0; s < RLX_STRATEGIES; s++) {
        rlx_limit_t *own = &rule->limit[s];
        rlx_id_t id = plain;

        *own = *limit;
        own->strategy = (rlx_strategy_e)s;
        own->burst = limit->count;
        if (s == RLX_GCRA && options->burst) {
            own->burst = options->burst;
            id = id_of(own, options->name);
        }
        rule->id[s] = rlx_id_mix(id, strategy_marks[s]);
    }
}

const char *rlx_rule_text(const rlx_rule_t *rule)
{
    return rule->dynamic ? rlx_dynamic_text(rule->dynamic)
                         : rule->limit[0].text;
}
