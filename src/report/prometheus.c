/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A snapshot as metrics: one table, of which each line is a metric and the
 * function that writes its series. What is not known has no series; a 0 is one
 * that was counted.
 */

#include "report/render.h"

#include "apr_strings.h"

#include "http/figures.h"
#include "report/series.h"

/** A limit. */
typedef struct limit_t {
    rlx_limit_view_t view;
    /** No other limit has the same. */
    const char *labels;
} limit_t;

/** What is on the way to being written. */
typedef struct writing_t {
    const rlx_snapshot_t *snapshot;
    apr_pool_t *p;
    rlx_series_t series;
    /** limit_t: every limit once, in the order of the configuration. */
    apr_array_header_t *limits;
    /** What stands in `limits` already: rlx_rule_t *. */
    apr_hash_t *taken;
    /** Labels of limits; those of storages, in their order. */
    rlx_labels_t sets;
    apr_array_header_t *storages;
} writing_t;

/** A metric, and who writes its series: all of them, or those of each limit on
 *  trial, or those of each storage that was asked. */
typedef struct family_t {
    rlx_metric_t metric;
    void (*put)(writing_t *w);
    void (*put_trial)(writing_t *w, const char *labels,
                      const rlx_trial_t *trial);
    void (*put_storage)(writing_t *w, const char *labels,
                        const rlx_storage_view_t *view);
} family_t;

/* Finding the limits */

/** A name for what a limit is to a section. */
static const char *source_of(const rlx_limit_view_t *view)
{
    return view->rule->of ? "own-meta" : view->source;
}

/** Take a limit. Its labels stay as they are while lines of the configuration
 *  move, so that a series goes on. */
static void take(writing_t *w, const rlx_tree_t *tree, const rlx_node_t *node,
                 const rlx_rule_t *rule)
{
    const rlx_dir_t *dir = node ? node->dir
                           : rlx_dir_of(tree->sv->server->lookup_defaults);
    limit_t *limit;
    const char *labels = "";

    if (apr_hash_get(w->taken, &rule, sizeof(rule))) {
        return;
    }
    limit = apr_array_push(w->limits);
    rlx_view_rule(w->p, tree->sv, dir, node ? node->section : NULL, rule,
                  &limit->view);
    apr_hash_set(w->taken, apr_pmemdup(w->p, &rule, sizeof(rule)),
                 sizeof(rule), rule);
    labels = rlx_label(w->p, labels, "server", tree->sv->name);
    labels = rlx_label(w->p, labels, "section",
                       node ? node->section->name : NULL);
    labels = rlx_label(w->p, labels, "source", source_of(&limit->view));
    labels = rlx_label(w->p, labels, "limit", limit->view.limit);
    labels = rlx_label(w->p, labels, "name", rule->options->name);
    limit->labels = rlx_labels_unique(&w->sets, labels);
}

/** Take limits, each with its own meta limits behind it. A virtual host sees
 *  those of the main server too, which are that one's. Those of .htaccess
 *  files are left out: who writes these would make series without end, and
 *  each child knows only the files that it has read. */
static void take_all(writing_t *w, const rlx_tree_t *tree,
                     const rlx_node_t *node, const apr_array_header_t *rules)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);
        const apr_array_header_t *meta = rule->options->meta;

        if (rule->owner != tree->sv || rule->is_htaccess) {
            continue;
        }
        take(w, tree, node, rule);
        for (int j = 0; meta && j < meta->nelts; j++) {
            take(w, tree, node, APR_ARRAY_IDX(meta, j, rlx_rule_t *));
        }
    }
}

static void find_limits(writing_t *w)
{
    w->limits = apr_array_make(w->p, 16, sizeof(limit_t));
    w->taken = apr_hash_make(w->p);
    rlx_labels_begin(&w->sets, w->p);
    for (int i = 0; i < w->snapshot->trees->nelts; i++) {
        const rlx_tree_t *tree = APR_ARRAY_IDX(w->snapshot->trees, i,
                                               rlx_tree_t *);

        take_all(w, tree, NULL, tree->sv->application);
        take_all(w, tree, NULL, tree->sv->defaults);
        take_all(w, tree, NULL, tree->sv->meta);
        take_all(w, tree, NULL, tree->sv->fallback);
        for (int j = 0; j < tree->all->nelts; j++) {
            const rlx_node_t *node = APR_ARRAY_IDX(tree->all, j,
                                                   rlx_node_t *);

            take_all(w, tree, node, node->section->rules);
        }
    }
}

