/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Metrics as lines of text.
 */

#include "report/series.h"

#include "apr_strings.h"
#include "apr_time.h"

#include "http/digits.h"

/** What all names begin with. */
#define PREFIX "ratelimit_"

/** What each type is called, and what the names of its series end in. */
static const struct {
    const char *openmetrics;
    const char *prometheus;
    const char *suffix;
} types[] = {
    [RLX_METRIC_GAUGE] = { "gauge", "gauge", "" },
    [RLX_METRIC_COUNTER] = { "counter", "counter", "_total" },
    [RLX_METRIC_INFO] = { "info", "gauge", "_info" },
    [RLX_METRIC_HISTOGRAM] = { "histogram", "histogram", "" }
};

/** A line "# TYPE name what". To OpenMetrics the name of a metric is without
 *  what its series end in; the older format knows series alone. */
static void put_head(rlx_series_t *series, const char *keyword,
                     const char *what)
{
    const rlx_metric_t *metric = series->metric;

    rlx_out_print(series->out, "# %s " PREFIX "%s%s %s\n", keyword,
                  metric->name,
                  series->is_openmetrics ? "" : types[metric->type].suffix,
                  what);
}

void rlx_series_begin(rlx_series_t *series, const rlx_metric_t *metric)
{
    series->metric = metric;
    put_head(series, "HELP", metric->help);
    put_head(series, "TYPE", series->is_openmetrics
                             ? types[metric->type].openmetrics
                             : types[metric->type].prometheus);
    if (series->is_openmetrics && metric->unit) {
        put_head(series, "UNIT", metric->unit);
    }
}

/** The line up to its value. Labels can be long: they are not formatted. */
static void put_name_of(rlx_series_t *series, const char *suffix,
                        const char *labels)
{
    rlx_out_t *out = series->out;

    rlx_out_put(out, PREFIX);
    rlx_out_put(out, series->metric->name);
    rlx_out_put(out, suffix);
    if (labels[0]) {
        rlx_out_put(out, "{");
        rlx_out_put(out, labels);
        rlx_out_put(out, "}");
    }
}

static void put_name(rlx_series_t *series, const char *labels)
{
    put_name_of(series, types[series->metric->type].suffix, labels);
}

void rlx_series_put(rlx_series_t *series, const char *labels,
                    apr_uint64_t value)
{
    put_name(series, labels);
    rlx_out_print(series->out, " %" APR_UINT64_T_FMT "\n", value);
}

static void put_usec(rlx_series_t *series, apr_int64_t usec)
{
    rlx_out_print(series->out, " %" APR_INT64_T_FMT ".%06d\n",
                  usec / APR_USEC_PER_SEC, (int)(usec % APR_USEC_PER_SEC));
}

void rlx_series_put_usec(rlx_series_t *series, const char *labels,
                         apr_int64_t usec)
{
    put_name(series, labels);
    put_usec(series, usec);
}

/** A bound in seconds, "0.00005", "1.0". */
static const char *bound_text(apr_pool_t *p, apr_uint32_t usec)
{
    char *text = apr_psprintf(p, "%u.%06u", usec / 1000000, usec % 1000000);
    char *end = text + strlen(text);

    while (end[-1] == '0' && end[-2] != '.') {
        *--end = '\0';
    }
    return text;
}

void rlx_series_put_latency(rlx_series_t *series, apr_pool_t *p,
                            const char *labels, const rlx_latency_t *latency)
{
    apr_uint64_t n = 0;

    for (int i = 0; i <= RLX_LATENCY_STEPS; i++) {
        n += latency->counts[i];
        put_name_of(series, "_bucket",
                    rlx_label(p, labels, "le", i < RLX_LATENCY_STEPS
                              ? bound_text(p, rlx_latency_bounds_usec[i])
                              : "+Inf"));
        rlx_out_print(series->out, " %" APR_UINT64_T_FMT "\n", n);
    }
    put_name_of(series, "_sum", labels);
    put_usec(series, (apr_int64_t)latency->sum_usec);
    put_name_of(series, "_count", labels);
    rlx_out_print(series->out, " %" APR_UINT64_T_FMT "\n", n);
}

void rlx_series_end(rlx_series_t *series)
{
    if (series->is_openmetrics) {
        rlx_out_put(series->out, "# EOF\n");
    }
}

/** A value as it stands between quotes. */
static const char *escaped(apr_pool_t *p, const char *value)
{
    const char *clean = rlx_clean_string(p, value);
    char *text, *to;

    if (!clean[strcspn(clean, "\\\"\n")]) {
        return clean;
    }
    text = to = apr_palloc(p, strlen(clean) * 2 + 1);
    for (; *clean; clean++) {
        if (*clean == '\\' || *clean == '"' || *clean == '\n') {
            *to++ = '\\';
        }
        *to++ = *clean == '\n' ? 'n' : *clean;
    }
    *to = '\0';
    return text;
}

const char *rlx_label(apr_pool_t *p, const char *labels, const char *name,
                      const char *value)
{
    if (!value || !value[0]) {
        return labels;
    }
    return apr_pstrcat(p, labels, labels[0] ? "," : "", name, "=\"",
                       escaped(p, value), "\"", NULL);
}

void rlx_labels_begin(rlx_labels_t *set, apr_pool_t *p)
{
    set->p = p;
    set->seen = apr_hash_make(p);
}

/* What is compared is what is written: different bytes may have become the
 * same text. */
const char *rlx_labels_unique(rlx_labels_t *set, const char *labels)
{
    int *times = apr_hash_get(set->seen, labels, APR_HASH_KEY_STRING);

    if (times) {
        return rlx_label(set->p, labels, "nth",
                         apr_itoa(set->p, ++*times));
    }
    times = apr_palloc(set->p, sizeof(*times));
    *times = 1;
    apr_hash_set(set->seen, labels, APR_HASH_KEY_STRING, times);
    return labels;
}
