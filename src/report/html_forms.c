/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What can be asked on the page, and what clears counters.
 */

#include "report/html_parts.h"

#include "report/path.h"

/* --- asking ------------------------------------------------------------- */

static void put_option(rlx_page_t *page, const char *value, int is_selected)
{
    rlx_page_put(page, is_selected ? "<option selected=\"selected\">"
                                   : "<option>");
    rlx_page_text(page, value);
    rlx_page_put(page, "</option>");
}

static void put_methods(rlx_page_t *page, const char *chosen)
{
    static const char *const methods[] = { "GET", "HEAD", "POST", "PUT",
                                           "PATCH", "DELETE", "OPTIONS" };
    const int n = sizeof(methods) / sizeof(methods[0]);
    int is_known = 0;

    rlx_page_put(page, "<p><label for=\"f-method\">Method</label>"
                 "<select id=\"f-method\" name=\"method\">");
    for (int i = 0; i < n; i++) {
        int is_chosen = chosen && !strcmp(chosen, methods[i]);

        is_known |= is_chosen;
        put_option(page, methods[i], is_chosen);
    }
    if (chosen && !is_known) {
        put_option(page, chosen, 1);
    }
    rlx_page_put(page, "</select></p>\n");
}

static void put_servers(rlx_page_t *page, const char *chosen)
{
    const apr_array_header_t *trees = page->snapshot->trees;

    if (trees->nelts < 2) {
        return;
    }
    rlx_page_put(page, "<p><label for=\"f-server\">Server</label>"
                 "<select id=\"f-server\" name=\"server\">"
                 "<option value=\"\">this one</option>");
    for (int i = 0; i < trees->nelts; i++) {
        const char *name = APR_ARRAY_IDX(trees, i, rlx_tree_t *)->sv->name;

        put_option(page, name, chosen && !strcmp(chosen, name));
    }
    rlx_page_put(page, "</select></p>\n");
}

static void ask_path(rlx_page_t *page)
{
    const rlx_path_view_t *view = page->snapshot->path;
    const char *asked = rlx_page_asked(page, "path");

    rlx_page_put(page, "<form class=\"card\" method=\"get\" action=\"\">\n"
                 "<h3>What applies to a URL?</h3>\n");
    rlx_page_kept_fields(page);
    rlx_page_put(page, "<p class=\"grow\"><label for=\"f-path\">Path</label>"
                 "<input id=\"f-path\" name=\"path\" type=\"text\" "
                 "required=\"required\" pattern=\"/.*\" "
                 "title=\"begins with a slash\" placeholder=\"/a/b\" "
                 "autocomplete=\"off\" autocapitalize=\"none\" "
                 "spellcheck=\"false\" value=\"");
    rlx_page_text(page, asked);
    rlx_page_put(page, "\"/></p>\n<div class=\"row\">\n");
    put_methods(page, view ? view->method : NULL);
    put_servers(page, view ? view->server : NULL);
    rlx_page_put(page, "<p><button type=\"submit\">Explain</button></p>\n"
                 "</div>\n</form>\n");
}

static void ask_key(rlx_page_t *page)
{
    const char *asked = rlx_page_asked(page, "key");

    rlx_page_put(page, "<form class=\"card\" method=\"get\" action=\"\">\n"
                 "<h3>What has a key left?</h3>\n");
    rlx_page_kept_fields(page);
    rlx_page_put(page, "<p class=\"grow\"><label for=\"f-key\">Key, such as "
                 "an address or a user</label>"
                 "<input id=\"f-key\" name=\"key\" type=\"text\" "
                 "required=\"required\" placeholder=\"192.0.2.1\" "
                 "autocomplete=\"off\" autocapitalize=\"none\" "
                 "spellcheck=\"false\" value=\"");
    rlx_page_text(page, asked);
    rlx_page_put(page, "\"/></p>\n<div class=\"row\">\n<p>"
                 "<button type=\"submit\">Look up</button></p>\n</div>\n"
                 "</form>\n");
}

void rlx_page_questions(rlx_page_t *page)
{
    rlx_page_put(page, "<section id=\"ask\" aria-labelledby=\"h-ask\">\n"
                 "<h2 id=\"h-ask\">Ask</h2>\n<div class=\"cards two\">\n");
    ask_path(page);
    ask_key(page);
    rlx_page_put(page, "</div>\n</section>\n");
    apr_pool_clear(page->p);
}

/* --- clearing ----------------------------------------------------------- */

void rlx_page_clear_key(rlx_page_t *page, const char *key, const char *limit,
                        const char *label)
{
    rlx_page_put(page, "<form class=\"clear\" method=\"post\" action=\"\">");
    rlx_page_hidden(page, "action", "clear");
    rlx_page_hidden(page, "key", key);
    if (limit) {
        rlx_page_hidden(page, "limit", limit);
    }
    rlx_page_print(page, "<button type=\"submit\"%s>%s</button></form>\n",
                   limit ? " class=\"small\"" : "", label);
}

void rlx_page_clear_all(rlx_page_t *page)
{
    if (!page->snapshot->may_clear) {
        return;
    }
    rlx_page_put(page, "<section id=\"clear\" aria-labelledby=\"h-clear\">\n"
                 "<h2 id=\"h-clear\">Clear</h2>\n"
                 "<details class=\"card danger\" id=\"clear-all\"><summary>"
                 "Clear every counter of every key</summary>"
                 "<div class=\"in\">\n<p>Everybody begins anew, on every "
                 "storage of this configuration, and on all machines that "
                 "count there. This cannot be undone. A single key is cleared "
                 "where it is looked up.</p>\n"
                 "<form class=\"clear\" method=\"post\" action=\"\">");
    rlx_page_hidden(page, "action", "clear-all");
    rlx_page_put(page, "<button type=\"submit\">Yes, clear everything"
                 "</button></form>\n</div></details>\n</section>\n");
}
