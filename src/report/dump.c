/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The configuration on the command line, and its warnings in the log.
 */

#include "report/dump.h"

#include "http_config.h"
#include "http_core.h"
#include "http_log.h"

#include "http/log_tags.h"
#include "report/render.h"

APLOG_USE_MODULE(ratelimit_ext);

void rlx_dump_test_config(apr_pool_t *pconf, server_rec *main_server)
{
    rlx_out_t out = { NULL, stdout, NULL };

    if (!ap_exists_config_define("DUMP_RATELIMIT")) {
        return;
    }
    apr_pool_create(&out.scratch, pconf);
    apr_pool_tag(out.scratch, "rlx_dump");
    rlx_render_text(&out, rlx_snapshot_make(pconf, main_server, 0));
    fflush(stdout);
}

/** A line that leads to the handler: SetHandler, AddHandler, RewriteRule. */
static void look_for_handler(void *baton, const ap_directive_t *d,
                             server_rec *s)
{
    int *is_there = baton;

    *is_there |= d->args && strstr(d->args, "limiter-status") != NULL;
}

/** Where the handler is, what it shows of the configuration is worked out
 *  once, before there are children and threads. Any other configuration is
 *  spared the memory; a handler that a .htaccess file brings works it out for
 *  each view. */
static const apr_array_header_t *know(apr_pool_t *pconf, apr_pool_t *ptemp,
                                      server_rec *main_server)
{
    int has_handler = 0;

    rlx_conf_walk(main_server, look_for_handler, &has_handler);
    if (!has_handler) {
        return rlx_warnings_make(ptemp, main_server, NULL);
    }
    rlx_server_of(main_server)->known = rlx_known_make(pconf, main_server);
    return rlx_server_of(main_server)->known->warnings;
}

int rlx_dump_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                         apr_pool_t *ptemp, server_rec *main_server)
{
    const apr_array_header_t *warnings;

    /* At start httpd reads its configuration twice. */
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    warnings = know(pconf, ptemp, main_server);
    for (int i = 0; i < warnings->nelts; i++) {
        const rlx_warning_t *warning = &APR_ARRAY_IDX(warnings, i,
                                                      rlx_warning_t);

        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server, RLXNO(0140)
                     "%s: %s. Mend: %s", warning->where, warning->text,
                     warning->mend);
    }
    return OK;
}