/** What storages are called. Two may differ in what is masked. */
static void name_storages(writing_t *w)
{
    const apr_array_header_t *storages = w->snapshot->storages;
    rlx_labels_t sets;

    w->storages = apr_array_make(w->p, storages->nelts, sizeof(char *));
    rlx_labels_begin(&sets, w->p);
    for (int i = 0; i < storages->nelts; i++) {
        const rlx_storage_view_t *view = &APR_ARRAY_IDX(storages, i,
                                                        rlx_storage_view_t);
        const char *labels = rlx_label(w->p, "", "storage", view->uri);

        labels = rlx_label(w->p, labels, "kind", view->kind);
        labels = rlx_label(w->p, labels, "role",
                           view->servers->nelts ? "main" : "fallback");
        APR_ARRAY_PUSH(w->storages, const char *) = rlx_labels_unique(&sets,
                                                                      labels);
    }
}

/* The module */

static void put_build(writing_t *w)
{
    rlx_series_put(&w->series,
                   rlx_label(w->p, "", "version", RLX_VERSION), 1);
}

static void put_start_time(writing_t *w)
{
    if (rlx_figures_since()) {
        rlx_series_put_usec(&w->series, "", rlx_figures_since());
    }
}

static void put_warnings(writing_t *w)
{
    rlx_series_put(&w->series, "", (apr_uint64_t)w->snapshot->warnings->nelts);
}

/* Requests. `seen` is the sum of the results, and no series. */

static void put_result(writing_t *w, const char *labels, const char *result,
                       apr_uint64_t requests)
{
    rlx_series_put(&w->series, rlx_label(w->p, labels, "result", result),
                   requests);
}

static void put_fates(writing_t *w, const char *labels,
                      const rlx_fates_t *fates)
{
    put_result(w, labels, "allowed", fates->allowed);
    put_result(w, labels, "refused", fates->refused);
    put_result(w, labels, "exempt", fates->exempt);
    put_result(w, labels, "dry_run", fates->dry_run);
    put_result(w, labels, "error", fates->errors);
}

static void put_requests(writing_t *w)
{
    rlx_fates_t fates;

    if (rlx_figures_since()) {
        rlx_figures_totals(&fates);
        put_fates(w, "", &fates);
    }
}

/* Limits */

static void put_limit(writing_t *w)
{
    for (int i = 0; i < w->limits->nelts; i++) {
        const limit_t *limit = &APR_ARRAY_IDX(w->limits, i, limit_t);
        const char *options = rlx_view_options(w->p, &limit->view);
        const char *labels = rlx_label(w->p, limit->labels, "strategy",
                                       limit->view.strategy);

        labels = rlx_label(w->p, labels, "options",
                           options + (options[0] == ' '));
        rlx_series_put(&w->series,
                       rlx_label(w->p, labels, "declared_at",
                                 limit->view.declared_at), 1);
    }
}

/** Limits of other modules are in no configuration; they are one line. */
static void put_limit_requests(writing_t *w)
{
    rlx_fates_t fates;

    for (int i = 0; i < w->limits->nelts; i++) {
        const limit_t *limit = &APR_ARRAY_IDX(w->limits, i, limit_t);

        if (rlx_figures_of(limit->view.rule, &fates)) {
            put_fates(w, limit->labels, &fates);
        }
    }
    rlx_figures_of_modules(&fates);
    if (fates.seen) {
        put_fates(w, rlx_label(w->p, "", "source", "module"), &fates);
    }
}

/* Of an expression neither is known. */

static void put_limit_quota(writing_t *w)
{
    for (int i = 0; i < w->limits->nelts; i++) {
        const limit_t *limit = &APR_ARRAY_IDX(w->limits, i, limit_t);

        if (!limit->view.is_dynamic) {
            rlx_series_put(&w->series, limit->labels, limit->view.count);
        }
    }
}

