/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The front door: the module record and the registration of hooks.
 */

#include "httpd.h"
#include "http_config.h"

module AP_MODULE_DECLARE_DATA ratelimit_ext_module;

static void rlx_register_hooks(apr_pool_t *p)
{
}

AP_DECLARE_MODULE(ratelimit_ext) = {
    STANDARD20_MODULE_STUFF,
    NULL, NULL, NULL, NULL, NULL,
    rlx_register_hooks
};
