/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * mod_ratelimit_ext: limits on how often clients may ask.
 *
 * The front door: the module's record and its hooks. How the parts fit
 * together is in docs/architecture.md.
 */

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "ap_provider.h"

#include "http/api.h"
#include "http/config.h"
#include "http/engine.h"
#include "http/headers.h"
#include "http/htaccess.h"
#include "http/key.h"
#include "http/lifecycle.h"
#include "http/lookup.h"
#include "http/needs.h"
#include "http/refusal.h"
#include "http/settle.h"
#include "report/dump.h"
#include "report/server_status.h"
#include "report/status.h"

/* What an expression may look at has been set by then (mod_env runs in the
 * middle, mod_rewrite first). */
static const char *const before_us[] = {
    "mod_env.c", "mod_headers.c", "mod_rewrite.c", "mod_setenvif.c", NULL
};

/* Hooks that few configurations need. httpd sorts its hooks after this. */
static int add_hooks(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    unsigned int needs = rlx_needs_of(ap_conftree);

    if (needs & RLX_NEEDS_HTACCESS) {
        ap_hook_post_perdir_config(rlx_htaccess_check, NULL, NULL,
                                   APR_HOOK_REALLY_FIRST);
    }
    if (needs & RLX_NEEDS_EARLY) {
        ap_hook_header_parser(rlx_engine_early, before_us, NULL,
                              APR_HOOK_LAST);
    }
    if (needs & RLX_NEEDS_SETTLE) {
        ap_hook_log_transaction(rlx_settle_at_end, NULL, NULL,
                                APR_HOOK_REALLY_FIRST);
    }
    return OK;
}

/* Before all other handlers. One hook for both: a hook costs every request, be
 * there limits or not. */
static int handle(request_rec *r)
{
    int status = rlx_engine_handler(r);

    return status == DECLINED && r->handler && r->handler[0] == 'l'
           ? rlx_status_handler(r) : status;
}

static void register_hooks(apr_pool_t *p)
{
    /* What makes subrequests and redirects comes after us (mod_dir, last):
     * what a section redirects is counted. */
    static const char *const after_us[] = {
        "mod_alias.c", "mod_dir.c", "mod_negotiation.c", "mod_speling.c", NULL
    };

    ap_register_provider(p, RLX_STORAGE_GROUP, "shm", RLX_STORAGE_VERSION,
                         &rlx_shm_provider);
    ap_register_provider(p, RLX_STORAGE_GROUP, "memcached",
                         RLX_STORAGE_VERSION, &rlx_memcached_provider);
    for (int i = 0; rlx_redis_schemes[i]; i++) {
        ap_register_provider(p, RLX_STORAGE_GROUP, rlx_redis_schemes[i],
                             RLX_STORAGE_VERSION, &rlx_redis_provider);
    }
    ap_hook_pre_config(add_hooks, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(rlx_config_check, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(rlx_lifecycle_post_config, NULL, NULL,
                        APR_HOOK_MIDDLE);
    ap_hook_post_config(rlx_dump_post_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_test_config(rlx_dump_test_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(rlx_lifecycle_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_fixups(rlx_engine_fixups, before_us, after_us, APR_HOOK_LAST);
    ap_hook_handler(handle, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_error_log(rlx_lookup_hear, NULL, NULL, APR_HOOK_MIDDLE);
    rlx_server_status_register();
    rlx_api_register();
    rlx_key_register(p);
    rlx_headers_register(p);
    rlx_refusal_register(p);
}

AP_DECLARE_MODULE(ratelimit_ext) = {
    STANDARD20_MODULE_STUFF,
    rlx_dir_create,
    rlx_dir_merge,
    rlx_server_create,
    rlx_server_merge,
    rlx_directives,
    register_hooks
};
