/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A snapshot for programs: what became of requests, in all and by limit, and
 * who was refused most.
 */

#include "report/json_inside.h"

#include "http/figures.h"

static void put_fates(rlx_json_t *json, const rlx_fates_t *fates)
{
    rlx_json_unsigned(json, rlx_fate_seen.member, fates->seen);
    for (int i = 0; i < RLX_FATES; i++) {
        rlx_json_unsigned(json, rlx_fate_names[i].member, fates->of[i]);
    }
}

/** The same where nothing is known. */
static void put_no_fates(rlx_json_t *json)
{
    rlx_json_null(json, rlx_fate_seen.member);
    for (int i = 0; i < RLX_FATES; i++) {
        rlx_json_null(json, rlx_fate_names[i].member);
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
    rlx_json_known(json, "count_for_1_percent", trial.count_1_percent);
    rlx_json_known(json, "count_for_0_1_percent", trial.count_01_percent);
    rlx_json_close(json);
}

static void put_limit(rlx_json_t *json, const rlx_listed_t *listed)
{
    const rlx_rule_t *rule = listed->view.rule;
    rlx_fates_t fates;

    rlx_json_open_object(json, NULL);
    rlx_json_text(json, "limit", listed->view.limit);
    rlx_json_text(json, "name", rule->options->name);
    rlx_json_text(json, "kind", rlx_view_kind(rule->kind));
    rlx_json_text(json, "meta_of", rule->of);
    rlx_json_text(json, "server", listed->tree->sv->name);
    rlx_json_text(json, "section", rlx_listed_section(listed));
    rlx_json_text(json, "declared_at", listed->view.declared_at);
    if (rlx_figures_of(rule, &fates)) {
        put_fates(json, &fates);
    }
    else {
        put_no_fates(json);
    }
    put_trial(json, rule);
    rlx_json_close(json);
}

static void put_limits(rlx_json_t *json, const rlx_snapshot_t *snapshot)
{
    rlx_json_open_list(json, "limits");
    for (int i = 0; i < snapshot->limits->nelts; i++) {
        put_limit(json, &APR_ARRAY_IDX(snapshot->limits, i, rlx_listed_t));
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
