/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Forgetting counters. All that a key may have are forgotten, whether or not
 * they seem to be there: between a look and what follows it requests go on.
 */

#include "report/clear.h"

#include "apr_strings.h"
#include "apr_time.h"

#include "report/key.h"
#include "report/seen.h"
#include "report/tree.h"

/** A clearing under way. */
typedef struct clearing_t {
    apr_pool_t *p;
    rlx_usec_t now;
    rlx_cleared_t *cleared;
} clearing_t;

static void begin(rlx_cleared_t *cleared, apr_pool_t *p)
{
    memset(cleared, 0, sizeof(*cleared));
    cleared->failed = apr_array_make(p, 2, sizeof(char *));
    cleared->notes = apr_array_make(p, 4, sizeof(char *));
}

static void fail(rlx_cleared_t *cleared, const rlx_store_t *store)
{
    for (int i = 0; i < cleared->failed->nelts; i++) {
        if (APR_ARRAY_IDX(cleared->failed, i, const char *)
            == store->shown_uri) {
            return;
        }
    }
    APR_ARRAY_PUSH(cleared->failed, const char *) = store->shown_uri;
}

static apr_status_t forget(const clearing_t *clearing,
                           const rlx_candidates_t *batch, int n)
{
    apr_pool_t *ptemp;
    apr_status_t status;

    apr_pool_create(&ptemp, clearing->p);
    apr_pool_tag(ptemp, "rlx_forget");
    status = batch->store->provider->forget(batch->store->instance,
                                            batch->counters, n, ptemp);
    apr_pool_destroy(ptemp);
    return status;
}

/** Whoever is known by an address or a user name in one counter that is in
 *  use may be shown; so may whoever looks like an address. */
static void count(clearing_t *clearing, const rlx_candidates_t *batch,
                  const int *live)
{
    for (int i = 0; i < batch->n; i++) {
        clearing->cleared->counters += live[i];
        clearing->cleared->is_public |= live[i] && batch->of[i].is_public;
    }
}

/** An rlx_candidates_fn. */
static int clear(void *baton, const rlx_candidates_t *batch)
{
    clearing_t *clearing = baton;
    rlx_verdict_t verdicts[RLX_STORAGE_BATCH_MAX];
    int live[RLX_STORAGE_BATCH_MAX] = { 0 };
    apr_status_t status = rlx_key_look_at(batch, clearing->now, verdicts, live,
                                          clearing->p);

    /* It may be asked again before requests do. One counter tells whether
     * there is any point in it. */
    if (status != APR_SUCCESS) {
        status = forget(clearing, batch, 1);
    }
    if (status == APR_SUCCESS) {
        status = forget(clearing, batch, batch->n);
    }
    if (status != APR_SUCCESS) {
        fail(clearing->cleared, batch->store);
        return 0;
    }
    clearing->cleared->asked += batch->n;
    count(clearing, batch, live);
    return 1;
}

void rlx_clear_key(request_rec *r, server_rec *main_server, const char *key,
                   const char *limit, rlx_cleared_t *cleared)
{
    clearing_t clearing = { r->pool, apr_time_now(), cleared };
    rlx_snapshot_t seen = { .p = r->pool, .main_server = main_server };
    rlx_counters_question_t question = {
        .key = key, .limit = limit, .found = clear, .baton = &clearing
    };

    begin(cleared, r->pool);
    rlx_seen_look(r, &seen);
    question.htaccess = seen.htaccess;
    question.htaccess_left_out = seen.htaccess_left_out;
    cleared->is_public = rlx_key_address(r->pool, key, RLX_UNSET) != NULL;
    cleared->limits = rlx_counters_find(r->pool, main_server, &question,
                                        cleared->notes);
}

/*
 * All
 */

/** One installation's counters in a storage. */
typedef struct part_t {
    const rlx_store_t *store;
    const char *prefix;
} part_t;

static void add_part(apr_array_header_t *parts, const rlx_store_t *store,
                     const char *prefix)
{
    part_t *part;

    for (int i = 0; i < parts->nelts; i++) {
        part = &APR_ARRAY_IDX(parts, i, part_t);
        if (part->store == store && !strcmp(part->prefix, prefix)) {
            return;
        }
    }
    part = apr_array_push(parts);
    part->store = store;
    part->prefix = prefix;
}

static apr_array_header_t *parts_of(apr_pool_t *p, server_rec *main_server)
{
    apr_array_header_t *servers = rlx_tree_servers(p, main_server);
    apr_array_header_t *parts = apr_array_make(p, 2, sizeof(part_t));

    for (int i = 0; i < servers->nelts; i++) {
        const rlx_server_t *sv = rlx_server_of(APR_ARRAY_IDX(servers, i,
                                                             server_rec *));
        const char *prefix = rlx_counter_prefix(sv, p);

        add_part(parts, sv->store, prefix);
        if (sv->local) {
            add_part(parts, sv->local, prefix);
        }
    }
    return parts;
}

void rlx_clear_all(apr_pool_t *p, server_rec *main_server,
                   rlx_cleared_t *cleared)
{
    apr_array_header_t *parts = parts_of(p, main_server);

    begin(cleared, p);
    cleared->counters = -1;
    for (int i = 0; i < parts->nelts; i++) {
        const part_t *part = &APR_ARRAY_IDX(parts, i, part_t);
        apr_pool_t *ptemp;

        apr_pool_create(&ptemp, p);
        apr_pool_tag(ptemp, "rlx_forget");
        if (part->store->provider->forget_all(part->store->instance,
                                              part->prefix,
                                              strlen(part->prefix), ptemp)
            != APR_SUCCESS) {
            fail(cleared, part->store);
        }
        apr_pool_destroy(ptemp);
    }
}
