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

#include "http/counter.h"
#include "http/htaccess.h"
#include "http/plan_text.h"
#include "report/visit.h"
#include "report/why.h"

/** Internal redirects that are followed; httpd's own bound. */
#define REDIRECTS_MAX 10

/** A question while it is answered. */
typedef struct asking_t {
    request_rec *r;
    apr_pool_t *p;
    rlx_path_view_t *view;
    /** As in rlx_why_t; and the method that the path is looked up by. */
    int method;
    const char *visit_method;
    /** As in rlx_visit_t. */
    const char *host;
    /** rlx_path_limit_t that hold: meta limits, those of phase=early, the
     *  others; and those that do not hold. */
    apr_array_header_t *meta;
    apr_array_header_t *early;
    apr_array_header_t *late;
    apr_array_header_t *not;
    /** The place being looked at, for rlx_path_limit_t.at. */
    const char *at;
    const rlx_why_t *why;
    /** Why nothing is looked at there; why nothing without phase=early is.
     *  NULL: it is. */
    const char *blocked;
    const char *blocked_late;
    /** What a request filter says stands for all places to come. */
    const char *filtered;
    /** The configuration that was looked at last. */
    const ap_conf_vector_t *decided_for;
    /** Not 0: the path itself has been looked at. */
    int is_begun;
} asking_t;

static void note(asking_t *asking, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void note(asking_t *asking, const char *format, ...)
{
    apr_array_header_t *notes = asking->view->notes;
    const char *text;
    va_list ap;

    va_start(ap, format);
    text = apr_pvsprintf(asking->p, format, ap);
    va_end(ap);
    for (int i = 0; i < notes->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(notes, i, const char *), text)) {
            return;
        }
    }
    APR_ARRAY_PUSH(notes, const char *) = text;
}

/** "403 Forbidden". */
static const char *status_text(apr_pool_t *p, int status)
{
    const char *line = status >= 100 ? ap_get_status_line(status) : NULL;

    return line && atoi(line) == status ? line : apr_itoa(p, status);
}

/*
 * Limits
 */

static int is_same_limit(const rlx_path_limit_t *a, const rlx_path_limit_t *b)
{
    return !strcmp(a->view.declared_at, b->view.declared_at)
           && !strcmp(a->view.limit, b->view.limit)
           && a->view.rule->kind == b->view.rule->kind;
}

/** Not 0 if a limit is in a list already.
 *  @param with_scope not 0: with the same counter */
static int is_listed(const apr_array_header_t *list,
                     const rlx_path_limit_t *limit, int with_scope)
{
    for (int i = 0; i < list->nelts; i++) {
        const rlx_path_limit_t *other = &APR_ARRAY_IDX(list, i,
                                                       rlx_path_limit_t);

        if (is_same_limit(other, limit)
            && (!with_scope || !strcmp(other->scope, limit->scope))) {
            return 1;
        }
    }
    return 0;
}

/** What the counter bears, with the name that RateLimitEndpoint gives. */
static const char *scope_of(const asking_t *asking,
                            const rlx_holding_t *holding)
{
    rlx_decision_t decision = { .rule = holding->rule,
                                .endpoint = holding->endpoint };
    const rlx_section_t *section = holding->endpoint;

    if (section && section->endpoint && !rlx_decision_is_shared(&decision)) {
        const char *name = rlx_value_of(asking->why->r, section->endpoint);

        return *name ? name : section->name;
    }
    return rlx_plan_scope(asking->p, holding);
}

/** Put a limit in a list, unless what it is about is there. */
static void add(asking_t *asking, apr_array_header_t *list,
                const rlx_holding_t *holding, const char *reason, int holds)
{
    const rlx_why_t *why = asking->why;
    const rlx_section_t *section = holding->declared_in;
    rlx_effect_t effect = { *holding, 0, 0, 0 };
    rlx_path_limit_t limit;

    memset(&limit, 0, sizeof(limit));
    effect.strategy = rlx_counter_strategy(why->sv, why->dir, holding,
                                           asking->p);
    rlx_view_effect(asking->p, why->dir, rlx_why_innermost(why), &effect,
                    &limit.view);
    if (section && rlx_htaccess_is_added(why->dir, section)) {
        limit.view.from = section->name;
        limit.view.source = apr_pstrcat(asking->p, "added by ", section->file,
                                        NULL);
    }
    limit.holds = holds;
    limit.at = asking->at;
    limit.why = asking->at ? apr_pstrcat(asking->p, "at ", asking->at, ": ",
                                         reason, NULL) : reason;
    limit.scope = scope_of(asking, holding);
    if (!is_listed(list, &limit, holds)) {
        APR_ARRAY_PUSH(list, rlx_path_limit_t) = limit;
    }
}

