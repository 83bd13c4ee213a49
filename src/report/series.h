/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  series.h
 * @brief Metrics as lines of text: the format of Prometheus (0.0.4) and
 *        OpenMetrics (1.0), which differ in what a metric's head says and in
 *        how the text ends.
 *
 * A series is what a metric says of one set of labels, and no set may come
 * twice: rlx_labels_t sees to that. Values of labels may hold whatever a
 * configuration holds.
 */

#ifndef RLX_REPORT_SERIES_H
#define RLX_REPORT_SERIES_H

#include "apr_hash.h"

#include "core/latency.h"
#include "report/out.h"

/** What kind of metric it is. */
typedef enum {
    /** Goes up and down. */
    RLX_METRIC_GAUGE,
    /** Goes up from the start of the server. Its series end in "_total". */
    RLX_METRIC_COUNTER,
    /** Is 1: what it says is in its labels. Its series end in "_info". */
    RLX_METRIC_INFO,
    /** How often something took how long: rlx_series_put_latency(). */
    RLX_METRIC_HISTOGRAM
} rlx_metric_e;

/** A metric. */
typedef struct rlx_metric_t {
    rlx_metric_e type;
    /** Without what the type puts behind it; ends in the unit. */
    const char *name;
    /** "seconds", "bytes"; NULL: none. */
    const char *unit;
    /** One sentence, plain ASCII without quotes and backslashes. */
    const char *help;
} rlx_metric_t;

/** Where metrics are written to. One thread. */
typedef struct rlx_series_t {
    rlx_out_t *out;
    /** Not 0: OpenMetrics; else 0.0.4. */
    int is_openmetrics;
    /** What is written now. */
    const rlx_metric_t *metric;
} rlx_series_t;

/** Sets of labels that are to differ, by their text: char to int. */
typedef struct rlx_labels_t {
    apr_pool_t *p;
    apr_hash_t *seen;
} rlx_labels_t;

/** Begin a metric: what it is, once for all its series. */
void rlx_series_begin(rlx_series_t *series, const rlx_metric_t *metric);

/** Write a series of the metric that was begun.
 *  @param labels of rlx_label(); "": none */
void rlx_series_put(rlx_series_t *series, const char *labels,
                    apr_uint64_t value);

/** The same of a time in microseconds, as seconds. */
void rlx_series_put_usec(rlx_series_t *series, const char *labels,
                         apr_int64_t usec);

/** Write the series of a histogram, in seconds.
 *  @param p for the call */
void rlx_series_put_latency(rlx_series_t *series, apr_pool_t *p,
                            const char *labels, const rlx_latency_t *latency);

/** End the text. */
void rlx_series_end(rlx_series_t *series);

/**
 * Add a label.
 * @param labels those before it; "": none
 * @param value  NULL or "": there is no such label, which is the same to who
 *               reads it
 * @return the labels, from p
 */
const char *rlx_label(apr_pool_t *p, const char *labels, const char *name,
                      const char *value);

/** Begin to tell sets of labels apart.
 *  @param p for all that is given */
void rlx_labels_begin(rlx_labels_t *set, apr_pool_t *p);

/**
 * Tell a set of labels from those before it.
 * @param labels of rlx_label()
 * @return labels if they are new; else with nth="2", "3" ...
 */
const char *rlx_labels_unique(rlx_labels_t *set, const char *labels);

#endif /* RLX_REPORT_SERIES_H */
