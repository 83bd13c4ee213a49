/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A snapshot as a page: its frame. What is in it are rooms of their own, see
 * html_parts.h.
 */

#include "report/html_parts.h"
#include "report/render.h"

#include "apr_strings.h"
#include "apr_time.h"

#include "scoreboard.h"

/** The name that people know the server by. */
static const char *host_of(const rlx_page_t *page)
{
    const server_rec *s = page->out->r ? page->out->r->server
                                       : page->snapshot->main_server;

    return s->server_hostname ? s->server_hostname : "localhost";
}

/** A refresh by the page's script is put off while somebody types, and comes
 *  back to what was unfolded; without scripts, it is done all the same. */
static void put_refresh_field(rlx_page_t *page)
{
    int sec = page->snapshot->refresh_sec;

    if (sec > 0) {
        rlx_page_print(page, "<noscript><meta http-equiv=\"refresh\" "
                       "content=\"%d\"/></noscript>\n", sec);
    }
}

static void put_head(rlx_page_t *page)
{
    const char *nonce = page->snapshot->nonce ? page->snapshot->nonce : "";

    rlx_page_put(page, "<!DOCTYPE html>\n<html lang=\"en\" "
                 "xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
                 "<meta charset=\"utf-8\"/>\n<title>Rate limits of ");
    rlx_page_text(page, host_of(page));
    rlx_page_put(page, "</title>\n<meta name=\"viewport\" "
                 "content=\"width=device-width, initial-scale=1\"/>\n"
                 "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
                 "<meta name=\"robots\" content=\"noindex\"/>\n"
                 "<link rel=\"icon\" href=\"data:,\"/>\n");
    put_refresh_field(page);
    rlx_page_print(page, "<style nonce=\"%s\">\n", nonce);
    rlx_page_put(page, rlx_page_style);
    rlx_page_put(page, "</style>\n</head>\n");
}

/* --- the page's head ---------------------------------------------------- */

static void put_refresh_choice(rlx_page_t *page, int sec, const char *label)
{
    rlx_page_put(page, " <a href=\"");
    rlx_page_link_with(page, "refresh",
                       sec ? apr_psprintf(page->p, "%d", sec) : NULL);
    rlx_page_print(page, "\"%s>%s</a>", page->snapshot->refresh_sec == sec
                   ? " aria-current=\"true\"" : "", label);
}

static void put_refresh(rlx_page_t *page)
{
    int sec = page->snapshot->refresh_sec;

    rlx_page_put(page, "<p class=\"refresh\"><span id=\"h-refresh\">Refresh"
                 "</span> <span class=\"choices\" role=\"group\" "
                 "aria-labelledby=\"h-refresh\">");
    put_refresh_choice(page, 0, "off");
    put_refresh_choice(page, 5, "5&#160;s");
    put_refresh_choice(page, 15, "15&#160;s");
    put_refresh_choice(page, 60, "60&#160;s");
    if (sec && sec != 5 && sec != 15 && sec != 60) {
        put_refresh_choice(page, sec, apr_psprintf(page->p, "%d&#160;s", sec));
    }
    rlx_page_put(page, "</span></p>\n");
}

/** When this generation of httpd began. */
static void put_uptime(rlx_page_t *page)
{
    apr_time_t at = ap_scoreboard_image && ap_scoreboard_image->global
                    ? ap_scoreboard_image->global->restart_time : 0;

    if (at > 0 && page->snapshot->now >= at) {
        rlx_page_put(page, ", up for ");
        rlx_page_duration(page, (page->snapshot->now - at)
                                / APR_USEC_PER_SEC);
    }
}

static void put_header(rlx_page_t *page)
{
    rlx_page_put(page, "<header>\n<div>\n<h1><span>Rate limits of</span> ");
    rlx_page_text(page, host_of(page));
    rlx_page_put(page, "</h1>\n<p class=\"muted\">");
    rlx_page_time(page, page->snapshot->now);
    rlx_page_put(page, "<br/>");
    rlx_page_text(page, ap_get_server_description());
    rlx_page_put(page, ", mod_ratelimit_ext " RLX_VERSION);
    put_uptime(page);
    rlx_page_put(page, "</p>\n</div>\n");
    put_refresh(page);
    rlx_page_put(page, "</header>\n");
}

static int is_any_down(const rlx_page_t *page)
{
    const apr_array_header_t *storages = page->snapshot->storages;

    for (int i = 0; i < storages->nelts; i++) {
        if (rlx_page_is_down(&APR_ARRAY_IDX(storages, i,
                                            rlx_storage_view_t))) {
            return 1;
        }
    }
    return 0;
}

