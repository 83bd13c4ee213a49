/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_uri.h
 * @brief What a RateLimitStorage line about Redis says: its URI and options.
 */

#ifndef RLX_STORE_REDIS_URI_H
#define RLX_STORE_REDIS_URI_H

#include "ratelimit_storage.h"

/** What is set. Lives as long as the configuration; no one writes to it. */
typedef struct rlx_redis_settings_t {
    /** A name or an address without brackets; NULL with a socket's path. */
    const char *host;
    int port;
    /** Of a Unix socket, or NULL. */
    const char *path;
    /** NULL: none. */
    const char *user;
    const char *password;
    int db;
    int is_tls;
    /** The budget of one call, and of a new connection within it. */
    rlx_usec_t timeout_usec;
    rlx_usec_t connect_usec;
    /** Connections of one child. */
    int pool_max;
    /** The highest count of a moving window. */
    uint32_t log_max;
    /** Not 0: keys that may be secrets are stored as they are. */
    int stores_plain;
    /** Files of rediss://, or NULL: who may have signed its certificate
     *  (unset: whom the system trusts), our own certificate, and its key. */
    const char *tls_ca;
    const char *tls_cert;
    const char *tls_key;
    /** What redis_tls.c made of them; NULL without TLS. */
    void *tls;
    /** What connections are called in CLIENT LIST; NULL: nothing. */
    const char *client_name;
} rlx_redis_settings_t;

/** Fill in the defaults of everything. */
void rlx_redis_settings_init(rlx_redis_settings_t *settings);

/**
 * Read a URI of one server: redis:, rediss: or redis+unix:, or the same with
 * valkey.
 * @return NULL, or a sentence that names the bad part and what would do,
 *         without user and password
 */
const char *rlx_redis_uri_parse(rlx_redis_settings_t *settings,
                                const char *uri, apr_pool_t *p);

/**
 * Read "host" or "host:port", an IPv6 address in brackets.
 * @param host where the name goes, from p
 * @param port left alone if there is none
 * @return NULL, or a sentence
 */
const char *rlx_redis_host_parse(const char *text, const char **host,
                                 int *port, apr_pool_t *p);

/**
 * Read the user and the password before the last @ of a URI's authority.
 * @param text from "//" on, NUL after what belongs to the URI
 * @param rest where what follows the @ begins, or text
 * @return NULL, or a sentence without them
 */
const char *rlx_redis_login_parse(rlx_redis_settings_t *settings,
                                  const char *text, const char **rest,
                                  apr_pool_t *p);

/** Read a database number. NULL, or a sentence. */
const char *rlx_redis_db_parse(const char *text, int *db, apr_pool_t *p);

/**
 * Set one option.
 * @return NULL, or a sentence; also if there is no such option
 */
const char *rlx_redis_option_set(rlx_redis_settings_t *settings,
                                 const char *name, const char *value,
                                 apr_pool_t *p);

/** Check what options say together. NULL, or a sentence. */
const char *rlx_redis_settings_check(const rlx_redis_settings_t *settings,
                                     apr_pool_t *p);

#endif /* RLX_STORE_REDIS_URI_H */
