/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A visit is a request that is processed and never served. It is made up as if
 * a request of another server had been redirected to the path: of that server,
 * since the page may be asked about others, and as a redirect, since that is
 * what modules leave alone that watch requests as they come in. httpd
 * translates the path, merges what it meets, asks access control and runs the
 * fixups, as for a client.
 */

#include "report/visit.h"

#include "apr_strings.h"
#include "http_log.h"
#include "http_main.h"
#include "http_protocol.h"
#include "http_request.h"
#include "http_vhost.h"

#include "http/htaccess.h"
#include "report/wrong.h"

/*
 * Servers
 */

static int is_named(const apr_array_header_t *names, const char *host,
                    int has_wildcards)
{
    for (int i = 0; names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        if (name && (has_wildcards ? !ap_strcasecmp_match(host, name)
                                   : !ap_cstr_casecmp(host, name))) {
            return 1;
        }
    }
    return 0;
}

static int answers_to(const server_rec *s, const char *host)
{
    return (s->server_hostname && !ap_cstr_casecmp(s->server_hostname, host))
           || is_named(s->names, host, 0) || is_named(s->wild_names, host, 1);
}

/** Not 0 if a server listens on a port; 0 stands for any. */
static int has_port(const server_rec *s, apr_port_t port)
{
    const server_addr_rec *addr = s->addrs;

    if (!port || s->port == port) {
        return 1;
    }
    while (addr && addr->host_port && addr->host_port != port) {
        addr = addr->next;
    }
    return addr != NULL;
}

/** The first server in file order for a host and a port. httpd lists the
 *  virtual hosts as it asks them. */
static server_rec *find_host(const char *host, apr_port_t port)
{
    for (server_rec *s = ap_server_conf->next; s; s = s->next) {
        if (answers_to(s, host) && has_port(s, port)) {
            return s;
        }
    }
    return answers_to(ap_server_conf, host) && has_port(ap_server_conf, port)
           ? ap_server_conf : NULL;
}

server_rec *rlx_visit_server(const request_rec *r, const char *name,
                             const char **host_name)
{
    char *host, *scope;
    apr_port_t port;
    server_rec *found;

    *host_name = NULL;
    for (server_rec *s = ap_server_conf; s; s = s->next) {
        if (!strcmp(rlx_server_of(s)->name, name)) {
            return s;
        }
    }
    if (apr_parse_addr_port(&host, &scope, &port, name, r->pool)
        != APR_SUCCESS || !host) {
        return NULL;
    }
    /* Of several ports, rather the one that the page is asked at. */
    found = port ? NULL : find_host(host, r->connection->local_addr->port);
    found = found ? found : find_host(host, port);
    *host_name = found ? name : NULL;
    return found;
}

/*
 * Visits
 */

/** Errors are to be heard, whatever LogLevel says. */
static const struct ap_logconf errors = { NULL, APLOG_ERR };

/** What mod_setenvif does before a request is processed, which is not done for
 *  this one; NULL: the module is not there. Many conditions ask for it. */
static ap_HOOK_post_read_request_t *find_setenvif(void)
{
    const apr_array_header_t *hooks = ap_hook_get_post_read_request();

    for (int i = 0; hooks && i < hooks->nelts; i++) {
        const ap_LINK_post_read_request_t *hook = &APR_ARRAY_IDX(
            hooks, i, ap_LINK_post_read_request_t);

        if (!strcmp(hook->szName, "mod_setenvif.c")) {
            return hook->pFunc;
        }
    }
    return NULL;
}

/** A server whose log is nowhere: what is said is heard all the same. Not for
 *  more than merging: some modules know their server by its address. */
static server_rec *without_log(apr_pool_t *p, const server_rec *server)
{
    server_rec *copy = apr_pmemdup(p, server, sizeof(*server));
    apr_file_t *nowhere;

    if (apr_file_open(&nowhere, "/dev/null", APR_FOPEN_WRITE,
                      APR_FPROT_OS_DEFAULT, p) == APR_SUCCESS) {
        copy->error_log = nowhere;
    }
    return copy;
}

/** The name of a server in Host. */
static const char *host_of(const request_rec *r, const server_rec *server)
{
    apr_port_t port = server->port ? server->port
                      : r->connection->local_addr->port;

    return !server->server_hostname ? r->hostname
           : port == ap_run_default_port(r) ? server->server_hostname
           : apr_psprintf(r->pool, "%s:%d", server->server_hostname, port);
}

/** The request for the page in a pool of its own, as if it had been for a
 *  server.
 *  @param host as in rlx_visit_t */
static request_rec *make_before(request_rec *r, const server_rec *server,
                                const char *host)
{
    apr_pool_t *p;
    request_rec *before;

    apr_pool_create(&p, r->pool);
    apr_pool_tag(p, "rlx_visit");
    before = apr_pmemdup(p, r, sizeof(*r));
    before->pool = p;
    before->server = (server_rec *)server;
    before->headers_in = apr_table_copy(p, r->headers_in);
    apr_table_unset(before->headers_in, "Content-Type");
    apr_table_unset(before->headers_in, "Content-Length");
    if (server != r->server) {
        /* What was read of files was read with the other's settings. */
        before->htaccess = NULL;
        host = host ? host : host_of(r, server);
    }
    if (host) {
        apr_table_set(before->headers_in, "Host", host);
        before->hostname = apr_pstrmemdup(p, host, strcspn(host, ":"));
    }
    return before;
}

/** A request that seems to be redirected from another. What is not set here is
 *  as httpd leaves it for a new request. */
