/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A snapshot as metrics: one table, of which each line is a metric and the
 * function that writes its series. What is not known has no series; a 0 is one
 * that was counted.
 */

#include "report/render.h"

#include "http/figures.h"
#include "report/series.h"

/** What is on the way to being written. */
typedef struct writing_t {
    const rlx_snapshot_t *snapshot;
    apr_pool_t *p;
    rlx_series_t series;
    /** Labels, const char *, no two the same: those of the snapshot's limits
     *  and of its storages, in their order. */
    apr_array_header_t *limits;
    apr_array_header_t *storages;
} writing_t;

/** A metric, and who writes its series: those of each limit, or of each on
 *  trial, or of each storage that was asked; then those that are of none.
 *  NULL: there are none. */
typedef struct family_t {
    rlx_metric_t metric;
    void (*put)(writing_t *w);
    void (*put_limit)(writing_t *w, const char *labels,
                      const rlx_limit_view_t *view);
    void (*put_trial)(writing_t *w, const char *labels,
                      const rlx_trial_t *trial);
    void (*put_storage)(writing_t *w, const char *labels,
                        const rlx_storage_view_t *view);
} family_t;

/* Labels */

/** What limits are called. That stays as it is while lines of the
 *  configuration move, so that a series goes on. Limits of .htaccess files have
 *  no series: who writes these would make them without end, and each child
 *  knows only the files that it has read. */
static void name_limits(writing_t *w)
{
    const apr_array_header_t *limits = w->snapshot->limits;
    rlx_labels_t sets;

    w->limits = apr_array_make(w->p, limits->nelts, sizeof(char *));
    rlx_labels_begin(&sets, w->p);
    for (int i = 0; i < limits->nelts; i++) {
        const rlx_listed_t *listed = &APR_ARRAY_IDX(limits, i, rlx_listed_t);
        const rlx_limit_view_t *view = &listed->view;
        const char *labels = rlx_label(w->p, "", "server",
                                       listed->tree->sv->name);

        labels = rlx_label(w->p, labels, "section",
                           rlx_listed_section(listed));
        labels = rlx_label(w->p, labels, "source",
                           view->rule->of ? "own-meta" : view->source);
        labels = rlx_label(w->p, labels, "limit", view->limit);
        labels = rlx_label(w->p, labels, "name", view->rule->options->name);
        APR_ARRAY_PUSH(w->limits, const char *) = rlx_labels_unique(&sets,
                                                                    labels);
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

static void put_fates(writing_t *w, const char *labels,
                      const rlx_fates_t *fates)
{
    for (int i = 0; i < RLX_FATES; i++) {
        rlx_series_put(&w->series, rlx_label(w->p, labels, "result",
                                             rlx_fate_names[i].result),
                       fates->of[i]);
    }
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

/** Write something of every limit, or of every one that is tried. */
static void put_limits(writing_t *w, const family_t *family)
{
    const apr_array_header_t *limits = w->snapshot->limits;

    for (int i = 0; i < limits->nelts; i++) {
        const rlx_limit_view_t *view = &APR_ARRAY_IDX(limits, i,
                                                      rlx_listed_t).view;
        const char *labels = APR_ARRAY_IDX(w->limits, i, const char *);
        rlx_trial_t trial;

        if (family->put_limit) {
            family->put_limit(w, labels, view);
        }
        else if (rlx_figures_trial(view->rule, &trial)) {
            family->put_trial(w, labels, &trial);
        }
    }
}

static void put_limit(writing_t *w, const char *labels,
                      const rlx_limit_view_t *view)
{
    const char *options = rlx_view_options(w->p, view);

    labels = rlx_label(w->p, labels, "strategy", view->strategy);
    labels = rlx_label(w->p, labels, "options", options + (options[0] == ' '));
    rlx_series_put(&w->series, rlx_label(w->p, labels, "declared_at",
                                         view->declared_at), 1);
}

static void put_limit_requests(writing_t *w, const char *labels,
                               const rlx_limit_view_t *view)
{
    rlx_fates_t fates;

    if (rlx_figures_of(view->rule, &fates)) {
        put_fates(w, labels, &fates);
    }
}

/** Limits of other modules are in no configuration; they are one line. */
static void put_module_requests(writing_t *w)
{
    rlx_fates_t fates;

    rlx_figures_of_modules(&fates);
    if (fates.seen) {
        put_fates(w, rlx_label(w->p, "", "source", "module"), &fates);
    }
}

/* Of an expression neither is known. */

static void put_limit_quota(writing_t *w, const char *labels,
                            const rlx_limit_view_t *view)
{
    if (!view->is_dynamic) {
        rlx_series_put(&w->series, labels, view->count);
    }
}

static void put_limit_window(writing_t *w, const char *labels,
                             const rlx_limit_view_t *view)
{
    if (!view->is_dynamic) {
        rlx_series_put(&w->series, labels, (apr_uint64_t)view->window_sec);
    }
}

/* Trials */

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
        "A limit: how it counts and where it is declared." },
      .put_limit = put_limit },
    { { RLX_METRIC_GAUGE, "limit_quota", NULL,
        "How much one key may use in a window of the limit." },
      .put_limit = put_limit_quota },
    { { RLX_METRIC_GAUGE, "limit_window_seconds", "seconds",
        "How long a window of the limit is." },
      .put_limit = put_limit_window },
    { { RLX_METRIC_COUNTER, "limit_requests", NULL,
        "Requests that the limit was looked at for, by what became of them." },
      put_module_requests, .put_limit = put_limit_requests },
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
    if (family->put_limit || family->put_trial) {
        put_limits(w, family);
    }
    if (family->put_storage) {
        put_storages(w, family);
    }
    if (family->put) {
        family->put(w);
    }
}

static void render(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                   int is_openmetrics)
{
    writing_t w = { .snapshot = snapshot, .p = snapshot->p };

    w.series.out = out;
    w.series.is_openmetrics = is_openmetrics;
    name_limits(&w);
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