static void put_limit_window(writing_t *w)
{
    for (int i = 0; i < w->limits->nelts; i++) {
        const limit_t *limit = &APR_ARRAY_IDX(w->limits, i, limit_t);

        if (!limit->view.is_dynamic) {
            rlx_series_put(&w->series, limit->labels,
                           (apr_uint64_t)limit->view.window_sec);
        }
    }
}

/* Trials */

/** Write something of every limit that is tried. */
static void put_trials(writing_t *w, const family_t *family)
{
    for (int i = 0; i < w->limits->nelts; i++) {
        const limit_t *limit = &APR_ARRAY_IDX(w->limits, i, limit_t);
        rlx_trial_t trial;

        if (rlx_figures_trial(limit->view.rule, &trial)) {
            family->put_trial(w, limit->labels, &trial);
        }
    }
}

static void put_keys(writing_t *w, const char *labels,
                     const rlx_trial_t *trial)
{
    rlx_series_put(&w->series, labels, trial->keys);
}

static void put_keys_refused(writing_t *w, const char *labels,
                             const rlx_trial_t *trial)
{
    rlx_series_put(&w->series, labels, trial->keys_refused);
}

static void put_keys_watched(writing_t *w, const char *labels,
                             const rlx_trial_t *trial)
{
    rlx_series_put(&w->series, labels, trial->sample);
}

static void put_quotas(writing_t *w, const char *labels,
                       const rlx_trial_t *trial)
{
    if (trial->count_1_percent) {
        rlx_series_put(&w->series,
                       rlx_label(w->p, labels, "refused_ratio", "0.01"),
                       trial->count_1_percent);
    }
    if (trial->count_01_percent) {
        rlx_series_put(&w->series,
                       rlx_label(w->p, labels, "refused_ratio", "0.001"),
                       trial->count_01_percent);
    }
}

/* Storages */

/** Write something of every storage that was asked. */
static void put_storages(writing_t *w, const family_t *family)
{
    const apr_array_header_t *storages = w->snapshot->storages;

    for (int i = 0; i < storages->nelts; i++) {
        const rlx_storage_view_t *view = &APR_ARRAY_IDX(storages, i,
                                                        rlx_storage_view_t);

        if (view->was_asked) {
            family->put_storage(w, APR_ARRAY_IDX(w->storages, i, const char *),
                                view);
        }
    }
}

static void put_up(writing_t *w, const char *labels,
                   const rlx_storage_view_t *view)
{
    rlx_series_put(&w->series, labels, (apr_uint64_t)view->is_up);
}

static void put_retry(writing_t *w, const char *labels,
                      const rlx_storage_view_t *view)
{
    rlx_series_put(&w->series, labels, (apr_uint64_t)view->retry_sec);
}

/* What one that does not answer says of itself is only part of it. */

static void put_counters(writing_t *w, const char *labels,
                         const rlx_storage_view_t *view)
{
    if (view->is_up) {
        rlx_series_put(&w->series, labels, view->figures.keys_used);
    }
}

static void put_counters_max(writing_t *w, const char *labels,
                             const rlx_storage_view_t *view)
{
    if (view->is_up && view->figures.keys_max) {
        rlx_series_put(&w->series, labels, view->figures.keys_max);
    }
}

static void put_size(writing_t *w, const char *labels,
                     const rlx_storage_view_t *view)
{
    if (view->is_up && view->figures.size_bytes) {
        rlx_series_put(&w->series, labels, view->figures.size_bytes);
    }
}

static void put_evictions(writing_t *w, const char *labels,
                          const rlx_storage_view_t *view)
{
    if (view->is_up) {
        rlx_series_put(&w->series, labels, view->figures.evictions);
    }
}

/* Of one that is not far away nothing takes long, and it always answers. */

static void put_round_trips(writing_t *w, const char *labels,
                            const rlx_storage_view_t *view)
{
    if (view->has_health) {
        rlx_series_put_latency(&w->series, w->p, labels,
                               &view->health.answers);
    }
}

static void put_failed_calls(writing_t *w, const char *labels,
                             const rlx_storage_view_t *view)
{
    if (view->has_health) {
        rlx_series_put(&w->series, labels, view->health.failed);
    }
}

