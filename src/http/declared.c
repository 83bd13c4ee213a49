/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Every limit that a server has.
 */

#include "http/declared.h"

/** Whom to tell of limits. */
typedef struct telling_t {
    rlx_declared_fn told;
    void *baton;
} telling_t;

/** Not 0 if no limit of the same directive follows: those have the same
 *  options. */
static int is_last(const apr_array_header_t *rules, int i)
{
    return i + 1 == rules->nelts
           || APR_ARRAY_IDX(rules, i, rlx_rule_t *)->options
              != APR_ARRAY_IDX(rules, i + 1, rlx_rule_t *)->options;
}

static int tell_rules(const telling_t *to, const apr_array_header_t *rules,
                      const rlx_section_t *section)
{
    int status = 0;

    for (int i = 0; rules && i < rules->nelts && !status; i++) {
        rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);

        status = to->told(to->baton, rule, section);
        if (!status && is_last(rules, i)) {
            status = tell_rules(to, rule->options->meta, section);
        }
    }
    return status;
}

int rlx_declared_each(const rlx_server_t *sv, rlx_declared_fn told,
                      void *baton)
{
    const apr_array_header_t *const lists[] = {
        sv->application, sv->defaults, sv->meta, sv->fallback
    };
    telling_t to = { told, baton };
    int status = 0;

    for (apr_size_t i = 0; i < sizeof(lists) / sizeof(lists[0]) && !status;
         i++) {
        status = tell_rules(&to, lists[i], NULL);
    }
    for (int i = 0; sv->sections && i < sv->sections->nelts && !status; i++) {
        const rlx_section_t *section = APR_ARRAY_IDX(sv->sections, i,
                                                     rlx_section_t *);

        status = tell_rules(&to, section->rules, section);
    }
    return status;
}
