/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What .htaccess files were seen to say, for a terminal.
 */

#include "report/render.h"

#include "apr_strings.h"
#include "http_protocol.h"

#include "report/seen.h"

static void render_section(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                           const rlx_seen_section_t *section)
{
    int depth = 4;

    if (strcmp(section->type, "Htaccess")) {
        rlx_out_put(out, "    ");
        rlx_out_text(out, apr_pstrcat(snapshot->p, section->type, " ",
                                      section->path, "  (",
                                      section->declared_at, ")", NULL));
        rlx_out_put(out, "\n");
        depth = 6;
    }
    if (section->exempt->nelts) {
        rlx_out_print(out, "%*sexempt: %s\n", depth, "",
                      rlx_view_join(snapshot->p, section->exempt, " "));
    }
    for (int i = 0; i < section->limits->nelts; i++) {
        const rlx_limit_view_t *view = &APR_ARRAY_IDX(section->limits, i,
                                                      rlx_limit_view_t);

        rlx_out_print(out, "%*s", depth, "");
        rlx_out_text(out, apr_pstrcat(snapshot->p, view->limit, ", ",
                                      view->strategy,
                                      rlx_view_options(snapshot->p, view),
                                      "  (", view->declared_at, ")", NULL));
        rlx_out_put(out, "\n");
    }
}

static void render_file(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                        const rlx_seen_view_t *view)
{
    rlx_out_put(out, "  ");
    rlx_out_text(out, view->file);
    rlx_out_put(out, "  in ");
    rlx_out_text(out, view->server);
    rlx_out_print(out, ", %s, read anew %" APR_INT64_T_FMT " s ago\n",
                  view->status ? "wrong" : view->is_added ? "may only add"
                  : "may override and exempt",
                  (snapshot->now - view->seen_at) / APR_USEC_PER_SEC);
    if (view->status) {
        rlx_out_put(out, "    answer: ");
        rlx_out_text(out, ap_get_status_line(view->status));
        rlx_out_put(out, "\n");
    }
    if (view->error) {
        rlx_out_put(out, "    error: ");
        rlx_out_text(out, view->error);
        rlx_out_put(out, "\n");
    }
    for (int i = 0; i < view->sections->nelts; i++) {
        render_section(out, snapshot, &APR_ARRAY_IDX(view->sections, i,
                                                     rlx_seen_section_t));
    }
}

void rlx_text_seen(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    const apr_array_header_t *files = snapshot->htaccess;

    if (!files) {
        return;
    }
    rlx_out_put(out, files->nelts ? "\nSeen in .htaccess\n"
                                  : "\nSeen in .htaccess: nothing\n");
    for (int i = 0; i < files->nelts; i++) {
        render_file(out, snapshot, &APR_ARRAY_IDX(files, i, rlx_seen_view_t));
    }
    if (snapshot->htaccess_left_out) {
        rlx_out_print(out, "  and about %d more, for which there was no "
                      "room\n", snapshot->htaccess_left_out);
    }
}
