/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Warnings that come of what other modules do: what makes limits count the
 * wrong client, keeps requests from them, or brings them where a <Location>
 * does not expect them.
 */

#include "report/conf.h"
#include "report/warnings.h"
#include "report/where.h"

#include "http_core.h"
#include "apr_strings.h"

/** What matters of one server's directives; NULL: there is none. */
typedef struct facts_t {
    server_rec *s;
    const ap_directive_t *client_header;
    const ap_directive_t *trusted_proxy;
    const ap_directive_t *cache;
    /** CacheQuickHandler; its value is what counts. */
    const ap_directive_t *quick;
    /** RewriteEngine; its value is what counts. And lines of mod_rewrite. */
    const ap_directive_t *rewrites;
    int rewrite_lines;
    /** ap_directive_t *: ProxyPass and ProxyPassMatch outside of sections,
     *  ProxyPass in a <Location>, and a RewriteRule with [P] if no other line
     *  of mod_rewrite stands before it. */
    apr_array_header_t *proxied;
    /** Something beside DocumentRoot says where files are. */
    const ap_directive_t *alias;
} facts_t;

/** What is told about all servers: facts_t. */
typedef struct gathering_t {
    apr_array_header_t *all;
} gathering_t;

static facts_t *facts_of(const gathering_t *gathering, const server_rec *s)
{
    for (int i = 0; i < gathering->all->nelts; i++) {
        facts_t *facts = &APR_ARRAY_IDX(gathering->all, i, facts_t);

        if (facts->s == s) {
            return facts;
        }
    }
    return NULL;
}

static int begins(const ap_directive_t *d, const char *with)
{
    return !ap_cstr_casecmpn(d->directive, with, strlen(with));
}

/** Not 0 if a directive stands in a <Location> that stands in no section. */
static int is_in_location(const ap_directive_t *d)
{
    return d->parent && rlx_conf_is(d->parent, "<Location")
           && !rlx_conf_section(d->parent);
}

/** Not 0 if a RewriteRule passes on what it is for. */
static int is_passing(apr_pool_t *p, const ap_directive_t *rule)
{
    const char *args = rule->args, *flags;
    char *flag;

    ap_getword_conf(p, &args);
    ap_getword_conf(p, &args);
    flags = ap_getword_conf(p, &args);
    flags += *flags == '[';
    while (*flags) {
        flag = ap_getword(p, &flags, ',');
        flag[strcspn(flag, "] ")] = '\0';
        if (!ap_cstr_casecmp(flag, "P") || !ap_cstr_casecmp(flag, "proxy")) {
            return 1;
        }
    }
    return 0;
}

/** Note a line of mod_rewrite. */
static void take_rewrite(facts_t *facts, const ap_directive_t *d)
{
    if (rlx_conf_is(d, "RewriteEngine")) {
        facts->rewrites = d;
    }
    else if (rlx_conf_is(d, "RewriteRule") || rlx_conf_is(d, "RewriteCond")) {
        if (!facts->rewrite_lines++ && rlx_conf_is(d, "RewriteRule")
            && is_passing(facts->proxied->pool, d)) {
            APR_ARRAY_PUSH(facts->proxied, const ap_directive_t *) = d;
        }
    }
}

static void take(void *baton, const ap_directive_t *d, server_rec *s)
{
    gathering_t *gathering = baton;
    int is_of_location = is_in_location(d) && rlx_conf_is(d, "ProxyPass");
    facts_t *facts = rlx_conf_section(d) && !is_of_location
                     ? NULL : facts_of(gathering, s);

    if (!facts) {
        return;
    }
    if (rlx_conf_is(d, "RemoteIPHeader")) {
        facts->client_header = d;
    }
    else if (begins(d, "RemoteIPInternalProxy")
             || begins(d, "RemoteIPTrustedProxy")) {
        facts->trusted_proxy = d;
    }
    else if (rlx_conf_is(d, "CacheEnable")) {
        facts->cache = d;
    }
    else if (rlx_conf_is(d, "CacheQuickHandler")) {
        facts->quick = d;
    }
    else if (rlx_conf_is(d, "ProxyPass") || rlx_conf_is(d, "ProxyPassMatch")) {
        APR_ARRAY_PUSH(facts->proxied, const ap_directive_t *) = d;
    }
    else if (begins(d, "Alias") || begins(d, "ScriptAlias")) {
        facts->alias = d;
    }
    else {
        take_rewrite(facts, d);
    }
}

static void gather(apr_pool_t *p, server_rec *main_server,
                   gathering_t *gathering)
{
    gathering->all = apr_array_make(p, 4, sizeof(facts_t));
    for (server_rec *s = main_server; s; s = s->next) {
        facts_t *facts = apr_array_push(gathering->all);

        memset(facts, 0, sizeof(*facts));
        facts->s = s;
        facts->proxied = apr_array_make(p, 2, sizeof(void *));
    }
    rlx_conf_walk(main_server, take, gathering);
}

