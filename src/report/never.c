/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Warnings of what never comes to anything: sections that no request meets,
 * limits that are never looked at or never refuse, and those of which one
 * stands in for another.
 */

#include "report/warnings.h"

#include "apr_hash.h"
#include "apr_lib.h"
#include "apr_strings.h"

#include "http/declared.h"
#include "http/rule.h"
#include "report/conf.h"
#include "report/view.h"
#include "report/where.h"

/*
 * Sections that no request meets
 */

/** Not 0 if a path has "%2F" or the like in it. */
static int is_encoded(const char *path)
{
    for (path = strchr(path, '%'); path; path = strchr(path + 1, '%')) {
        if (apr_isxdigit(path[1]) && apr_isxdigit(path[2])) {
            return 1;
        }
    }
    return 0;
}

/** A <Location> is compared with the path of a URL, decoded, all of it. */
static void check_location(apr_array_header_t *warnings,
                           const rlx_node_t *node)
{
    const char *path = node->path;
    const char *query = strchr(path, '?');
    const char *what = NULL, *mend = NULL;

    /* A pattern, a URL that a proxy is asked for, a host for CONNECT. */
    if (strcmp(node->type, "Location") || strchr("~*?[", path[0])
        || strchr(path, ':')) {
        return;
    }
    if (path[0] != '/') {
        what = "every path begins with a slash";
        mend = apr_psprintf(warnings->pool, "<Location \"/%s\">", path);
    }
    else if (query && strchr(query, '=')) {
        what = "a query string is not part of the path";
        mend = "<If \"%{QUERY_STRING} =~ ...\"> in a <Location> of the path";
    }
    else if (is_encoded(path)) {
        what = "paths are compared when they are decoded";
        mend = "write the characters themselves";
    }
    if (what) {
        rlx_warnings_section(warnings, node->section, apr_psprintf(
            warnings->pool, "<Location \"%s\"> meets no request: %s", path,
            what), mend);
    }
}

/** <Files> is compared with the last part of a file's name. */
static void check_files(apr_array_header_t *warnings, const rlx_node_t *node)
{
    if (!strcmp(node->type, "Files") && node->path[0] != '~'
        && strchr(node->path, '/')) {
        rlx_warnings_section(warnings, node->section, apr_psprintf(
            warnings->pool, "<Files \"%s\"> meets no request: it is compared "
            "with a file's name without its directory", node->path),
            "<Directory> of the directory, with <Files> in it");
    }
}

/*
 * Limits that are switched off
 */

static int is_off(const rlx_dir_t *dir)
{
    return dir && dir->engine == RLX_ENGINE_OFF;
}

static void check_section_off(apr_array_header_t *warnings,
                              const rlx_node_t *node)
{
    if (node->section->rules->nelts && is_off(node->dir)) {
        rlx_warnings_section(warnings, node->section, apr_psprintf(
            warnings->pool, "the limits of <%s> are never looked at: "
            "RateLimitEngine is Off there", node->section->name),
            "RateLimitEngine On, or DryRun to see what they would do");
    }
}

/** Where an engine is switched off for all of a server. */
typedef struct switch_t {
    const server_rec *s;
    const ap_directive_t *directive;
} switch_t;

/** An rlx_conf_fn. */
static void look_for_switch(void *baton, const ap_directive_t *d,
                            server_rec *s)
{
    switch_t *found = baton;

    if (s == found->s && rlx_conf_is(d, "RateLimitEngine")
        && (!d->parent || rlx_conf_is(d->parent, "<VirtualHost"))) {
        found->directive = d;
    }
}

/** Not 0 if a server itself has a limit that is no meta limit and none of its
 *  fallback; an rlx_declared_fn. */
static int is_own(void *baton, rlx_rule_t *rule, const rlx_section_t *section)
{
    const rlx_server_t *sv = baton;

    return section != NULL
           || (rule->owner == sv && (rule->kind == RLX_RULE_DEFAULT
                                     || rule->kind == RLX_RULE_APPLICATION));
}

/** Not 0 if another server that has its limits is not switched off. */
static int is_on_elsewhere(const rlx_server_t *sv, server_rec *main_server)
{
    for (server_rec *s = main_server->next;
         s && sv->server == main_server; s = s->next) {
        if (!is_off(rlx_dir_of(s->lookup_defaults))) {
            return 1;
        }
    }
    return 0;
}

