/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A snapshot for programs: what .htaccess files were seen to say.
 */

#include "report/json_inside.h"

#include "report/seen.h"

static void put_section(rlx_json_t *json, const rlx_seen_section_t *section)
{
    rlx_json_open_object(json, NULL);
    rlx_json_text(json, "type", section->type);
    rlx_json_text(json, "path", section->path);
    rlx_json_text(json, "declared_at", section->declared_at);
    rlx_json_open_list(json, "own");
    for (int i = 0; i < section->limits->nelts; i++) {
        rlx_json_open_object(json, NULL);
        rlx_json_limit(json, &APR_ARRAY_IDX(section->limits, i,
                                            rlx_limit_view_t));
        rlx_json_close(json);
    }
    rlx_json_close(json);
    rlx_json_texts(json, "exempt", section->exempt);
    rlx_json_close(json);
}

static void put_file(rlx_json_t *json, const rlx_seen_view_t *view)
{
    rlx_json_open_object(json, NULL);
    rlx_json_text(json, "file", view->file);
    rlx_json_text(json, "path", view->path);
    rlx_json_text(json, "server", view->server);
    rlx_json_time(json, "seen", view->seen_at);
    rlx_json_flag(json, "added", view->is_added);
    rlx_json_known(json, "status", (apr_uint64_t)view->status);
    rlx_json_text(json, "error", view->error);
    rlx_json_open_list(json, "sections");
    for (int i = 0; i < view->sections->nelts; i++) {
        put_section(json, &APR_ARRAY_IDX(view->sections, i,
                                         rlx_seen_section_t));
    }
    rlx_json_close(json);
    rlx_json_close(json);
}

void rlx_json_htaccess(rlx_json_t *json, const rlx_snapshot_t *snapshot)
{
    const apr_array_header_t *files = snapshot->htaccess;

    rlx_json_open_list(json, "htaccess");
    for (int i = 0; files && i < files->nelts; i++) {
        put_file(json, &APR_ARRAY_IDX(files, i, rlx_seen_view_t));
    }
    rlx_json_close(json);
    rlx_json_number(json, "htaccess_left_out", snapshot->htaccess_left_out);
}
