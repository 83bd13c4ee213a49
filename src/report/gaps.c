/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Warnings of what lets clients past limits: keys that they choose, or that
 * are nobody's or everybody's, conditions that are always true, .htaccess
 * files that are not read.
 */

#include "report/warnings.h"

#include "apr_lib.h"
#include "apr_strings.h"

#include "http/declared.h"
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
    /** const ap_directive_t *: to be looked at when all is known. */
    apr_array_header_t *overrides;
    apr_array_header_t *keys;
} gaps_t;

static void warn_at(const gaps_t *gaps, const ap_directive_t *d,
                    const char *text, const char *mend)
{
    rlx_warnings_add(gaps->warnings, d->filename, d->line_num, text, mend);
}

/*
 * Gathering
 */

/** Not 0 if a line may let users log in, here or in a .htaccess file. */
static int is_of_users(const ap_directive_t *d)
{
    if (rlx_conf_begins(d, "AllowOverride")) {
        return ap_strcasestr(d->args, "auth") || ap_strcasestr(d->args, "all")
               || rlx_conf_is(d, "AllowOverrideList");
    }
    return rlx_conf_begins(d, "Auth") || rlx_conf_begins(d, "SSLUserName") || rlx_conf_begins(d, "Perl")
           || rlx_conf_begins(d, "LuaHook") || ap_strcasestr(d->directive, "Authen");
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
    if (rlx_conf_begins(d, "LogFormat") || rlx_conf_begins(d, "CustomLog")
        || rlx_conf_begins(d, "TransferLog")) {
        return ap_strcasestr(d->args, "%{X-Forwarded-For}i") != NULL;
    }
    if (rlx_conf_begins(d, "SetEnvIf")) {
        return !ap_cstr_casecmpn(d->args + strspn(d->args, "\"^"),
                                 "X-Forwarded-", 12);
    }
    return rlx_conf_is(d, "RewriteCond")
           && ap_strcasestr(d->args, "%{HTTP:X-Forwarded-");
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
    if (rlx_conf_is(d, "RateLimitAllowOverride")) {
        APR_ARRAY_PUSH(gaps->overrides, const ap_directive_t *) = d;
    }
    else if (rlx_conf_is(d, "RateLimitKey")) {
        APR_ARRAY_PUSH(gaps->keys, const ap_directive_t *) = d;
    }
    else if (rlx_conf_is(d, "RateLimitRequestFilter")
             && !strcmp(rlx_conf_word(gaps->warnings->pool, d), "true")) {
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

/** The keys and conditions of a limit; an rlx_declared_fn. */
static int check_rule(void *baton, rlx_rule_t *rule,
                      const rlx_section_t *section)
{
    const gaps_t *gaps = baton;
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
    return 0;
}

/** Not 0 if a limit counts by the client's address; an rlx_declared_fn. */
static int is_by_address(void *baton, rlx_rule_t *rule,
                         const rlx_section_t *section)
{
    return !rule->options->keys && rule->kind != RLX_RULE_META
           && rule->kind != RLX_RULE_FALLBACK;
}

/** Behind a proxy all clients have its address. */
static void check_behind(const gaps_t *gaps)
{
    int is_any = 0;

    if (!gaps->reads_proxy || gaps->has_remoteip || gaps->keys->nelts) {
        return;
    }
    for (server_rec *s = gaps->main_server; s; s = s->next) {
        is_any |= rlx_declared_each(rlx_server_of(s), is_by_address, NULL);
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
 * .htaccess
 */

static void check_override(const gaps_t *gaps, const ap_directive_t *override)
{
    if (!gaps->has_htaccess && ap_cstr_casecmp(override->args, "none")) {
        warn_at(gaps, override, apr_psprintf(
            gaps->warnings->pool, "RateLimitAllowOverride %s without "
            "AllowOverride Limit anywhere: no .htaccess file may speak of "
            "limits", override->args),
            "AllowOverride Limit in the <Directory> of the files");
    }
}

void rlx_warnings_gaps(apr_array_header_t *warnings, server_rec *main_server)
{
    apr_pool_t *p = warnings->pool;
    gaps_t gaps = { .warnings = warnings, .main_server = main_server };

    gaps.overrides = apr_array_make(p, 4, sizeof(const ap_directive_t *));
    gaps.keys = apr_array_make(p, 4, sizeof(const ap_directive_t *));
    rlx_conf_walk(main_server, take, &gaps);
    /* There is none with phase=early anyway, which has been said. */
    for (int i = 0; i < warnings->nelts; i++) {
        gaps.has_users |= strstr(APR_ARRAY_IDX(warnings, i, rlx_warning_t).text,
                                 "REMOTE_USER") != NULL;
    }
    for (int i = 0; i < gaps.keys->nelts; i++) {
        const ap_directive_t *d = APR_ARRAY_IDX(gaps.keys, i,
                                                const ap_directive_t *);

        check_key(&gaps, d->filename, d->line_num, "RateLimitKey ",
                  rlx_conf_word(p, d), 1);
    }
    for (server_rec *s = main_server; s; s = s->next) {
        rlx_declared_each(rlx_server_of(s), check_rule, &gaps);
    }
    check_behind(&gaps);
    for (int i = 0; i < gaps.overrides->nelts; i++) {
        check_override(&gaps, APR_ARRAY_IDX(gaps.overrides, i,
                                            const ap_directive_t *));
    }
}
