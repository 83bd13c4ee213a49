/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Answers to what was asked on the page.
 */

#include "report/html_parts.h"

#include "report/key.h"
#include "report/path.h"

static void put_notes(rlx_page_t *page, const apr_array_header_t *notes)
{
    if (!notes || !notes->nelts) {
        return;
    }
    rlx_page_put(page, "<ul class=\"notes\">\n");
    for (int i = 0; i < notes->nelts; i++) {
        rlx_page_element(page, "li", NULL,
                         APR_ARRAY_IDX(notes, i, const char *));
    }
    rlx_page_put(page, "</ul>\n");
}

/* --- ?path= ------------------------------------------------------------- */

static void put_fact(rlx_page_t *page, const char *name, const char *tag,
                     const char *text)
{
    if (text && text[0]) {
        rlx_page_print(page, "<div><dt>%s</dt><dd>", name);
        rlx_page_element(page, tag, NULL, text);
        rlx_page_put(page, "</dd></div>\n");
    }
}

static void put_asked(rlx_page_t *page, const rlx_path_view_t *view)
{
    rlx_page_put(page, "<dl class=\"facts\">\n");
    put_fact(page, "Method", "span", view->method);
    put_fact(page, "Server", "span", view->server);
    put_fact(page, "Engine", "span", view->engine);
    put_fact(page, "Key", view->key ? "code" : "span",
             view->key ? view->key : "the client's address");
    if (view->endpoint && strcmp(view->endpoint, "-")) {
        put_fact(page, "Endpoint", "code", view->endpoint);
    }
    put_fact(page, "Leads to", "code", view->filename);
    rlx_page_put(page, "</dl>\n");
    if (view->status) {
        rlx_page_print(page, "<p class=\"trouble\">httpd answers %d there: "
                       "what would hold cannot be told in full.</p>\n",
                       view->status);
    }
    put_notes(page, view->notes);
}

static void put_path_section(rlx_page_t *page, const rlx_path_section_t *one)
{
    rlx_page_put(page, "<li><div class=\"line\"><span class=\"what\">");
    rlx_page_element(page, "code", "path", one->name);
    if (one->is_htaccess) {
        rlx_page_put(page, " <span class=\"badge\">.htaccess</span>");
    }
    if (one->is_added) {
        rlx_page_put(page, " <span class=\"muted\">may only add limits</span>");
    }
    if (one->exempt && one->exempt->nelts) {
        rlx_page_put(page, " <span class=\"muted\">exempt from ");
        rlx_page_text(page, rlx_view_join(page->p, one->exempt, ", "));
        rlx_page_put(page, "</span>");
    }
    if (one->endpoint) {
        rlx_page_put(page, " <span class=\"muted\">endpoint</span> ");
        rlx_page_element(page, "code", NULL, one->endpoint);
    }
    rlx_page_put(page, "</span> ");
    if (one->declared_at) {
        rlx_page_where(page, one->declared_at);
    }
    rlx_page_put(page, "</div></li>\n");
}

static void put_path_sections(rlx_page_t *page, const rlx_path_view_t *view)
{
    if (!view->sections->nelts) {
        rlx_page_put(page, "<p class=\"none\">It meets no section that speaks "
                     "of limits.</p>\n");
        return;
    }
    rlx_page_put(page, "<h3>Sections, the outermost first</h3>\n"
                 "<ol class=\"way\">\n");
    for (int i = 0; i < view->sections->nelts; i++) {
        put_path_section(page, &APR_ARRAY_IDX(view->sections, i,
                                              rlx_path_section_t));
    }
    rlx_page_put(page, "</ol>\n");
}

static void put_path_limit(rlx_page_t *page, const rlx_path_limit_t *limit)
{
    rlx_page_print(page, "<tr%s><th scope=\"row\">",
                   limit->holds ? "" : " class=\"off\"");
    rlx_page_limit(page, &limit->view);
    rlx_page_print(page, "</th><td data-label=\"Holds\"><span "
                   "class=\"badge%s</span></td><td data-label=\"Why\">",
                   limit->holds ? " good\">holds" : "\">does not hold");
    rlx_page_text(page, limit->why);
    rlx_page_put(page, "</td><td data-label=\"Declared at\">");
    if (limit->view.declared_at) {
        rlx_page_where(page, limit->view.declared_at);
    }
    rlx_page_put(page, "</td></tr>\n");
}

