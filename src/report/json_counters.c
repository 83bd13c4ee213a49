/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A snapshot for programs: what became of requests, in all and by limit, and
 * who was refused most.
 */

#include "report/json_inside.h"
#include "report/where.h"

#include "apr_strings.h"

#include "http/dynamic.h"
#include "http/figures.h"

/** What requests may come to, and where it is counted. */
static const struct {
    const char *name;
    apr_size_t offset;
} fates_of[] = {
    { "seen", APR_OFFSETOF(rlx_fates_t, seen) },
    { "allowed", APR_OFFSETOF(rlx_fates_t, allowed) },
    { "refused", APR_OFFSETOF(rlx_fates_t, refused) },
    { "exempt", APR_OFFSETOF(rlx_fates_t, exempt) },
    { "dry_run", APR_OFFSETOF(rlx_fates_t, dry_run) },
    { "errors", APR_OFFSETOF(rlx_fates_t, errors) }
};

/** @param fates NULL: nothing is known */
static void put_fates(rlx_json_t *json, const rlx_fates_t *fates)
{
    for (apr_size_t i = 0; i < sizeof(fates_of) / sizeof(fates_of[0]); i++) {
        if (fates) {
            rlx_json_unsigned(json, fates_of[i].name, *(const apr_uint64_t *)(
                (const char *)fates + fates_of[i].offset));
        }
        else {
            rlx_json_null(json, fates_of[i].name);
        }
    }
}

/** The same of limits that are not in the configuration. */
static void put_foreign(rlx_json_t *json, const char *name,
                        void (*look)(rlx_fates_t *fates))
{
    rlx_fates_t fates;

    look(&fates);
    rlx_json_open_object(json, name);
    put_fates(json, &fates);
    rlx_json_close(json);
}

/** A count that would do; 0: nobody can tell. */
static void put_count(rlx_json_t *json, const char *name, apr_uint64_t count)
{
    if (count) {
        rlx_json_unsigned(json, name, count);
    }
    else {
        rlx_json_null(json, name);
    }
}

static void put_trial(rlx_json_t *json, const rlx_rule_t *rule)
{
    rlx_trial_t trial;

    if (!rlx_figures_trial(rule, &trial)) {
        rlx_json_null(json, "trial");
        return;
    }
    rlx_json_open_object(json, "trial");
    rlx_json_unsigned(json, "keys", trial.keys);
    rlx_json_unsigned(json, "keys_refused", trial.keys_refused);
    rlx_json_flag(json, "exact", trial.is_exact);
    rlx_json_unsigned(json, "sample", trial.sample);
    put_count(json, "count_for_1_percent", trial.count_1_percent);
    put_count(json, "count_for_0_1_percent", trial.count_01_percent);
    rlx_json_close(json);
}

static void put_rule(rlx_json_t *json, const rlx_snapshot_t *snapshot,
                     const rlx_rule_t *rule, const rlx_section_t *section)
{
    static const char *const kinds[] = {
        [RLX_RULE_SECTION] = "section",
        [RLX_RULE_SHARED] = "shared",
        [RLX_RULE_DEFAULT] = "default",
        [RLX_RULE_APPLICATION] = "application",
        [RLX_RULE_META] = "meta",
        [RLX_RULE_FALLBACK] = "fallback",
        [RLX_RULE_MODULE] = "module"
    };
    rlx_fates_t fates;

    rlx_json_open_object(json, NULL);
    rlx_json_text(json, "limit", rule->dynamic
                  ? rlx_dynamic_text(rule->dynamic) : rule->limit[0].text);
    rlx_json_text(json, "name", rule->options->name);
    rlx_json_text(json, "kind", kinds[rule->kind]);
    rlx_json_text(json, "server", rule->owner ? rule->owner->name : NULL);
    rlx_json_text(json, "section", section ? section->name : NULL);
    rlx_json_text(json, "declared_at",
                  rlx_where(snapshot->p, rule->file, rule->line));
    put_fates(json, rlx_figures_of(rule, &fates) ? &fates : NULL);
    put_trial(json, rule);
    rlx_json_close(json);
}

/** The limits of a list that a server declares, each followed by the meta
 *  limits of its directive. */
static void put_rules(rlx_json_t *json, const rlx_snapshot_t *snapshot,
                      const rlx_server_t *sv, const apr_array_header_t *rules,
                      const rlx_section_t *section)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);
        const rlx_rule_t *next = i + 1 < rules->nelts
                                 ? APR_ARRAY_IDX(rules, i + 1, rlx_rule_t *)
                                 : NULL;

        if (rule->owner != sv) {
            continue;
        }
        put_rule(json, snapshot, rule, section);
        if (!next || next->options != rule->options) {
            put_rules(json, snapshot, sv, rule->options->meta, section);
        }
    }
}

/** Every limit once, where it is declared. */
static void put_limits(rlx_json_t *json, const rlx_snapshot_t *snapshot)
{
    rlx_json_open_list(json, "limits");
    for (int i = 0; i < snapshot->trees->nelts; i++) {
        const rlx_server_t *sv = APR_ARRAY_IDX(snapshot->trees, i,
                                               rlx_tree_t *)->sv;

        put_rules(json, snapshot, sv, sv->application, NULL);
        put_rules(json, snapshot, sv, sv->defaults, NULL);
        put_rules(json, snapshot, sv, sv->meta, NULL);
        put_rules(json, snapshot, sv, sv->fallback, NULL);
        for (int k = 0; sv->sections && k < sv->sections->nelts; k++) {
            const rlx_section_t *section = APR_ARRAY_IDX(sv->sections, k,
                                                         rlx_section_t *);

            put_rules(json, snapshot, sv, section->rules, section);
        }
    }
    rlx_json_close(json);
}

static void put_top(rlx_json_t *json, const rlx_snapshot_t *snapshot)
{
    const apr_array_header_t *keys = rlx_figures_top_refused(snapshot->p);

    rlx_json_open_list(json, "top_refused");
    for (int i = 0; i < keys->nelts; i++) {
        const rlx_refused_key_t *key = &APR_ARRAY_IDX(keys, i,
                                                      rlx_refused_key_t);

        rlx_json_open_object(json, NULL);
        rlx_json_text(json, "key", key->key);
        rlx_json_text(json, "server", key->server);
        rlx_json_text(json, "limit", key->limit);
        rlx_json_text(json, "name", key->name);
        rlx_json_unsigned(json, "refused", key->refused);
        rlx_json_unsigned(json, "refused_at_least", key->refused - key->over);
        rlx_json_time(json, "last", key->last_at);
        rlx_json_close(json);
    }
    rlx_json_close(json);
}

void rlx_json_counters(rlx_json_t *json, const rlx_snapshot_t *snapshot)
{
    rlx_fates_t fates;

    rlx_figures_totals(&fates);
    rlx_json_open_object(json, "counters");
    rlx_json_time(json, "since", rlx_figures_since());
    put_fates(json, &fates);
    put_limits(json, snapshot);
    put_foreign(json, "modules", rlx_figures_of_modules);
    put_foreign(json, "others", rlx_figures_of_others);
    rlx_json_close(json);
    put_top(json, snapshot);
}
