/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The configuration on the page: warnings, and where each value is set.
 */

#include "report/html_parts.h"

#include "apr_strings.h"

/** Warnings that are shown without unfolding. */
#define WARNINGS_AT_ONCE 5

static void put_warning(rlx_page_t *page, const rlx_warning_t *warning)
{
    rlx_page_put(page, "<li><p>");
    rlx_page_text(page, warning->text);
    rlx_page_put(page, ".</p>\n<p class=\"mend\"><b>Mend:</b> ");
    rlx_page_text(page, warning->mend);
    rlx_page_put(page, ".</p>\n<p>");
    rlx_page_where(page, warning->where);
    rlx_page_put(page, "</p></li>\n");
    apr_pool_clear(page->p);
}

void rlx_page_warnings(rlx_page_t *page)
{
    const apr_array_header_t *warnings = page->snapshot->warnings;
    int n = warnings->nelts;

    if (!n) {
        return;
    }
    rlx_page_print(page, "<section id=\"warnings\" "
                   "aria-labelledby=\"h-warn\">\n<h2 id=\"h-warn\">%d "
                   "warning%s</h2>\n<ul class=\"warnings\">\n", n,
                   n == 1 ? "" : "s");
    for (int i = 0; i < n; i++) {
        if (i == WARNINGS_AT_ONCE) {
            rlx_page_print(page, "</ul>\n<details class=\"defaults\" "
                           "id=\"more-warnings\"><summary>%d more</summary>"
                           "<ul class=\"warnings in\">\n", n - i);
        }
        put_warning(page, &APR_ARRAY_IDX(warnings, i, rlx_warning_t));
    }
    rlx_page_put(page, n > WARNINGS_AT_ONCE ? "</ul></details>\n</section>\n"
                                            : "</ul>\n</section>\n");
}

/** Where a setting holds: nothing for the whole server. */
static void put_place(rlx_page_t *page, const rlx_setting_t *setting)
{
    if (!setting->section && !strcmp(setting->server, "_main")) {
        rlx_page_put(page, "<span class=\"muted\">all</span>");
        return;
    }
    rlx_page_element(page, "span", "server", setting->server);
    if (setting->section) {
        rlx_page_put(page, " ");
        rlx_page_element(page, "code", "path", setting->section);
    }
}

static void put_setting(rlx_page_t *page, const rlx_setting_t *setting)
{
    rlx_page_put(page, "<tr><th scope=\"row\">");
    rlx_page_element(page, "code", NULL, setting->directive);
    rlx_page_put(page, "</th><td data-label=\"Value\">");
    rlx_page_element(page, "code", "value", setting->value);
    rlx_page_put(page, "</td><td data-label=\"For\">");
    put_place(page, setting);
    rlx_page_put(page, "</td><td data-label=\"Set at\">");
    if (setting->declared_at) {
        rlx_page_where(page, setting->declared_at);
    }
    else {
        rlx_page_put(page, "<span class=\"muted\">default</span>");
    }
    rlx_page_put(page, "</td></tr>\n");
    apr_pool_clear(page->p);
}

static int count_of(const apr_array_header_t *settings, int is_set)
{
    int n = 0;

    for (int i = 0; i < settings->nelts; i++) {
        n += is_set == (APR_ARRAY_IDX(settings, i, rlx_setting_t).declared_at
                        != NULL);
    }
    return n;
}

/** Those that are set, or those that are not. */
static void put_settings(rlx_page_t *page, int is_set)
{
    const apr_array_header_t *settings = page->snapshot->settings;

    rlx_page_put(page, "<table>\n<thead><tr><th scope=\"col\">Directive</th>"
                 "<th scope=\"col\">Value</th><th scope=\"col\">For</th>"
                 "<th scope=\"col\">Set at</th></tr></thead>\n<tbody>\n");
    for (int i = 0; i < settings->nelts; i++) {
        const rlx_setting_t *setting = &APR_ARRAY_IDX(settings, i,
                                                      rlx_setting_t);

        if (is_set == (setting->declared_at != NULL)) {
            put_setting(page, setting);
        }
    }
    rlx_page_put(page, "</tbody></table>\n");
}

void rlx_page_settings(rlx_page_t *page)
{
    const apr_array_header_t *settings = page->snapshot->settings;
    int defaults = count_of(settings, 0);

    rlx_page_put(page, "<section id=\"configuration\" "
                 "aria-labelledby=\"h-conf\">\n"
                 "<h2 id=\"h-conf\">Configuration</h2>\n"
                 "<div class=\"card\">\n");
    if (count_of(settings, 1)) {
        put_settings(page, 1);
    }
    else {
        rlx_page_put(page, "<p class=\"none\">Everything is as it is by "
                     "default.</p>\n");
    }
    if (defaults) {
        rlx_page_print(page, "<details class=\"defaults\" id=\"defaults\">"
                       "<summary>%d directive%s not set</summary>"
                       "<div class=\"in\">\n", defaults,
                       defaults == 1 ? " is" : "s are");
        put_settings(page, 0);
        rlx_page_put(page, "</div></details>\n");
    }
    rlx_page_put(page, "</div>\n</section>\n");
}
