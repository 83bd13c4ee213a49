/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Warnings of what lets clients past limits: keys that they choose, or that
 * are nobody's or everybody's, conditions that are always true, .htaccess
 * files that are not read. And of who may see limiter-status.
 */

#include "report/warnings.h"

#include "ap_listen.h"
#include "apr_lib.h"
#include "apr_strings.h"
#include "http_core.h"

#include "report/conf.h"

/** What is told of all servers. */
typedef struct gaps_t {
    apr_array_header_t *warnings;
    server_rec *main_server;
    /** Somebody may log in somewhere; limits may stand in .htaccess files. */
    int has_users;
    int has_htaccess;
    /** mod_remoteip finds clients; some line reads what a proxy says of
     *  them. */
    int has_remoteip;
    const ap_directive_t *reads_proxy;
    /** found_t: what is to be looked at when all is known. */
    apr_array_header_t *handlers;
    apr_array_header_t *guards;
    apr_array_header_t *overrides;
    apr_array_header_t *keys;
} gaps_t;

/** A directive, and the server that it stands in. */
typedef struct found_t {
    const ap_directive_t *d;
    server_rec *s;
} found_t;

static void warn_at(const gaps_t *gaps, const ap_directive_t *d,
                    const char *text, const char *mend)
{
    rlx_warnings_add(gaps->warnings, d->filename, d->line_num, text, mend);
}

static int begins(const ap_directive_t *d, const char *with)
{
    return !ap_cstr_casecmpn(d->directive, with, strlen(with));
}

/** The first word of a line, or the argument of a section. */
static const char *word_of(apr_pool_t *p, const ap_directive_t *d)
{
    const char *args = d->args;

    if (d->directive[0] == '<') {
        args = ap_getword(p, &args, '>');
    }
    return ap_getword_conf(p, &args);
}

/*
 * Gathering
 */

/** Not 0 if a line may let users log in, here or in a .htaccess file. */
static int is_of_users(const ap_directive_t *d)
{
    if (begins(d, "AllowOverride")) {
        return ap_strcasestr(d->args, "auth") || ap_strcasestr(d->args, "all")
               || rlx_conf_is(d, "AllowOverrideList");
    }
    return begins(d, "Auth") || begins(d, "SSLUserName") || begins(d, "Perl")
           || begins(d, "LuaHook") || ap_strcasestr(d->directive, "Authen");
}

/** Not 0 if a line lets .htaccess files speak of limits. */
static int is_of_htaccess(const ap_directive_t *d)
{
    if (rlx_conf_is(d, "AllowOverrideList")) {
        return ap_strcasestr(d->args, "RateLimit") != NULL;
    }
    return rlx_conf_is(d, "AllowOverride")
           && (ap_strcasestr(d->args, "limit")
               || ap_strcasestr(d->args, "all"));
}

/** Not 0 if a line reads what a proxy in front says of the client: logs,
 *  SetEnvIf, RewriteCond. */
static int is_reading_proxy(const ap_directive_t *d)
{
    if (begins(d, "LogFormat") || begins(d, "CustomLog")
        || begins(d, "TransferLog")) {
        return ap_strcasestr(d->args, "%{X-Forwarded-For}i") != NULL;
    }
    if (begins(d, "SetEnvIf")) {
        return !ap_cstr_casecmpn(d->args + strspn(d->args, "\"^"),
                                 "X-Forwarded-", 12);
    }
    return rlx_conf_is(d, "RewriteCond")
           && ap_strcasestr(d->args, "%{HTTP:X-Forwarded-");
}

