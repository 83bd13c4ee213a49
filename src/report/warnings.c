/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What is probably a mistake in sections and limits. Each of these looks at
 * what comes of the configuration rather than at how it is written.
 */

#include "report/warnings.h"

#include "apr_strings.h"

#include "report/conf.h"
#include "report/where.h"

void rlx_warnings_add(apr_array_header_t *warnings, const char *file, int line,
                      const char *text, const char *mend)
{
    const char *where = rlx_where(warnings->pool, file, line);
    rlx_warning_t *warning;

    for (int i = 0; i < warnings->nelts; i++) {
        warning = &APR_ARRAY_IDX(warnings, i, rlx_warning_t);
        if (!strcmp(warning->where, where) && !strcmp(warning->text, text)) {
            return;
        }
    }
    warning = apr_array_push(warnings);
    warning->where = where;
    warning->text = text;
    warning->mend = mend;
}

void rlx_warnings_section(apr_array_header_t *warnings,
                          const rlx_section_t *section, const char *text,
                          const char *mend)
{
    rlx_warnings_add(warnings, section->file, section->line, text, mend);
}

void rlx_warnings_rule(apr_array_header_t *warnings, const rlx_rule_t *rule,
                       const char *text, const char *mend)
{
    rlx_warnings_add(warnings, rule->file, rule->line, text, mend);
}

/*
 * Sections
 */

/** Not 0 if a section is of a type and has a path, not a pattern. */
static int is_plain(const rlx_node_t *node, const char *type)
{
    return !strcmp(node->type, type) && node->path[0] == '/'
           && !node->path[strcspn(node->path, "*?[")];
}

/** Not 0 if a path lies below another. */
static int is_longer(const char *path, const char *than)
{
    apr_size_t len = strlen(than);

    return !strncmp(path, than, len) && path[len]
           && (path[len] == '/' || (len && than[len - 1] == '/'));
}

/** The node of a section. */
static const rlx_node_t *node_of(const rlx_tree_t *tree,
                                 const rlx_section_t *section)
{
    for (int i = 0; i < tree->all->nelts; i++) {
        const rlx_node_t *node = APR_ARRAY_IDX(tree->all, i, rlx_node_t *);

        if (node->section == section) {
            return node;
        }
    }
    return NULL;
}

/** Where a section is to stand instead: what httpd merges later may be in a
 *  virtual host. */
static const char *mend_order(apr_pool_t *p, const rlx_node_t *node,
                              const rlx_node_t *later)
{
    int is_elsewhere = node->section->directive->parent
                       != later->section->directive->parent;

    return apr_psprintf(p, "put <Location \"%s\"> %sbelow <Location \"%s\">",
                        node->path, is_elsewhere ? "into that virtual host, "
                        : "", later->path);
}

/** A longer <Location> before its shorter one: httpd merges in file order, so
 *  the shorter one is the endpoint there, and what it overrides is lost.
 *  @return not 0 if it was warned of */
static int check_order(apr_array_header_t *warnings, const rlx_tree_t *tree,
                        const rlx_node_t *node)
{
    const rlx_chain_t *chain = node->dir->chain;
    apr_pool_t *p = warnings->pool;

    if (!is_plain(node, "Location")) {
        return 0;
    }
    for (; chain && chain->section != node->section; chain = chain->outer) {
        const rlx_node_t *later = node_of(tree, chain->section);

        if (later && is_plain(later, "Location")
            && is_longer(node->path, later->path)) {
            rlx_warnings_section(warnings, node->section, apr_psprintf(
                p, "<Location \"%s\"> stands before <Location \"%s\"> (%s), "
                "and httpd merges them in that order: for %s the later and "
                "shorter one has the last word", node->path, later->path,
                rlx_where(p, later->section->file, later->section->line),
                node->path),
                mend_order(p, node, later));
            return 1;
        }
    }
    return 0;
}

/** Not 0 if a section is meant to be exempt: from all that servers set, or from
 *  defaults that have been overridden around it already. */
