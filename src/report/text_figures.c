/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Figures about requests for a terminal: a line for each limit, in the order
 * of the tree. A limit that holds in several servers stands where it is
 * declared.
 */

#include "report/text_figures.h"

#include "apr_strings.h"

#include "http/figures.h"

/** Writes what there is to say of a limit.
 *  @param place "_main", "_main, Location /a"
 *  @param n     how many limits had something to say before
 *  @return not 0: this one has */
typedef int limit_fn(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                     const char *place, const rlx_limit_view_t *view, int n);

/** A look at every limit. */
typedef struct visit_t {
    limit_fn *tell;
    /** How many had something to say. */
    int n;
} visit_t;

/*
 * The limits
 */

static void visit_rules(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                        const rlx_tree_t *tree, const rlx_node_t *node,
                        const apr_array_header_t *rules, const char *place,
                        visit_t *visit)
{
    const rlx_dir_t *dir = node ? node->dir
                           : rlx_dir_of(tree->sv->server->lookup_defaults);

    for (int i = 0; rules && i < rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);
        rlx_limit_view_t view;

        if (rule->owner != tree->sv) {
            continue;
        }
        rlx_view_rule(snapshot->p, tree->sv, dir, node ? node->section : NULL,
                      rule, &view);
        visit->n += visit->tell(out, snapshot, place, &view, visit->n);
        /* Several limits of one line have the same options. */
        if (!i || APR_ARRAY_IDX(rules, i - 1, rlx_rule_t *)->options
                  != rule->options) {
            visit_rules(out, snapshot, tree, node, rule->options->meta,
                        apr_pstrcat(snapshot->p, place, ", meta=", NULL),
                        visit);
        }
    }
}

static void visit_server(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                         const rlx_tree_t *tree, visit_t *visit)
{
    const rlx_server_t *sv = tree->sv;
    const struct {
        const char *name;
        const apr_array_header_t *rules;
    } lists[] = {
        { ", application", sv->application },
        { ", default", sv->defaults },
        { ", meta", sv->meta },
        { ", fallback", sv->fallback }
    };

    for (apr_size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        visit_rules(out, snapshot, tree, NULL, lists[i].rules,
                    apr_pstrcat(snapshot->p, sv->name, lists[i].name, NULL),
                    visit);
    }
}

/** Visit every limit of the configuration once.
 *  @return how many had something to say */
static int visit_all(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                     limit_fn *tell)
{
    visit_t visit = { tell, 0 };

    for (int i = 0; i < snapshot->trees->nelts; i++) {
        const rlx_tree_t *tree = APR_ARRAY_IDX(snapshot->trees, i,
                                               rlx_tree_t *);

        visit_server(out, snapshot, tree, &visit);
        for (int k = 0; k < tree->all->nelts; k++) {
            const rlx_node_t *node = APR_ARRAY_IDX(tree->all, k,
                                                   rlx_node_t *);

            visit_rules(out, snapshot, tree, node, node->section->rules,
                        apr_pstrcat(snapshot->p, tree->sv->name, ", ",
                                    node->section->name, NULL), &visit);
        }
    }
    return visit.n;
}

/** "10 per 1 hour name=x  (file:line)". */
static void put_limit(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                      const rlx_limit_view_t *view)
{
    const rlx_options_t *options = view->rule->options;

    rlx_out_text(out, view->limit);
    if (options->name) {
        rlx_out_text(out, apr_pstrcat(snapshot->p, " name=", options->name,
                                      NULL));
    }
    rlx_out_text(out, apr_pstrcat(snapshot->p, "  (", view->declared_at, ")",
                                  NULL));
}

/*
 * Counters
 */

static void put_fates(rlx_out_t *out, const rlx_fates_t *fates)
{
    rlx_out_print(out, "seen %" APR_UINT64_T_FMT ", allowed %"
                  APR_UINT64_T_FMT ", refused %" APR_UINT64_T_FMT
                  ", exempt %" APR_UINT64_T_FMT ", dry run %"
                  APR_UINT64_T_FMT ", errors %" APR_UINT64_T_FMT "\n",
                  fates->seen, fates->allowed, fates->refused, fates->exempt,
                  fates->dry_run, fates->errors);
}

static int tell_fates(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                      const char *place, const rlx_limit_view_t *view, int n)
{
    rlx_fates_t fates;

    rlx_figures_of(view->rule, &fates);
    rlx_out_put(out, "  ");
    rlx_out_text(out, place);
    rlx_out_put(out, ": ");
    put_limit(out, snapshot, view);
    rlx_out_put(out, "\n    ");
    put_fates(out, &fates);
    return 1;
}

/** Those that have no line of their own, if there are any. */
static void put_rest(rlx_out_t *out, const char *name,
                     const rlx_fates_t *fates)
{
    if (fates->seen) {
        rlx_out_print(out, "  %s\n    ", name);
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
    rlx_out_put(out, "\n  all requests\n    ");
    rlx_figures_totals(&fates);
    put_fates(out, &fates);
    visit_all(out, snapshot, tell_fates);
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

static int tell_trial(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                      const char *place, const rlx_limit_view_t *view, int n)
{
    rlx_trial_t trial;
    rlx_fates_t fates;

    if (!rlx_figures_trial(view->rule, &trial)) {
        return 0;
    }
    rlx_figures_of(view->rule, &fates);
    rlx_out_put(out, n ? "  " : "\nTrials\n  ");
    rlx_out_text(out, place);
    rlx_out_put(out, ": ");
    put_limit(out, snapshot, view);
    rlx_out_print(out, "\n    requests that would have been refused: %"
                  APR_UINT64_T_FMT " of %" APR_UINT64_T_FMT "\n    keys that "
                  "would have been refused: %s%" APR_UINT64_T_FMT " of %"
                  APR_UINT64_T_FMT, fates.dry_run, fates.seen,
                  trial.is_exact ? "" : "about ", trial.keys_refused,
                  trial.keys);
    if (!trial.is_exact) {
        rlx_out_print(out, " (by a sample of %u)", trial.sample);
    }
    rlx_out_put(out, "\n");
    put_count(out, view, "1", trial.count_1_percent, 100);
    put_count(out, view, "0.1", trial.count_01_percent, 1000);
    rlx_out_put(out, "    last request: ");
    rlx_out_time(out, trial.last_at);
    rlx_out_put(out, "\n");
    return 1;
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
    if (!visit_all(out, snapshot, tell_trial)) {
        rlx_out_put(out, "\nTrials: none\n");
    }
    rlx_out_put(out, top->nelts ? "\nMost refused keys\n"
                                : "\nMost refused keys: none\n");
    for (int i = 0; i < top->nelts; i++) {
        render_key(out, &APR_ARRAY_IDX(top, i, rlx_refused_key_t));
    }
}
