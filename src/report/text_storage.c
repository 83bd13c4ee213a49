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
    rlx_out_put(out, view->is_up ? "    answers" : "    does not answer");
    if (view->since) {
        rlx_out_put(out, " since ");
        rlx_out_time(out, view->since);
    }
    if (view->retry_sec) {
        rlx_out_print(out, "; asked again in %" APR_INT64_T_FMT " s",
                      view->retry_sec);
    }
    rlx_out_put(out, "\n");
}

/** How calls over the network went. */
static void render_calls(rlx_out_t *out, apr_pool_t *p,
                         const rlx_health_t *health)
{
    const rlx_latency_t *answers = &health->answers;
    apr_uint64_t n = rlx_latency_count(answers);

    rlx_out_print(out, "    calls: %" APR_UINT64_T_FMT " answered, %"
                  APR_UINT64_T_FMT " not\n", n, health->failed);
    if (n) {
        rlx_out_print(out, "    round trips: %s of late, half within %s, "
                      "99 %% within %s, longest %s\n",
                      ms(p, rlx_latency_recent(answers)),
                      ms(p, rlx_latency_quantile(answers, 500)),
                      ms(p, rlx_latency_quantile(answers, 990)),
                      ms(p, answers->longest_usec));
    }
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
    if (view->has_health) {
        render_calls(out, p, &view->health);
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
