/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Clearing counters by POST: may it be, what is asked for, what is answered.
 * Each has one line in the log.
 */

#include "report/control.h"

#include "apr_lib.h"
#include "apr_strings.h"
#include "http_log.h"
#include "http_main.h"
#include "http_protocol.h"

#include "http/counter.h"
#include "http/log_tags.h"
#include "http/manner.h"
#include "report/clear.h"
#include "report/origin.h"
#include "report/out.h"
#include "report/view.h"

APLOG_USE_MODULE(ratelimit_ext);

/** The longest body that is read. */
#define BODY_MAX 8192
/** Of a query that a browser is sent back with: what was done, to how many
 *  counters, whether there are notes. */
#define DONE_ARG  "done"
#define COUNT_ARG "cleared"
#define NOTES_ARG "notes"

/** What is asked for. NULL: that field is not there. */
typedef struct order_t {
    const char *action;
    const char *key;
    const char *limit;
} order_t;

int rlx_control_is_on(const request_rec *r)
{
    const rlx_manner_t *manner = rlx_manner_of(r);

    return manner && manner->status_control == 1;
}

static const char *user_of(request_rec *r)
{
    return r->user ? ap_escape_logitem(r->pool, r->user) : "-";
}

static int is_json(const char *form)
{
    return form && !strcmp(form, "json");
}

/** Turn a request down.
 *  @param sentence never what the client sent */
static int refuse(request_rec *r, const char *form, int status,
                  const char *sentence)
{
    rlx_out_t out = { r, NULL, NULL };

    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, RLXNO(0153)
                  "nothing was cleared for user \"%s\" (status %d): %s",
                  user_of(r), status, sentence);
    r->status = status;
    apr_pool_create(&out.scratch, r->pool);
    if (is_json(form)) {
        ap_set_content_type(r, "application/json");
        rlx_out_put(&out, "{\"error\": ");
        rlx_out_json(&out, sentence);
        rlx_out_put(&out, "}\n");
    }
    else {
        ap_set_content_type(r, "text/plain; charset=utf-8");
        rlx_out_print(&out, "%s\n", sentence);
    }
    return OK;
}

/*
 * Reading
 */

/** Not 0 if the body is a form as browsers and curl send it. */
static int is_form(const request_rec *r)
{
    static const char type[] = "application/x-www-form-urlencoded";
    const char *given = apr_table_get(r->headers_in, "Content-Type");
    apr_size_t len = sizeof(type) - 1;

    return given && !apr_table_get(r->headers_in, "Content-Encoding")
           && !ap_cstr_casecmpn(given, type, len)
           && (!given[len] || given[len] == ';' || given[len] == ' ');
}

/** Read the body.
 *  @return OK, or a status */
static int read_body(request_rec *r, char **body)
{
    apr_size_t len = 0;
    int status = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);
    long n = 0;

    *body = apr_palloc(r->pool, BODY_MAX + 2);
    if (status != OK) {
        return status;
    }
    if (r->remaining > BODY_MAX) {
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    if (ap_should_client_block(r)) {
        while (len <= BODY_MAX
               && (n = ap_get_client_block(r, *body + len,
                                           BODY_MAX + 1 - len)) > 0) {
            len += (apr_size_t)n;
        }
    }
    (*body)[len] = '\0';
    return n < 0 || strlen(*body) < len ? HTTP_BAD_REQUEST
           : len > BODY_MAX ? HTTP_REQUEST_ENTITY_TOO_LARGE : OK;
}

/** Read one field.
 *  @return NULL, or a sentence */
static const char *read_field(char *field, order_t *order)
{
    char *value = strchr(field, '=');
    const char **to;

    if (value) {
        *value++ = '\0';
    }
    if (ap_unescape_urlencoded(field) != OK
        || (value && ap_unescape_urlencoded(value) != OK)) {
        return "the form is not encoded as it says";
    }
    to = !strcmp(field, "action") ? &order->action
         : !strcmp(field, "key") ? &order->key
         : !strcmp(field, "limit") ? &order->limit : NULL;
    if (!to) {
        return "the form has a field that is none of action, key and limit";
    }
    if (*to) {
        return "a field of the form is given twice";
    }
    *to = value ? value : "";
    return NULL;
}

/** Read the form's fields. */
static const char *read_fields(char *body, order_t *order)
{
    char *rest = body;
    const char *error = NULL;

    while (rest && !error) {
        char *field = rest;

        rest = strchr(rest, '&');
        if (rest) {
            *rest++ = '\0';
        }
        error = *field ? read_field(field, order) : NULL;
    }
    return error;
}

