/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What became of requests, in all and by key.
 */

#include "report/html_parts.h"

#include "http/key.h"

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

/* --- keys --------------------------------------------------------------- */

static void put_refusals(rlx_page_t *page, const rlx_refused_key_t *key)
{
    if (key->over) {
        rlx_page_put(page, "<span class=\"muted\">at least</span> ");
    }
    rlx_page_number(page, key->refused - key->over);
}

/** Not 0 if a key may have been longer, by as much as a character. */
static int is_cut(const char *key)
{
    return strlen(key) > RLX_FIGURES_KEY_MAX - 4;
}

/** A key, and where it is all of it and not hashed the way to its counters. */
static void put_key_name(rlx_page_t *page, const char *key)
{
    if (rlx_key_is_hashed(key) || is_cut(key)) {
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