/** Not 0 if any limit is set in a server, or where it inherits from. */
static int has_limits(const rlx_server_t *sv)
{
    if (sv->defaults || sv->application) {
        return 1;
    }
    for (int i = 0; sv->sections && i < sv->sections->nelts; i++) {
        if (APR_ARRAY_IDX(sv->sections, i, rlx_section_t *)->rules->nelts) {
            return 1;
        }
    }
    return 0;
}

static void warn_at(apr_array_header_t *warnings, const ap_directive_t *d,
                    const char *text, const char *mend)
{
    rlx_warnings_add(warnings, d->filename, d->line_num, text, mend);
}

/** Anybody may say who he is. */
static void check_client(apr_array_header_t *warnings, const facts_t *facts,
                         const facts_t *main_facts)
{
    const ap_directive_t *header = facts->client_header
                                   ? facts->client_header
                                   : main_facts->client_header;

    if (header && !facts->trusted_proxy && !main_facts->trusted_proxy) {
        warn_at(warnings, header, apr_psprintf(
            warnings->pool, "RemoteIPHeader %s without RemoteIPInternalProxy "
            "or RemoteIPTrustedProxy believes everybody: whoever sends that "
            "field with another address each time meets no limit",
            header->args),
            "name the proxies that may set it: RemoteIPInternalProxy "
            "10.0.0.5, say");
    }
}

/** What is cached is served before limits are looked at. */
static void check_cache(apr_array_header_t *warnings, const facts_t *facts,
                        const facts_t *main_facts)
{
    const ap_directive_t *cache = facts->cache ? facts->cache
                                               : main_facts->cache;
    const ap_directive_t *quick = facts->quick ? facts->quick
                                               : main_facts->quick;

    if (cache && (!quick || ap_cstr_casecmp(quick->args, "off"))) {
        warn_at(warnings, cache, apr_psprintf(
            warnings->pool, "CacheEnable %s serves what it has before any "
            "section is known, and so past all limits",
            rlx_shown_url(warnings->pool, cache->args)),
            "CacheQuickHandler Off, unless cached answers are meant to be "
            "free");
    }
}

/** The path that a pattern of the form ^/path/(.*)$ is for, all of it; "" of
 *  another. */
static const char *literal_of(apr_pool_t *p, const char *pattern)
{
    static const char *const all[] = {
        "", "(.*)", "(.*)$", ".*", ".*$", "/(.*)", "/(.*)$", "/.*", "/.*$",
        "(/.*)", "(/.*)$"
    };
    apr_size_t len;

    if (*pattern++ != '^') {
        return "";
    }
    len = strcspn(pattern, "\\^$.[|()?*+{");
    while (len > 1 && pattern[len - 1] == '/') {
        len--;
    }
    for (apr_size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!strcmp(pattern + len, all[i])) {
            return len ? apr_pstrmemdup(p, pattern, len) : "/";
        }
    }
    return "";
}

/** The path that is proxied; "" if none is, or none that is known. */
static const char *proxied_path(apr_pool_t *p, const ap_directive_t *pass)
{
    const char *args = pass->args;
    const char *path = rlx_conf_section(pass) ? rlx_conf_word(p, pass->parent)
                                           : ap_getword_conf(p, &args);

    if (*args == '!') {
        return "";
    }
    return rlx_conf_is(pass, "ProxyPass") ? path : literal_of(p, path);
}

/** Where the files of a proxied path would be; NULL: nowhere that is known. */
static const char *shadowed_by(apr_pool_t *p, const facts_t *facts,
                               const ap_directive_t *pass)
{
    const core_server_config *core = ap_get_core_module_config(
        facts->s->module_config);
    const char *path = proxied_path(p, pass);
    const char *root = core->ap_document_root;

    if (path[0] != '/' || path[strcspn(path, "*?[")] || !root) {
        return NULL;
    }
    /* All of it, unless something is left out. */
    if (!path[1] && (facts->alias || facts->proxied->nelts > 1)) {
        return NULL;
    }
    return ap_make_full_path(p, root, path + 1);
}

/** "ProxyPass /app http://10.0.0.5/": a backend's password and its options,
 *  which may be secret, are not shown. */
static const char *shown_pass(apr_pool_t *p, const ap_directive_t *pass)
{
    const char *text = pass->directive;
    const char *args = pass->args;

    for (int words = rlx_conf_section(pass) ? 1 : 2; words && *args; words--) {
        text = apr_pstrcat(p, text, " ", rlx_shown_url(
            p, ap_getword_conf(p, &args)), NULL);
    }
    return text;
}

/** Limits in <Directory> for what mod_proxy serves: it asks no directory.
 *  @param sections the server's own, or those of the main server; or NULL
 *  @param is_all   not 0: nothing of the server is asked for elsewhere */
