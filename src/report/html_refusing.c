/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Limits that refuse, and what those that only try would have done.
 */

#include "report/html_parts.h"

/** Rows of a list that has the most important first. */
#define ROWS_MAX 20

/* --- those that refuse -------------------------------------------------- */

/** A limit that has refused. */
typedef struct busy_t {
    const rlx_listed_t *listed;
    rlx_fates_t fates;
} busy_t;

/** Those that have: busy_t. */
static apr_array_header_t *find_busy(const rlx_snapshot_t *snapshot)
{
    apr_array_header_t *found = apr_array_make(snapshot->p, 8, sizeof(busy_t));

    for (int i = 0; i < snapshot->limits->nelts; i++) {
        busy_t busy = { &APR_ARRAY_IDX(snapshot->limits, i, rlx_listed_t) };

        rlx_figures_of(busy.listed->view.rule, &busy.fates);
        if (busy.fates.of[RLX_FATE_REFUSED]) {
            APR_ARRAY_PUSH(found, busy_t) = busy;
        }
    }
    return found;
}

static int by_refusals(const void *a, const void *b)
{
    apr_uint64_t one = ((const busy_t *)a)->fates.of[RLX_FATE_REFUSED];
    apr_uint64_t other = ((const busy_t *)b)->fates.of[RLX_FATE_REFUSED];

    return (one < other) - (one > other);
}

/** The first cells of a row. */
static void put_listed(rlx_page_t *page, const rlx_listed_t *listed)
{
    rlx_page_put(page, "<tr><th scope=\"row\">");
    rlx_page_limit(page, &listed->view);
    rlx_page_put(page, "</th><td data-label=\"Where\">");
    rlx_page_place(page, listed);
    rlx_page_put(page, "</td>");
}

static void put_busy(rlx_page_t *page, const busy_t *busy)
{
    apr_uint64_t refused = busy->fates.of[RLX_FATE_REFUSED];

    put_listed(page, busy->listed);
    rlx_page_put(page, "<td class=\"n\" data-label=\"Requests\">");
    rlx_page_number(page, busy->fates.seen);
    rlx_page_put(page, "</td><td class=\"n\" data-label=\"Refused\">");
    rlx_page_number(page, refused);
    rlx_page_put(page, "</td><td class=\"n\" data-label=\"Share\">");
    rlx_page_percent(page, refused, busy->fates.seen);
    rlx_page_put(page, " ");
    rlx_page_meter(page, "refusals", refused, busy->fates.seen,
                   "share of requests that were refused");
    rlx_page_put(page, "</td></tr>\n");
    apr_pool_clear(page->p);
}

void rlx_page_refusing(rlx_page_t *page)
{
    const apr_array_header_t *busy = find_busy(page->snapshot);

    if (!busy->nelts) {
        return;
    }
    qsort(busy->elts, busy->nelts, sizeof(busy_t), by_refusals);
    rlx_page_put(page, "<section id=\"refusing\" aria-labelledby=\"h-ref\">\n"
                 "<h2 id=\"h-ref\">Limits that refuse</h2>\n"
                 "<div class=\"card\"><table>\n<thead><tr>"
                 "<th scope=\"col\">Limit</th><th scope=\"col\">Where</th>"
                 "<th scope=\"col\" class=\"n\">Requests</th>"
                 "<th scope=\"col\" class=\"n\">Refused</th>"
                 "<th scope=\"col\" class=\"n\">Share</th>"
                 "</tr></thead>\n<tbody>\n");
    for (int i = 0; i < busy->nelts && i < ROWS_MAX; i++) {
        put_busy(page, &APR_ARRAY_IDX(busy, i, busy_t));
    }
    rlx_page_put(page, "</tbody></table>\n");
    if (busy->nelts > ROWS_MAX) {
        rlx_page_print(page, "<p class=\"more\">%d more have refused fewer; "
                       "see <a href=\"#limits\">Limits</a>.</p>\n",
                       busy->nelts - ROWS_MAX);
    }
    rlx_page_put(page, "</div>\n</section>\n");
}