static int is_meant_exempt(const rlx_node_t *node)
{
    const unsigned int wide = RLX_EXEMPT_APPLICATION | RLX_EXEMPT_DEFAULT;
    unsigned int exempt = node->section->exempt;

    if ((exempt & wide) == wide) {
        return 1;
    }
    for (int i = 0; i < node->effective->nelts; i++) {
        const rlx_holding_t *holding = &APR_ARRAY_IDX(
            node->effective, i, rlx_effect_t).holding;

        if (exempt & RLX_EXEMPT_DEFAULT && holding->declared_in
            && holding->rule->options->override_defaults
            && !holding->rule->options->methods && !holding->rule->dynamic) {
            return 1;
        }
    }
    return 0;
}

/** Exempt, and still limited by a section around it. */
static void check_exempt(apr_array_header_t *warnings, const rlx_node_t *node)
{
    if (!is_meant_exempt(node) || node->section->exempt & RLX_EXEMPT_ANCESTORS
        || node->section->rules->nelts) {
        return;
    }
    for (int i = 0; i < node->effective->nelts; i++) {
        const rlx_holding_t *holding = &APR_ARRAY_IDX(
            node->effective, i, rlx_effect_t).holding;

        if (holding->declared_in) {
            rlx_warnings_section(warnings, node->section, apr_psprintf(
                warnings->pool, "RateLimitExempt in <%s \"%s\"> does not lift "
                "what <%s> around it sets (%s, %s)", node->type, node->path,
                holding->declared_in->name, holding->rule->limit[0].text,
                rlx_where(warnings->pool, holding->rule->file,
                          holding->rule->line)),
                "add \"ancestors\" to RateLimitExempt, or write "
                "RateLimitExempt All");
            return;
        }
    }
}

/*
 * Limits
 */

static int asks_for_user(const char *text)
{
    return text && ap_strcasestr(text, "REMOTE_USER");
}

/** The text in which a limit asks who has logged in; NULL: it does not. */
static const char *user_in(const rlx_rule_t *rule, const rlx_dir_t *dir)
{
    const apr_array_header_t *keys = rule->options->keys;
    const rlx_condition_t *when = rule->options->exempt_when;

    for (int i = 0; keys && i < keys->nelts; i++) {
        const char *key = APR_ARRAY_IDX(keys, i, rlx_value_t *)->text;

        if (asks_for_user(key)) {
            return apr_pstrcat(keys->pool, "key=", key, NULL);
        }
    }
    if (!keys && dir && dir->key && asks_for_user(dir->key->text)) {
        return "RateLimitKey";
    }
    if (rule->options->scope && asks_for_user(rule->options->scope->text)) {
        return "scope=";
    }
    return when && asks_for_user(when->text) ? "exempt_when=" : NULL;
}

static void check_early(apr_array_header_t *warnings, const rlx_rule_t *rule,
                        const rlx_dir_t *dir)
{
    const char *user = rule->options->lane & RLX_LANE_EARLY
                       ? user_in(rule, dir) : NULL;

    if (user) {
        rlx_warnings_rule(warnings, rule, apr_psprintf(
            warnings->pool, "%s of a limit with phase=early asks for "
            "REMOTE_USER, which is empty before authentication", user),
            "leave phase=early out, or count by something that is known "
            "earlier, such as %{RATELIMIT_CLIENT}");
    }
}

/** Not 0 if httpd asks for a password in a section. */
static int asks_for_password(const rlx_node_t *node)
{
    const ap_directive_t *d = node ? node->section->directive->first_child
                                   : NULL;

    while (d && (!rlx_conf_is(d, "AuthType")
                 || !ap_cstr_casecmp(d->args, "none"))) {
        d = d->next;
    }
    return d != NULL;
}

/** What is to be charged by a status that httpd answers with before fixups. */
static void check_late(apr_array_header_t *warnings, const rlx_rule_t *rule,
                       const rlx_node_t *node)
{
    const rlx_options_t *options = rule->options;

    if (!(options->lane & RLX_LANE_EARLY) && options->deduct_when
        && ap_strstr_c(options->deduct_when->text, "401")
        && asks_for_password(node)) {
        rlx_warnings_rule(warnings, rule,
                  "deduct_when= asks for 401, which AuthType here answers with "
                  "before this limit is looked at",
                  "add phase=early");
    }
}

/** Not 0 if a limit is for some requests alone. */
static int is_picky(const rlx_rule_t *rule, const rlx_node_t *node)
{
    const rlx_options_t *options = rule->options;

    for (; node; node = node->outer) {
        if (!strncmp(node->type, "If", 2) || !strncmp(node->type, "Else", 4)) {
            return 1;
        }
    }
    return options->keys || options->methods || options->exempt_when
           || options->deduct_when || options->dry_run;
}