/** Not 0 if a line keeps some clients out. */
static int is_guard(const ap_directive_t *d)
{
    if (begins(d, "Require")) {
        return ap_cstr_casecmpn(d->args, "all granted", 11) != 0;
    }
    return begins(d, "<Require") || rlx_conf_is(d, "Deny")
           || begins(d, "SSLRequire") || begins(d, "SSLVerifyClient")
           || begins(d, "Auth") || begins(d, "Perl") || begins(d, "LuaHook");
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
    gaps_t *gaps = baton;

    gaps->has_users |= is_of_users(d);
    gaps->has_htaccess |= is_of_htaccess(d);
    gaps->has_remoteip |= rlx_conf_is(d, "RemoteIPHeader")
                          || rlx_conf_is(d, "RemoteIPProxyProtocol");
    if (!gaps->reads_proxy && is_reading_proxy(d)) {
        gaps->reads_proxy = d;
    }
    if (is_guard(d)) {
        keep(gaps->guards, d, s);
    }
    if (rlx_conf_is(d, "SetHandler")
        && !strcmp(word_of(gaps->warnings->pool, d), "limiter-status")) {
        keep(gaps->handlers, d, s);
    }
    else if (rlx_conf_is(d, "RateLimitAllowOverride")) {
        keep(gaps->overrides, d, s);
    }
    else if (rlx_conf_is(d, "RateLimitKey")) {
        keep(gaps->keys, d, s);
    }
    else if (rlx_conf_is(d, "RateLimitRequestFilter")
             && !strcmp(word_of(gaps->warnings->pool, d), "true")) {
        warn_at(gaps, d, "RateLimitRequestFilter true: no limit of any kind is "
                "looked at here",
                "an expression, or RateLimitEngine Off if that is meant");
    }
}

/*
 * Keys
 */

/** The field in a key that says who the client is, as the client likes; NULL:
 *  there is none. */
static const char *claimed_in(const char *text)
{
    static const char *const fields[] = {
        "X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP",
        "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP",
        "Fastly-Client-IP"
    };

    for (apr_size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const char *at = ap_strcasestr(text, fields[i]);
        char end;

        if (!at || at == text || !strchr(":'\"", at[-1])) {
            continue;
        }
        end = at[strlen(fields[i])];
        if (!apr_isalnum(end) && end != '-') {
            return fields[i];
        }
    }
    return NULL;
}

/** Not 0 if a text without an expression was probably meant to be one. */
static int is_like_variable(const char *text)
{
    return strchr("$%{", text[0]) || strstr(text, "REMOTE_")
           || strstr(text, "RATELIMIT_CLIENT") || strstr(text, "HTTP_");
}

/** A key wherever it is set.
 *  @param what  how it is set: "key=", "RateLimitKey "
 *  @param alone not 0: there is no other that counts if it is empty */
static void check_key(const gaps_t *gaps, const char *file, int line,
                      const char *what, const char *text, int alone)
{
    apr_pool_t *p = gaps->warnings->pool;
    const char *field = claimed_in(text);

    if (field) {
        rlx_warnings_add(gaps->warnings, file, line, apr_psprintf(
            p, "%s%s counts by what the client says: whoever sends another %s "
            "each time meets no limit", what, text, field),
            apr_psprintf(p, "RemoteIPHeader %s with RemoteIPInternalProxy, and "
                         "the client's address as the key", field));
    }
    else if (!strstr(text, "%{") && text[0] && is_like_variable(text)) {
        rlx_warnings_add(gaps->warnings, file, line, apr_psprintf(
            p, "%s%s is the same for everybody: all clients share one counter",
            what, text), "a variable is written as %{REMOTE_USER}");
    }
    else if (alone && !gaps->has_users && !strcmp(text, "%{REMOTE_USER}")) {
        rlx_warnings_add(gaps->warnings, file, line, apr_psprintf(
            p, "%s%s is always empty: nothing in the configuration lets "
            "anybody log in, and without a key nothing is counted", what,
            text), "AuthType where users log in, or another key");
    }
}

