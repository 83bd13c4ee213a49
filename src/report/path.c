/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What applies to a URL and why. A visit (visit.h) goes the way of a client's
 * request, and where that would be decided, what holds is resolved as it would
 * be. Then it goes on to where httpd would: to the file that DirectoryIndex or
 * MultiViews put in a directory's place, and to what a rewrite leads to.
 */

#include "report/path.h"

#include "apr_lib.h"
#include "apr_strings.h"
#include "http_main.h"
#include "http_protocol.h"

#include "report/place.h"
#include "report/visit.h"

/** Internal redirects that are followed; httpd's own bound. */
#define REDIRECTS_MAX 10

/** "403 Forbidden". */
static const char *status_text(apr_pool_t *p, int status)
{
    const char *line = status >= 100 ? ap_get_status_line(status) : NULL;

    return line && atoi(line) == status ? line : apr_itoa(p, status);
}

/*
 * The way of a request
 */

/** Where a client's request would be decided in fixups. */
static void decide(rlx_visit_t *visit, request_rec *r)
{
    rlx_place_explain(visit->baton, r);
}

/** What a visit did not come to: httpd answers before. */
static void explain_answer(rlx_asking_t *asking, const rlx_visit_t *visit)
{
    int status = visit->status;
    const char *text = status_text(asking->p, status);
    const char *reason = apr_pstrcat(asking->p, "httpd answers ", text,
                                     " before it looks at limits", NULL);
    const char *blocked = asking->blocked;

    if (!visit->is_walked || status >= HTTP_INTERNAL_SERVER_ERROR) {
        asking->blocked = reason;
        rlx_note(asking, "%s%s", reason, visit->is_walked ? ""
                 : ", and before all sections are known");
    }
    else if (status == HTTP_UNAUTHORIZED || status == HTTP_FORBIDDEN
             || status == HTTP_PROXY_AUTHENTICATION_REQUIRED) {
        rlx_note(asking, "httpd answers %s to this look-up (access control, "
                 "or a rewrite); whom it lets pass is limited by what holds, "
                 "and whom it turns away by limits with phase=early alone", text);
    }
    else {
        asking->blocked_late = reason;
        rlx_note(asking, "%s, but for those with phase=early", reason);
    }
    if (visit->lookup.said) {
        rlx_note(asking, "the error log says: %s", visit->lookup.said);
    }
    asking->blocked = blocked ? blocked : asking->blocked;
    rlx_place_explain(asking, visit->r);
    asking->blocked = blocked;
    asking->blocked_late = NULL;
}

/** What a rewrite in a section leads to, a path with its query string; NULL:
 *  it is no such rewrite. */
static const char *redirect_of(const rlx_asking_t *asking,
                               const request_rec *r)
{
    if (!r->handler || strcmp(r->handler, "redirect-handler")
        || !r->filename || strncmp(r->filename, "redirect:", 9)) {
        return NULL;
    }
    return apr_pstrcat(asking->p, r->filename + 9, r->args ? "?" : NULL,
                       r->args, NULL);
}

/** What it leads to in the end. */
static void describe_end(rlx_asking_t *asking, const rlx_visit_t *visit)
{
    const request_rec *r = visit->r;
    const char *location = apr_table_get(r->headers_out, "Location");
    const char *filename = visit->is_walked ? r->filename : NULL;
    int is_file = filename && !r->proxyreq;

    if (!location) {
        location = apr_table_get(r->err_headers_out, "Location");
    }
    asking->view->status = visit->status;
    if (visit->status && visit->is_reached) {
        rlx_note(asking, "after limits are looked at, httpd answers %s%s%s",
                 status_text(asking->p, visit->status), location ? ": " : "",
                 location ? location : "");
    }
    else if (visit->status && location) {
        rlx_note(asking, "it is sent to %s", location);
    }
    if (is_file && r->finfo.filetype == APR_NOFILE) {
        filename = apr_pstrcat(asking->p, filename, r->path_info, NULL);
        if (!visit->status && (!r->handler
                               || !strcmp(r->handler, "default-handler"))) {
            rlx_note(asking, "there is no such file, and no handler is set: "
                     "httpd answers 404 after limits are looked at");
        }
    }
    else if (filename && !is_file) {
        filename = rlx_shown_url(asking->p, !strncmp(filename, "proxy:", 6)
                                               ? filename + 6 : filename);
        rlx_note(asking, "it is passed on to %s", filename);
    }
    asking->view->filename = filename;
}

/** One request, also of those that an internal redirect makes.
 *  @return where it is redirected to; NULL: nowhere */
static const char *walk(rlx_asking_t *asking, server_rec *server,
                        const char *uri)
{
    rlx_visit_t visit = { .server = server, .method = asking->visit_method,
                          .uri = uri, .host = asking->host,
                          .decide = decide, .baton = asking };
    const char *next;

    rlx_visit(asking->r, &visit);
    next = visit.is_reached ? redirect_of(asking, visit.r) : NULL;
    if (!visit.is_reached) {
        explain_answer(asking, &visit);
    }
    else if (!next && !visit.status
             && visit.r->per_dir_config != asking->decided_for) {
        /* DirectoryIndex and MultiViews put a file in its place. */
        asking->at = visit.r->uri;
        rlx_note(asking, "it leads to %s", asking->at);
        rlx_place_explain(asking, visit.r);
    }
    if (next) {
        rlx_note(asking, "it is rewritten to %s", next);
    }
    else {
        describe_end(asking, &visit);
    }
    return next;
}

/** A path as it would stand in a request line: whoever asked has decoded it
 *  once. */