static void check_proxied(apr_array_header_t *warnings,
                          const apr_array_header_t *sections,
                          const char *files, const ap_directive_t *pass,
                          int is_all)
{
    apr_pool_t *p = warnings->pool;

    for (int i = 0; sections && i < sections->nelts; i++) {
        const rlx_section_t *section = APR_ARRAY_IDX(sections, i,
                                                     rlx_section_t *);

        const char *directory = rlx_conf_word(p, section->directive);

        if (section->rules->nelts
            && rlx_conf_is(section->directive, "<Directory")
            && (rlx_conf_is_within(directory, files)
                || (is_all && rlx_conf_is_within(files, directory)))) {
            rlx_warnings_add(warnings, section->file, section->line,
                             apr_psprintf(
                p, "the limits of <%s> do not hold for what %s (%s) "
                "serves from elsewhere: no directory is asked",
                section->name, shown_pass(p, pass),
                rlx_where(p, pass->filename, pass->line_num)),
                "put them into a <Location> of that path");
        }
    }
}

static void check_proxies(apr_array_header_t *warnings, const facts_t *facts,
                          const server_rec *main_server)
{
    const rlx_server_t *sv = rlx_server_of(facts->s);

    for (int i = 0; i < facts->proxied->nelts; i++) {
        const ap_directive_t *pass = APR_ARRAY_IDX(facts->proxied, i,
                                                   const ap_directive_t *);
        const char *files = shadowed_by(warnings->pool, facts, pass);
        int is_all = !strcmp(proxied_path(warnings->pool, pass), "/");

        if (!files || (rlx_conf_is(pass, "RewriteRule")
                       && (!facts->rewrites
                           || ap_cstr_casecmp(facts->rewrites->args, "on")))) {
            continue;
        }
        check_proxied(warnings, sv->sections, files, pass, is_all);
        /* Where all is proxied, the main server's are for other hosts. */
        if (facts->s != main_server && !is_all) {
            check_proxied(warnings, rlx_server_of(main_server)->sections,
                          files, pass, 0);
        }
    }
}

/** The limits of <Directory> sections hold also for a <Location> that is
 *  exempt, if that leads there. */
static void check_exempt(apr_array_header_t *warnings, const facts_t *facts,
                         const rlx_section_t *exempt,
                         const apr_array_header_t *sections)
{
    const core_server_config *core = ap_get_core_module_config(
        facts->s->module_config);
    apr_pool_t *p = warnings->pool;
    const char *path = rlx_conf_word(p, exempt->directive);
    const char *files = core->ap_document_root
                        ? ap_make_full_path(p, core->ap_document_root,
                                            path + (*path == '/')) : NULL;

    for (int i = 0; files && sections && i < sections->nelts; i++) {
        const rlx_section_t *section = APR_ARRAY_IDX(sections, i,
                                                     rlx_section_t *);

        if (section->rules->nelts
            && rlx_conf_is(section->directive, "<Directory")
            && rlx_conf_is_within(files, rlx_conf_word(p, section->directive))) {
            rlx_warnings_add(warnings, exempt->file, exempt->line, apr_psprintf(
                p, "RateLimitExempt in <%s> does not lift what <%s> around its "
                "files sets (%s)", exempt->name, section->name,
                rlx_where(p, section->file, section->line)),
                "add \"ancestors\" to RateLimitExempt, or write "
                "RateLimitExempt All");
            return;
        }
    }
}

static void check_exemptions(apr_array_header_t *warnings,
                             const facts_t *facts,
                             const server_rec *main_server)
{
    const unsigned int wide = RLX_EXEMPT_APPLICATION | RLX_EXEMPT_DEFAULT;
    const rlx_server_t *sv = rlx_server_of(facts->s);

    /* Else it is not known where its files are. */
    if (facts->alias || facts->proxied->nelts) {
        return;
    }
    for (int i = 0; sv->sections && i < sv->sections->nelts; i++) {
        const rlx_section_t *section = APR_ARRAY_IDX(sv->sections, i,
                                                     rlx_section_t *);

        if (!rlx_conf_is(section->directive, "<Location")
            || rlx_conf_section(section->directive) || section->rules->nelts
            || (section->exempt & wide) != wide
            || section->exempt & RLX_EXEMPT_ANCESTORS) {
            continue;
        }
        check_exempt(warnings, facts, section, sv->sections);
        if (facts->s != main_server) {
            check_exempt(warnings, facts, section,
                         rlx_server_of(main_server)->sections);
        }
    }
}

void rlx_warnings_around(apr_array_header_t *warnings,
                         server_rec *main_server)
{
    gathering_t gathering;
    const facts_t *main_facts;
    int in_main = has_limits(rlx_server_of(main_server));

    gather(warnings->pool, main_server, &gathering);
    main_facts = facts_of(&gathering, main_server);
    for (int i = 0; i < gathering.all->nelts; i++) {
        const facts_t *facts = &APR_ARRAY_IDX(gathering.all, i, facts_t);

        if (!in_main && !has_limits(rlx_server_of(facts->s))) {
            continue;
        }
        check_client(warnings, facts, main_facts);
        check_cache(warnings, facts, main_facts);
        check_proxies(warnings, facts, main_server);
        check_exemptions(warnings, facts, main_server);
    }
}