/** See whether what is asked for makes sense. */
static const char *check(const order_t *order)
{
    int has_key = order->key && *order->key;

    if (!order->action) {
        return "action= is missing: clear, with key=, or clear-all";
    }
    if (!strcmp(order->action, "clear-all")) {
        return order->key || order->limit
               ? "action=clear-all clears every counter, and has neither key= "
                 "nor limit=" : NULL;
    }
    if (strcmp(order->action, "clear")) {
        return "action= is neither clear nor clear-all";
    }
    if (order->limit && !has_key) {
        return "limit= says which counters of a key are cleared, and key= is "
               "missing: storages cannot be asked for all the keys of a "
               "limit. action=clear-all clears every counter";
    }
    if (order->limit && !*order->limit) {
        return "limit= is empty: leave it out to clear every counter of the "
               "key";
    }
    return has_key ? NULL : "key= is missing: whose counters are cleared";
}

/*
 * Answering
 */

static const char *failed_text(apr_pool_t *p, const rlx_cleared_t *cleared)
{
    return cleared->failed->nelts
           ? apr_pstrcat(p, "; no answer from ",
                         rlx_view_join(p, cleared->failed, ", "),
                         ", whose counters stay", NULL) : "";
}

/** Write the line in the log. */
static void log_cleared(request_rec *r, const order_t *order,
                        const rlx_cleared_t *cleared)
{
    const char *failed = failed_text(r->pool, cleared);
    const char *key;

    if (!order->key) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, RLXNO(0152)
                      "user \"%s\" cleared every counter of every key%s",
                      user_of(r), failed);
        return;
    }
    key = rlx_key_shown(r, order->key, cleared->is_public);
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, RLXNO(0151)
                  "user \"%s\" cleared %d counter%s of key \"%s\"%s%s%s%s",
                  user_of(r), cleared->counters,
                  cleared->counters == 1 ? "" : "s",
                  ap_escape_logitem(r->pool, key),
                  order->limit ? ", limit \"" : "",
                  order->limit ? ap_escape_logitem(r->pool, order->limit) : "",
                  order->limit ? "\"" : "", failed);
}

static const char *sentence_of(apr_pool_t *p, int counters)
{
    return counters < 0 ? "Every counter of every key is cleared."
           : counters == 1 ? "1 counter is cleared."
           : apr_psprintf(p, "%d counters are cleared.", counters);
}

static void put_list(rlx_out_t *out, const char *name,
                     const apr_array_header_t *list)
{
    rlx_out_print(out, ", \"%s\": [", name);
    for (int i = 0; i < list->nelts; i++) {
        rlx_out_put(out, i ? ", " : "");
        rlx_out_json(out, APR_ARRAY_IDX(list, i, const char *));
    }
    rlx_out_put(out, "]");
}

/** `cleared` is null where it is all, however many. */
static void answer_json(rlx_out_t *out, const order_t *order,
                        const rlx_cleared_t *cleared)
{
    ap_set_content_type(out->r, "application/json");
    rlx_out_put(out, "{\"action\": ");
    rlx_out_json(out, order->action);
    if (order->key) {
        rlx_out_print(out, ", \"cleared\": %d, \"asked\": %d",
                      cleared->counters, cleared->asked);
    }
    else {
        rlx_out_put(out, ", \"cleared\": null");
    }
    put_list(out, "failed", cleared->failed);
    put_list(out, "notes", cleared->notes);
    rlx_out_put(out, "}\n");
}

static void answer_text(rlx_out_t *out, const order_t *order,
                        const rlx_cleared_t *cleared)
{
    ap_set_content_type(out->r, "text/plain; charset=utf-8");
    /* There is no number where it is all: the sentence is not to promise
     * what the next takes back. */
    rlx_out_print(out, "%s\n", order->key || !cleared->failed->nelts
                  ? sentence_of(out->r->pool, cleared->counters)
                  : "Every counter of every key is cleared where a storage "
                    "answers.");
    for (int i = 0; i < cleared->failed->nelts; i++) {
        rlx_out_put(out, "storage ");
        rlx_out_text(out, APR_ARRAY_IDX(cleared->failed, i, const char *));
        rlx_out_put(out, " does not answer: what it counts stays\n");
    }
    for (int i = 0; i < cleared->notes->nelts; i++) {
        rlx_out_put(out, "note: ");
        rlx_out_text(out, APR_ARRAY_IDX(cleared->notes, i, const char *));
        rlx_out_put(out, "\n");
    }
}

/** The query of a request without what was said in it of an earlier
 *  clearing. */
static const char *args_without(apr_pool_t *p, const char *args)
{
    static const char *const names[] = { DONE_ARG, COUNT_ARG, NOTES_ARG };
    const char *kept = "";

    while (args && *args) {
        const char *field = ap_getword(p, &args, '&');
        int is_kept = *field != '\0';

        for (int i = 0; i < 3; i++) {
            apr_size_t len = strlen(names[i]);

            is_kept = is_kept && (strncmp(field, names[i], len)
                                  || (field[len] && field[len] != '='));
        }
        if (is_kept) {
            kept = apr_pstrcat(p, kept, field, "&", NULL);
        }
    }
    return kept;
}