/** @return not 0 if a whole server is switched off, for better or worse */
static int check_server_off(apr_array_header_t *warnings,
                            const rlx_tree_t *tree, server_rec *main_server)
{
    switch_t found = { tree->sv->server, NULL };

    if (!is_off(rlx_dir_of(tree->sv->server->lookup_defaults))) {
        return 0;
    }
    rlx_conf_walk(main_server, look_for_switch, &found);
    if (found.directive && rlx_declared_each(tree->sv, is_own, (void *)tree->sv)
        && !is_on_elsewhere(tree->sv, main_server)) {
        rlx_warnings_add(warnings, found.directive->filename,
                         found.directive->line_num, apr_psprintf(
            warnings->pool, "RateLimitEngine Off: no limit of %s is looked at",
            tree->sv->name),
            "RateLimitEngine On, or DryRun to see what they would do");
    }
    return 1;
}

/*
 * Limits that a <Location "/"> takes the place of
 */

struct rlx_never_t {
    apr_array_header_t *warnings;
    server_rec *main_server;
    /** 0: refused requests may be charged to some limits, which then have no
     *  room either. */
    int is_atomic;
    /** Not 0: some section switches limits on. */
    int is_switched;
    /** Rules of servers that hold somewhere, and sections of which one does,
     *  by address. For as long as this. */
    apr_hash_t *alive;
    /** Sections that have been looked at. */
    apr_hash_t *seen;
    /** The <Location "/"> of a server, by the server's name. */
    apr_hash_t *tops;
};

/** An rlx_conf_fn. */
static void look_around(void *baton, const ap_directive_t *d, server_rec *s)
{
    rlx_never_t *never = baton;

    if (rlx_conf_is(d, "RateLimitCharge")) {
        never->is_atomic &= !ap_cstr_casecmp(d->args, "atomic");
    }
    else if (rlx_conf_is(d, "RateLimitEngine") && d->parent
             && !rlx_conf_is(d->parent, "<VirtualHost")) {
        never->is_switched |= ap_cstr_casecmp(d->args, "off") != 0;
    }
}

rlx_never_t *rlx_never_make(apr_array_header_t *warnings,
                            server_rec *main_server)
{
    rlx_never_t *never = apr_pcalloc(warnings->pool, sizeof(*never));

    never->warnings = warnings;
    never->main_server = main_server;
    never->is_atomic = 1;
    never->alive = apr_hash_make(warnings->pool);
    never->seen = apr_hash_make(warnings->pool);
    never->tops = apr_hash_make(warnings->pool);
    rlx_conf_walk(main_server, look_around, never);
    return never;
}

/** The section that every URL of a server meets; NULL: none. */
static const rlx_section_t *top_of(const rlx_tree_t *tree)
{
    for (int i = 0; i < tree->sections->nelts; i++) {
        const rlx_node_t *node = APR_ARRAY_IDX(tree->sections, i,
                                               rlx_node_t *);

        if (!strcmp(node->type, "Location") && !strcmp(node->path, "/")
            && !node->within) {
            return node->section;
        }
    }
    return NULL;
}

/** Not 0 if what is set around a section never holds there or below. */
static int cuts_off(const rlx_section_t *section)
{
    const unsigned int all = RLX_EXEMPT_ANCESTORS | RLX_EXEMPT_DESCENDENTS;

    for (int i = 0; i < section->rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(section->rules, i,
                                               rlx_rule_t *);

        if (rule->options->override_defaults && !rule->options->methods
            && !rule->dynamic) {
            return 1;
        }
    }
    return (section->exempt & all) == all;
}

/** Not 0 if httpd merges a section before any <Location>. */
static int is_of_files(const rlx_node_t *node)
{
    while (node->outer) {
        node = node->outer;
    }
    return !strncmp(node->type, "Directory", 9)
           || !strncmp(node->type, "Files", 5);
}

static int has(apr_hash_t *set, const void *what)
{
    return apr_hash_get(set, &what, sizeof(what)) != NULL;
}

/** @return not 0 if it was not in there */
static int add(apr_hash_t *set, const void *what)
{
    const void **key;

    if (has(set, what)) {
        return 0;
    }
    key = apr_pmemdup(apr_hash_pool_get(set), &what, sizeof(what));
    apr_hash_set(set, key, sizeof(*key), what);
    return 1;
}

static void mark_effective(rlx_never_t *never,
                           const apr_array_header_t *effective)
{
    for (int i = 0; i < effective->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(effective, i,
                                               rlx_effect_t).holding.rule;

        if ((rule->kind == RLX_RULE_DEFAULT
             || rule->kind == RLX_RULE_APPLICATION)) {
            add(never->alive, rule);
        }
    }
}

