/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The .htaccess files on the page that were seen so far.
 */

#include "report/html_parts.h"

#include "report/seen.h"

static void put_limits(rlx_page_t *page, const apr_array_header_t *limits)
{
    if (!limits->nelts) {
        return;
    }
    rlx_page_put(page, "<ul class=\"limits\">\n");
    for (int i = 0; i < limits->nelts; i++) {
        const rlx_limit_view_t *view = &APR_ARRAY_IDX(limits, i,
                                                      rlx_limit_view_t);

        rlx_page_put(page, "<li><div class=\"line\"><span class=\"what\">");
        rlx_page_limit(page, view);
        rlx_page_put(page, "</span> ");
        rlx_page_where(page, view->declared_at);
        rlx_page_put(page, "</div></li>\n");
    }
    rlx_page_put(page, "</ul>\n");
}

/** @param is_inner it is a section in the file */
static void put_section(rlx_page_t *page, const rlx_seen_section_t *one,
                        int is_inner)
{
    if (is_inner) {
        rlx_page_put(page, "<h5>");
        rlx_page_section(page, one->type, one->path);
        rlx_page_put(page, "</h5>\n");
    }
    if (one->exempt->nelts) {
        rlx_page_put(page, "<p class=\"none\">Exempt from ");
        rlx_page_text(page, rlx_view_join(page->p, one->exempt, ", "));
        rlx_page_put(page, "</p>\n");
    }
    put_limits(page, one->limits);
}

/** What is to be known of a file before it is unfolded. */
static void put_line(rlx_page_t *page, const rlx_seen_view_t *view)
{
    int n = 0;

    rlx_page_put(page, "<summary>");
    rlx_page_section(page, ".htaccess", view->path);
    for (int i = 0; i < view->sections->nelts; i++) {
        n += APR_ARRAY_IDX(view->sections, i,
                           rlx_seen_section_t).limits->nelts;
    }
    if (view->status) {
        rlx_page_print(page, " <span class=\"badge bad\">wrong: %d</span>",
                       view->status);
    }
    else {
        rlx_page_print(page, " <span class=\"brief\">%d limit%s%s</span>", n,
                       n == 1 ? "" : "s", view->is_added
                       ? ", may only add" : "");
    }
    rlx_page_put(page, "</summary>");
}

static void put_file(rlx_page_t *page, const rlx_seen_view_t *view, int no,
                     int serial)
{
    rlx_page_print(page, "<details class=\"node\" id=\"t%df%d\">", no,
                   serial);
    put_line(page, view);
    rlx_page_put(page, "<div class=\"in\">\n<dl class=\"facts\">\n"
                 "<div><dt>File</dt><dd>");
    rlx_page_where(page, view->file);
    rlx_page_put(page, "</dd></div>\n<div><dt>Last read anew</dt><dd>");
    rlx_page_time(page, view->seen_at);
    rlx_page_put(page, "</dd></div>\n</dl>\n");
    if (view->error) {
        rlx_page_element(page, "p", "trouble", view->error);
    }
    for (int i = 0; i < view->sections->nelts; i++) {
        const rlx_seen_section_t *one = &APR_ARRAY_IDX(view->sections, i,
                                                       rlx_seen_section_t);

        put_section(page, one, strcmp(one->path, view->path) != 0);
    }
    rlx_page_put(page, "</div></details>\n");
    apr_pool_clear(page->p);
}

void rlx_page_htaccess(rlx_page_t *page, const char *server, int no)
{
    const apr_array_header_t *files = page->snapshot->htaccess;
    int n = 0;

    for (int i = 0; files && i < files->nelts; i++) {
        const rlx_seen_view_t *view = &APR_ARRAY_IDX(files, i,
                                                     rlx_seen_view_t);

        if (strcmp(view->server, server)) {
            continue;
        }
        rlx_page_put(page, n ? "" : "<h4>.htaccess files seen so far</h4>\n");
        put_file(page, view, no, ++n);
    }
}
