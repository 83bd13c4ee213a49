/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What applies to a URL, for a terminal.
 */

#include "report/render.h"

#include "apr_strings.h"
#include "http_protocol.h"

#include "report/path.h"

/** "name: text" on a line of its own. */
static void line(rlx_out_t *out, int depth, const char *name,
                 const char *text)
{
    rlx_out_print(out, "%*s%s: ", 2 * depth, "", name);
    rlx_out_text(out, text);
    rlx_out_put(out, "\n");
}

/** "text  (file:line)" on a line of its own. */
static void line_at(rlx_out_t *out, int depth, const char *text,
                    const char *declared_at)
{
    rlx_out_print(out, "%*s", 2 * depth, "");
    rlx_out_text(out, text);
    rlx_out_put(out, "  (");
    rlx_out_text(out, declared_at);
    rlx_out_put(out, ")\n");
}

static void render_head(rlx_out_t *out, const rlx_path_view_t *view)
{
    rlx_out_put(out, "What applies to ");
    rlx_out_text(out, view->method);
    rlx_out_put(out, " ");
    rlx_out_text(out, view->path);
    rlx_out_put(out, "\n");
    line(out, 1, "server", view->server);
    if (view->filename) {
        line(out, 1, "leads to", view->filename);
    }
    if (view->status >= 100) {
        line(out, 1, "answer", ap_get_status_line(view->status));
    }
    line(out, 1, "engine", view->engine);
    line(out, 1, "key", view->key ? view->key : "the client's address");
    line(out, 1, "endpoint", view->endpoint);
}

static void render_sections(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                            const rlx_path_view_t *view)
{
    rlx_out_put(out, view->sections->nelts
                ? "\nSections that speak of limits, the outermost first\n"
                : "\nSections that speak of limits: none\n");
    for (int i = 0; i < view->sections->nelts; i++) {
        const rlx_path_section_t *section = &APR_ARRAY_IDX(
            view->sections, i, rlx_path_section_t);

        line_at(out, 1, section->name, section->declared_at);
        if (section->endpoint) {
            line(out, 2, "endpoint", section->endpoint);
        }
        if (section->exempt->nelts) {
            line(out, 2, "exempt", rlx_view_join(snapshot->p, section->exempt,
                                                 " "));
        }
        if (section->is_added) {
            rlx_out_put(out, "    may only add limits\n");
        }
    }
}

static void render_limit(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                         const rlx_path_limit_t *limit)
{
    line_at(out, 1, apr_pstrcat(snapshot->p, limit->view.limit, ", ",
                                limit->view.strategy,
                                rlx_view_options(snapshot->p, &limit->view),
                                NULL), limit->view.declared_at);
    line(out, 2, "why", limit->why);
    if (limit->holds) {
        line(out, 2, "counts in", limit->scope);
    }
}

/** Those that hold, or those that do not. */
static void render_limits(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                          const rlx_path_view_t *view, int holds,
                          const char *title)
{
    int n = 0;

    for (int i = 0; i < view->limits->nelts; i++) {
        const rlx_path_limit_t *limit = &APR_ARRAY_IDX(view->limits, i,
                                                       rlx_path_limit_t);

        if (!limit->holds == !holds) {
            if (!n++) {
                rlx_out_print(out, "\n%s\n", title);
            }
            render_limit(out, snapshot, limit);
        }
    }
    if (!n) {
        rlx_out_print(out, "\n%s: none\n", title);
    }
}

void rlx_text_path(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    const rlx_path_view_t *view = snapshot->path;

    render_head(out, view);
    render_sections(out, snapshot, view);
    render_limits(out, snapshot, view, 1, "Limits that hold");
    render_limits(out, snapshot, view, 0, "Limits that do not hold");
    rlx_out_put(out, view->notes->nelts ? "\nNotes\n" : "\nNotes: none\n");
    for (int i = 0; i < view->notes->nelts; i++) {
        rlx_out_put(out, "  ");
        rlx_out_text(out, APR_ARRAY_IDX(view->notes, i, const char *));
        rlx_out_put(out, "\n");
    }
}
