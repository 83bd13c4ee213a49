/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  key.h
 * @brief Who is counted.
 */

#ifndef RLX_HTTP_KEY_H
#define RLX_HTTP_KEY_H

#include "http/config.h"

/** Bits of an IPv6 address that make one client, where nothing is set. */
#define RLX_IPV6_PREFIX_DEFAULT 64

/** Who a request is counted as. */
typedef struct rlx_key_t {
    /** The text; "" if every expression gave nothing. From the request's
     *  pool, the connection's or the configuration. */
    const char *text;
    size_t len;
    /** Not 0: an address or a user name, which may be shown. */
    int is_public;
    /** rlx_id_of(RLX_ID_KEY, text). */
    rlx_id_t id;
} rlx_key_t;

/**
 * The client's address: as mod_remoteip left it, an IPv6 address cut to its
 * prefix, an IPv4 address in an IPv6 one taken out.
 * @return the text; from r->pool or as long-lived as r->useragent_ip
 */
const char *rlx_client_address(request_rec *r);

/** The client of a connection, remembered with it; its key is not empty. */
typedef struct rlx_client_t {
    /** The connection's client_ip when this was made. */
    const char *ip;
    int prefix_bits;
    rlx_key_t key;
} rlx_client_t;

/** What is remembered of a request's client; NULL: nothing that holds for
 *  it. Inline: most requests ask. */
static inline const rlx_client_t *rlx_client_of(const request_rec *r,
                                                const rlx_server_t *sv)
{
    const conn_rec *c = r->connection;
    const rlx_client_t *client = ap_get_module_config(c->conn_config,
                                                      &ratelimit_ext_module);

    return client && client->ip == r->useragent_ip
           && client->ip == c->client_ip
           && client->prefix_bits == sv->ipv6_prefix ? client : NULL;
}

/**
 * The key of one rule: the first of its own expressions that is not empty,
 * or RateLimitKey, or the client's address.
 * @param dir the request's configuration; may be NULL
 */
void rlx_key_of(request_rec *r, const rlx_dir_t *dir,
                const rlx_options_t *options, rlx_key_t *key);

/**
 * An address that somebody wrote, as it is counted: cut to its prefix, an IPv4
 * address in an IPv6 one taken out, in the one form that addresses have here.
 * @param p           for the result
 * @param prefix_bits RateLimitIPv6Prefix, or RLX_UNSET
 * @return NULL if it is no address
 */
const char *rlx_key_address(apr_pool_t *p, const char *text, int prefix_bits);

/** Not 0 if what an expression gives may be shown: it is, as written, the
 *  client's address or user name. */
int rlx_key_is_public(const char *expression);

/** rlx_id_of(RLX_ID_KEY, text) of a key of a request; remembered where that is
 *  its client. */
rlx_id_t rlx_key_id(const request_rec *r, const rlx_server_t *sv,
                    const char *text);

/** A key that somebody names.
 *  @param text           lives as long as the key
 *  @param is_public_text not 0: it may be shown */
void rlx_key_of_text(const char *text, int is_public_text, rlx_key_t *key);

/** Not 0 if a text looks as a key does that is shown hashed: # and 16
 *  digits. See rlx_key_shown(). */
int rlx_key_is_hashed(const char *text);

/** Register %{RATELIMIT_CLIENT} for expressions. From register_hooks. */
void rlx_key_register(apr_pool_t *p);

#endif /* RLX_HTTP_KEY_H */
