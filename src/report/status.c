/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The handler limiter-status: what is asked for, and in which form. A form is
 * a line in a table and a renderer.
 */

#include "report/status.h"

#include "apr_strings.h"

#include "http_main.h"
#include "http_protocol.h"
#include "http_request.h"

#include "core/accept.h"
#include "report/control.h"
#include "report/key.h"
#include "report/path.h"
#include "report/render.h"
#include "report/seen.h"

/** The longest that a page may be told to wait before it asks again. */
#define REFRESH_SEC_MAX 3600

/** A form. */
typedef struct form_t {
    /** For ?format=; NULL: by Accept alone. */
    const char *name;
    /** For Accept. */
    const char *media_type;
    const char *content_type;
    void (*render)(rlx_out_t *out, const rlx_snapshot_t *snapshot);
    /** Not 0: .htaccess files are read for it. */
    int shows_files;
} form_t;

/* The first is for clients that take anything, as curl does. */
static const form_t forms[] = {
    { "text", "text/plain", "text/plain; charset=utf-8", rlx_render_text,
      1 },
    { "html", "text/html", "text/html; charset=utf-8", rlx_render_html,
      1 },
    { "json", "application/json", "application/json", rlx_render_json, 1 },
    { NULL, "application/openmetrics-text",
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
      rlx_render_openmetrics, 0 },
    { "prometheus", NULL, "text/plain; version=0.0.4; charset=utf-8",
      rlx_render_prometheus, 0 }
};

#define FORMS ((int)(sizeof(forms) / sizeof(forms[0])))

static const form_t *form_by_name(const char *name)
{
    for (int i = 0; i < FORMS; i++) {
        if (forms[i].name && !strcmp(forms[i].name, name)) {
            return &forms[i];
        }
    }
    return NULL;
}

/** The form that Accept wants most; the first where it wants none. A scraper
 *  that knows no OpenMetrics wants plain text, and says of which kind. */
static const form_t *form_by_accept(request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    const char *types[FORMS + 1];
    int n = 0, best;

    while (n < FORMS && forms[n].media_type) {
        types[n] = forms[n].media_type;
        n++;
    }
    types[n] = NULL;
    best = rlx_accept_choose_named(accept, types);
    if (best == 0 && accept && strstr(accept, "version=0.0.4")) {
        return form_by_name("prometheus");
    }
    return &forms[best > 0 ? best : 0];
}

/** Answer with one sentence, in place of what was asked for. */
static int complain(request_rec *r, int status, const char *sentence)
{
    r->status = status;
    ap_set_content_type(r, "text/plain; charset=utf-8");
    ap_rprintf(r, "%s\n", sentence);
    return OK;
}

/** What is never cached, framed, or taken for something else. */
static void set_fields(request_rec *r)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_mergen(r->headers_out, "Vary", "Accept");
}

/** What a page may load and do: nothing but what is in it.
 *  @return what it calls its own styles and scripts */
static const char *set_policy(request_rec *r)
{
    unsigned char bytes[12];
    char *nonce = apr_palloc(r->pool, 2 * sizeof(bytes) + 1);

    if (apr_generate_random_bytes(bytes, sizeof(bytes)) != APR_SUCCESS) {
        memset(bytes, 0, sizeof(bytes));
    }
    ap_bin2hex(bytes, sizeof(bytes), nonce);
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   apr_pstrcat(r->pool, "default-src 'none'; style-src 'nonce-",
                               nonce, "'; script-src 'nonce-", nonce,
                               "'; img-src data:; form-action 'self'; "
                               "base-uri 'none'; frame-ancestors 'none'",
                               NULL));
    apr_table_setn(r->headers_out, "X-Frame-Options", "DENY");
    apr_table_setn(r->headers_out, "Referrer-Policy", "same-origin");
    return nonce;
}

/** What the query says. A form sends a blank as +, and a + as %2B. */
static apr_table_t *read_args(request_rec *r)
{
    char *args = apr_pstrdup(r->pool, r->args ? r->args : "");
    apr_table_t *table = apr_table_make(r->pool, 4);
    char *next, *pair = apr_strtok(args, "&", &next);

    for (; pair; pair = apr_strtok(NULL, "&", &next)) {
        char *value = strchr(pair, '=');

        if (value) {
            *value++ = '\0';
            /* What is badly encoded stays as far as it can be read. */
            ap_unescape_urlencoded(value);
        }
        apr_table_set(table, pair, value ? value : "1");
    }
    return table;
}

/** An argument; NULL: it is not there, or empty, as a form sends it. */
static const char *arg_of(const apr_table_t *args, const char *name)
{
    const char *value = apr_table_get(args, name);

    return value && value[0] ? value : NULL;
}

/** Look up what the query asks for. */
static rlx_snapshot_t *look(request_rec *r, const apr_table_t *args)
{
    rlx_snapshot_t *snapshot = rlx_snapshot_make(r->pool, ap_server_conf, 1);
    rlx_path_question_t question = { arg_of(args, "path"),
                                     arg_of(args, "method"),
                                     arg_of(args, "server") };
    const char *key = arg_of(args, "key");
    const char *refresh = arg_of(args, "refresh");

    if (question.path) {
        snapshot->path = rlx_path_explain(r, &question);
    }
    if (key) {
        rlx_seen_look(r, snapshot);
        snapshot->key = rlx_key_look(snapshot, key);
    }
    if (refresh) {
        int sec = atoi(refresh);

        snapshot->refresh_sec = sec < 0 ? 0 : sec > REFRESH_SEC_MAX
                                              ? REFRESH_SEC_MAX : sec;
    }
    snapshot->args = args;
    snapshot->may_clear = rlx_control_is_on(r);
    snapshot->notice = rlx_control_notice(r, args);
    return snapshot;
}

static int show(request_rec *r, const apr_table_t *args, const form_t *form)
{
    rlx_out_t out = { r, NULL, NULL };
    rlx_snapshot_t *snapshot;
    const char *nonce = NULL;

    ap_set_content_type(r, form->content_type);
    if (form->render == rlx_render_html) {
        nonce = set_policy(r);
    }
    if (r->header_only) {
        return OK;
    }
    snapshot = look(r, args);
    snapshot->nonce = nonce;
    if (form->shows_files
        && (form->render != rlx_render_text
            || (!snapshot->path && !snapshot->key))) {
        rlx_seen_look(r, snapshot);
    }
    apr_pool_create(&out.scratch, r->pool);
    apr_pool_tag(out.scratch, "rlx_status");
    form->render(&out, snapshot);
    return OK;
}

int rlx_status_handler(request_rec *r)
{
    const form_t *form;
    apr_table_t *args;
    const char *name;

    if (!r->handler || strcmp(r->handler, "limiter-status")) {
        return DECLINED;
    }
    ap_allow_methods(r, REPLACE_ALLOW, "GET", "POST", NULL);
    if (r->method_number != M_GET && r->method_number != M_POST) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    set_fields(r);
    args = read_args(r);
    name = apr_table_get(args, "format");
    form = name ? form_by_name(name) : form_by_accept(r);
    if (!form) {
        return complain(r, HTTP_BAD_REQUEST,
                        "format= is one of html, json, text and prometheus");
    }
    name = apr_table_get(args, "path");
    if (name && name[0] && name[0] != '/') {
        return complain(r, HTTP_BAD_REQUEST,
                        "path= is a path of this server, and begins with /");
    }
    return r->method_number == M_POST ? rlx_control_post(r, form->name)
                                      : show(r, args, form);
}
