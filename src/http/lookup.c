/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A look-up is known by the pool of the request that it seems to be redirected
 * from, and has a record that says so, which keeps every hook from deciding
 * it.
 */

#include "http/lookup.h"

#include "apr_strings.h"
#include "http_log.h"

#include "http/request.h"

/** What a pool calls its look-up. */
#define NAME "rlx_lookup"

static rlx_lookup_t *lookup_of(const request_rec *r)
{
    void *lookup = NULL;

    apr_pool_userdata_get(&lookup, NAME, r->prev->pool);
    return lookup;
}

void rlx_lookup_begin(request_rec *r, rlx_lookup_t *lookup)
{
    apr_pool_userdata_setn(lookup, NAME, NULL, r->prev->pool);
    rlx_request_make(r, rlx_method_of(r), 0)->is_filtered
        = RLX_FILTERED_LOOKUP;
}

void rlx_lookup_reach(request_rec *r)
{
    rlx_lookup_t *lookup = r->prev ? lookup_of(r) : NULL;

    if (lookup) {
        lookup->reached(lookup, r);
    }
}

void rlx_lookup_hear(const ap_errorlog_info *info, const char *text)
{
    rlx_lookup_t *lookup;

    if (!info->r || !info->r->prev
        || (info->level & APLOG_LEVELMASK) > APLOG_ERR) {
        return;
    }
    lookup = lookup_of(info->r);
    if (lookup) {
        lookup->said = apr_pstrdup(info->r->prev->pool, text);
    }
}
