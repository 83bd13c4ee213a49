/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Whether a page of another site made a browser send a request.
 */

#include "report/origin.h"

#include "apr_strings.h"
#include "http_protocol.h"

/** A host and port without the port that a scheme has anyway. */
static const char *plain(apr_pool_t *p, const char *host, const char *port)
{
    apr_size_t len = strlen(host), port_len = strlen(port);

    return len > port_len && !strcmp(host + len - port_len, port)
           ? apr_pstrmemdup(p, host, len - port_len) : host;
}

/** Not 0 if an Origin is the one that the request is for. */
static int is_own(request_rec *r, const char *origin)
{
    const char *scheme = ap_http_scheme(r);
    const char *port = !strcmp(scheme, "https") ? ":443" : ":80";
    const char *host = apr_table_get(r->headers_in, "Host");
    apr_size_t len = strlen(scheme);

    return host && *host && !ap_cstr_casecmpn(origin, scheme, len)
           && !strncmp(origin + len, "://", 3)
           && !ap_cstr_casecmp(plain(r->pool, origin + len + 3, port),
                               plain(r->pool, host, port));
}

int rlx_is_cross_site(request_rec *r)
{
    const char *origin = apr_table_get(r->headers_in, "Origin");
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");

    return (origin && !is_own(r, origin))
           || (site && strcmp(site, "same-origin") && strcmp(site, "none"));
}
