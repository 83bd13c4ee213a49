/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_tls.h
 * @brief TLS on a connection to Redis, where hiredis has it (from 1.0 on).
 */

#ifndef RLX_STORE_REDIS_TLS_H
#define RLX_STORE_REDIS_TLS_H

#include "store/redis_conn.h"

/**
 * Read certificates and keys; at configuration time, as root. Without TLS in
 * this build: an error.
 * @param settings its tls is filled in, for as long as p lives
 * @return NULL, or a sentence
 */
const char *rlx_redis_tls_make(rlx_redis_settings_t *settings, apr_pool_t *p);

/**
 * Begin TLS on a connection, and prove that the other side is settings->host.
 * @param deadline by rlx_monotonic_usec(); a server that sends its part of the
 *                 handshake in small pieces can hold it up a little longer
 * @return APR_SUCCESS, or why is filled in
 */
apr_status_t rlx_redis_tls_begin(rlx_redis_conn_t *conn,
                                 const rlx_redis_settings_t *settings,
                                 rlx_usec_t deadline, rlx_redis_why_t *why);

#endif /* RLX_STORE_REDIS_TLS_H */
