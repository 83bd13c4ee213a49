/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Warnings of limits that stand beside each other: of which one never
 * refuses, or which are one, or are called the same.
 */

#include "report/warnings.h"

#include "apr_strings.h"

#include "report/view.h"
#include "report/where.h"

static const char *where_of(apr_pool_t *p, const rlx_rule_t *rule)
{
    return rlx_where(p, rule->file, rule->line);
}

/** Not 0 if both are counted by the same keys. */
static int has_same_keys(const rlx_options_t *a, const rlx_options_t *b)
{
    int n = a->keys ? a->keys->nelts : 0;

    if (n != (b->keys ? b->keys->nelts : 0)) {
        return 0;
    }
    for (int i = 0; i < n; i++) {
        if (strcmp(APR_ARRAY_IDX(a->keys, i, rlx_value_t *)->text,
                   APR_ARRAY_IDX(b->keys, i, rlx_value_t *)->text)) {
            return 0;
        }
    }
    return 1;
}

/** Not 0 if a limit is for each request of its place, by the same count. */
static int is_for_all(const rlx_rule_t *rule)
{
    const rlx_options_t *options = rule->options;

    return !rule->dynamic && !options->methods && !options->per_method
           && !options->exempt_when && !options->deduct_when
           && !options->cost_value && options->cost && !options->scope
           && !(options->lane & RLX_LANE_DRY);
}

/** The most that a limit lets through at once. */
static apr_uint64_t most_of(const rlx_rule_t *rule)
{
    apr_uint32_t count = rule->limit[0].count, burst = rule->options->burst;

    return burst > count ? burst : count;
}

/** Not 0 if a limit always has room where another one has it. A stretch as
 *  long as its window meets so many windows of the other, and the beginning
 *  of one and the end of one; twice that is enough under every strategy. */
static int is_covered(const rlx_rule_t *rule, const rlx_rule_t *by)
{
    const rlx_limit_t *limit = &rule->limit[0], *other = &by->limit[0];
    apr_uint64_t windows = limit->window_usec / other->window_usec + 2;

    return other->count && !rule->options->burst
           && rule->options->cost == by->options->cost
           && rule->options->lane == by->options->lane
           && has_same_keys(rule->options, by->options)
           && windows <= limit->count
           && 2 * windows * most_of(by) <= limit->count;
}

static void check_covered(apr_array_header_t *warnings, const rlx_rule_t *rule,
                          const rlx_rule_t *by)
{
    if (is_for_all(rule) && is_for_all(by) && is_covered(rule, by)) {
        rlx_warnings_rule(warnings, rule, apr_psprintf(
            warnings->pool, "\"%s\" never refuses a request: \"%s\" (%s) "
            "beside it has no room long before", rule->limit[0].text,
            by->limit[0].text, where_of(warnings->pool, by)),
            "take it away, or set the counts and windows that are meant");
    }
}

/** The same limit twice in one place is one counter, charged once. */
static void check_twice(apr_array_header_t *warnings, const rlx_server_t *sv,
                        const rlx_section_t *section, const rlx_dir_t *dir,
                        const rlx_rule_t *rule, const rlx_rule_t *first)
{
    apr_pool_t *p = warnings->pool;
    rlx_limit_view_t one, other;

    if (rule->kind != first->kind || rule->dynamic || first->dynamic
        || strcmp(rule->limit[0].text, first->limit[0].text)) {
        return;
    }
    rlx_view_rule(p, sv, dir, section, rule, &one);
    rlx_view_rule(p, sv, dir, section, first, &other);
    if (!strcmp(one.strategy, other.strategy)
        && !strcmp(rlx_view_options(p, &one), rlx_view_options(p, &other))) {
        rlx_warnings_rule(warnings, rule, apr_psprintf(
            p, "\"%s\" stands here for the second time (first: %s): the two "
            "are one", one.limit, where_of(p, first)),
            "take one away, or give them different key=, scope= or methods=");
    }
}

void rlx_warnings_beside(apr_array_header_t *warnings, const rlx_server_t *sv,
                         const rlx_section_t *section, const rlx_dir_t *dir,
                         const apr_array_header_t *rules, int is_atomic)
{
    int is_tried = dir && dir->engine == RLX_ENGINE_DRY_RUN;

    for (int i = 0; rules && i < rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);

        for (int j = 0; j < rules->nelts; j++) {
            const rlx_rule_t *by = APR_ARRAY_IDX(rules, j, rlx_rule_t *);

            if (i != j && is_atomic && !is_tried
                && rule->kind != RLX_RULE_META && rule->kind == by->kind) {
                check_covered(warnings, rule, by);
            }
            if (j < i) {
                check_twice(warnings, sv, section, dir, rule, by);
            }
        }
    }
}

/** Not 0 if two limits that hold for the same requests have one name. */
static int is_called_alike(const rlx_rule_t *a, const rlx_rule_t *b)
{
    return a->options->name && b->options->name && !a->dynamic && !b->dynamic
           && !a->options->methods && !b->options->methods
           && !strcmp(a->options->name, b->options->name)
           && strcmp(a->limit[0].text, b->limit[0].text);
}

/** Names are how clients, logs and clearing tell limits from each other. */
void rlx_warnings_names(apr_array_header_t *warnings,
                        const apr_array_header_t *effective)
{
    for (int i = 1; i < effective->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(effective, i,
                                               rlx_effect_t).holding.rule;

        for (int j = i - 1; j >= 0 && rule->options->name; j--) {
            const rlx_rule_t *other = APR_ARRAY_IDX(effective, j,
                                                    rlx_effect_t).holding.rule;

            if (is_called_alike(rule, other)) {
                rlx_warnings_rule(warnings, rule, apr_psprintf(
                    warnings->pool, "\"%s\" and \"%s\" (%s) hold for the same "
                    "requests and are both called \"%s\"",
                    rule->limit[0].text, other->limit[0].text,
                    where_of(warnings->pool, other), rule->options->name),
                    "give each a name= of its own");
                break;
            }
        }
    }
}
