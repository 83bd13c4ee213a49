/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The counters of a key.
 */

#include "report/key.h"

rlx_key_view_t *rlx_key_look(const rlx_snapshot_t *snapshot, const char *key)
{
    rlx_key_view_t *view = apr_pcalloc(snapshot->p, sizeof(*view));

    view->key = view->counted_as = key;
    view->counters = apr_array_make(snapshot->p, 1,
                                    sizeof(rlx_key_counter_t));
    view->notes = apr_array_make(snapshot->p, 1, sizeof(char *));
    return view;
}