/* The same stands in docs/status.md under Metrics. Names are for life: boards
 * and alerts of other people ask for them. */
static const family_t families[] = {
    { { RLX_METRIC_INFO, "build", NULL,
        "Which module this is." }, put_build },
    { { RLX_METRIC_GAUGE, "start_time_seconds", "seconds",
        "When counting began, since the Unix epoch." }, put_start_time },
    { { RLX_METRIC_GAUGE, "config_warnings", NULL,
        "What is probably a mistake in the configuration." }, put_warnings },
    { { RLX_METRIC_COUNTER, "requests", NULL,
        "Requests that limits were looked at for, by what became of them." },
      put_requests },
    { { RLX_METRIC_INFO, "limit", NULL,
        "A limit: how it counts and where it is declared." }, put_limit },
    { { RLX_METRIC_GAUGE, "limit_quota", NULL,
        "How much one key may use in a window of the limit." },
      put_limit_quota },
    { { RLX_METRIC_GAUGE, "limit_window_seconds", "seconds",
        "How long a window of the limit is." }, put_limit_window },
    { { RLX_METRIC_COUNTER, "limit_requests", NULL,
        "Requests that the limit was looked at for, by what became of them." },
      put_limit_requests },
    { { RLX_METRIC_GAUGE, "trial_keys", NULL,
        "Keys that a limit on trial was looked at for." }, .put_trial = put_keys },
    { { RLX_METRIC_GAUGE, "trial_keys_refused", NULL,
        "Keys of these that it would have refused at least once." },
      .put_trial = put_keys_refused },
    { { RLX_METRIC_GAUGE, "trial_keys_watched", NULL,
        "Keys that were watched; the others are an estimate if these are "
        "fewer." }, .put_trial = put_keys_watched },
    { { RLX_METRIC_GAUGE, "trial_quota", NULL,
        "The lowest quota that would have refused no more than this share of "
        "the keys." }, .put_trial = put_quotas },
    { { RLX_METRIC_GAUGE, "storage_up", NULL,
        "Whether the storage answers." }, .put_storage = put_up },
    { { RLX_METRIC_GAUGE, "storage_retry_seconds", "seconds",
        "Time until a storage that does not answer is asked again." },
      .put_storage = put_retry },
    { { RLX_METRIC_HISTOGRAM, "storage_round_trip_seconds", "seconds",
        "What calls took that a storage far away answered." },
      .put_storage = put_round_trips },
    { { RLX_METRIC_COUNTER, "storage_failed_calls", NULL,
        "Calls that it did not answer; while it is known not to, few are "
        "made." }, .put_storage = put_failed_calls },
    { { RLX_METRIC_GAUGE, "storage_counters", NULL,
        "Counters in the storage; some of them may have expired." },
      .put_storage = put_counters },
    { { RLX_METRIC_GAUGE, "storage_counters_max", NULL,
        "Counters that there is room for." }, .put_storage = put_counters_max },
    { { RLX_METRIC_GAUGE, "storage_size_bytes", "bytes",
        "Memory that the storage takes." }, .put_storage = put_size },
    { { RLX_METRIC_COUNTER, "storage_evictions", NULL,
        "Counters that were dropped before their time to make room." },
      .put_storage = put_evictions }
};

static void put_family(writing_t *w, const family_t *family)
{
    if (family->put_trial) {
        put_trials(w, family);
    }
    else if (family->put_storage) {
        put_storages(w, family);
    }
    else {
        family->put(w);
    }
}

static void render(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                   int is_openmetrics)
{
    writing_t w = { .snapshot = snapshot, .p = snapshot->p };

    w.series.out = out;
    w.series.is_openmetrics = is_openmetrics;
    find_limits(&w);
    name_storages(&w);
    for (apr_size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        rlx_series_begin(&w.series, &families[i].metric);
        put_family(&w, &families[i]);
    }
    rlx_series_end(&w.series);
}

void rlx_render_prometheus(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    render(out, snapshot, 0);
}

void rlx_render_openmetrics(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    render(out, snapshot, 1);
}