/* --- those that only try ------------------------------------------------ */

/** "44 per 1 minute": the limit that it would be. */
static void put_count(rlx_page_t *page, const rlx_limit_view_t *view,
                      const char *label, apr_uint64_t count)
{
    const char *window = view->is_dynamic ? NULL : strchr(view->limit, ' ');

    rlx_page_print(page, "</td><td class=\"n\" data-label=\"%s\">", label);
    if (count) {
        rlx_page_number(page, count);
        rlx_page_text(page, window);
    }
    else {
        rlx_page_put(page, "<span class=\"muted\">too few keys</span>");
    }
}

/** About 1,000, or exactly. */
static void put_keys(rlx_page_t *page, const rlx_trial_t *trial,
                     apr_uint64_t n)
{
    if (!trial->is_exact) {
        rlx_page_put(page, "about ");
    }
    rlx_page_number(page, n);
}

static void put_trials_head(rlx_page_t *page)
{
    rlx_page_put(page, "<section id=\"trials\" aria-labelledby=\"h-try\">\n"
                 "<h2 id=\"h-try\">Trials</h2>\n"
                 "<p class=\"lead\">What limits that refuse nobody yet would "
                 "have done. The last two columns are the lowest limits that "
                 "would have refused no more than that part of the keys.</p>\n"
                 "<div class=\"card\"><table>\n<thead><tr>"
                 "<th scope=\"col\">Limit</th><th scope=\"col\">Where</th>"
                 "<th scope=\"col\" class=\"n\">Requests it would refuse</th>"
                 "<th scope=\"col\" class=\"n\">Keys it would refuse</th>"
                 "<th scope=\"col\" class=\"n\">Limit for 1&#160;%</th>"
                 "<th scope=\"col\" class=\"n\">Limit for 0.1&#160;%</th>"
                 "</tr></thead>\n<tbody>\n");
}

static void put_trial(rlx_page_t *page, const rlx_listed_t *listed,
                      const rlx_trial_t *trial)
{
    const rlx_limit_view_t *view = &listed->view;
    rlx_fates_t fates;

    rlx_figures_of(view->rule, &fates);
    put_listed(page, listed);
    rlx_page_put(page, "<td class=\"n\" data-label=\"Requests it would "
                 "refuse\">");
    rlx_page_number(page, fates.of[RLX_FATE_DRY_RUN]);
    rlx_page_put(page, " <span class=\"muted\">(");
    rlx_page_percent(page, fates.of[RLX_FATE_DRY_RUN], fates.seen);
    rlx_page_put(page, ")</span></td><td class=\"n\" data-label=\"Keys it "
                 "would refuse\">");
    put_keys(page, trial, trial->keys_refused);
    rlx_page_put(page, " of ");
    rlx_page_number(page, trial->keys);
    rlx_page_put(page, " <span class=\"muted\">(");
    rlx_page_percent(page, trial->keys_refused, trial->keys);
    rlx_page_put(page, ")</span>");
    put_count(page, view, "Limit for 1 %", trial->count_1_percent);
    put_count(page, view, "Limit for 0.1 %", trial->count_01_percent);
    rlx_page_put(page, "</td></tr>\n");
    apr_pool_clear(page->p);
}

void rlx_page_trials(rlx_page_t *page)
{
    const apr_array_header_t *limits = page->snapshot->limits;
    int n = 0;

    for (int i = 0; i < limits->nelts; i++) {
        const rlx_listed_t *listed = &APR_ARRAY_IDX(limits, i, rlx_listed_t);
        rlx_trial_t trial;

        if (rlx_figures_trial(listed->view.rule, &trial)) {
            if (!n++) {
                put_trials_head(page);
            }
            put_trial(page, listed, &trial);
        }
    }
    rlx_page_put(page, n ? "</tbody></table></div>\n</section>\n" : "");
}