static void check_rule(const gaps_t *gaps, const rlx_rule_t *rule)
{
    const rlx_options_t *options = rule->options;
    int n = options->keys ? options->keys->nelts : 0;

    for (int i = 0; i < n; i++) {
        check_key(gaps, rule->file, rule->line, "key=",
                  APR_ARRAY_IDX(options->keys, i, rlx_value_t *)->text,
                  n == 1 && !(options->lane & RLX_LANE_EARLY));
    }
    if (options->exempt_when && !strcmp(options->exempt_when->text, "true")) {
        rlx_warnings_add(gaps->warnings, rule->file, rule->line,
                         "exempt_when=true: the limit is never looked at",
                         "an expression that is true for some requests");
    }
    if (options->deduct_when && !strcmp(options->deduct_when->text, "false")) {
        rlx_warnings_add(gaps->warnings, rule->file, rule->line,
                         "deduct_when=false: the limit is never charged",
                         "an expression that is true for some responses");
    }
}

static void check_list(const gaps_t *gaps, const apr_array_header_t *rules)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        check_rule(gaps, APR_ARRAY_IDX(rules, i, rlx_rule_t *));
    }
}

static void check_rules(const gaps_t *gaps, const rlx_server_t *sv)
{
    check_list(gaps, sv->defaults);
    check_list(gaps, sv->application);
    check_list(gaps, sv->meta);
    check_list(gaps, sv->fallback);
    for (int i = 0; sv->sections && i < sv->sections->nelts; i++) {
        check_list(gaps, APR_ARRAY_IDX(sv->sections, i,
                                       rlx_section_t *)->rules);
    }
}

/** Not 0 if some limit of a list counts by the client's address. */
static int is_by_address(const apr_array_header_t *rules)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        if (!APR_ARRAY_IDX(rules, i, rlx_rule_t *)->options->keys) {
            return 1;
        }
    }
    return 0;
}

static int counts_addresses(const rlx_server_t *sv)
{
    int is_any = is_by_address(sv->defaults) || is_by_address(sv->application);

    for (int i = 0; !is_any && sv->sections && i < sv->sections->nelts; i++) {
        is_any = is_by_address(APR_ARRAY_IDX(sv->sections, i,
                                             rlx_section_t *)->rules);
    }
    return is_any;
}

/** Behind a proxy all clients have its address. */
static void check_behind(const gaps_t *gaps)
{
    int is_any = 0;

    if (!gaps->reads_proxy || gaps->has_remoteip || gaps->keys->nelts) {
        return;
    }
    for (server_rec *s = gaps->main_server; s; s = s->next) {
        is_any |= counts_addresses(rlx_server_of(s));
    }
    if (is_any) {
        warn_at(gaps, gaps->reads_proxy, apr_psprintf(
            gaps->warnings->pool, "%s reads what a proxy in front says, and "
            "limits count the address of the connection: all clients of that "
            "proxy are one", gaps->reads_proxy->directive),
            "RemoteIPHeader X-Forwarded-For with RemoteIPInternalProxy");
    }
}

/*
 * limiter-status
 */

/** The section that a line stands in; NULL: none. */
static const ap_directive_t *section_of(const ap_directive_t *d)
{
    return d->parent && !rlx_conf_is(d->parent, "<VirtualHost") ? d->parent
                                                                : NULL;
}

/** The path of a plain <Location>; NULL: it is something else. */
static const char *path_of(apr_pool_t *p, const ap_directive_t *section)
{
    const char *path = section && rlx_conf_is(section, "<Location")
                       ? word_of(p, section) : "";

    return path[0] == '/' && !path[strcspn(path, "*?[")] ? path : NULL;
}

/** Not 0 if what is for a path is for another one, too. */
static int is_for(const char *path, const char *other)
{
    apr_size_t len = strlen(path);

    while (len && path[len - 1] == '/') {
        len--;
    }
    return !strncmp(path, other, len) && (!other[len] || other[len] == '/');
}

/** Not 0 if a directory has the files of a server. */
static int has_files(apr_pool_t *p, const ap_directive_t *directory,
                     const server_rec *s)
{
    const core_server_config *core = ap_get_core_module_config(
        s->module_config);
    const char *path = word_of(p, directory);

    return core->ap_document_root && path[0] && path[1]
           && is_for(path, core->ap_document_root);
}