/** Send a browser back to the page, so that to load it again does not clear
 *  again. */
static void answer_page(rlx_out_t *out, const order_t *order,
                        const rlx_cleared_t *cleared)
{
    request_rec *r = out->r;
    apr_pool_t *p = r->pool;
    const char *path = r->uri;
    const char *url;

    /* Two slashes would name another host. */
    while (path[0] == '/' && path[1] == '/') {
        path++;
    }
    url = apr_pstrcat(p, ap_os_escape_path(p, path, 1), "?",
                      args_without(p, r->args), DONE_ARG "=", order->action,
                      NULL);
    if (order->key) {
        url = apr_psprintf(p, "%s&" COUNT_ARG "=%d", url, cleared->counters);
    }
    if (cleared->notes->nelts) {
        url = apr_pstrcat(p, url, "&" NOTES_ARG "=1", NULL);
    }
    r->status = HTTP_SEE_OTHER;
    apr_table_setn(r->headers_out, "Location", url);
    answer_text(out, order, cleared);
}

static int answer(request_rec *r, const char *form, const order_t *order,
                  const rlx_cleared_t *cleared)
{
    rlx_out_t out = { r, NULL, NULL };

    apr_pool_create(&out.scratch, r->pool);
    apr_pool_tag(out.scratch, "rlx_control");
    if (cleared->failed->nelts) {
        r->status = HTTP_SERVICE_UNAVAILABLE;
    }
    if (is_json(form)) {
        answer_json(&out, order, cleared);
    }
    else if (form && !strcmp(form, "html") && !cleared->failed->nelts) {
        answer_page(&out, order, cleared);
    }
    else {
        answer_text(&out, order, cleared);
    }
    return OK;
}

/** Do what is asked for. */
static int clear(request_rec *r, const char *form, const order_t *order)
{
    rlx_cleared_t cleared;

    if (!order->key) {
        rlx_clear_all(r->pool, ap_server_conf, &cleared);
    }
    else {
        rlx_clear_key(r, ap_server_conf, order->key, order->limit,
                      &cleared);
        if (order->limit && !cleared.limits && !cleared.failed->nelts) {
            return refuse(r, form, HTTP_BAD_REQUEST, "limit= is neither the "
                          "name nor the text of a limit");
        }
    }
    log_cleared(r, order, &cleared);
    return answer(r, form, order, &cleared);
}

int rlx_control_post(request_rec *r, const char *form)
{
    order_t order = { NULL, NULL, NULL };
    const char *error;
    char *body;
    int status;

    if (!rlx_control_is_on(r)) {
        return refuse(r, form, HTTP_FORBIDDEN, "counters are not cleared "
                      "here: RateLimitStatusControl is Off");
    }
    if (rlx_is_cross_site(r)) {
        return refuse(r, form, HTTP_FORBIDDEN, "the request comes from a page "
                      "of another site");
    }
    if (!is_form(r)) {
        return refuse(r, form, HTTP_UNSUPPORTED_MEDIA_TYPE, "the body is not "
                      "application/x-www-form-urlencoded");
    }
    status = read_body(r, &body);
    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return refuse(r, form, status, "the body is longer than 8192 bytes");
    }
    if (status != OK) {
        return refuse(r, form, status, "the body cannot be read");
    }
    error = read_fields(body, &order);
    if (!error) {
        error = check(&order);
    }
    return error ? refuse(r, form, HTTP_BAD_REQUEST, error)
                 : clear(r, form, &order);
}

/** A number of digits alone, -1: it is none. */
static int read_count(const char *text)
{
    return text && *text && strlen(text) < 8
           && strspn(text, "0123456789") == strlen(text) ? atoi(text) : -1;
}

const char *rlx_control_notice(request_rec *r, const apr_table_t *args)
{
    const char *done = apr_table_get(args, DONE_ARG);
    int counters = read_count(apr_table_get(args, COUNT_ARG));
    const char *notes = apr_table_get(args, NOTES_ARG);

    /* Anybody can make up such a query: it gives no text of its own. */
    if (!done || !rlx_control_is_on(r)) {
        return NULL;
    }
    if (!strcmp(done, "clear-all")) {
        return sentence_of(r->pool, -1);
    }
    if (strcmp(done, "clear") || counters < 0) {
        return NULL;
    }
    return apr_pstrcat(r->pool, sentence_of(r->pool, counters),
                       notes && !strcmp(notes, "1")
                       ? " Some cannot be found by their key alone: ?key= "
                         "says which." : "", NULL);
}