/** What comes of it, in one sentence. */
static void put_path_sum(rlx_page_t *page, const rlx_path_view_t *view)
{
    int all = view->limits->nelts, n = 0;

    for (int i = 0; i < all; i++) {
        n += APR_ARRAY_IDX(view->limits, i, rlx_path_limit_t).holds;
    }
    rlx_page_put(page, "<p class=\"sum\"><b>");
    if (n) {
        rlx_page_print(page, "%d limit%s</b> for such a request", n,
                       n == 1 ? " holds" : "s hold");
    }
    else {
        rlx_page_put(page, "No limit holds</b> for such a request");
    }
    if (all > n) {
        rlx_page_print(page, "; %d around it do%s not", all - n,
                       all - n == 1 ? "es" : "");
    }
    rlx_page_put(page, ".</p>\n");
}

static void answer_path(rlx_page_t *page, const rlx_path_view_t *view)
{
    rlx_page_put(page, "<section class=\"answer\" "
                 "aria-labelledby=\"h-path\">\n<h2 id=\"h-path\">What applies "
                 "to <code>");
    rlx_page_text(page, view->path);
    rlx_page_put(page, "</code></h2>\n<div class=\"card\">\n");
    put_path_sum(page, view);
    put_asked(page, view);
    put_path_sections(page, view);
    if (view->limits->nelts) {
        rlx_page_put(page, "<table>\n<thead><tr><th scope=\"col\">Limit</th>"
                     "<th scope=\"col\">Holds</th><th scope=\"col\">Why</th>"
                     "<th scope=\"col\">Declared at</th></tr></thead>\n"
                     "<tbody>\n");
        for (int i = 0; i < view->limits->nelts; i++) {
            put_path_limit(page, &APR_ARRAY_IDX(view->limits, i,
                                                rlx_path_limit_t));
        }
        rlx_page_put(page, "</tbody></table>\n");
    }
    else {
        rlx_page_put(page, "<p class=\"none\">No limit is anywhere around it."
                     "</p>\n");
    }
    rlx_page_put(page, "<p class=\"close\"><a href=\"");
    rlx_page_link(page, NULL, NULL);
    rlx_page_put(page, "\">Back to the overview</a></p>\n</div>\n"
                 "</section>\n");
    apr_pool_clear(page->p);
}

/* --- ?key= -------------------------------------------------------------- */

/** What a counter is of, and where it is. */
static void put_scope(rlx_page_t *page, const rlx_key_view_t *view,
                      const rlx_key_counter_t *counter)
{
    rlx_page_element(page, "span", "server", counter->server);
    /* Outside of sections it is the server that counts. */
    if (strcmp(counter->scope, counter->server)) {
        rlx_page_put(page, " ");
        rlx_page_element(page, "code", "path", counter->scope);
    }
    if (counter->method) {
        rlx_page_put(page, " ");
        rlx_page_element(page, "span", "strategy", counter->method);
    }
    if (strcmp(counter->key, view->counted_as)) {
        rlx_page_put(page, " <span class=\"strategy\">as</span> ");
        rlx_page_element(page, "code", "value", counter->key);
    }
    if (page->snapshot->storages->nelts > 1) {
        rlx_page_put(page, " ");
        rlx_page_element(page, "code", "where", counter->storage);
    }
}

static void put_left(rlx_page_t *page, const rlx_key_counter_t *counter)
{
    apr_uint32_t count = counter->view.count;

    rlx_page_number(page, counter->remaining);
    if (count) {
        rlx_page_put(page, " <span class=\"muted\">of ");
        rlx_page_number(page, count);
        rlx_page_put(page, "</span> ");
        rlx_page_meter(page, counter->has_room ? "use" : "refusals",
                       count > counter->remaining
                       ? count - counter->remaining : 0, count, "used");
    }
}

static void put_counter(rlx_page_t *page, const rlx_key_view_t *view,
                        const rlx_key_counter_t *counter)
{
    const char *name = counter->view.rule
                       ? counter->view.rule->options->name : NULL;

    rlx_page_put(page, "<tr><th scope=\"row\">");
    rlx_page_limit(page, &counter->view);
    rlx_page_put(page, "</th><td data-label=\"Of\">");
    put_scope(page, view, counter);
    rlx_page_put(page, "</td><td class=\"n\" data-label=\"Left\">");
    put_left(page, counter);
    rlx_page_put(page, "</td><td class=\"n\" data-label=\"Resets in\">");
    rlx_page_duration(page, counter->reset_sec);
    rlx_page_put(page, "</td><td data-label=\"Now\">");
    if (counter->has_room) {
        rlx_page_put(page, "<span class=\"badge good\">has room</span>");
    }
    else if (counter->retry_sec < 0) {
        rlx_page_put(page, "<span class=\"badge bad\">never has room"
                     "</span>");
    }
    else {
        rlx_page_put(page, "<span class=\"badge bad\">no room for ");
        rlx_page_duration(page, counter->retry_sec);
        rlx_page_put(page, "</span>");
    }
    rlx_page_put(page, "</td>");
    if (page->snapshot->may_clear) {
        rlx_page_put(page, "<td class=\"act\">");
        rlx_page_clear_key(page, view->key, name ? name
                           : counter->view.limit, "Clear");
        rlx_page_put(page, "</td>");
    }
    rlx_page_put(page, "</tr>\n");
}

