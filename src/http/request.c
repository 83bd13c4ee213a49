/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The record of a client request. httpd answers one client request with a
 * chain of request_rec where it redirects internally (mod_rewrite,
 * ErrorDocument); all of them share the record.
 */

#include "http/request.h"

rlx_request_t *rlx_request_find(const request_rec *r)
{
    for (; r; r = r->prev) {
        rlx_request_t *request = ap_get_module_config(r->request_config,
                                                      &ratelimit_ext_module);

        if (request) {
            return request;
        }
    }
    return NULL;
}

rlx_request_t *rlx_request_get(request_rec *r)
{
    rlx_request_t *request = rlx_request_find(r);

    if (!request) {
        request = apr_pcalloc(r->pool, sizeof(*request));
        request->decisions = apr_array_make(r->pool, 4,
                                            sizeof(rlx_decision_t));
    }
    ap_set_module_config(r->request_config, &ratelimit_ext_module, request);
    return request;
}

/** Not 0 if a speaks for the request rather than b. */
static int speaks_before(const rlx_decision_t *a, const rlx_decision_t *b)
{
    int a_shared = rlx_decision_is_shared(a);
    int b_shared = rlx_decision_is_shared(b);

    if (a_shared != b_shared) {
        return b_shared;
    }
    return a->limit->window_usec < b->limit->window_usec;
}

const rlx_decision_t *rlx_request_spokesman(const rlx_request_t *request)
{
    const rlx_decision_t *best = NULL;

    if (request->breached) {
        return request->breached;
    }
    for (int i = 0; i < request->decisions->nelts; i++) {
        const rlx_decision_t *decision = &APR_ARRAY_IDX(request->decisions, i,
                                                        rlx_decision_t);

        if (!best || speaks_before(decision, best)) {
            best = decision;
        }
    }
    return best;
}
