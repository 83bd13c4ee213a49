/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The section on the page of mod_status: totals, and whether the storages are
 * well.
 */

#include "report/server_status.h"

#include "http_core.h"
#include "http_main.h"
#include "http_protocol.h"
#include "apr_optional_hooks.h"
#include "mod_status.h"

#include "http/config.h"
#include "http/figures.h"

/** The storages that servers count in: rlx_store_t *. */
static apr_array_header_t *find_stores(apr_pool_t *p)
{
    apr_array_header_t *stores = apr_array_make(p, 4, sizeof(rlx_store_t *));

    for (const server_rec *s = ap_server_conf; s; s = s->next) {
        const rlx_store_t *store = rlx_server_of(s)->store;
        int i = 0;

        while (i < stores->nelts
               && APR_ARRAY_IDX(stores, i, rlx_store_t *) != store) {
            i++;
        }
        if (store && i == stores->nelts) {
            APR_ARRAY_PUSH(stores, const rlx_store_t *) = store;
        }
    }
    return stores;
}

/** Not 0 if a storage answers. One that is known not to is not asked. */
static int is_up(request_rec *r, const rlx_store_t *store)
{
    rlx_usec_t now = apr_time_now();
    rlx_storage_figures_t figures;

    memset(&figures, 0, sizeof(figures));
    return rlx_store_retry_at(store, now) <= now
           && store->provider->figures(store->instance, now, &figures,
                                       r->pool) == APR_SUCCESS
           && figures.healthy;
}

static void write_lines(request_rec *r, const rlx_fates_t *fates,
                        const apr_array_header_t *stores)
{
    int down = 0;

    ap_rprintf(r, "RateLimit%s: %" APR_UINT64_T_FMT "\n", rlx_fate_seen.line,
               fates->seen);
    for (int i = 0; i < RLX_FATES; i++) {
        ap_rprintf(r, "RateLimit%s: %" APR_UINT64_T_FMT "\n",
                   rlx_fate_names[i].line, fates->of[i]);
    }
    for (int i = 0; i < stores->nelts; i++) {
        down += !is_up(r, APR_ARRAY_IDX(stores, i, rlx_store_t *));
    }
    ap_rprintf(r, "RateLimitStorages: %d\nRateLimitStoragesDown: %d\n",
               stores->nelts, down);
}

static void write_section(request_rec *r, const rlx_fates_t *fates,
                          const apr_array_header_t *stores)
{
    ap_rprintf(r, "<hr />\n<h2>Rate limits</h2>\n<dl>\n<dt>Requests: %"
               APR_UINT64_T_FMT " %s", fates->seen, rlx_fate_seen.words);
    for (int i = 0; i < RLX_FATES; i++) {
        ap_rprintf(r, ", %" APR_UINT64_T_FMT " %s", fates->of[i],
                   rlx_fate_names[i].words);
    }
    ap_rputs("</dt>\n", r);
    for (int i = 0; i < stores->nelts; i++) {
        const rlx_store_t *store = APR_ARRAY_IDX(stores, i, rlx_store_t *);

        ap_rprintf(r, "<dt>Storage %s: %s</dt>\n",
                   ap_escape_html(r->pool, store->shown_uri),
                   is_up(r, store) ? "answers" : "does not answer");
    }
    ap_rputs("</dl>\n", r);
}

static int status_hook(request_rec *r, int flags)
{
    const apr_array_header_t *stores = find_stores(r->pool);
    rlx_fates_t fates;

    rlx_figures_totals(&fates);
    if (flags & AP_STATUS_SHORT) {
        write_lines(r, &fates, stores);
    }
    else {
        write_section(r, &fates, stores);
    }
    return OK;
}

void rlx_server_status_register(void)
{
    APR_OPTIONAL_HOOK(ap, status_hook, status_hook, NULL, NULL,
                      APR_HOOK_MIDDLE);
}