/** How it stands, in one sentence. */
static void put_key_sum(rlx_page_t *page, const rlx_key_view_t *view)
{
    int all = view->counters->nelts, n = 0;
    apr_int64_t longest = 0;

    for (int i = 0; i < all; i++) {
        const rlx_key_counter_t *counter = &APR_ARRAY_IDX(
            view->counters, i, rlx_key_counter_t);

        n += !counter->has_room;
        longest = counter->retry_sec > longest ? counter->retry_sec : longest;
    }
    if (!n) {
        rlx_page_print(page, "<p class=\"sum\"><b>There is room</b> in all "
                       "that it has used: %d counter%s.</p>\n", all,
                       all == 1 ? "" : "s");
        return;
    }
    rlx_page_print(page, "<p class=\"sum\"><b>No room</b> in %d of %d "
                   "counter%s that it has used", n, all, all == 1 ? "" : "s");
    if (longest) {
        rlx_page_put(page, ", for ");
        rlx_page_duration(page, longest);
        rlx_page_put(page, n == 1 ? "" : " at most");
    }
    rlx_page_put(page, ".</p>\n");
}

static void put_counters(rlx_page_t *page, const rlx_key_view_t *view)
{
    if (!view->counters->nelts) {
        rlx_page_put(page, "<p class=\"sum\"><b>It has all of every limit "
                     "left</b>: no counter has anything to say.</p>\n");
        return;
    }
    put_key_sum(page, view);
    rlx_page_put(page, "<table>\n<thead><tr><th scope=\"col\">Limit</th>"
                 "<th scope=\"col\">Of</th>"
                 "<th scope=\"col\" class=\"n\">Left</th>"
                 "<th scope=\"col\" class=\"n\">Resets in</th>"
                 "<th scope=\"col\">Now</th>");
    rlx_page_put(page, page->snapshot->may_clear
                       ? "<th scope=\"col\">Clear</th>" : "");
    rlx_page_put(page, "</tr></thead>\n<tbody>\n");
    for (int i = 0; i < view->counters->nelts; i++) {
        put_counter(page, view, &APR_ARRAY_IDX(view->counters, i,
                                                    rlx_key_counter_t));
    }
    rlx_page_put(page, "</tbody></table>\n");
}

static void answer_key(rlx_page_t *page, const rlx_key_view_t *view)
{
    rlx_page_put(page, "<section class=\"answer\" "
                 "aria-labelledby=\"h-key\">\n<h2 id=\"h-key\">Key <code>");
    rlx_page_text(page, view->key);
    rlx_page_put(page, "</code></h2>\n<div class=\"card\">\n");
    if (view->counted_as && strcmp(view->counted_as, view->key)) {
        rlx_page_put(page, "<p>It is counted as ");
        rlx_page_element(page, "code", NULL, view->counted_as);
        rlx_page_put(page, ".</p>\n");
    }
    put_counters(page, view);
    put_notes(page, view->notes);
    rlx_page_print(page, "<p class=\"more\">%d counter%s looked at.</p>\n",
                   view->asked, view->asked == 1 ? " was" : "s were");
    if (page->snapshot->may_clear) {
        rlx_page_clear_key(page, view->key, NULL,
                           "Clear all counters of this key");
    }
    rlx_page_put(page, "<p class=\"close\"><a href=\"");
    rlx_page_link(page, NULL, NULL);
    rlx_page_put(page, "\">Back to the overview</a></p>\n</div>\n"
                 "</section>\n");
    apr_pool_clear(page->p);
}

void rlx_page_answers(rlx_page_t *page)
{
    if (page->snapshot->path) {
        answer_path(page, page->snapshot->path);
    }
    if (page->snapshot->key) {
        answer_key(page, page->snapshot->key);
    }
}