static const char *as_uri(apr_pool_t *p, const char *path)
{
    static const char hex[] = "0123456789ABCDEF";
    char *uri = apr_palloc(p, 3 * strlen(path) + 1);
    char *to = uri;

    for (; *path; path++) {
        unsigned char c = (unsigned char)*path;

        if (c > ' ' && c < 0x7f && !strchr("\"#<>", c)) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    *to = '\0';
    return uri;
}

/*
 * The question
 */

static int is_token(const char *method)
{
    for (const char *c = method; *c; c++) {
        if (!apr_isalnum(*c) && !strchr("!#$%&'*+-.^_`|~", *c)) {
            return 0;
        }
    }
    return *method != '\0';
}

/** Understand the method.
 *  @return 0 if no request with it comes to where limits are looked at */
static int take_method(rlx_asking_t *asking, const char *method)
{
    rlx_path_view_t *view = asking->view;
    char *upper = apr_pstrdup(asking->p, method ? method : "GET");

    view->method = upper;
    if (!is_token(upper)) {
        view->status = HTTP_BAD_REQUEST;
        rlx_note(asking, "this is no method");
        return 0;
    }
    asking->method = ap_method_number_of(upper);
    if (asking->method == M_INVALID) {
        ap_str_toupper(upper);
        asking->method = ap_method_number_of(upper);
        view->method = asking->method == M_INVALID && method ? method : upper;
    }
    if (!strcmp(view->method, "HEAD")) {
        asking->method = RLX_METHOD_HEAD;
    }
    if (asking->method == M_TRACE || asking->method == M_CONNECT) {
        rlx_note(asking, "httpd answers %s itself, before it looks at limits",
                 view->method);
        return 0;
    }
    return 1;
}

/** Understand the server.
 *  @return NULL: there is none such */
static server_rec *take_server(rlx_asking_t *asking, const char *name)
{
    server_rec *server = name && *name ? rlx_visit_server(asking->r, name,
                                                        &asking->host)
                                       : asking->r->server;
    apr_array_header_t *names = apr_array_make(asking->p, 4, sizeof(char *));

    if (server) {
        asking->view->server = rlx_server_of(server)->name;
        return server;
    }
    asking->view->server = name;
    asking->view->status = HTTP_NOT_FOUND;
    for (server_rec *s = ap_server_conf; s; s = s->next) {
        APR_ARRAY_PUSH(names, const char *) = rlx_server_of(s)->name;
    }
    rlx_note(asking, "no server is called so, or has such a ServerName or "
             "ServerAlias; there are: %s",
             rlx_view_join(asking->p, names, ", "));
    return NULL;
}

static void begin(rlx_asking_t *asking, request_rec *r,
                  const rlx_path_question_t *question)
{
    apr_pool_t *p = r->pool;
    rlx_path_view_t *view = apr_pcalloc(p, sizeof(*view));

    memset(asking, 0, sizeof(*asking));
    asking->r = r;
    asking->p = p;
    asking->view = view;
    asking->meta = apr_array_make(p, 2, sizeof(rlx_path_limit_t));
    asking->early = apr_array_make(p, 2, sizeof(rlx_path_limit_t));
    asking->late = apr_array_make(p, 4, sizeof(rlx_path_limit_t));
    asking->not = apr_array_make(p, 4, sizeof(rlx_path_limit_t));
    view->path = apr_pstrmemdup(p, question->path,
                                strcspn(question->path, "?"));
    view->notes = apr_array_make(p, 4, sizeof(char *));
    view->engine = "On";
    view->endpoint = "-";
    view->sections = apr_array_make(p, 4, sizeof(rlx_path_section_t));
    view->limits = apr_array_make(p, 4, sizeof(rlx_path_limit_t));
}

/** Go the whole way. */
static void follow(rlx_asking_t *asking, server_rec *server, const char *uri)
{
    for (int i = 0; uri && i < REDIRECTS_MAX; i++) {
        uri = walk(asking, server, uri);
        if (uri) {
            asking->at = apr_pstrmemdup(asking->p, uri, strcspn(uri, "?"));
        }
    }
    if (uri) {
        asking->view->status = HTTP_INTERNAL_SERVER_ERROR;
        rlx_note(asking, "it is rewritten again and again: httpd gives up "
                 "after %d times (LimitInternalRecursion)", REDIRECTS_MAX);
    }
}

rlx_path_view_t *rlx_path_explain(request_rec *r,
                                  const rlx_path_question_t *question)
{
    rlx_asking_t asking;
    server_rec *server;
    const char *uri;
    int is_looked_at;

    begin(&asking, r, question);
    is_looked_at = take_method(&asking, question->method);
    server = take_server(&asking, question->server);
    if (!server || asking.view->status) {
        return asking.view;
    }
    uri = as_uri(r->pool, question->path);
    asking.visit_method = asking.view->method;
    if (strlen(asking.view->method) + strlen(uri) + strlen("  HTTP/1.1")
        > (apr_size_t)server->limit_req_line) {
        asking.view->status = HTTP_REQUEST_URI_TOO_LARGE;
        rlx_note(&asking, "httpd answers %s before it looks at limits",
                 status_text(r->pool, HTTP_REQUEST_URI_TOO_LARGE));
        return asking.view;
    }
    if (!is_looked_at) {
        /* Not by that method: for httpd would answer it. */
        const char *method = asking.view->method;

        asking.blocked = apr_pstrcat(r->pool, "httpd answers ", method,
                                     " itself", NULL);
        asking.visit_method = "GET";
    }
    follow(&asking, server, uri);
    rlx_asking_list(&asking);
    return asking.view;
}
