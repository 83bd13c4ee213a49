/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The storages for a terminal.
 */

#include "report/text_storage.h"

#include "apr_strings.h"

/** "    name: text". */
static void line(rlx_out_t *out, const char *name, const char *text)
{
    rlx_out_print(out, "    %s: ", name);
    rlx_out_text(out, text);
    rlx_out_put(out, "\n");
}

/** "0.35 ms". */
static const char *ms(apr_pool_t *p, apr_uint64_t usec)
{
    return apr_psprintf(p, "%" APR_UINT64_T_FMT ".%02u ms", usec / 1000,
                        (unsigned int)(usec % 1000 / 10));
}

/** Whether it answers, and since when. */
static void render_health(rlx_out_t *out, const rlx_storage_view_t *view)
{
    const rlx_store_health_t *health = view->health;
    int answers = view->status == APR_SUCCESS && view->figures.healthy
                  && !view->retry_sec;

    rlx_out_put(out, answers ? "    answers" : "    does not answer");
    if (health && health->since && health->is_down == !answers) {
        rlx_out_put(out, " since ");
        rlx_out_time(out, health->since);
    }
    if (view->retry_sec) {
        rlx_out_print(out, "; asked again in %" APR_INT64_T_FMT " s",
                      view->retry_sec);
    }
    rlx_out_put(out, "\n");
    if (health) {
        rlx_out_print(out, "    failures: %" APR_UINT64_T_FMT "\n",
                      health->failures);
    }
}

/** How long requests waited for it. */
static void render_latency(rlx_out_t *out, apr_pool_t *p,
                           const rlx_latency_t *latency)
{
    apr_uint64_t calls = rlx_latency_count(latency);

    rlx_out_print(out, "    calls: %" APR_UINT64_T_FMT, calls);
    if (calls) {
        rlx_out_print(out, "; %s of late, half within %s, 99 %% within %s, "
                      "longest %s",
                      ms(p, rlx_latency_recent(latency)),
                      ms(p, rlx_latency_quantile(latency, 500)),
                      ms(p, rlx_latency_quantile(latency, 990)),
                      ms(p, latency->longest_usec));
    }
    rlx_out_put(out, "\n");
}

/** What it holds. */
static void render_figures(rlx_out_t *out,
                           const rlx_storage_figures_t *figures)
{
    line(out, "state", figures->state ? figures->state : "unknown");
    if (!figures->healthy) {
        return;
    }
    rlx_out_print(out, "    counters: %" APR_UINT64_T_FMT, figures->keys_used);
    if (figures->keys_max) {
        rlx_out_print(out, " of %" APR_UINT64_T_FMT, figures->keys_max);
    }
    rlx_out_put(out, "\n");
    if (figures->size_bytes) {
        rlx_out_print(out, "    size: %" APR_UINT64_T_FMT " bytes\n",
                      figures->size_bytes);
    }
    rlx_out_print(out, "    evictions: %" APR_UINT64_T_FMT "\n",
                  figures->evictions);
}

static void render_storage(rlx_out_t *out, apr_pool_t *p,
                           const rlx_storage_view_t *view)
{
    rlx_out_put(out, "  ");
    rlx_out_text(out, view->uri);
    rlx_out_put(out, "\n");
    line(out, "for", view->servers->nelts
         ? rlx_view_join(p, view->servers, ", ")
         : "RateLimitStorageFailure fallback");
    if (!view->was_asked) {
        return;
    }
    render_health(out, view);
    if (view->health) {
        render_latency(out, p, &view->health->latency);
    }
    if (view->status == APR_SUCCESS) {
        render_figures(out, &view->figures);
    }
}

void rlx_text_storages(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    rlx_out_put(out, "\nStorage\n");
    for (int i = 0; i < snapshot->storages->nelts; i++) {
        render_storage(out, snapshot->p,
                       &APR_ARRAY_IDX(snapshot->storages, i,
                                      rlx_storage_view_t));
    }
}
