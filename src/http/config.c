/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The configuration's memory: made, merged, and the secret that keys its ids.
 */

#include "http/config.h"

#include "http_log.h"
#include "apr_general.h"

#include "http/htaccess.h"
#include "http/manner.h"

APLOG_USE_MODULE(ratelimit_ext);

/** What ap_retained_data calls the secret. */
#define SECRET_NAME "mod_ratelimit_ext: secret"

void *rlx_server_create(apr_pool_t *p, server_rec *s)
{
    rlx_server_t *sv = apr_pcalloc(p, sizeof(*sv));

    sv->server = s;
    sv->name = "";
    sv->ipv6_prefix = RLX_UNSET;
    sv->storage_failure = RLX_UNSET;
    return sv;
}

/* httpd merges each virtual host once, and the rules point at the server
 * that holds them: so it is that one which is filled in, not a copy. */
void *rlx_server_merge(apr_pool_t *p, void *base, void *add)
{
    const rlx_server_t *from = base;
    rlx_server_t *sv = add;

    if (!sv->key_prefix) {
        sv->key_prefix = from->key_prefix;
    }
    if (sv->ipv6_prefix == RLX_UNSET) {
        sv->ipv6_prefix = from->ipv6_prefix;
    }
    if (!sv->storage_uri) {
        sv->storage_uri = from->storage_uri;
        sv->storage_options = from->storage_options;
        sv->storage_file = from->storage_file;
        sv->storage_line = from->storage_line;
    }
    if (!sv->application) {
        sv->application = from->application;
    }
    if (!sv->defaults) {
        sv->defaults = from->defaults;
    }
    if (!sv->meta) {
        sv->meta = from->meta;
    }
    if (!sv->fallback) {
        sv->fallback = from->fallback;
    }
    if (sv->storage_failure == RLX_UNSET) {
        sv->storage_failure = from->storage_failure;
    }
    sv->has_gcra |= from->has_gcra;
    return sv;
}

void *rlx_dir_create(apr_pool_t *p, char *path)
{
    rlx_dir_t *dir = apr_pcalloc(p, sizeof(*dir));

    dir->engine = RLX_UNSET;
    dir->strategy = RLX_UNSET;
    dir->charge = RLX_UNSET;
    dir->status = RLX_UNSET;
    dir->headers = RLX_UNSET;
    return dir;
}

static int chain_has(const rlx_chain_t *chain, const rlx_section_t *section)
{
    while (chain && chain->section != section) {
        chain = chain->outer;
    }
    return chain != NULL;
}

/** The sections of add inside those of base. httpd may merge a section into
 *  what holds it already; it stays where it is. */
static const rlx_chain_t *chain_join(apr_pool_t *p, const rlx_chain_t *base,
                                     const rlx_chain_t *add)
{
    const rlx_chain_t *outer;
    rlx_chain_t *node;

    if (!base) {
        return add;
    }
    if (!add) {
        return base;
    }
    outer = chain_join(p, base, add->outer);
    if (chain_has(base, add->section)) {
        return outer;
    }
    node = apr_palloc(p, sizeof(*node));
    node->section = add->section;
    node->outer = outer;
    return node;
}

/** The conditions of both, the inner ones first. */
static const rlx_filter_t *filters_join(apr_pool_t *p,
                                        const rlx_filter_t *outer,
                                        const rlx_filter_t *inner)
{
    rlx_filter_t *first;

    /* httpd may merge a section into what holds it already. */
    if (!inner || inner == outer) {
        return outer;
    }
    if (!outer) {
        return inner;
    }
    first = apr_palloc(p, sizeof(*first));
    first->condition = inner->condition;
    first->next = filters_join(p, outer, inner->next);
    return first;
}

static int inner_wins(int outer, int inner)
{
    return inner != RLX_UNSET ? inner : outer;
}

void *rlx_dir_merge(apr_pool_t *p, void *base, void *add)
{
    const rlx_dir_t *outer = base;
    const rlx_dir_t *inner = add;
    rlx_dir_t *dir;

    /* httpd makes one for every server, whether or not anything is set. */
    if (outer->is_empty) {
        return add;
    }
    if (inner->merged_into == outer) {
        return inner->merged;
    }
    dir = apr_palloc(p, sizeof(*dir));
    dir->chain = chain_join(p, outer->chain, inner->chain);
    dir->key = inner->key ? inner->key : outer->key;
    dir->engine = inner_wins(outer->engine, inner->engine);
    dir->strategy = inner_wins(outer->strategy, inner->strategy);
    dir->charge = inner_wins(outer->charge, inner->charge);
    dir->status = inner_wins(outer->status, inner->status);
    dir->headers = inner_wins(outer->headers, inner->headers);
    dir->manner = rlx_manner_merge(p, outer->manner, inner->manner);
    dir->htaccess = outer->htaccess;
    if (inner->htaccess) {
        dir->htaccess = rlx_htaccess_merge(p, outer->htaccess,
                                           inner->htaccess);
    }
    dir->filters = filters_join(p, outer->filters, inner->filters);
    dir->own = NULL;
    dir->has_early = outer->has_early | inner->has_early;
    dir->is_empty = 0;
    dir->merged_into = NULL;
    return dir;
}

void rlx_dir_merge_ahead(apr_pool_t *pconf, const rlx_server_t *sv)
{
    rlx_dir_t *outer = ap_get_module_config(sv->server->lookup_defaults,
                                            &ratelimit_ext_module);

    for (int i = 0; outer && sv->sections && i < sv->sections->nelts; i++) {
        rlx_dir_t *inner = APR_ARRAY_IDX(sv->sections, i,
                                         rlx_section_t *)->settings;

        if (!outer->is_empty && inner != outer) {
            inner->merged = rlx_dir_merge(pconf, outer, inner);
            inner->merged_into = outer;
        }
    }
}

const rlx_secret_t *rlx_secret(void)
{
    /* Requests ask for it, and looking it up costs as much as a hash. It is
     * found at configuration time, before there are threads, and httpd
     * forgets this copy when a restart loads the module anew. */
    static const rlx_secret_t *found;
    rlx_secret_t *secret;

    if (found) {
        return found;
    }
    secret = ap_retained_data_get(SECRET_NAME);
    if (!secret) {
        apr_status_t status;

        secret = ap_retained_data_create(SECRET_NAME, sizeof(*secret));
        status = apr_generate_random_bytes((unsigned char *)secret,
                                           sizeof(*secret));
        ap_assert(status == APR_SUCCESS);
    }
    return found = secret;
}
