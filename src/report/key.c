/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The counters of a key: all that it may have are looked at, and those that
 * are as if it had never been seen are left out.
 */

#include "report/key.h"

#include "apr_strings.h"

#include "http/digits.h"

/** A look in the making. */
typedef struct looking_t {
    const rlx_snapshot_t *snapshot;
    rlx_key_view_t *view;
} looking_t;

apr_status_t rlx_key_look_at(const rlx_candidates_t *batch, rlx_usec_t now,
                             rlx_verdict_t *verdicts, int *live,
                             apr_pool_t *p)
{
    apr_pool_t *ptemp;
    apr_status_t status;

    /* A storage takes calls from one pool for those of one request, which
     * have the time of one together. */
    apr_pool_create(&ptemp, p);
    apr_pool_tag(ptemp, "rlx_look");
    status = rlx_store_look_behind(batch->store, batch->counters, batch->n,
                                   now, verdicts, ptemp);
    for (int i = 0; status == APR_SUCCESS && i < batch->n; i++) {
        live[i] = verdicts[i].remaining < batch->counters[i].limit->burst;
    }
    apr_pool_destroy(ptemp);
    return status;
}

static void add(looking_t *looking, const rlx_candidates_t *batch, int i,
                const rlx_verdict_t *verdict)
{
    const rlx_candidate_t *of = &batch->of[i];
    rlx_effect_t effect = { of->holding, batch->counters[i].limit->strategy,
                            0, 0 };
    rlx_key_counter_t *counter = apr_array_push(looking->view->counters);
    rlx_usec_t now = looking->snapshot->now;

    memset(counter, 0, sizeof(*counter));
    rlx_view_effect(looking->snapshot->p, NULL, of->holding.endpoint, &effect,
                    &counter->view);
    counter->server = rlx_candidate_server(of)->name;
    counter->scope = rlx_candidate_scope(of);
    counter->storage = batch->store->shown_uri;
    counter->key = of->key;
    counter->method = of->method;
    counter->remaining = verdict->remaining;
    counter->reset_sec = rlx_seconds_up(verdict->reset_at - now);
    counter->has_room = verdict->has_room;
    if (!verdict->has_room) {
        counter->retry_sec = verdict->retry_at == RLX_NEVER ? -1
                             : rlx_seconds_up(verdict->retry_at - now);
    }
}

/** An rlx_candidates_fn. */
static int look(void *baton, const rlx_candidates_t *batch)
{
    looking_t *looking = baton;
    rlx_verdict_t verdicts[RLX_STORAGE_BATCH_MAX];
    int live[RLX_STORAGE_BATCH_MAX];

    if (rlx_key_look_at(batch, looking->snapshot->now, verdicts, live,
                        looking->snapshot->p) != APR_SUCCESS) {
        APR_ARRAY_PUSH(looking->view->notes, const char *) = apr_pstrcat(
            looking->snapshot->p, "storage ", batch->store->shown_uri,
            " does not answer: what it counts is not among these", NULL);
        return 0;
    }
    looking->view->asked += batch->n;
    for (int i = 0; i < batch->n; i++) {
        if (live[i]) {
            add(looking, batch, i, &verdicts[i]);
        }
    }
    return 1;
}

rlx_key_view_t *rlx_key_look(const rlx_snapshot_t *snapshot, const char *key)
{
    rlx_key_view_t *view = apr_pcalloc(snapshot->p, sizeof(*view));
    looking_t looking = { snapshot, view };
    rlx_counters_question_t question = {
        .key = key, .htaccess = snapshot->htaccess,
        .htaccess_left_out = snapshot->htaccess_left_out, .found = look,
        .baton = &looking
    };
    const rlx_server_t *sv = rlx_server_of(snapshot->main_server);

    view->key = key;
    view->counted_as = rlx_key_address(snapshot->p, key, sv->ipv6_prefix);
    if (!view->counted_as) {
        view->counted_as = key;
    }
    view->counters = apr_array_make(snapshot->p, 8,
                                    sizeof(rlx_key_counter_t));
    view->notes = apr_array_make(snapshot->p, 4, sizeof(char *));
    rlx_counters_find(snapshot->p, snapshot->main_server, &question,
                      view->notes);
    return view;
}
