/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Variables that say how a request fared. Setting them takes more than
 * deciding a request, and few servers look at them. So they are set where
 * somebody might: for every request if the configuration mentions one of them
 * or has what may read them unseen (SSI, Lua, Perl, filter programs); where a
 * .htaccess file had its say that holds directives of others; and for every
 * handler but the one that sends files.
 */

#include "http/environment.h"

#include <apr_strings.h>

#include "http_core.h"

#include "http/counter.h"
#include "http/digits.h"
#include "http/headers.h"

int rlx_environment_is_read;

/*
 * Who might look
 */

/** Not 0 if a text names one of the variables. */
static int has_mention(const char *text)
{
    static const char prefix[] = "RATELIMIT_";
    static const char client[] = "CLIENT";

    while ((text = ap_strcasestr(text, prefix)) != NULL) {
        text += sizeof(prefix) - 1;
        /* That one is not set by us but evaluated, see key.c. */
        if (ap_cstr_casecmpn(text, client, sizeof(client) - 1)) {
            return 1;
        }
    }
    return 0;
}

static int begins(const char *text, const char *with)
{
    return !ap_cstr_casecmpn(text, with, strlen(with));
}

/** Not 0 if a directive brings what may read variables that it does not
 *  name. */
static int is_reader(const ap_directive_t *d)
{
    const char *name = d->directive;

    return begins(name, "XBitHack") || begins(name, "ExtFilterDefine")
           || begins(name, "LuaHook") || begins(name, "LuaOutputFilter")
           || begins(name, "Perl") || ap_strcasestr(d->args, "server-parsed")
           || (ap_strcasestr(name, "Filter")
               && ap_strcasestr(d->args, "INCLUDES"));
}

static int is_read_in(const ap_directive_t *d)
{
    for (; d; d = d->next) {
        if (has_mention(d->args) || is_reader(d)
            || is_read_in(d->first_child)) {
            return 1;
        }
    }
    return 0;
}

void rlx_environment_prepare(void)
{
    rlx_environment_is_read = is_read_in(ap_conftree);
}

/** Not 0 if a handler does no more than send files: httpd's own, which is
 *  also meant where the handler is called after a media type. */
static int only_sends_files(const char *handler)
{
    switch (handler[0]) {
    case '\0':
        return 1;
    case 'a':
        return !strncmp(handler, "application/", 12)
               && strncmp(handler, "application/x-httpd", 19);
    case 'd':
        return !strcmp(handler, "default-handler");
    case 'f':
        return !strncmp(handler, "font/", 5);
    case 'i':
        return !strncmp(handler, "image/", 6);
    case 't':
        return !strncmp(handler, "text/", 5)
               && strcmp(handler, "text/x-server-parsed-html");
    case 'v':
        return !strncmp(handler, "video/", 6);
    default:
        return 0;
    }
}

/** Not 0 if a .htaccess file holds what is not of this module: that may do
 *  anything. */
static int holds_more(const ap_conf_vector_t *file)
{
    for (const module *m = ap_top_module; m; m = m->next) {
        if (ap_get_module_config(file, m) && m != &ratelimit_ext_module) {
            return 1;
        }
    }
    return 0;
}

/** Not 0 if one of the request's .htaccess files does. */
static int has_htaccess(const request_rec *r)
{
    for (const struct htaccess_result *h = r->htaccess; h; h = h->next) {
        if (h->htaccess && holds_more(h->htaccess)) {
            return 1;
        }
    }
    return 0;
}

/*
 * What they see
 */

static const char *const results[] = {
    [RLX_RESULT_ALLOWED] = "allowed",
    [RLX_RESULT_REFUSED] = "refused",
    [RLX_RESULT_DRY_RUN] = "dry-run",
    [RLX_RESULT_EXEMPT] = "exempt",
    [RLX_RESULT_FALLBACK] = "fallback",
    [RLX_RESULT_ERROR] = "error"
};

/** Set one, and after an internal redirect also what httpd would have made of
 *  it if it had been there before. */
static void set(request_rec *r, const char *name, const char *value)
{
    apr_table_setn(r->subprocess_env, name, value);
    if (r->prev) {
        apr_table_setn(r->subprocess_env,
                       apr_pstrcat(r->pool, "REDIRECT_", name, NULL), value);
    }
}

static void set_number(request_rec *r, const char *name, apr_uint64_t value)
{
    set(r, name, rlx_digits(r->pool, value));
}

/** Set all of them. */
static void set_all(request_rec *r, rlx_request_t *request)
{
    const rlx_decision_t *decision = rlx_request_spokesman(request);
    request_rec *decided_in = request->decided_in;

    request->shown_in = r;
    set(r, "RATELIMIT_RESULT", results[rlx_request_result(request)]);
    if (!decision) {
        return;
    }
    set(r, "RATELIMIT_LIMIT", decision->limit->text);
    set_number(r, "RATELIMIT_REMAINING", decision->verdict.remaining);
    set_number(r, "RATELIMIT_RESET", (apr_uint64_t)rlx_seconds_up(
                                         decision->verdict.reset_at));
    set_number(r, "RATELIMIT_WINDOW", (apr_uint64_t)rlx_seconds_up(
                                          decision->limit->window_usec));
    set(r, "RATELIMIT_POLICY", rlx_policy_name(decision));
    set(r, "RATELIMIT_KEY",
        rlx_printable(r->pool, rlx_decision_key(decided_in, decision)));
    set(r, "RATELIMIT_SCOPE",
        rlx_printable(r->pool, rlx_decision_scope(decided_in, decision)));
}

void rlx_environment_set(request_rec *r, rlx_request_t *request)
{
    if (rlx_environment_is_read || has_htaccess(r)) {
        set_all(r, request);
    }
}

void rlx_environment_set_for_handler(request_rec *r, rlx_request_t *request)
{
    if (request->shown_in != r
        && (!only_sends_files(r->handler) || has_htaccess(r))) {
        set_all(r, request);
    }
}

void rlx_environment_set_again(rlx_request_t *request)
{
    set_all(request->shown_in, request);
}