static request_rec *make_request(request_rec *before, const char *method,
                                 const char *uri)
{
    apr_pool_t *p = before->pool;
    request_rec *r = apr_pcalloc(p, sizeof(*r));

    r->pool = p;
    r->prev = before;
    r->connection = before->connection;
    r->server = before->server;
    r->log = &errors;
    r->per_dir_config = before->server->lookup_defaults;
    r->request_config = ap_create_request_config(p);
    r->method = method;
    r->method_number = ap_method_number_of(method);
    r->header_only = !strcmp(method, "HEAD");
    r->the_request = apr_pstrcat(p, method, " ", uri, " ", before->protocol,
                                 NULL);
    r->protocol = before->protocol;
    r->proto_num = before->proto_num;
    r->hostname = before->hostname;
    r->request_time = before->request_time;
    r->useragent_addr = before->useragent_addr;
    r->useragent_ip = before->useragent_ip;
    r->status = HTTP_OK;
    r->allowed_methods = ap_make_method_list(p, 2);
    r->headers_in = before->headers_in;
    r->trailers_in = apr_table_make(p, 1);
    r->headers_out = apr_table_make(p, 8);
    r->err_headers_out = apr_table_make(p, 8);
    r->trailers_out = apr_table_make(p, 1);
    r->subprocess_env = apr_table_make(p, 16);
    r->notes = apr_table_make(p, 4);
    r->htaccess = before->htaccess;
    r->no_cache = before->no_cache;
    r->no_local_copy = 1;
    r->body_table = NULL;
    r->proto_input_filters = r->input_filters = before->proto_input_filters;
    r->proto_output_filters = r->output_filters
        = before->proto_output_filters;
    ap_parse_uri(r, uri);
    ap_run_create_request(r);
    r->used_path_info = AP_REQ_DEFAULT_PATH_INFO;
    return r;
}

/** Walk down to a request's directory, and hear what is said.
 *  @return OK, or the status that httpd gives */
static int walk(request_rec *r)
{
    r->server = without_log(r->pool, r->server);
    return ap_directory_walk(r);
}

/** The name that a walk begins with. A walk takes what is no file off its end,
 *  and leaves a directory with its slash. */
static char *whole_filename(const request_rec *r)
{
    const char *rest = r->path_info ? r->path_info : "";
    apr_size_t len = strlen(r->filename);

    if (*rest == '/' && len && r->filename[len - 1] == '/') {
        rest++;
    }
    return apr_pstrcat(r->pool, r->filename, rest, NULL);
}

/** Not 0 if httpd came past merging before it gave another answer. The walk to
 *  the directory is gone once more, since nothing tells how it ended. */
static int was_walked(const request_rec *r)
{
    void **note = ap_get_request_note((request_rec *)r,
                                      AP_NOTE_DIRECTORY_WALK);
    request_rec again = *r;

    if (r->proxyreq) {
        return 1;
    }
    if (!r->filename || !note || !*note) {
        return 0;
    }
    again.filename = whole_filename(r);
    again.path_info = NULL;
    again.request_config = ap_create_request_config(r->pool);
    again.per_dir_config = r->server->lookup_defaults;
    again.htaccess = NULL;
    ap_run_create_request(&again);
    return walk(&again) == OK;
}

/** Add the line to what was said of a file. */
static void find_line(request_rec *r, rlx_lookup_t *lookup)
{
    const char *place = lookup->said ? rlx_wrong_place(r, lookup->said) : NULL;

    if (place) {
        lookup->said = apr_pstrcat(r->pool, lookup->said, " (", place, ")",
                                   NULL);
    }
}

/** How far a visit came, and why no further. */
static void look_back(request_rec *r, rlx_visit_t *visit)
{
    const char *said = visit->lookup.said;

    visit->is_walked = visit->is_reached || !visit->status || was_walked(r);
    /* Going there again says the same, or less. */
    visit->lookup.said = said ? said : visit->lookup.said;
    if (visit->status == HTTP_INTERNAL_SERVER_ERROR) {
        find_line(r, &visit->lookup);
    }
}

static void reach(rlx_lookup_t *lookup, request_rec *r)
{
    rlx_visit_t *visit = (rlx_visit_t *)lookup;

    visit->is_reached = 1;
    visit->decide(visit, r);
}

void rlx_visit(request_rec *r, rlx_visit_t *visit)
{
    request_rec *made = make_request(make_before(r, visit->server, visit->host),
                                     visit->method, visit->uri);
    ap_HOOK_post_read_request_t *setenvif = find_setenvif();

    visit->r = made;
    visit->lookup.reached = reach;
    visit->lookup.said = NULL;
    visit->is_reached = 0;
    rlx_lookup_begin(made, &visit->lookup);
    if (setenvif) {
        (void)setenvif(made);
    }
    visit->status = made->status == HTTP_OK ? ap_process_request_internal(made)
                                            : made->status;
    look_back(made, visit);
}

request_rec *rlx_visit_directory(request_rec *r, server_rec *server,
                                 const char *directory, rlx_lookup_t *lookup)
{
    request_rec *made = make_request(make_before(r, server, NULL), "GET", "/");
    int status;

    /* Any name will do: <Files> are not looked at. */
    made->filename = apr_pstrcat(made->pool, directory, "x", NULL);
    made->canonical_filename = made->filename;
    made->htaccess = NULL;
    rlx_lookup_begin(made, lookup);
    status = walk(made);
    if (status == HTTP_INTERNAL_SERVER_ERROR) {
        find_line(made, lookup);
    }
    if (status == OK) {
        status = rlx_htaccess_check(made);
    }
    made->status = status == OK || status == DECLINED ? HTTP_OK : status;
    return made;
}