/** Not 0 if a line that keeps clients out may do so for a handler. What is
 *  not sure counts as if it did. */
static int may_guard(const gaps_t *gaps, const found_t *guard,
                     const found_t *handler, const char *path)
{
    apr_pool_t *p = gaps->warnings->pool;
    const ap_directive_t *section = section_of(guard->d);
    const char *guarded;

    if (guard->s != gaps->main_server && guard->s != handler->s) {
        return 0;
    }
    /* <Location "/x"> <RequireAny> Require ... */
    while (section && begins(section, "<Require")) {
        section = section_of(section);
    }
    if (!section || section == section_of(handler->d)) {
        return 1;
    }
    if (rlx_conf_is(section, "<Directory")) {
        return has_files(p, section, handler->s);
    }
    if (begins(section, "<Files")) {
        return 0;
    }
    guarded = path_of(p, section);
    return !guarded || !path || is_for(guarded, path);
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
    while (d && !rlx_conf_is(d, "<If") && !begins(d, "<Else")) {
        d = d->parent;
    }
    return d != NULL;
}

/** Who may see limiter-status. */
static void check_access(const gaps_t *gaps, const found_t *handler,
                         const char *path)
{
    int clears = may_clear(section_of(handler->d));

    if (is_conditional(handler->d)
        || is_local(handler->s, gaps->main_server)) {
        return;
    }
    for (int i = 0; i < gaps->guards->nelts; i++) {
        if (may_guard(gaps, &APR_ARRAY_IDX(gaps->guards, i, found_t), handler,
                      path)) {
            return;
        }
    }
    warn_at(gaps, handler->d, clears
            ? "limiter-status is for everybody here: anybody can see keys and "
              "configuration, and clear counters"
            : "limiter-status is for everybody here: anybody can see keys and "
              "configuration",
            "Require local, or another Require, beside it");
}

/*
 * .htaccess
 */

static void check_override(const gaps_t *gaps, const found_t *override)
{
    if (!gaps->has_htaccess && ap_cstr_casecmp(override->d->args, "none")) {
        warn_at(gaps, override->d, apr_psprintf(
            gaps->warnings->pool, "RateLimitAllowOverride %s without "
            "AllowOverride Limit anywhere: no .htaccess file may speak of "
            "limits", override->d->args),
            "AllowOverride Limit in the <Directory> of the files");
    }
}

void rlx_warnings_gaps(apr_array_header_t *warnings, server_rec *main_server)
{
    apr_pool_t *p = warnings->pool;
    gaps_t gaps = { .warnings = warnings, .main_server = main_server };
    apr_array_header_t **const lists[] = {
        &gaps.handlers, &gaps.guards, &gaps.overrides, &gaps.keys
    };

    for (apr_size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        *lists[i] = apr_array_make(p, 4, sizeof(found_t));
    }
    rlx_conf_walk(main_server, take, &gaps);
    /* There is none with phase=early anyway, which has been said. */
    for (int i = 0; i < warnings->nelts; i++) {
        gaps.has_users |= strstr(APR_ARRAY_IDX(warnings, i, rlx_warning_t).text,
                                 "REMOTE_USER") != NULL;
    }
    for (int i = 0; i < gaps.keys->nelts; i++) {
        const ap_directive_t *d = APR_ARRAY_IDX(gaps.keys, i, found_t).d;

        check_key(&gaps, d->filename, d->line_num, "RateLimitKey ",
                  word_of(p, d), 1);
    }
    for (server_rec *s = main_server; s; s = s->next) {
        check_rules(&gaps, rlx_server_of(s));
    }
    check_behind(&gaps);
    for (int i = 0; i < gaps.overrides->nelts; i++) {
        check_override(&gaps, &APR_ARRAY_IDX(gaps.overrides, i, found_t));
    }
    for (int i = 0; i < gaps.handlers->nelts; i++) {
        const found_t *handler = &APR_ARRAY_IDX(gaps.handlers, i, found_t);

        check_access(&gaps, handler, path_of(p, section_of(handler->d)));
    }
}