/** Not 0 if a limit only tries. */
static int is_any_trial(const rlx_page_t *page)
{
    const apr_array_header_t *limits = page->snapshot->limits;
    rlx_trial_t trial;

    for (int i = 0; i < limits->nelts; i++) {
        const rlx_listed_t *listed = &APR_ARRAY_IDX(limits, i, rlx_listed_t);

        if (rlx_figures_trial(listed->view.rule, &trial)) {
            return 1;
        }
    }
    return 0;
}

static void put_nav(rlx_page_t *page)
{
    rlx_page_put(page, "<nav aria-label=\"Parts of this page\"><ul>");
    if (page->snapshot->warnings->nelts) {
        rlx_page_print(page, "<li><a class=\"warn\" href=\"#warnings\">"
                       "Warnings <b>%d</b></a></li>",
                       page->snapshot->warnings->nelts);
    }
    rlx_page_put(page, "<li><a href=\"#requests\">Requests</a></li>");
    rlx_page_put(page, is_any_down(page)
                 ? "<li><a class=\"bad\" href=\"#storage\">Storage "
                   "<b>does not answer</b></a></li>"
                 : "<li><a href=\"#storage\">Storage</a></li>");
    rlx_page_put(page, "<li><a href=\"#keys\">Keys</a></li>"
                 "<li><a href=\"#ask\">Ask</a></li>");
    rlx_page_put(page, is_any_trial(page)
                 ? "<li><a href=\"#trials\">Trials</a></li>" : "");
    rlx_page_put(page, "<li><a href=\"#limits\">Limits</a></li>"
                 "<li><a href=\"#configuration\">Configuration</a></li>");
    rlx_page_put(page, page->snapshot->may_clear
                 ? "<li><a href=\"#clear\">Clear</a></li></ul></nav>\n"
                 : "</ul></nav>\n");
}

/* --- what is in it ------------------------------------------------------ */

static void put_main(rlx_page_t *page)
{
    const rlx_snapshot_t *snapshot = page->snapshot;
    int is_asked = snapshot->path || snapshot->key;

    rlx_page_put(page, "<main id=\"main\">\n");
    if (snapshot->notice) {
        rlx_page_put(page, "<p class=\"notice\" role=\"status\">");
        rlx_page_text(page, snapshot->notice);
        rlx_page_put(page, "</p>\n");
    }
    if (is_asked) {
        rlx_page_put(page, "<div id=\"answer\">\n");
        rlx_page_answers(page);
        rlx_page_put(page, "</div>\n");
        rlx_page_questions(page);
    }
    rlx_page_warnings(page);
    rlx_page_traffic(page);
    rlx_page_storages(page);
    rlx_page_refusing(page);
    rlx_page_refused_keys(page);
    if (!is_asked) {
        rlx_page_questions(page);
    }
    rlx_page_trials(page);
    rlx_page_tree(page);
    rlx_page_settings(page);
    rlx_page_clear_all(page);
    rlx_page_put(page, "</main>\n");
}

static void put_form(rlx_page_t *page, const char *format, const char *label,
                     const char *end)
{
    rlx_page_put(page, "<a href=\"");
    rlx_page_link_with(page, "format", format);
    rlx_page_print(page, "\">%s</a>%s", label, end);
}

static void put_footer(rlx_page_t *page)
{
    rlx_page_put(page, "<footer>\n<p>The same as ");
    put_form(page, "json", "JSON", ", ");
    put_form(page, "text", "text", " and ");
    put_form(page, "prometheus", "metrics", ".</p>\n</footer>\n");
}

static void put_script(rlx_page_t *page)
{
    if (page->snapshot->nonce) {
        rlx_page_print(page, "<script nonce=\"%s\" data-refresh=\"%d\">\n",
                       page->snapshot->nonce, page->snapshot->refresh_sec);
        rlx_page_put(page, rlx_page_script);
        rlx_page_put(page, "</script>\n");
    }
}

void rlx_render_html(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    rlx_page_t page = { out, snapshot, NULL, snapshot->args, 0 };

    apr_pool_create(&page.p, snapshot->p);
    apr_pool_tag(page.p, "rlx_page");
    put_head(&page);
    rlx_page_put(&page, "<body>\n<a class=\"skip\" href=\"#main\">To the "
                 "figures</a>\n");
    put_header(&page);
    put_nav(&page);
    put_main(&page);
    put_footer(&page);
    put_script(&page);
    rlx_page_put(&page, "</body>\n</html>\n");
    apr_pool_destroy(page.p);
}