/** Limits that refuse everything. */
static void check_room(apr_array_header_t *warnings, const rlx_rule_t *rule,
                       const rlx_node_t *node)
{
    const rlx_options_t *options = rule->options;
    apr_uint32_t most = options->burst ? options->burst
                                       : rule->limit[0].count;

    if (rule->dynamic || rule->kind == RLX_RULE_META) {
        return;
    }
    if (!rule->limit[0].count && !is_picky(rule, node)) {
        rlx_warnings_rule(warnings, rule, apr_psprintf(
            warnings->pool, "\"%s\" refuses every request",
            rule->limit[0].text),
            "if nobody is to get in, \"Require all denied\" says so; to turn "
            "limits off, RateLimitEngine Off or RateLimitExempt");
    }
    else if (most && !options->cost_value && options->cost > most) {
        rlx_warnings_rule(warnings, rule, apr_psprintf(
            warnings->pool, "cost=%u is more than \"%s\" lets through at once "
            "(%u): every request is refused", options->cost,
            rule->limit[0].text, most),
            "lower cost=, or raise the limit's count");
    }
}

static void check_rules(apr_array_header_t *warnings,
                        const apr_array_header_t *rules, const rlx_dir_t *dir,
                        const rlx_node_t *node)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);

        check_early(warnings, rule, dir);
        check_late(warnings, rule, node);
        check_room(warnings, rule, node);
    }
}

static void check_server(apr_array_header_t *warnings,
                         const rlx_server_t *sv)
{
    const rlx_dir_t *base = rlx_dir_of(sv->server->lookup_defaults);

    check_rules(warnings, sv->defaults, base, NULL);
    check_rules(warnings, sv->application, base, NULL);
    check_rules(warnings, sv->meta, base, NULL);
}

static void check_tree(apr_array_header_t *warnings, const rlx_tree_t *tree)
{
    for (int i = 0; i < tree->all->nelts; i++) {
        const rlx_node_t *node = APR_ARRAY_IDX(tree->all, i, rlx_node_t *);

        if (!check_order(warnings, tree, node)) {
            check_exempt(warnings, node);
        }
        check_rules(warnings, node->section->rules, node->dir, node);
        /* What is inherited is counted by the key that is in force here. */
        for (int j = 0; j < node->effective->nelts; j++) {
            check_early(warnings, APR_ARRAY_IDX(node->effective, j,
                                                rlx_effect_t).holding.rule,
                        node->dir);
        }
    }
}

/** A server's tree among those that are there already; NULL: it is not. */
static const rlx_tree_t *tree_of(const apr_array_header_t *trees,
                                 const rlx_server_t *sv)
{
    for (int i = 0; trees && i < trees->nelts; i++) {
        const rlx_tree_t *tree = APR_ARRAY_IDX(trees, i, rlx_tree_t *);

        if (tree->sv == sv) {
            return tree;
        }
    }
    return NULL;
}

apr_array_header_t *rlx_warnings_make(apr_pool_t *p, server_rec *main_server,
                                      const apr_array_header_t *trees)
{
    apr_array_header_t *warnings = apr_array_make(p, 4, sizeof(rlx_warning_t));
    rlx_never_t *never = rlx_never_make(warnings, main_server);
    apr_pool_t *ptemp;

    apr_pool_create(&ptemp, p);
    apr_pool_tag(ptemp, "rlx_warnings");
    for (server_rec *s = main_server; s; s = s->next) {
        const rlx_server_t *sv = rlx_server_of(s);

        check_server(warnings, sv);
        rlx_never_look_server(never, sv);
        /* One without sections of its own has those of the main server. */
        if (sv->sections) {
            const rlx_tree_t *tree = tree_of(trees, sv);

            tree = tree ? tree : rlx_tree_make(ptemp, main_server, s);
            check_tree(warnings, tree);
            rlx_never_look(never, tree);
            apr_pool_clear(ptemp);
        }
    }
    apr_pool_destroy(ptemp);
    rlx_never_end(never);
    rlx_warnings_gaps(warnings, main_server);
    rlx_warnings_access(warnings, main_server);
    rlx_warnings_around(warnings, main_server);
    return warnings;
}