static void add_not(void *baton, const rlx_holding_t *holding,
                    const char *reason)
{
    asking_t *asking = baton;

    add(asking, asking->not, holding, reason, 0);
}

/** A limit that was resolved: it holds, unless something stands before it. */
static void add_resolved(asking_t *asking, const rlx_holding_t *holding)
{
    const rlx_options_t *options = holding->rule->options;
    int is_meta = holding->rule->kind == RLX_RULE_META;
    int is_early = (options->lane & RLX_LANE_EARLY) != 0;
    const char *reason = asking->blocked;

    if (!reason && !is_early) {
        reason = asking->blocked_late;
    }
    if (!reason && options->exempt_when
        && rlx_condition_holds(asking->why->r, options->exempt_when)) {
        reason = apr_pstrcat(asking->p, "exempt_when=\"",
                             options->exempt_when->text,
                             "\" holds for this look-up", NULL);
    }
    if (reason) {
        add(asking, asking->not, holding, reason, 0);
        return;
    }
    add(asking, is_meta ? asking->meta : is_early ? asking->early
                : asking->late,
        holding, rlx_why(asking->why, holding, rlx_why_innermost(asking->why)),
        1);
}

/*
 * A place: what a request has come to when it is decided
 */

static void add_section(asking_t *asking, const rlx_section_t *section)
{
    apr_array_header_t *sections = asking->view->sections;
    rlx_path_section_t *at;
    const char *name = section->endpoint
                       ? rlx_value_of(asking->why->r, section->endpoint) : "";
    const char *declared_at = apr_psprintf(asking->p, "%s:%d", section->file,
                                           section->line);

    for (int i = 0; i < sections->nelts; i++) {
        at = &APR_ARRAY_IDX(sections, i, rlx_path_section_t);
        if (!strcmp(at->name, section->name)
            && !strcmp(at->declared_at, declared_at)) {
            return;
        }
    }
    at = apr_array_push(sections);
    memset(at, 0, sizeof(*at));
    at->name = section->name;
    at->declared_at = declared_at;
    at->is_htaccess = section->is_htaccess;
    at->is_added = rlx_htaccess_is_added(asking->why->dir, section);
    at->exempt = rlx_view_exempt(asking->p, section->exempt);
    at->endpoint = *name ? name : NULL;
}

/** The outermost first. */
static void add_sections(asking_t *asking, const rlx_chain_t *chain)
{
    if (chain) {
        add_sections(asking, chain->outer);
        add_section(asking, chain->section);
    }
}

/** "(file:line)" of an expression. */
static const char *place_of(apr_pool_t *p, const rlx_condition_t *condition)
{
    return apr_psprintf(p, "(%s:%u)", condition->expr->filename,
                        condition->expr->line_number);
}

/** Request filters: the first that is true ends it. */
static void ask_filters(asking_t *asking)
{
    const rlx_dir_t *dir = asking->why->dir;
    const rlx_filter_t *filter = dir ? dir->filters : NULL;

    for (; filter && !asking->filtered; filter = filter->next) {
        const rlx_condition_t *condition = filter->condition;

        if (rlx_condition_holds(asking->why->r, condition)) {
            asking->filtered = apr_pstrcat(
                asking->p, "RateLimitRequestFilter \"", condition->text, "\" ",
                place_of(asking->p, condition), " holds for this look-up",
                NULL);
            note(asking, "%s: no limit is looked at; a request for which it "
                 "does not hold is limited", asking->filtered);
        }
        else {
            note(asking, "RateLimitRequestFilter \"%s\" %s does not hold for "
                 "this look-up; it lets a request pass for which it does",
                 condition->text, place_of(asking->p, condition));
        }
    }
}

/** Limits are what they are, but not if nobody can count. */
static void ask_storage(asking_t *asking, const rlx_server_t *sv)
{
    rlx_usec_t now = apr_time_now();

    if (rlx_store_retry_at(sv->store, now) > now) {
        note(asking, "the storage does not answer at present: requests get "
             "what RateLimitStorageFailure says%s", sv->local && sv->fallback
             ? ", which are the limits of RateLimitFallback" : "");
    }
}

/** What is said once, of the path itself. */
static void describe(asking_t *asking, const rlx_why_t *why)
{
    rlx_path_view_t *view = asking->view;
    const rlx_section_t *endpoint = why->plan.endpoint;
    const char *name = endpoint && endpoint->endpoint
                       ? rlx_value_of(why->r, endpoint->endpoint) : "";

    if (asking->is_begun) {
        return;
    }
    asking->is_begun = 1;
    view->engine = rlx_view_engine(why->dir);
    view->endpoint = *name ? name : endpoint ? endpoint->name : "-";
    view->key = why->dir && why->dir->key ? why->dir->key->text : NULL;
    ask_storage(asking, why->sv);
}

