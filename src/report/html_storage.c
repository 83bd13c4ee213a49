/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The storages on the page.
 */

#include "report/html_parts.h"

#include "apr_strings.h"

/** Whether it answers, in a word and a colour. */
static void put_answers(rlx_page_t *page, const rlx_storage_view_t *view)
{
    if (!view->was_asked) {
        rlx_page_put(page, "<span class=\"badge\">not asked</span>");
    }
    else if (view->is_up) {
        rlx_page_put(page, "<span class=\"badge good\">answers</span>");
    }
    else {
        rlx_page_put(page, "<span class=\"badge bad\">does not answer</span>");
    }
}

static void put_servers(rlx_page_t *page, const rlx_storage_view_t *view)
{
    rlx_page_put(page, "<p class=\"for\">");
    if (view->servers->nelts) {
        rlx_page_put(page, "counts for ");
        rlx_page_text(page, rlx_view_join(page->p, view->servers, ", "));
    }
    else {
        rlx_page_put(page, "counts while another storage does not answer");
    }
    rlx_page_put(page, "</p>\n");
}

int rlx_page_is_down(const rlx_storage_view_t *view)
{
    return view->was_asked && !view->is_up && view->servers->nelts;
}

/** What requests of a server get while its storage does not answer. */
static const char *instead(const rlx_server_t *sv)
{
    if (sv->local) {
        return sv->fallback
               ? "are held to RateLimitFallback, counted in shm://fallback"
               : "are counted in shm://fallback";
    }
    return sv->storage_failure == RLX_FAILURE_DENY
           ? "get 503 where a limit holds" : "pass and are not counted";
}

/** The same of all servers that count in a storage. */
static void put_meanwhile(rlx_page_t *page, const rlx_storage_view_t *view)
{
    const apr_array_header_t *trees = page->snapshot->trees;
    const char *says = NULL;

    for (int i = 0; i < trees->nelts; i++) {
        const rlx_server_t *sv = APR_ARRAY_IDX(trees, i, rlx_tree_t *)->sv;

        if (sv->store != view->store) {
            continue;
        }
        if (says && strcmp(says, instead(sv))) {
            says = "get what RateLimitStorageFailure of their server says";
            break;
        }
        says = instead(sv);
    }
    rlx_page_print(page, "<p class=\"trouble\">Until it answers, requests "
                   "%s.</p>\n", says ? says : "are not counted");
}

/** How full it is. */
static void put_counters(rlx_page_t *page,
                         const rlx_storage_figures_t *figures)
{
    rlx_page_put(page, "<div class=\"wide\"><dt>Counters</dt><dd>");
    rlx_page_number(page, figures->keys_used);
    if (figures->keys_max) {
        rlx_page_put(page, " <span class=\"muted\">of ");
        rlx_page_number(page, figures->keys_max);
        rlx_page_put(page, " (");
        rlx_page_percent(page, figures->keys_used, figures->keys_max);
        rlx_page_put(page, ")</span>");
        rlx_page_meter(page, "use", figures->keys_used, figures->keys_max,
                       "counters in use");
    }
    rlx_page_put(page, "</dd></div>\n");
}

/** Microseconds, as milliseconds where they are many. */
static void put_usec(rlx_page_t *page, apr_uint64_t usec)
{
    if (usec < 10000) {
        rlx_page_number(page, usec);
        rlx_page_put(page, "&#160;\302\265s");
    }
    else {
        rlx_page_number(page, (usec + 500) / 1000);
        rlx_page_put(page, "&#160;ms");
    }
}

/** What they took. */
static void put_round_trips(rlx_page_t *page, const rlx_latency_t *answers)
{
    if (!rlx_latency_count(answers)) {
        return;
    }
    rlx_page_put(page, "<div><dt>Round trip</dt><dd>");
    put_usec(page, rlx_latency_recent(answers));
    rlx_page_put(page, " <span class=\"muted\">of late; half within ");
    put_usec(page, rlx_latency_quantile(answers, 500));
    rlx_page_put(page, ", 99&#160;% within ");
    put_usec(page, rlx_latency_quantile(answers, 990));
    rlx_page_put(page, ", longest ");
    put_usec(page, answers->longest_usec);
    rlx_page_put(page, "</span></dd></div>\n");
}

