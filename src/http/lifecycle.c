/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Start of the server and of its children.
 */

#include "http/lifecycle.h"

#include "http_config.h"
#include "http_core.h"
#include "http_log.h"

#include "http/config.h"
#include "http/dynamic_known.h"
#include "http/log_tags.h"
#include "http/outcome.h"
#include "http/remembered.h"
#include "http/seen.h"
#include "http/shared_figures.h"

APLOG_USE_MODULE(ratelimit_ext);

int rlx_lifecycle_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                              apr_pool_t *ptemp, server_rec *main_server)
{
    /* At start httpd reads its configuration twice, and the first reading is
     * thrown away. */
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    if (rlx_store_open_all(rlx_server_of(main_server)->store_set)
        != APR_SUCCESS) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    rlx_seen_open(main_server);
    rlx_shared_figures_open(pconf, ptemp, main_server);
    /* Without it less is reported, and nothing else. */
    rlx_dynamic_known_open(main_server);
    return OK;
}

void rlx_lifecycle_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    apr_status_t status = rlx_store_child_init_all(
        rlx_server_of(main_server)->store_set, pchild);

    rlx_shared_figures_child_init();
    rlx_outcome_prepare();
    rlx_remembered_child_init(pchild);
    if (status != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, status, main_server, RLXNO(0002)
                     "a storage is not ready in this child");
    }
}
