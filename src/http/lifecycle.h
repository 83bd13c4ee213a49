/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  lifecycle.h
 * @brief Start of the server and of its children.
 */

#ifndef RLX_HTTP_LIFECYCLE_H
#define RLX_HTTP_LIFECYCLE_H

#include "httpd.h"

/** The post_config hook: open the storages, and what figures are kept in.
 *  Passed over in the first of httpd's two readings of its configuration. */
int rlx_lifecycle_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                              apr_pool_t *ptemp, server_rec *main_server);

/** The child_init hook: make the storages ready in a child, and begin to count
 *  there and to remember what its requests find in .htaccess. */
void rlx_lifecycle_child_init(apr_pool_t *pchild, server_rec *main_server);

#endif /* RLX_HTTP_LIFECYCLE_H */
