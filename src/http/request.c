/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The record of a client request. httpd answers one client request with a
 * chain of request_rec where it redirects internally (mod_rewrite,
 * ErrorDocument); all of them share the record.
 */

#include "http/request.h"

rlx_request_t *rlx_request_find_before(const request_rec *r)
{
    rlx_request_t *request = NULL;

    while (!request && (r = r->prev) != NULL) {
        request = ap_get_module_config(r->request_config,
                                       &ratelimit_ext_module);
    }
    return request;
}

rlx_request_t *rlx_request_get(request_rec *r, int more)
{
    rlx_request_t *request = rlx_request_find(r);

    if (!request) {
        return rlx_request_make(r, rlx_method_of(r), more);
    }
    if (request->n + more > request->room) {
        rlx_decision_t *larger;
        apr_size_t breached = request->breached
                              ? (apr_size_t)(request->breached
                                             - request->decisions) : 0;

        request->room = request->n + more;
        larger = apr_palloc(r->pool, sizeof(*larger)
                                     * (apr_size_t)request->room);
        memcpy(larger, request->decisions,
               sizeof(*larger) * (apr_size_t)request->n);
        request->breached = request->breached ? &larger[breached] : NULL;
        request->decisions = larger;
    }
    ap_set_module_config(r->request_config, &ratelimit_ext_module, request);
    return request;
}

void rlx_request_share(const request_rec *r, rlx_request_t *request)
{
    while ((r = r->prev) != NULL) {
        ap_set_module_config(r->request_config, &ratelimit_ext_module,
                             request);
    }
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
    for (int i = 0; i < request->n; i++) {
        const rlx_decision_t *decision = &request->decisions[i];

        if (!best || speaks_before(decision, best)) {
            best = decision;
        }
    }
    return best;
}
