/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The counters of a key for a terminal.
 */

#include "report/render.h"

#include "apr_strings.h"

#include "report/key.h"

/** "GET on /api of www.example.org:80": where a counter counts. */
static const char *place_of(apr_pool_t *p, const rlx_key_counter_t *counter)
{
    const char *scope = strcmp(counter->scope, counter->server)
                        ? apr_pstrcat(p, counter->scope, " of ", NULL) : "";

    return apr_pstrcat(p, counter->method ? counter->method : "",
                       counter->method ? " on " : "", scope, counter->server,
                       NULL);
}

static void render_room(rlx_out_t *out, const rlx_key_counter_t *counter)
{
    if (counter->has_room) {
        rlx_out_put(out, ", has room");
    }
    else if (counter->retry_sec < 0) {
        rlx_out_put(out, ", never has room");
    }
    else {
        rlx_out_print(out, ", has room in %" APR_INT64_T_FMT " s",
                      counter->retry_sec);
    }
}

static void render_counter(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                           const rlx_key_counter_t *counter)
{
    const rlx_key_view_t *key = snapshot->key;

    rlx_out_put(out, "  ");
    rlx_out_text(out, counter->view.limit);
    rlx_out_put(out, ", ");
    rlx_out_put(out, counter->view.strategy);
    rlx_out_text(out, rlx_view_options(snapshot->p, &counter->view));
    rlx_out_put(out, " [");
    rlx_out_text(out, counter->view.source);
    rlx_out_put(out, "]  (");
    rlx_out_text(out, counter->view.declared_at);
    rlx_out_put(out, ")\n    at: ");
    rlx_out_text(out, place_of(snapshot->p, counter));
    rlx_out_put(out, "\n    storage: ");
    rlx_out_text(out, counter->storage);
    if (strcmp(counter->key, key->counted_as)) {
        rlx_out_put(out, "\n    counted as: ");
        rlx_out_text(out, counter->key);
    }
    rlx_out_print(out, "\n    remaining: %u, resets in %" APR_INT64_T_FMT
                  " s", counter->remaining, counter->reset_sec);
    render_room(out, counter);
    rlx_out_put(out, "\n");
}

void rlx_text_key(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    const rlx_key_view_t *key = snapshot->key;

    rlx_out_put(out, "Key ");
    rlx_out_text(out, key->key);
    if (strcmp(key->key, key->counted_as)) {
        rlx_out_put(out, ", counted as ");
        rlx_out_text(out, key->counted_as);
    }
    rlx_out_print(out, "\n  %d of the %d counters that it may have are not as "
                  "new\n", key->counters->nelts, key->asked);
    for (int i = 0; i < key->counters->nelts; i++) {
        render_counter(out, snapshot, &APR_ARRAY_IDX(key->counters, i,
                                                     rlx_key_counter_t));
    }
    for (int i = 0; i < key->notes->nelts; i++) {
        rlx_out_put(out, "  note: ");
        rlx_out_text(out, APR_ARRAY_IDX(key->notes, i, const char *));
        rlx_out_put(out, "\n");
    }
}
