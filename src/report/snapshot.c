/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * All that is reported.
 */

#include "report/snapshot.h"

#include "apr_time.h"

#include "http/digits.h"
#include "http/figures.h"

static apr_array_header_t *make_trees(apr_pool_t *p, server_rec *main_server)
{
    const apr_array_header_t *servers = rlx_tree_servers(p, main_server);
    apr_array_header_t *trees = apr_array_make(p, servers->nelts,
                                               sizeof(rlx_tree_t *));

    for (int i = 0; i < servers->nelts; i++) {
        APR_ARRAY_PUSH(trees, rlx_tree_t *) = rlx_tree_make(
            p, main_server, APR_ARRAY_IDX(servers, i, server_rec *));
    }
    return trees;
}

const rlx_known_t *rlx_known_make(apr_pool_t *p, server_rec *main_server)
{
    rlx_known_t *known = apr_palloc(p, sizeof(*known));

    known->settings = rlx_conf_settings(p, main_server);
    known->trees = make_trees(p, main_server);
    known->limits = rlx_listed_make(p, known->trees);
    known->warnings = rlx_warnings_make(p, main_server, known->trees);
    return known;
}

static rlx_storage_view_t *view_of(rlx_snapshot_t *snapshot,
                                   const rlx_store_t *store)
{
    rlx_storage_view_t *view;

    for (int i = 0; i < snapshot->storages->nelts; i++) {
        view = &APR_ARRAY_IDX(snapshot->storages, i, rlx_storage_view_t);
        if (view->store == store) {
            return view;
        }
    }
    view = apr_array_push(snapshot->storages);
    memset(view, 0, sizeof(*view));
    view->store = store;
    view->uri = store->shown_uri;
    view->kind = store->scheme;
    view->servers = apr_array_make(snapshot->p, 2, sizeof(char *));
    return view;
}

/** What a storage says of itself. */
static void ask(rlx_snapshot_t *snapshot, rlx_storage_view_t *view)
{
    const rlx_store_t *store = view->store;

    view->was_asked = 1;
    view->status = store->provider->figures(store->instance, snapshot->now,
                                            &view->figures, snapshot->p);
    view->retry_sec = rlx_seconds_up(rlx_store_retry_at(store, snapshot->now)
                                     - snapshot->now);
    view->is_up = view->status == APR_SUCCESS && view->figures.healthy
                  && !view->retry_sec;
    view->since = rlx_figures_since();
    if (store->health && *store->health) {
        view->has_health = 1;
        rlx_health_read(*store->health, &view->health);
        /* Nothing is known of the time if it has only been found out. */
        view->since = view->health.is_down == !view->is_up
                      ? view->health.changed_at : 0;
    }
}

static void find_storages(rlx_snapshot_t *snapshot, int is_served)
{
    snapshot->storages = apr_array_make(snapshot->p, 2,
                                        sizeof(rlx_storage_view_t));
    for (int i = 0; i < snapshot->trees->nelts; i++) {
        const rlx_server_t *sv = APR_ARRAY_IDX(snapshot->trees, i,
                                               rlx_tree_t *)->sv;

        APR_ARRAY_PUSH(view_of(snapshot, sv->store)->servers, const char *)
            = sv->name;
        if (sv->local) {
            view_of(snapshot, sv->local);
        }
    }
    for (int i = 0; is_served && i < snapshot->storages->nelts; i++) {
        ask(snapshot, &APR_ARRAY_IDX(snapshot->storages, i,
                                     rlx_storage_view_t));
    }
}

rlx_snapshot_t *rlx_snapshot_make(apr_pool_t *p, server_rec *main_server,
                                  int is_served)
{
    rlx_snapshot_t *snapshot = apr_pcalloc(p, sizeof(*snapshot));
    const rlx_known_t *known = rlx_server_of(main_server)->known;

    if (!known) {
        known = rlx_known_make(p, main_server);
    }
    snapshot->settings = known->settings;
    snapshot->trees = known->trees;
    snapshot->limits = known->limits;
    snapshot->warnings = known->warnings;
    snapshot->p = p;
    snapshot->main_server = main_server;
    snapshot->now = apr_time_now();
    snapshot->is_served = is_served;
    find_storages(snapshot, is_served);
    return snapshot;
}
