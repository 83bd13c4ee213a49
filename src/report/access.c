/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Warnings of limiter-status where everybody may see it.
 */

#include "report/warnings.h"

#include "ap_listen.h"
#include "http_core.h"

#include "report/conf.h"

/** A directive, and the server that it stands in. */
typedef struct found_t {
    const ap_directive_t *d;
    server_rec *s;
} found_t;

/** What is told of all servers. */
typedef struct access_t {
    apr_array_header_t *warnings;
    server_rec *main_server;
    /** found_t: the handlers, and what may keep clients from them. */
    apr_array_header_t *handlers;
    apr_array_header_t *guards;
} access_t;

/** Not 0 if a line keeps some clients out. */
static int is_guard(const ap_directive_t *d)
{
    if (rlx_conf_begins(d, "Require")) {
        return ap_cstr_casecmpn(d->args, "all granted", 11) != 0;
    }
    return rlx_conf_begins(d, "<Require") || rlx_conf_is(d, "Deny")
           || rlx_conf_begins(d, "SSLRequire") || rlx_conf_begins(d, "SSLVerifyClient")
           || rlx_conf_begins(d, "Auth") || rlx_conf_begins(d, "Perl") || rlx_conf_begins(d, "LuaHook");
}

static void keep(apr_array_header_t *list, const ap_directive_t *d,
                 server_rec *s)
{
    found_t *found = apr_array_push(list);

    found->d = d;
    found->s = s;
}

/** An rlx_conf_fn. */
static void take(void *baton, const ap_directive_t *d, server_rec *s)
{
    access_t *access = baton;

    if (is_guard(d)) {
        keep(access->guards, d, s);
    }
    else if (rlx_conf_is(d, "SetHandler")
             && !strcmp(rlx_conf_word(access->warnings->pool, d),
                        "limiter-status")) {
        keep(access->handlers, d, s);
    }
}

/** The path of a plain <Location>; NULL: it is something else. */
static const char *path_of(apr_pool_t *p, const ap_directive_t *section)
{
    const char *path = section && rlx_conf_is(section, "<Location")
                       ? rlx_conf_word(p, section) : "";

    return path[0] == '/' && !path[strcspn(path, "*?[")] ? path : NULL;
}

/** Not 0 if a directory has the files of a server. */
static int has_files(apr_pool_t *p, const ap_directive_t *directory,
                     const server_rec *s)
{
    const core_server_config *core = ap_get_core_module_config(
        s->module_config);
    const char *path = rlx_conf_word(p, directory);

    return core->ap_document_root && path[0] && path[1]
           && rlx_conf_is_within(core->ap_document_root, path);
}

/** Not 0 if a line that keeps clients out may do so for a handler. What is
 *  not sure counts as if it did. */
static int may_guard(const access_t *access, const found_t *guard,
                     const found_t *handler, const char *path)
{
    apr_pool_t *p = access->warnings->pool;
    const ap_directive_t *section = rlx_conf_section(guard->d);
    const char *guarded;

    if (guard->s != access->main_server && guard->s != handler->s) {
        return 0;
    }
    /* <Location "/x"> <RequireAny> Require ... */
    while (section && rlx_conf_begins(section, "<Require")) {
        section = rlx_conf_section(section);
    }
    if (!section || section == rlx_conf_section(handler->d)) {
        return 1;
    }
    if (rlx_conf_is(section, "<Directory")) {
        return has_files(p, section, handler->s);
    }
    if (rlx_conf_begins(section, "<Files")) {
        return 0;
    }
    guarded = path_of(p, section);
    return !guarded || !path || rlx_conf_is_within(path, guarded);
}

static int is_loopback(const apr_sockaddr_t *address)
{
    char text[64];

    return address && apr_sockaddr_ip_getbuf(text, sizeof(text),
                                             (apr_sockaddr_t *)address)
                      == APR_SUCCESS
           && (!strncmp(text, "127.", 4) || !strcmp(text, "::1"));
}

/** Not 0 if nobody but this machine can reach a server. */
static int is_local(const server_rec *s, const server_rec *main_server)
{
    int is_all = ap_listeners != NULL;

    for (const ap_listen_rec *one = ap_listeners; one; one = one->next) {
        is_all &= is_loopback(one->bind_addr);
    }
    if (!is_all && s != main_server) {
        is_all = s->addrs != NULL;
        for (const server_addr_rec *one = s->addrs; one; one = one->next) {
            is_all &= is_loopback(one->host_addr);
        }
    }
    return is_all;
}

/** Not 0 if a section has RateLimitStatusControl On. */
static int may_clear(const ap_directive_t *section)
{
    const ap_directive_t *d = section ? section->first_child : NULL;

    while (d && !(rlx_conf_is(d, "RateLimitStatusControl")
                  && !ap_cstr_casecmp(d->args, "on"))) {
        d = d->next;
    }
    return d != NULL;
}

/** Not 0 if a line stands in a section that is for some requests alone. */
static int is_conditional(const ap_directive_t *d)
{
    while (d && !rlx_conf_is(d, "<If") && !rlx_conf_begins(d, "<Else")) {
        d = d->parent;
    }
    return d != NULL;
}

/** Who may see limiter-status. */
static void check_access(const access_t *access, const found_t *handler,
                         const char *path)
{
    int clears = may_clear(rlx_conf_section(handler->d));

    if (is_conditional(handler->d)
        || is_local(handler->s, access->main_server)) {
        return;
    }
    for (int i = 0; i < access->guards->nelts; i++) {
        if (may_guard(access, &APR_ARRAY_IDX(access->guards, i, found_t), handler,
                      path)) {
            return;
        }
    }
    rlx_warnings_add(access->warnings, handler->d->filename,
                     handler->d->line_num, clears
            ? "limiter-status is for everybody here: anybody can see keys and "
              "configuration, and clear counters"
            : "limiter-status is for everybody here: anybody can see keys and "
              "configuration",
            "Require local, or another Require, beside it");
}

void rlx_warnings_access(apr_array_header_t *warnings, server_rec *main_server)
{
    apr_pool_t *p = warnings->pool;
    access_t access = { warnings, main_server,
                        apr_array_make(p, 4, sizeof(found_t)),
                        apr_array_make(p, 4, sizeof(found_t)) };

    rlx_conf_walk(main_server, take, &access);
    for (int i = 0; i < access.handlers->nelts; i++) {
        const found_t *handler = &APR_ARRAY_IDX(access.handlers, i, found_t);

        check_access(&access, handler,
                     path_of(p, rlx_conf_section(handler->d)));
    }
}
