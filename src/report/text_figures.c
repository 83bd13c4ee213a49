/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Figures about requests for a terminal. A limit that holds in several
 * servers stands where it is declared.
 */

#include "report/text_figures.h"

#include "http/figures.h"

/*
 * Limits
 */

/** Where a limit stands: "_main, Location /a", "_main, default, meta=". */
static void put_place(rlx_out_t *out, const rlx_listed_t *listed)
{
    const rlx_rule_t *rule = listed->view.rule;
    const char *section = rlx_listed_section(listed);

    rlx_out_text(out, listed->tree->sv->name);
    rlx_out_put(out, ", ");
    rlx_out_text(out, section ? section
                      : rlx_view_kind(rule->of ? rule->of_kind : rule->kind));
    rlx_out_put(out, rule->of ? ", meta=: " : ": ");
}

/** "_main, Location /a: 10 per 1 hour name=x  (file:line)". */
static void put_limit(rlx_out_t *out, const rlx_listed_t *listed)
{
    const char *name = listed->view.rule->options->name;

    rlx_out_put(out, "  ");
    put_place(out, listed);
    rlx_out_text(out, listed->view.limit);
    if (name) {
        rlx_out_put(out, " name=");
        rlx_out_text(out, name);
    }
    rlx_out_put(out, "  (");
    rlx_out_text(out, listed->view.declared_at);
    rlx_out_put(out, ")\n");
}

/*
 * Counters
 */

static void put_fates(rlx_out_t *out, const rlx_fates_t *fates)
{
    rlx_out_print(out, "    %s %" APR_UINT64_T_FMT, rlx_fate_seen.words,
                  fates->seen);
    for (int i = 0; i < RLX_FATES; i++) {
        rlx_out_print(out, ", %s %" APR_UINT64_T_FMT, rlx_fate_names[i].words,
                      fates->of[i]);
    }
    rlx_out_put(out, "\n");
}

static void put_limits(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    for (int i = 0; i < snapshot->limits->nelts; i++) {
        const rlx_listed_t *listed = &APR_ARRAY_IDX(snapshot->limits, i,
                                                    rlx_listed_t);
        rlx_fates_t fates;

        rlx_figures_of(listed->view.rule, &fates);
        put_limit(out, listed);
        put_fates(out, &fates);
    }
}

/** Those that have no line of their own, if there are any. */
static void put_rest(rlx_out_t *out, const char *name,
                     const rlx_fates_t *fates)
{
    if (fates->seen) {
        rlx_out_print(out, "  %s\n", name);
        put_fates(out, fates);
    }
}

static void render_counters(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    rlx_usec_t since = rlx_figures_since();
    rlx_fates_t fates;

    if (!since) {
        rlx_out_put(out, "\nCounters: none, for want of shared memory\n");
        return;
    }
    rlx_out_put(out, "\nCounters\n  since: ");
    rlx_out_time(out, since);
    rlx_out_put(out, "\n  all requests\n");
    rlx_figures_totals(&fates);
    put_fates(out, &fates);
    put_limits(out, snapshot);
    rlx_figures_of_modules(&fates);
    put_rest(out, "limits of other modules", &fates);
    rlx_figures_of_others(&fates);
    put_rest(out, "other limits of .htaccess files", &fates);
}

/*
 * Trials
 */

/** "7 per 1 hour", with the window of a limit. */
static void put_count(rlx_out_t *out, const rlx_limit_view_t *view,
                      const char *percent, apr_uint64_t count, int keys)
{
    const char *window = view->is_dynamic ? NULL : strchr(view->limit, ' ');

    rlx_out_print(out, "    refuses no more than %s %% of keys: ", percent);
    if (count) {
        rlx_out_print(out, "%" APR_UINT64_T_FMT, count);
        rlx_out_text(out, window ? window : " per window");
        rlx_out_put(out, "\n");
    }
    else {
        rlx_out_print(out, "not known before %d keys are watched\n", keys);
    }
}

static void put_trial(rlx_out_t *out, const rlx_listed_t *listed,
                      const rlx_trial_t *trial)
{
    rlx_fates_t fates;

    rlx_figures_of(listed->view.rule, &fates);
    put_limit(out, listed);
    rlx_out_print(out, "    requests that would have been refused: %"
                  APR_UINT64_T_FMT " of %" APR_UINT64_T_FMT "\n    keys that "
                  "would have been refused: %s%" APR_UINT64_T_FMT " of %"
                  APR_UINT64_T_FMT, fates.of[RLX_FATE_DRY_RUN], fates.seen,
                  trial->is_exact ? "" : "about ", trial->keys_refused,
                  trial->keys);
    if (!trial->is_exact) {
        rlx_out_print(out, " (by a sample of %u)", trial->sample);
    }
    rlx_out_put(out, "\n");
    put_count(out, &listed->view, "1", trial->count_1_percent, 100);
    put_count(out, &listed->view, "0.1", trial->count_01_percent, 1000);
    rlx_out_put(out, "    last request: ");
    rlx_out_time(out, trial->last_at);
    rlx_out_put(out, "\n");
}

static void put_trials(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    int n = 0;

    for (int i = 0; i < snapshot->limits->nelts; i++) {
        const rlx_listed_t *listed = &APR_ARRAY_IDX(snapshot->limits, i,
                                                    rlx_listed_t);
        rlx_trial_t trial;

        if (rlx_figures_trial(listed->view.rule, &trial)) {
            rlx_out_put(out, n++ ? "" : "\nTrials\n");
            put_trial(out, listed, &trial);
        }
    }
    if (!n) {
        rlx_out_put(out, "\nTrials: none\n");
    }
}

/*
 * Keys
 */

static void render_key(rlx_out_t *out, const rlx_refused_key_t *key)
{
    rlx_out_put(out, "  \"");
    rlx_out_text(out, key->key);
    rlx_out_print(out, "\": %" APR_UINT64_T_FMT, key->refused - key->over);
    if (key->over) {
        rlx_out_print(out, " to %" APR_UINT64_T_FMT, key->refused);
    }
    rlx_out_put(out, ", last ");
    rlx_out_time(out, key->last_at);
    rlx_out_put(out, " by ");
    rlx_out_text(out, key->limit);
    if (key->name) {
        rlx_out_put(out, " name=");
        rlx_out_text(out, key->name);
    }
    rlx_out_put(out, " in ");
    rlx_out_text(out, key->server);
    rlx_out_put(out, "\n");
}

void rlx_text_figures(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    const apr_array_header_t *top = rlx_figures_top_refused(snapshot->p);

    render_counters(out, snapshot);
    put_trials(out, snapshot);
    rlx_out_put(out, top->nelts ? "\nMost refused keys\n"
                                : "\nMost refused keys: none\n");
    for (int i = 0; i < top->nelts; i++) {
        render_key(out, &APR_ARRAY_IDX(top, i, rlx_refused_key_t));
    }
}
