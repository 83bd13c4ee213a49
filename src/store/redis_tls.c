/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * TLS. What is expected of the other side is set up here and not by hiredis,
 * whose versions up to 1.2 never look whose certificate it is.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_tls.h"

#include <apr_strings.h>

#if RLX_HAVE_HIREDIS_SSL

#include <fcntl.h>
#include <sys/socket.h>

#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static apr_status_t free_context(void *data)
{
    SSL_CTX_free(data);
    return APR_SUCCESS;
}

/** What OpenSSL complains of. */
static const char *complaint(apr_pool_t *p)
{
    const char *text = ERR_reason_error_string(ERR_get_error());

    ERR_clear_error();
    return text ? apr_pstrdup(p, text) : "no reason given";
}

const char *rlx_redis_tls_make(rlx_redis_settings_t *settings, apr_pool_t *p)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    int is_good;

    if (!context) {
        return "there is no memory for TLS";
    }
    apr_pool_cleanup_register(p, context, free_context, apr_pool_cleanup_null);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    is_good = settings->tls_ca
              ? SSL_CTX_load_verify_locations(context, settings->tls_ca, NULL)
              : SSL_CTX_set_default_verify_paths(context);
    if (is_good != 1) {
        return apr_psprintf(p, "tls_ca=%s holds no certificates (%s)",
                            settings->tls_ca ? settings->tls_ca : "",
                            complaint(p));
    }
    if (settings->tls_cert
        && (SSL_CTX_use_certificate_chain_file(context, settings->tls_cert)
            != 1
            || SSL_CTX_use_PrivateKey_file(context, settings->tls_key
                                                    ? settings->tls_key
                                                    : settings->tls_cert,
                                           SSL_FILETYPE_PEM) != 1)) {
        return apr_psprintf(p, "tls_cert=%s and its key (tls_key=, or the "
                            "same file) cannot be used (%s)",
                            settings->tls_cert, complaint(p));
    }
    settings->tls = context;
    return NULL;
}

/** The certificate must be for this name or address. */
static int expect(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1
           || (SSL_set1_host(ssl, host) == 1
               && SSL_set_tlsext_host_name(ssl, host) == 1);
}

static void say(rlx_redis_why_t *why, const SSL *ssl)
{
    long verified = SSL_get_verify_result(ssl);
    const char *text = verified != X509_V_OK
                       ? X509_verify_cert_error_string(verified)
                       : ERR_reason_error_string(ERR_peek_last_error());

    rlx_redis_why(why, "TLS: %s", text ? text : "the server broke it off");
    ERR_clear_error();
}

/** hiredis shakes hands in one go or not at all: meanwhile the socket blocks,
 *  each wait for what is left of the time. If it is done the other's state is
 *  theirs to free. */
static int shake_hands(redisContext *c, SSL *ssl, rlx_usec_t left,
                       int *is_theirs)
{
    int flags = fcntl(c->fd, F_GETFL);
    struct timeval wait = { left / 1000000, left % 1000000 };

    if (flags == -1 || fcntl(c->fd, F_SETFL, flags & ~O_NONBLOCK) == -1
        || setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait))
        || setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait))) {
        return 0;
    }
    c->flags |= REDIS_BLOCK;
    *is_theirs = redisInitiateSSL(c, ssl) == REDIS_OK;
    c->flags &= ~REDIS_BLOCK;
    return *is_theirs && fcntl(c->fd, F_SETFL, flags) != -1;
}

apr_status_t rlx_redis_tls_begin(rlx_redis_conn_t *conn,
                                 const rlx_redis_settings_t *settings,
                                 rlx_usec_t deadline, rlx_redis_why_t *why)
{
    rlx_usec_t left = deadline - rlx_monotonic_usec();
    SSL *ssl = SSL_new(settings->tls);
    int is_theirs = 0;

    ERR_clear_error();
    if (!ssl || !expect(ssl, settings->host)) {
        rlx_redis_why(why, "TLS: it cannot be begun");
        SSL_free(ssl);
        return APR_EGENERAL;
    }
    if (left <= 0 || !shake_hands(conn->context, ssl, left, &is_theirs)) {
        int is_late = rlx_monotonic_usec() >= deadline;

        say(why, ssl);
        if (!is_theirs) {
            SSL_free(ssl);
        }
        return is_late ? APR_TIMEUP : APR_EGENERAL;
    }
    return APR_SUCCESS;
}

#else /* without TLS */

const char *rlx_redis_tls_make(rlx_redis_settings_t *settings, apr_pool_t *p)
{
    return apr_psprintf(p, "this build has no TLS: hiredis %d.%d has none, or "
                        "it was built without libhiredis_ssl; use redis://, "
                        "over a tunnel where others could listen",
                        HIREDIS_MAJOR, HIREDIS_MINOR);
}

apr_status_t rlx_redis_tls_begin(rlx_redis_conn_t *conn,
                                 const rlx_redis_settings_t *settings,
                                 rlx_usec_t deadline, rlx_redis_why_t *why)
{
    return APR_ENOTIMPL;
}

#endif /* RLX_HAVE_HIREDIS_SSL */

#endif /* RLX_HAVE_HIREDIS */
