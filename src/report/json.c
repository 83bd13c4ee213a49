/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A snapshot for programs: the whole, the server, settings, storages and
 * warnings.
 */

#include "report/render.h"

#include "ap_mpm.h"
#include "scoreboard.h"

#include "report/json_inside.h"

static void put_server(rlx_json_t *json, const rlx_snapshot_t *snapshot)
{
    const global_score *score = ap_scoreboard_image
                                ? ap_scoreboard_image->global : NULL;

    rlx_json_open_object(json, "server");
    rlx_json_text(json, "name", snapshot->main_server->server_hostname);
    rlx_json_text(json, "httpd", ap_get_server_description());
    rlx_json_text(json, "mpm", ap_show_mpm());
    rlx_json_time(json, "now", snapshot->now);
    rlx_json_time(json, "started", score ? score->restart_time : 0);
    rlx_json_close(json);
}

static void put_settings(rlx_json_t *json, const rlx_snapshot_t *snapshot)
{
    rlx_json_open_list(json, "config");
    for (int i = 0; i < snapshot->settings->nelts; i++) {
        const rlx_setting_t *setting = &APR_ARRAY_IDX(snapshot->settings, i,
                                                      rlx_setting_t);

        rlx_json_open_object(json, NULL);
        rlx_json_text(json, "directive", setting->directive);
        rlx_json_text(json, "value", setting->value);
        rlx_json_text(json, "server", setting->server);
        rlx_json_text(json, "section", setting->section);
        rlx_json_text(json, "declared_at", setting->declared_at);
        rlx_json_close(json);
    }
    rlx_json_close(json);
}

static void put_figures(rlx_json_t *json, const rlx_storage_view_t *view)
{
    const rlx_storage_figures_t *figures = &view->figures;
    char said[160];

    rlx_json_text(json, "state", figures->state);
    rlx_json_text(json, "error",
                  view->status == APR_SUCCESS ? NULL
                  : apr_strerror(view->status, said, sizeof(said)));
    rlx_json_number(json, "retry", view->retry_sec);
    if (view->status == APR_SUCCESS && figures->healthy) {
        rlx_json_unsigned(json, "keys", figures->keys_used);
        rlx_json_known(json, "keys_max", figures->keys_max);
        rlx_json_known(json, "bytes", figures->size_bytes);
        rlx_json_unsigned(json, "evictions", figures->evictions);
    }
    else {
        rlx_json_null(json, "keys");
        rlx_json_null(json, "keys_max");
        rlx_json_null(json, "bytes");
        rlx_json_null(json, "evictions");
    }
}

/** How calls went. */
static void put_health(rlx_json_t *json, const rlx_storage_view_t *view)
{
    const rlx_health_t *health = &view->health;
    const rlx_latency_t *answers = &health->answers;

    rlx_json_time(json, "since", view->since);
    if (!view->has_health) {
        rlx_json_null(json, "breaker");
        rlx_json_null(json, "round_trips");
        return;
    }
    rlx_json_text(json, "breaker", health->is_down ? "open" : "closed");
    rlx_json_open_object(json, "round_trips");
    rlx_json_unsigned(json, "answered", rlx_latency_count(answers));
    rlx_json_unsigned(json, "failed", health->failed);
    rlx_json_known(json, "recent_usec", rlx_latency_recent(answers));
    rlx_json_known(json, "average_usec", rlx_latency_mean(answers));
    rlx_json_known(json, "half_usec", rlx_latency_quantile(answers, 500));
    rlx_json_known(json, "p99_usec", rlx_latency_quantile(answers, 990));
    rlx_json_known(json, "max_usec", answers->longest_usec);
    rlx_json_close(json);
}

static void put_storages(rlx_json_t *json, const rlx_snapshot_t *snapshot)
{
    rlx_json_open_list(json, "storage");
    for (int i = 0; i < snapshot->storages->nelts; i++) {
        const rlx_storage_view_t *view = &APR_ARRAY_IDX(
            snapshot->storages, i, rlx_storage_view_t);

        rlx_json_open_object(json, NULL);
        rlx_json_text(json, "uri", view->uri);
        rlx_json_text(json, "kind", view->kind);
        rlx_json_texts(json, "servers", view->servers);
        rlx_json_flag(json, "fallback", !view->servers->nelts);
        rlx_json_flag(json, "healthy", view->is_up);
        put_health(json, view);
        put_figures(json, view);
        rlx_json_close(json);
    }
    rlx_json_close(json);
}

static void put_warnings(rlx_json_t *json, const rlx_snapshot_t *snapshot)
{
    rlx_json_open_list(json, "warnings");
    for (int i = 0; i < snapshot->warnings->nelts; i++) {
        const rlx_warning_t *warning = &APR_ARRAY_IDX(snapshot->warnings, i,
                                                      rlx_warning_t);

        rlx_json_open_object(json, NULL);
        rlx_json_text(json, "declared_at", warning->where);
        rlx_json_text(json, "text", warning->text);
        rlx_json_text(json, "mend", warning->mend);
        rlx_json_close(json);
    }
    rlx_json_close(json);
}

void rlx_render_json(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    rlx_json_t *json = rlx_json_begin(snapshot->p, out);

    rlx_json_text(json, "version", RLX_VERSION);
    put_server(json, snapshot);
    rlx_json_answers(json, snapshot);
    put_settings(json, snapshot);
    put_storages(json, snapshot);
    rlx_json_counters(json, snapshot);
    rlx_json_servers(json, snapshot);
    rlx_json_htaccess(json, snapshot);
    put_warnings(json, snapshot);
    rlx_json_end(json);
}
