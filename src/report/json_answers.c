/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A snapshot for programs: the answers to ?path= and ?key=.
 */

#include "report/json_inside.h"

#include "report/key.h"
#include "report/path.h"

static void put_path_sections(rlx_json_t *json, const rlx_path_view_t *path)
{
    rlx_json_open_list(json, "sections");
    for (int i = 0; i < path->sections->nelts; i++) {
        const rlx_path_section_t *section = &APR_ARRAY_IDX(
            path->sections, i, rlx_path_section_t);

        rlx_json_open_object(json, NULL);
        rlx_json_text(json, "name", section->name);
        rlx_json_text(json, "declared_at", section->declared_at);
        rlx_json_flag(json, "htaccess", section->is_htaccess);
        rlx_json_flag(json, "added", section->is_added);
        rlx_json_texts(json, "exempt", section->exempt);
        rlx_json_text(json, "endpoint", section->endpoint);
        rlx_json_close(json);
    }
    rlx_json_close(json);
}

static void put_path(rlx_json_t *json, const rlx_path_view_t *path)
{
    rlx_json_open_object(json, "path");
    rlx_json_text(json, "path", path->path);
    rlx_json_text(json, "server", path->server);
    rlx_json_text(json, "method", path->method);
    rlx_json_text(json, "filename", path->filename);
    rlx_json_known(json, "status", (apr_uint64_t)path->status);
    rlx_json_text(json, "engine", path->engine);
    rlx_json_text(json, "endpoint", path->endpoint);
    rlx_json_text(json, "key", path->key);
    rlx_json_texts(json, "notes", path->notes);
    put_path_sections(json, path);
    rlx_json_open_list(json, "limits");
    for (int i = 0; i < path->limits->nelts; i++) {
        const rlx_path_limit_t *limit = &APR_ARRAY_IDX(path->limits, i,
                                                       rlx_path_limit_t);

        rlx_json_open_object(json, NULL);
        rlx_json_flag(json, "holds", limit->holds);
        rlx_json_text(json, "why", limit->why);
        rlx_json_text(json, "at", limit->at);
        rlx_json_text(json, "counted_under", limit->scope);
        rlx_json_limit(json, &limit->view);
        rlx_json_close(json);
    }
    rlx_json_close(json);
    rlx_json_close(json);
}

static void put_counter(rlx_json_t *json, const rlx_key_counter_t *counter)
{
    rlx_json_open_object(json, NULL);
    rlx_json_limit_brief(json, &counter->view);
    rlx_json_text(json, "server", counter->server);
    rlx_json_text(json, "counted_under", counter->scope);
    rlx_json_text(json, "key", counter->key);
    rlx_json_text(json, "method", counter->method);
    rlx_json_text(json, "storage", counter->storage);
    rlx_json_unsigned(json, "remaining", counter->remaining);
    rlx_json_number(json, "reset", counter->reset_sec);
    rlx_json_flag(json, "has_room", counter->has_room);
    if (!counter->has_room && counter->retry_sec < 0) {
        rlx_json_null(json, "retry");
    }
    else {
        rlx_json_number(json, "retry", counter->has_room ? 0
                                                         : counter->retry_sec);
    }
    rlx_json_close(json);
}

static void put_key(rlx_json_t *json, const rlx_key_view_t *key)
{
    rlx_json_open_object(json, "key");
    rlx_json_text(json, "key", key->key);
    rlx_json_text(json, "counted_as", key->counted_as);
    rlx_json_number(json, "asked", key->asked);
    rlx_json_texts(json, "notes", key->notes);
    rlx_json_open_list(json, "counters");
    for (int i = 0; i < key->counters->nelts; i++) {
        put_counter(json, &APR_ARRAY_IDX(key->counters, i,
                                         rlx_key_counter_t));
    }
    rlx_json_close(json);
    rlx_json_close(json);
}

void rlx_json_answers(rlx_json_t *json, const rlx_snapshot_t *snapshot)
{
    if (snapshot->path) {
        put_path(json, snapshot->path);
    }
    if (snapshot->key) {
        put_key(json, snapshot->key);
    }
}
