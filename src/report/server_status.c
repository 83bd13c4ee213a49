/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The section on the page of mod_status: totals, and whether the storages are
 * well. One table says what stands in both forms.
 */

#include "report/server_status.h"

#include <stddef.h>

#include "http_core.h"
#include "http_main.h"
#include "http_protocol.h"
#include "apr_optional_hooks.h"
#include "mod_status.h"

#include "http/config.h"
#include "http/figures.h"

/** Numbers, by the name in ?auto and on the page. */
static const struct {
    const char *name;
    const char *title;
    apr_size_t offset;
} numbers[] = {
    { "Seen", "seen", offsetof(rlx_fates_t, seen) },
    { "Allowed", "allowed", offsetof(rlx_fates_t, allowed) },
    { "Refused", "refused", offsetof(rlx_fates_t, refused) },
    { "Exempt", "exempt", offsetof(rlx_fates_t, exempt) },
    { "DryRun", "dry run", offsetof(rlx_fates_t, dry_run) },
    { "Errors", "storage errors", offsetof(rlx_fates_t, errors) }
};

#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static apr_uint64_t number_of(const rlx_fates_t *fates, apr_size_t i)
{
    return *(const apr_uint64_t *)((const char *)fates + numbers[i].offset);
}

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

    for (apr_size_t i = 0; i < NUMBERS; i++) {
        ap_rprintf(r, "RateLimit%s: %" APR_UINT64_T_FMT "\n", numbers[i].name,
                   number_of(fates, i));
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
    ap_rputs("<hr />\n<h2>Rate limits</h2>\n<dl>\n<dt>Requests:", r);
    for (apr_size_t i = 0; i < NUMBERS; i++) {
        ap_rprintf(r, "%s %" APR_UINT64_T_FMT " %s", i ? "," : "",
                   number_of(fates, i), numbers[i].title);
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
