/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What became of requests: in all, by limit, by key; and what limits that
 * only try would have done.
 */

#include "report/html_parts.h"

#include "apr_strings.h"

/** Rows of a list that has the most important first. */
#define ROWS_MAX 20

/** Keys that are shown without unfolding. */
#define KEYS_AT_ONCE 10

/** What can become of a request, as the page calls it, in its order. */
static const struct {
    rlx_fate_e fate;
    /** A class of the style sheet. */
    const char *name;
    const char *title;
    const char *hint;
} fates_shown[] = {
    { RLX_FATE_ALLOWED, "allowed", "Allowed", "had room" },
    { RLX_FATE_REFUSED, "refused", "Refused", "had none left" },
    { RLX_FATE_DRY_RUN, "dry", "Dry run", "had none left, and passed" },
    { RLX_FATE_EXEMPT, "exempt", "Exempt", "were not counted" },
    { RLX_FATE_ERROR, "error", "Undecided", "the storage did not answer" }
};

/* --- in all ------------------------------------------------------------- */

/** One bar of all fates side by side. Colours are the style sheet's. */
static void put_bar(rlx_page_t *page, const rlx_fates_t *fates)
{
    double x = 0;

    rlx_page_put(page, "<svg xmlns=\"http://www.w3.org/2000/svg\" "
                 "class=\"share\" viewBox=\"0 0 100 1\" "
                 "preserveAspectRatio=\"none\" aria-hidden=\"true\" "
                 "focusable=\"false\">");
    for (int i = 0; i < RLX_FATES && fates->seen; i++) {
        apr_uint64_t n = fates->of[fates_shown[i].fate];
        double width = 100.0 * (double)n / (double)fates->seen;

        /* What is there is seen, be it ever so little. */
        if (n) {
            rlx_page_print(page, "<rect class=\"%s\" x=\"%.3f\" y=\"0\" "
                           "width=\"%.3f\" height=\"1\"/>",
                           fates_shown[i].name, x, width < 0.4 ? 0.4 : width);
            x += width;
        }
    }
    rlx_page_put(page, "</svg>\n");
}

static void put_fate(rlx_page_t *page, const rlx_fates_t *fates, int i)
{
    apr_uint64_t n = fates->of[fates_shown[i].fate];

    rlx_page_print(page, "<div class=\"fate %s%s\"><dt>%s</dt><dd><b>",
                   fates_shown[i].name, n ? "" : " zero",
                   fates_shown[i].title);
    rlx_page_number(page, n);
    rlx_page_put(page, "</b> <span class=\"percent\">");
    rlx_page_percent(page, n, fates->seen);
    rlx_page_print(page, "</span> <span class=\"hint\">%s</span></dd></div>\n",
                   fates_shown[i].hint);
}

void rlx_page_traffic(rlx_page_t *page)
{
    rlx_usec_t since = rlx_figures_since();
    rlx_fates_t fates;

    rlx_figures_totals(&fates);
    rlx_page_put(page, "<section id=\"requests\" aria-labelledby=\"h-req\">\n"
                 "<h2 id=\"h-req\">Requests</h2>\n");
    if (!since) {
        rlx_page_put(page, "<p class=\"empty\">Nothing is counted here."
                     "</p>\n</section>\n");
        return;
    }
    rlx_page_put(page, "<div class=\"card\">\n<p class=\"seen\"><b>");
    rlx_page_number(page, fates.seen);
    rlx_page_put(page, fates.seen == 1 ? "</b> request" : "</b> requests");
    rlx_page_put(page, " since ");
    rlx_page_time(page, since);
    rlx_page_put(page, "</p>\n");
    put_bar(page, &fates);
    rlx_page_put(page, "<dl class=\"fates\">\n");
    for (int i = 0; i < RLX_FATES; i++) {
        put_fate(page, &fates, i);
    }
    rlx_page_put(page, "</dl>\n</div>\n</section>\n");
    apr_pool_clear(page->p);
}

/* --- limits ------------------------------------------------------------- */

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

/* --- trials ------------------------------------------------------------- */

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

/* --- keys --------------------------------------------------------------- */

static void put_refusals(rlx_page_t *page, const rlx_refused_key_t *key)
{
    if (key->over) {
        rlx_page_put(page, "<span class=\"muted\">at least</span> ");
    }
    rlx_page_number(page, key->refused - key->over);
}