/** How long it answers, and how calls over the network went. */
static void put_health(rlx_page_t *page, const rlx_storage_view_t *view)
{
    const rlx_health_t *health = &view->health;

    if (view->was_asked && view->since) {
        rlx_page_print(page, "<div><dt>%s for</dt><dd>", view->is_up
                       ? "Answers" : "Has not answered");
        rlx_page_duration(page, (page->snapshot->now - view->since)
                                / APR_USEC_PER_SEC);
        rlx_page_put(page, "</dd></div>\n");
    }
    if (!view->has_health) {
        return;
    }
    rlx_page_put(page, "<div><dt>Calls answered</dt><dd>");
    rlx_page_number(page, rlx_latency_count(&health->answers));
    rlx_page_put(page, "</dd></div>\n<div><dt>Calls not answered</dt><dd>");
    rlx_page_number(page, health->failed);
    rlx_page_put(page, "</dd></div>\n");
    put_round_trips(page, &health->answers);
}

static void put_figures(rlx_page_t *page, const rlx_storage_view_t *view)
{
    const rlx_storage_figures_t *figures = &view->figures;
    int is_known = view->was_asked && view->status == APR_SUCCESS;

    rlx_page_put(page, "<dl class=\"facts\">\n");
    if (view->retry_sec) {
        rlx_page_put(page, "<div><dt>Asked again in</dt><dd>");
        rlx_page_duration(page, view->retry_sec);
        rlx_page_put(page, "</dd></div>\n");
    }
    put_health(page, view);
    /* What does not answer cannot say how full it is. */
    if (is_known && figures->healthy) {
        put_counters(page, figures);
        if (figures->size_bytes) {
            rlx_page_put(page, "<div><dt>Size</dt><dd>");
            rlx_page_bytes(page, figures->size_bytes);
            rlx_page_put(page, "</dd></div>\n");
        }
        rlx_page_put(page, "<div><dt>Evictions</dt><dd>");
        rlx_page_number(page, figures->evictions);
        rlx_page_put(page, "</dd></div>\n");
    }
    /* That it does not answer is said above. */
    if (is_known && figures->state
        && strcmp(figures->state, "does not answer")) {
        rlx_page_put(page, "<div><dt>State</dt><dd>");
        rlx_page_text(page, figures->state);
        rlx_page_put(page, "</dd></div>\n");
    }
    rlx_page_put(page, "</dl>\n");
}

static void put_storage(rlx_page_t *page, const rlx_storage_view_t *view)
{
    rlx_page_put(page, "<article class=\"card storage\">\n<h3>");
    rlx_page_text(page, view->kind);
    rlx_page_put(page, "</h3> ");
    put_answers(page, view);
    rlx_page_put(page, "\n<p><code class=\"uri\">");
    rlx_page_text(page, view->uri);
    rlx_page_put(page, "</code></p>\n");
    put_servers(page, view);
    if (rlx_page_is_down(view)) {
        put_meanwhile(page, view);
    }
    put_figures(page, view);
    rlx_page_put(page, "</article>\n");
    apr_pool_clear(page->p);
}

void rlx_page_storages(rlx_page_t *page)
{
    const apr_array_header_t *storages = page->snapshot->storages;

    rlx_page_put(page, "<section id=\"storage\" aria-labelledby=\"h-st\">\n"
                 "<h2 id=\"h-st\">Storage</h2>\n<div class=\"cards\">\n");
    for (int i = 0; i < storages->nelts; i++) {
        put_storage(page, &APR_ARRAY_IDX(storages, i, rlx_storage_view_t));
    }
    rlx_page_put(page, "</div>\n</section>\n");
}
