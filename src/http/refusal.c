/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The body of a refusal. httpd answers as for any error (so that
 * ErrorDocument, keepalive and HEAD are what they always are), with a page
 * that has no text (breach.c), and a filter puts a body of the right media
 * type in the page's place.
 */

#include "http/refusal.h"

#include <apr_strings.h>

#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "mod_core.h"
#include "util_filter.h"

#include "core/accept.h"
#include "http/digits.h"
#include "http/headers.h"
#include "http/manner.h"
#include "http/request.h"

#define FILTER_NAME "RATELIMIT_REFUSAL"

/** From the registry that draft-ietf-httpapi-ratelimit-headers-10 makes. */
#define PROBLEM_TYPE \
    "https://iana.org/assignments/http-problem-types#quota-exceeded"
#define PROBLEM_TITLE \
    "Request cannot be satisfied as assigned quota has been exceeded"

/** A body, and how long it is. */
typedef struct body_t {
    const char *text;
    apr_size_t len;
} body_t;

static body_t body_of(const char *text)
{
    body_t body = { text, strlen(text) };

    return body;
}

/** What a refusal says: the message, which may repeat what the client sent, or
 *  the limit. */
static const char *detail_of(request_rec *r, const rlx_request_t *request)
{
    const rlx_decision_t *breached = request->breached;
    const rlx_value_t *value = breached->rule->options->error_message;
    const char *message = value ? rlx_value_of(r, value) : "";

    return *message ? message : breached->limit->text;
}

/** "429 Too Many Requests". */
static const char *status_text(const request_rec *r)
{
    return r->status_line ? r->status_line
                          : ap_get_status_line_ex(r->pool, r->status);
}

/** The names of all limits that refuse, as JSON strings with commas between.
 *  @param detail what the refusal says, and the same as JSON: mostly that is
 *                the name of the one limit that refuses */
static const char *violated(request_rec *r, const rlx_request_t *request,
                            const char *detail, const char *detail_json)
{
    const char *names = NULL;

    for (int i = 0; i < request->n; i++) {
        const rlx_decision_t *decision = &request->decisions[i];
        const char *name = rlx_policy_name(decision);

        if (!rlx_decision_refuses(decision)) {
            continue;
        }
        name = name == detail ? detail_json : rlx_json_string(r->pool, name);
        names = names ? apr_pstrcat(r->pool, names, ",", name, NULL) : name;
    }
    return names ? names : "";
}

/** The same for people. */
static const char *readable_detail(request_rec *r,
                                   const rlx_request_t *request)
{
    return rlx_clean_string(r->pool, detail_of(r, request));
}

/** A part of a body. */
static struct iovec part(const char *text, apr_size_t len)
{
    struct iovec vec = { (void *)(apr_uintptr_t)text, len };

    return vec;
}

/** One whose length the compiler knows. */
#define PART(literal) part(literal, sizeof(literal) - 1)

/** RFC 9457. */
static body_t body_json(request_rec *r, const rlx_request_t *request)
{
    const char *detail = detail_of(r, request);
    const char *detail_json = rlx_json_string(r->pool, detail);
    const char *names = violated(r, request, detail, detail_json);
    char digits[RLX_DIGITS_ROOM];
    const char *status = rlx_digits_in(digits, (apr_uint64_t)r->status);
    const struct iovec parts[] = {
        PART("{\"type\":\"" PROBLEM_TYPE "\",\"title\":\"" PROBLEM_TITLE
             "\",\"status\":"),
        part(status, strlen(status)),
        PART(",\"detail\":"),
        part(detail_json, strlen(detail_json)),
        PART(",\"violated-policies\":["),
        part(names, strlen(names)),
        PART("]}\n")
    };
    body_t body;

    body.text = apr_pstrcatv(r->pool, parts, sizeof(parts) / sizeof(*parts),
                             &body.len);
    return body;
}