/** Not 0 if a key is shown hashed (RateLimitKeyDisplay): # and 16 digits. */
static int is_hash(const char *key)
{
    return key[0] == '#' && strlen(key) == 17
           && strspn(key + 1, "0123456789abcdef") == 16;
}

/** Not 0 if a key may have been longer, by as much as a character. */
static int is_cut(const char *key)
{
    return strlen(key) > RLX_FIGURES_KEY_MAX - 4;
}

/** A key, and where it is all of it and not hashed the way to its counters. */
static void put_key_name(rlx_page_t *page, const char *key)
{
    if (is_hash(key) || is_cut(key)) {
        rlx_page_element(page, "span", "key", key);
        if (is_cut(key)) {
            rlx_page_put(page, "\xe2\x80\xa6");
        }
        return;
    }
    rlx_page_put(page, "<a class=\"key\" href=\"");
    rlx_page_link(page, "key", key);
    rlx_page_put(page, "\">");
    rlx_page_text(page, key);
    rlx_page_put(page, "</a>");
}

static void put_key(rlx_page_t *page, const rlx_refused_key_t *key,
                    apr_uint64_t most)
{
    rlx_page_put(page, "<tr><th scope=\"row\">");
    put_key_name(page, key->key);
    rlx_page_put(page, "</th><td data-label=\"Refused by\">");
    rlx_page_element(page, "b", "limit", key->limit);
    if (key->name) {
        rlx_page_put(page, " ");
        rlx_page_element(page, "span", "name", key->name);
    }
    rlx_page_put(page, " ");
    rlx_page_element(page, "span", "server", key->server);
    rlx_page_put(page, "</td><td data-label=\"Last\">");
    rlx_page_duration(page, (page->snapshot->now - key->last_at)
                            / APR_USEC_PER_SEC);
    rlx_page_put(page, " ago</td><td class=\"n\" data-label=\"Refusals\">");
    put_refusals(page, key);
    rlx_page_put(page, " ");
    rlx_page_meter(page, "refusals", key->refused - key->over, most,
                   "refusals, compared with the key refused most");
    rlx_page_put(page, "</td></tr>\n");
    apr_pool_clear(page->p);
}

/** Some of the keys, as a table. */
static void put_keys_table(rlx_page_t *page, const apr_array_header_t *keys,
                           int from, int to)
{
    apr_uint64_t most = APR_ARRAY_IDX(keys, 0, rlx_refused_key_t).refused;

    rlx_page_put(page, "<table>\n<thead><tr><th scope=\"col\">Key</th>"
                 "<th scope=\"col\">Refused by</th>"
                 "<th scope=\"col\">Last</th>"
                 "<th scope=\"col\" class=\"n\">Refusals</th></tr></thead>\n"
                 "<tbody>\n");
    for (int i = from; i < to; i++) {
        put_key(page, &APR_ARRAY_IDX(keys, i, rlx_refused_key_t), most);
    }
    rlx_page_put(page, "</tbody></table>\n");
}

void rlx_page_refused_keys(rlx_page_t *page)
{
    const apr_array_header_t *keys = rlx_figures_top_refused(
        page->snapshot->p);
    int n = keys->nelts;

    rlx_page_put(page, "<section id=\"keys\" aria-labelledby=\"h-keys\">\n"
                 "<h2 id=\"h-keys\">Keys refused most</h2>\n");
    if (!n) {
        rlx_page_put(page, "<p class=\"empty\">Nobody has been refused."
                     "</p>\n</section>\n");
        return;
    }
    rlx_page_put(page, "<div class=\"card\">");
    put_keys_table(page, keys, 0, n > KEYS_AT_ONCE ? KEYS_AT_ONCE : n);
    if (n > KEYS_AT_ONCE) {
        rlx_page_print(page, "<details class=\"defaults\" id=\"more-keys\">"
                       "<summary>%d more</summary><div class=\"in\">\n",
                       n - KEYS_AT_ONCE);
        put_keys_table(page, keys, KEYS_AT_ONCE, n);
        rlx_page_put(page, "</div></details>\n");
    }
    rlx_page_put(page, "</div>\n</section>\n");
}
