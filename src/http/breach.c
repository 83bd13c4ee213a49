/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What becomes of a request that has no room: its status, and what the log
 * says. What the client gets to see is in refusal.c and headers.c.
 */

#include "http/breach.h"

#include <string.h>

#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "mod_core.h"

#include "http/counter.h"
#include "http/fate.h"
#include "http/headers.h"
#include "http/log_tags.h"
#include "http/manner.h"
#include "http/outcome.h"

APLOG_USE_MODULE(ratelimit_ext);

/** The status of a refusal where RateLimitStatus is not set. */
#define STATUS_DEFAULT HTTP_TOO_MANY_REQUESTS

/** Bytes of a key or a scope that are logged. */
#define LOGGED_MAX 200

/** Not 0 if a byte stands in the log as it is. */
static int is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/** What a client may have sent, for the log: whole within quotes, and cut so
 *  that httpd never cuts the line itself. Quotes become \x22: httpd doubles
 *  each backslash, so one before a quote would escape nothing. */
static const char *logged(request_rec *r, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out, *to;
    int i = 0;

    while (i < LOGGED_MAX && text[i] && is_plain((unsigned char)text[i])) {
        i++;
    }
    if (!text[i]) {
        return text;
    }
    to = out = apr_palloc(r->pool, LOGGED_MAX * 4 + sizeof("..."));
    for (i = 0; i < LOGGED_MAX && text[i]; i++) {
        unsigned char c = (unsigned char)text[i];

        if (is_plain(c)) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '\\';
        *to++ = 'x';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    strcpy(to, text[i] ? "..." : "");
    return out;
}

/** One line for each refusal. The client comes first, before anything that
 *  it sent: fail2ban can be sure of it there. What a .htaccess file refuses is
 *  told apart: its owner should not have anybody banned from the server. */
static void log_breach(request_rec *r, const rlx_decision_t *breached,
                       const char *what)
{
    if (!APLOG_R_IS_LEVEL(r, APLOG_INFO)) {
        return;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, RLXNO(0001)
                  "%s%s: client %s limit \"%s\" key \"%s\" scope \"%s\"", what,
                  breached->rule->is_htaccess ? " (.htaccess)" : "",
                  r->useragent_ip ? r->useragent_ip : "-",
                  breached->rule->options->name
                  ? breached->rule->options->name : breached->limit->text,
                  logged(r, rlx_decision_key(r, breached)),
                  logged(r, rlx_decision_scope(r, breached)));
}

/* httpd turns a status that it has no words for into 500, unless the status
 * line is there already. */
void rlx_breach_word_status(request_rec *r, int status)
{
    r->status_line = ap_get_status_line_ex(r->pool, status);
}

void rlx_breach_spare(request_rec *r, rlx_request_t *request,
                      const rlx_decision_t *breached)
{
    request->breached = breached;
    request->result = RLX_RESULT_DRY_RUN;
    log_breach(r, breached, "would be refused (dry run)");
    rlx_outcome_tell_breach(r, request);
}

int rlx_breach_status(const rlx_dir_t *dir, const rlx_options_t *options)
{
    if (options->status) {
        return options->status;
    }
    return dir && dir->status != RLX_UNSET ? dir->status : STATUS_DEFAULT;
}

/** The URL that makes the body in place of an ErrorDocument, or NULL: so it is
 *  where no limit refused, but RateLimitStorageFailure deny. */
static const char *body_path(const rlx_request_t *request)
{
    const rlx_manner_t *manner = rlx_manner_of(request->refused_in);
    const char *path;

    if (request->result != RLX_RESULT_REFUSED) {
        return NULL;
    }
    path = request->breached->rule->options->on_breach;
    return !path && manner ? manner->on_breach : path;
}

/** The core takes it for an ErrorDocument. Where a body of ours takes the place
 *  of httpd's page, it is one without text: to write that page, only to be
 *  dropped, is half of what a refusal takes. */
static void choose_body(request_rec *r, rlx_request_t *request)
{
    const char *path = body_path(request);

    if (path) {
        ap_custom_response(r, request->status, path);
    }
    else if (rlx_manner_body(rlx_manner_of(r)) != RLX_BODY_OFF
             && !ap_response_code_string(r, ap_index_of_response(
                                                request->status))) {
        ap_custom_response(r, request->status, "");
        request->has_no_page = 1;
    }
}

/* An ErrorDocument may send clients elsewhere. */
void rlx_breach_keep_status(request_rec *r, const rlx_request_t *request)
{
    const request_rec *from = r->status == request->status ? NULL : r->prev;

    while (from && from != request->refused_in) {
        from = from->prev;
    }
    if (from && (ap_is_HTTP_SUCCESS(r->status) || body_path(request))) {
        r->status = request->status;
        rlx_breach_word_status(r, request->status);
    }
}

int rlx_breach_refuse(request_rec *r, const rlx_dir_t *dir,
                      rlx_request_t *request,
                      const rlx_decision_t *breached)
{
    if (dir && dir->engine == RLX_ENGINE_DRY_RUN) {
        rlx_breach_spare(r, request, breached);
        return DECLINED;
    }
    request->breached = breached;
    request->result = RLX_RESULT_REFUSED;
    request->refused_in = r;
    rlx_request_share(r, request);
    request->status = rlx_breach_status(dir, breached->rule->options);
    rlx_breach_word_status(r, request->status);
    choose_body(r, request);
    rlx_headers_refuse(r, request);
    rlx_fate_refused(r, request, breached);
    log_breach(r, breached, "refused");
    rlx_outcome_tell_breach(r, request);
    return request->status;
}