/** Not 0 if a request is looked at before access control. */
static int has_early(const rlx_why_t *why)
{
    for (int i = 0; i < why->plan.n; i++) {
        if (why->plan.holdings[i].rule->options->lane & RLX_LANE_EARLY) {
            return 1;
        }
    }
    return why->sv->has_early_meta;
}

/** Resolve what holds at a place as it is for a request. */
static void resolve(asking_t *asking, request_rec *r, rlx_why_t *why)
{
    memset(why, 0, sizeof(*why));
    why->p = asking->p;
    why->r = r;
    why->sv = rlx_server_of(r->server);
    why->dir = rlx_dir_of(r->per_dir_config);
    why->method = asking->method;
    why->method_name = asking->view->method;
    rlx_resolve(r, why->sv, why->dir, why->method, &why->plan);
    if (!(why->plan.exempt & RLX_EXEMPT_META)) {
        rlx_resolve_meta(r, why->sv, why->method, &why->plan, &why->meta);
    }
}

/** Explain what holds for a request as it is. */
static void explain(asking_t *asking, request_rec *r)
{
    const char *blocked = asking->blocked;
    const char *blocked_late = asking->blocked_late;
    rlx_why_t why;

    resolve(asking, r, &why);
    asking->why = &why;
    asking->decided_for = r->per_dir_config;
    describe(asking, &why);
    add_sections(asking, why.dir ? why.dir->chain : NULL);
    if (why.dir && why.dir->engine == RLX_ENGINE_OFF) {
        note(asking, "RateLimitEngine is Off %s: no limit is looked at",
             asking->at ? asking->at : "here");
        asking->blocked = "RateLimitEngine is Off";
    }
    else if (why.dir && why.dir->engine == RLX_ENGINE_DRY_RUN) {
        note(asking, "RateLimitEngine is DryRun: limits count and log, and "
             "refuse nothing");
    }
    if (!asking->blocked) {
        ask_filters(asking);
        asking->blocked = asking->filtered;
    }
    /* Meta limits are tested with the first limits that are looked at. */
    if (has_early(&why)) {
        asking->blocked_late = NULL;
    }
    for (int i = 0; i < why.meta.n; i++) {
        add_resolved(asking, &why.meta.holdings[i]);
    }
    asking->blocked_late = blocked_late;
    for (int i = 0; i < why.plan.n; i++) {
        add_resolved(asking, &why.plan.holdings[i]);
    }
    rlx_why_not(&why, add_not, asking);
    asking->blocked = blocked;
    asking->why = NULL;
}

/*
 * The way of a request
 */

/** Where a client's request would be decided in fixups. */
static void decide(rlx_visit_t *visit, request_rec *r)
{
    explain(visit->baton, r);
}

/** What a visit did not come to: httpd answers before. */
static void explain_answer(asking_t *asking, const rlx_visit_t *visit)
{
    int status = visit->status;
    const char *text = status_text(asking->p, status);
    const char *reason = apr_pstrcat(asking->p, "httpd answers ", text,
                                     " before it looks at limits", NULL);
    const char *blocked = asking->blocked;

    if (!visit->is_walked || status >= HTTP_INTERNAL_SERVER_ERROR) {
        asking->blocked = reason;
        note(asking, "%s%s", reason, visit->is_walked ? ""
             : ", and before all sections are known");
    }
    else if (status == HTTP_UNAUTHORIZED || status == HTTP_FORBIDDEN
             || status == HTTP_PROXY_AUTHENTICATION_REQUIRED) {
        note(asking, "httpd answers %s to this look-up (access control, or a "
             "rewrite); whom it lets pass is limited by what holds, and whom "
             "it turns away by limits with phase=early alone", text);
    }
    else {
        asking->blocked_late = reason;
        note(asking, "%s, but for those with phase=early", reason);
    }
    if (visit->lookup.said) {
        note(asking, "the error log says: %s", visit->lookup.said);
    }
    asking->blocked = blocked ? blocked : asking->blocked;
    explain(asking, visit->r);
    asking->blocked = blocked;
    asking->blocked_late = NULL;
}

