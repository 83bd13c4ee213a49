/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Who is counted: the client's address, or what an expression says.
 */

#include "http/key.h"

#include <arpa/inet.h>

#include <apr_network_io.h>
#include <apr_strings.h>

#include "http_log.h"

APLOG_USE_MODULE(ratelimit_ext);

#if APR_HAVE_IPV6
/** The address with all but its first prefix_bits set to zero. */
static const char *ipv6_prefix(apr_pool_t *p, struct in6_addr address,
                               int prefix_bits)
{
    char *text = apr_palloc(p, INET6_ADDRSTRLEN);
    int whole = prefix_bits / 8;

    if (whole < 16) {
        address.s6_addr[whole] &= (unsigned char)(0xff00 >> (prefix_bits % 8));
        memset(&address.s6_addr[whole + 1], 0, (apr_size_t)(15 - whole));
    }
    return inet_ntop(AF_INET6, &address, text, INET6_ADDRSTRLEN);
}
#endif

const char *rlx_client_address(request_rec *r)
{
#if APR_HAVE_IPV6
    const apr_sockaddr_t *address = r->useragent_addr;

    if (address && address->family == AF_INET6
        && !IN6_IS_ADDR_V4MAPPED(&address->sa.sin6.sin6_addr)) {
        int prefix_bits = rlx_server_of(r->server)->ipv6_prefix;

        return ipv6_prefix(r->pool, address->sa.sin6.sin6_addr,
                           prefix_bits == RLX_UNSET ? RLX_IPV6_PREFIX_DEFAULT
                                                    : prefix_bits);
    }
#endif
    return r->useragent_ip ? r->useragent_ip : "";
}

const char *rlx_key_address(apr_pool_t *p, const char *text, int prefix_bits)
{
    struct in_addr ipv4;

#if APR_HAVE_IPV6
    struct in6_addr ipv6;

    if (inet_pton(AF_INET6, text, &ipv6) == 1) {
        if (IN6_IS_ADDR_V4MAPPED(&ipv6)) {
            char *mapped = apr_palloc(p, INET_ADDRSTRLEN);

            return inet_ntop(AF_INET, &ipv6.s6_addr[12], mapped,
                             INET_ADDRSTRLEN);
        }
        return ipv6_prefix(p, ipv6, prefix_bits == RLX_UNSET
                                    ? RLX_IPV6_PREFIX_DEFAULT : prefix_bits);
    }
#endif
    return inet_pton(AF_INET, text, &ipv4) == 1 ? text : NULL;
}

/* Names of variables have no case. */
int rlx_key_is_public(const char *expression)
{
    return !strcasecmp(expression, "%{RATELIMIT_CLIENT}")
           || !strcasecmp(expression, "%{REMOTE_ADDR}")
           || !strcasecmp(expression, "%{CONN_REMOTE_ADDR}")
           || !strcasecmp(expression, "%{REMOTE_USER}");
}

int rlx_key_is_hashed(const char *text)
{
    return text[0] == '#' && strlen(text) == 17
           && strspn(text + 1, "0123456789abcdef") == 16;
}

/** Not 0 if what the expression gives is an address or a user name. */
static int is_public(const rlx_value_t *value)
{
    return rlx_key_is_public(value->text);
}

static void take(rlx_key_t *key, const char *text, int public)
{
    key->text = text;
    key->len = strlen(text);
    key->is_public = public;
}

/** The first of the expressions that is not empty, or "". */
static void first_of(request_rec *r, const apr_array_header_t *keys,
                     rlx_key_t *key)
{
    take(key, "", 0);
    for (int i = 0; i < keys->nelts && !key->len; i++) {
        const rlx_value_t *value = APR_ARRAY_IDX(keys, i, rlx_value_t *);

        take(key, rlx_value_of(r, value), is_public(value));
    }
}

static rlx_id_t id_of(const rlx_key_t *key)
{
    return rlx_id_of(rlx_secret(), RLX_ID_KEY, key->text, key->len);
}

rlx_id_t rlx_key_id(const request_rec *r, const rlx_server_t *sv,
                    const char *text)
{
    const rlx_client_t *client = rlx_client_of(r, sv);

    return client && client->key.text == text
           ? client->key.id
           : rlx_id_of(rlx_secret(), RLX_ID_KEY, text, strlen(text));
}

void rlx_key_of_text(const char *text, int is_public_text, rlx_key_t *key)
{
    take(key, text, is_public_text);
    key->id = id_of(key);
}

/** The client's address as a key. All requests of a connection have the same
 *  unless mod_remoteip names others, and its hash is most of the work. */
static void client_key(request_rec *r, rlx_key_t *key)
{
    conn_rec *c = r->connection;
    const rlx_server_t *sv = rlx_server_of(r->server);
    const rlx_client_t *known = rlx_client_of(r, sv);
    rlx_client_t *client;

    if (known) {
        *key = known->key;
        return;
    }
    take(key, rlx_client_address(r), 1);
    key->id = id_of(key);
    /* Once for each connection, whatever its virtual hosts say of prefixes:
     * its memory is not freed before its end. */
    if (!key->len || r->useragent_ip != c->client_ip
        || ap_get_module_config(c->conn_config, &ratelimit_ext_module)) {
        return;
    }
    client = apr_palloc(c->pool, sizeof(*client));
    ap_set_module_config(c->conn_config, &ratelimit_ext_module, client);
    client->ip = c->client_ip;
    client->prefix_bits = sv->ipv6_prefix;
    client->key = *key;
    if (key->text != c->client_ip) {
        client->key.text = apr_pstrmemdup(c->pool, key->text, key->len);
    }
}

void rlx_key_of(request_rec *r, const rlx_dir_t *dir,
                const rlx_options_t *options, rlx_key_t *key)
{
    if (options->keys) {
        first_of(r, options->keys, key);
    }
    else if (dir && dir->key) {
        take(key, rlx_value_of(r, dir->key), is_public(dir->key));
    }
    else {
        client_key(r, key);
        return;
    }
    key->id = id_of(key);
}

/** An ap_expr_var_func_t: %{RATELIMIT_CLIENT}. */
static const char *client_var(ap_expr_eval_ctx_t *ctx, const void *data)
{
    if (ctx->r) {
        return rlx_client_address(ctx->r);
    }
    return ctx->c ? ctx->c->client_ip : "";
}

static int key_expr_lookup(ap_expr_lookup_parms *parms)
{
    if (parms->type != AP_EXPR_FUNC_VAR
        || strcasecmp(parms->name, "RATELIMIT_CLIENT")) {
        return DECLINED;
    }
    *parms->func = client_var;
    *parms->data = NULL;
    return OK;
}

void rlx_key_register(apr_pool_t *p)
{
    ap_hook_expr_lookup(key_expr_lookup, NULL, NULL, APR_HOOK_MIDDLE);
}