/** Note what holds somewhere in a server. */
static void look_alive(rlx_never_t *never, const rlx_tree_t *tree)
{
    const rlx_section_t *top = top_of(tree);

    if (!top) {
        mark_effective(never, tree->effective);
    }
    for (int i = 0; i < tree->all->nelts; i++) {
        const rlx_node_t *node = APR_ARRAY_IDX(tree->all, i, rlx_node_t *);

        if (!top || !is_of_files(node)) {
            mark_effective(never, node->effective);
        }
        if (is_of_files(node) && !(top && cuts_off(top))) {
            add(never->alive, node->section);
        }
    }
    if (top) {
        apr_hash_set(never->tops, tree->sv->name, APR_HASH_KEY_STRING, top);
    }
}

void rlx_never_look_server(rlx_never_t *never, const rlx_server_t *sv)
{
    const rlx_dir_t *base = rlx_dir_of(sv->server->lookup_defaults);
    apr_array_header_t *warnings = never->warnings;
    unsigned int exempt;

    rlx_warnings_beside(warnings, sv, NULL, base, sv->defaults,
                        never->is_atomic);
    rlx_warnings_beside(warnings, sv, NULL, base, sv->application,
                        never->is_atomic);
    rlx_warnings_beside(warnings, sv, NULL, base, sv->meta, 0);
    rlx_warnings_names(warnings, rlx_tree_effective(warnings->pool, sv, base,
                                                    &exempt));
}

/** Look at a section by itself. */
static void look_section(rlx_never_t *never, const rlx_tree_t *tree,
                         const rlx_node_t *node, int is_known)
{
    check_location(never->warnings, node);
    check_files(never->warnings, node);
    if (!is_known) {
        check_section_off(never->warnings, node);
    }
    rlx_warnings_beside(never->warnings, tree->sv, node->section, node->dir,
                        node->section->rules, never->is_atomic);
}

void rlx_never_look(rlx_never_t *never, const rlx_tree_t *tree)
{
    int is_known = never->is_switched
                   || check_server_off(never->warnings, tree,
                                       never->main_server);

    for (int i = 0; i < tree->all->nelts; i++) {
        const rlx_node_t *node = APR_ARRAY_IDX(tree->all, i, rlx_node_t *);

        /* Those of the main server are in every tree. */
        if (add(never->seen, node->section)) {
            look_section(never, tree, node, is_known);
        }
        rlx_warnings_names(never->warnings, node->effective);
    }
    look_alive(never, tree);
}

/** Where the <Location "/"> of a server stands; NULL: it has none. */
static const char *top_place(const rlx_never_t *never, const rlx_server_t *sv)
{
    const rlx_section_t *top = apr_hash_get(never->tops, sv->name,
                                            APR_HASH_KEY_STRING);

    return top ? rlx_where(never->warnings->pool, top->file, top->line) : NULL;
}

/** Rules of a server that hold nowhere. */
static void warn_dead_rules(rlx_never_t *never, const rlx_server_t *sv,
                            const apr_array_header_t *rules, const char *kind)
{
    const char *top = top_place(never, sv);

    for (int i = 0; top && rules && i < rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);

        if (rule->owner == sv && !has(never->alive, rule)) {
            rlx_warnings_rule(never->warnings, rule, apr_psprintf(
                never->warnings->pool, "\"%s\" of %s never holds: <Location "
                "\"/\"> (%s), which every URL meets, has limits of its own or "
                "is exempt", rlx_rule_text(rule), kind, top),
                "if both are meant, override_defaults=off on the limits of "
                "<Location \"/\">");
        }
    }
}

/** Sections of files of which nothing holds. */
static void warn_dead_sections(rlx_never_t *never, const rlx_server_t *sv)
{
    const char *top = top_place(never, sv);

    for (int i = 0; top && sv->sections && i < sv->sections->nelts; i++) {
        const rlx_section_t *section = APR_ARRAY_IDX(sv->sections, i,
                                                     rlx_section_t *);

        if (section->rules->nelts && !has(never->alive, section)
            && (!strncmp(section->name, "Directory", 9)
                || !strncmp(section->name, "Files", 5))) {
            rlx_warnings_section(never->warnings, section, apr_psprintf(
                never->warnings->pool, "the limits of <%s> never hold: httpd "
                "merges <Location \"/\"> (%s) later, and that cuts them off "
                "for every URL", section->name, top),
                "if both are meant, override_defaults=off on the limits of "
                "<Location \"/\">");
        }
    }
}

void rlx_never_end(rlx_never_t *never)
{
    for (server_rec *s = never->main_server; s; s = s->next) {
        const rlx_server_t *sv = rlx_server_of(s);

        warn_dead_rules(never, sv, sv->defaults, "RateLimitDefault");
        warn_dead_rules(never, sv, sv->application, "RateLimitApplication");
        warn_dead_sections(never, sv);
    }
}