static body_t body_html(request_rec *r, const rlx_request_t *request)
{
    const char *status = ap_escape_html(r->pool, status_text(r));
    const char *detail = ap_escape_html(r->pool, readable_detail(r, request));

    return body_of(apr_psprintf(
        r->pool, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
        "<meta charset=\"utf-8\"><title>%s</title></head>\n"
        "<body><h1>%s</h1>\n<p>%s</p>\n<p>Please try again in "
        "%" APR_INT64_T_FMT " second%s.</p>\n</body></html>\n",
        status, status, detail, request->wait_sec,
        request->wait_sec == 1 ? "" : "s"));
}

static body_t body_text(request_rec *r, const rlx_request_t *request)
{
    return body_of(apr_pstrcat(r->pool, status_text(r), ": ",
                               readable_detail(r, request), "\n", NULL));
}

/** The forms, the module's favourite first. */
static const struct {
    const char *content_type;
    body_t (*body)(request_rec *r, const rlx_request_t *request);
} forms[] = {
    { "application/problem+json", body_json },
    { "application/json", body_json },
    { "text/html; charset=utf-8", body_html },
    { "text/plain; charset=utf-8", body_text },
};

/** Which form the client gets. By RateLimitErrorBody auto one that wants none
 *  of them gets text; json has two names.
 *  @param by_accept not 0 afterwards: another client may get another */
static int form_for(const request_rec *r, rlx_body_e body, int *by_accept)
{
    static const char *const types[] = {
        "application/problem+json", "application/json", "text/html",
        "text/plain", NULL
    };
    static const char *const json_types[] = {
        "application/problem+json", "application/json", NULL
    };
    const char *accept = apr_table_get(r->headers_in, "Accept");
    int form;

    *by_accept = body == RLX_BODY_AUTO || body == RLX_BODY_JSON;
    switch (body) {
    case RLX_BODY_HTML:
        return 2;
    case RLX_BODY_TEXT:
        return 3;
    case RLX_BODY_JSON:
        form = rlx_accept_choose(accept, json_types);
        return form < 0 ? 0 : form;
    default:
        form = rlx_accept_choose(accept, types);
        return form < 0 ? 3 : form;
    }
}

/** Passes our body on with the first call; drops all else. */
static apr_status_t refusal_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    const rlx_request_t *request = rlx_request_find(r);
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *ours;
    body_t body;
    int form, by_accept;

    apr_brigade_cleanup(bb);
    if (f->ctx) {
        return APR_SUCCESS;
    }
    f->ctx = f;
    form = form_for(r, rlx_manner_body(rlx_manner_of(r)), &by_accept);
    body = forms[form].body(r, request);
    ap_set_content_type(r, forms[form].content_type);
    ap_set_content_length(r, (apr_off_t)body.len);
    if (by_accept) {
        apr_table_mergen(r->headers_out, "Vary", "Accept");
    }

    ours = apr_brigade_create(r->pool, alloc);
    if (!r->header_only) {
        APR_BRIGADE_INSERT_TAIL(ours, apr_bucket_immortal_create(
                                          body.text, body.len, alloc));
    }
    APR_BRIGADE_INSERT_TAIL(ours, apr_bucket_eos_create(alloc));
    return ap_pass_brigade(f->next, ours);
}

/** Set once, before there are threads: a look-up by name is slow. */
static ap_filter_rec_t *filter;

/** The insert_error_filter hook: httpd is about to send an error page. The
 *  administrator's own ErrorDocument takes precedence. */
static void refusal_insert(request_rec *r)
{
    const rlx_request_t *request = r->main ? NULL : rlx_request_find(r);

    if (request && request->refused_in == r && r->status == request->status
        && request->result == RLX_RESULT_REFUSED
        && rlx_manner_body(rlx_manner_of(r)) != RLX_BODY_OFF
        && (request->has_no_page
            || !ap_response_code_string(r, ap_index_of_response(r->status)))) {
        ap_add_output_filter_handle(filter, NULL, r, r->connection);
    }
}

void rlx_refusal_register(apr_pool_t *p)
{
    filter = ap_register_output_filter(FILTER_NAME, refusal_filter, NULL,
                                       AP_FTYPE_RESOURCE);
    ap_hook_insert_error_filter(refusal_insert, NULL, NULL, APR_HOOK_FIRST);
}