/** A URL without what stands before its host's @. */
static const char *without_password(apr_pool_t *p, const char *url)
{
    const char *host = strstr(url, "://");
    const char *at;
    apr_size_t len;

    if (!host) {
        return url;
    }
    host += 3;
    len = strcspn(host, "/?#");
    at = NULL;
    for (apr_size_t i = 0; i < len; i++) {
        at = host[i] == '@' ? host + i : at;
    }
    return at ? apr_pstrcat(p, apr_pstrmemdup(p, url, (apr_size_t)(host - url)),
                            "***@", at + 1, NULL) : url;
}

/** What a rewrite in a section leads to, a path with its query string; NULL:
 *  it is no such rewrite. */
static const char *redirect_of(const asking_t *asking, const request_rec *r)
{
    if (!r->handler || strcmp(r->handler, "redirect-handler")
        || !r->filename || strncmp(r->filename, "redirect:", 9)) {
        return NULL;
    }
    return apr_pstrcat(asking->p, r->filename + 9, r->args ? "?" : NULL,
                       r->args, NULL);
}

/** What it leads to in the end. */
static void describe_end(asking_t *asking, const rlx_visit_t *visit)
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
        note(asking, "after limits are looked at, httpd answers %s%s%s",
             status_text(asking->p, visit->status), location ? ": " : "",
             location ? location : "");
    }
    else if (visit->status && location) {
        note(asking, "it is sent to %s", location);
    }
    if (is_file && r->finfo.filetype == APR_NOFILE) {
        filename = apr_pstrcat(asking->p, filename, r->path_info, NULL);
        if (!visit->status && (!r->handler
                               || !strcmp(r->handler, "default-handler"))) {
            note(asking, "there is no such file, and no handler is set: httpd "
                 "answers 404 after limits are looked at");
        }
    }
    else if (filename && !is_file) {
        filename = without_password(asking->p, !strncmp(filename, "proxy:", 6)
                                               ? filename + 6 : filename);
        note(asking, "it is passed on to %s", filename);
    }
    asking->view->filename = filename;
}

/** One request, also of those that an internal redirect makes.
 *  @return where it is redirected to; NULL: nowhere */
static const char *walk(asking_t *asking, server_rec *server, const char *uri)
{
    rlx_visit_t visit = { .server = server, .method = asking->visit_method,
                          .uri = uri, .host = asking->host, .decide = decide, .baton = asking };
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
        note(asking, "it leads to %s", asking->at);
        explain(asking, visit.r);
    }
    if (next) {
        note(asking, "it is rewritten to %s", next);
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
static int take_method(asking_t *asking, const char *method)
{
    rlx_path_view_t *view = asking->view;
    char *upper = apr_pstrdup(asking->p, method ? method : "GET");

    view->method = upper;
    if (!is_token(upper)) {
        view->status = HTTP_BAD_REQUEST;
        note(asking, "this is no method");
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
        note(asking, "httpd answers %s itself, before it looks at limits",
             view->method);
        return 0;
    }
    return 1;
}

/** Understand the server.
 *  @return NULL: there is none such */
static server_rec *take_server(asking_t *asking, const char *name)
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
    note(asking, "no server is called so, or has such a ServerName or "
         "ServerAlias; there are: %s", rlx_view_join(asking->p, names, ", "));
    return NULL;
}

/** Those that hold, then those that hold nowhere. */
static void list_limits(asking_t *asking)
{
    rlx_path_view_t *view = asking->view;

    apr_array_cat(view->limits, asking->meta);
    apr_array_cat(view->limits, asking->early);
    apr_array_cat(view->limits, asking->late);
    for (int i = 0; i < asking->not->nelts; i++) {
        const rlx_path_limit_t *limit = &APR_ARRAY_IDX(asking->not, i,
                                                       rlx_path_limit_t);

        if (!is_listed(view->limits, limit, 0)) {
            APR_ARRAY_PUSH(view->limits, rlx_path_limit_t) = *limit;
        }
    }
}

static void begin(asking_t *asking, request_rec *r,
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
static void follow(asking_t *asking, server_rec *server, const char *uri)
{
    for (int i = 0; uri && i < REDIRECTS_MAX; i++) {
        uri = walk(asking, server, uri);
        if (uri) {
            asking->at = apr_pstrmemdup(asking->p, uri, strcspn(uri, "?"));
        }
    }
    if (uri) {
        asking->view->status = HTTP_INTERNAL_SERVER_ERROR;
        note(asking, "it is rewritten again and again: httpd gives up after "
             "%d times (LimitInternalRecursion)", REDIRECTS_MAX);
    }
}

rlx_path_view_t *rlx_path_explain(request_rec *r,
                                  const rlx_path_question_t *question)
{
    asking_t asking;
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
        note(&asking, "httpd answers %s before it looks at limits",
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
    list_limits(&asking);
    return asking.view;
}
