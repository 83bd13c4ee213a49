/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The sections on the page: by server, nested as they inherit, each to be
 * unfolded.
 */

#include "report/html_parts.h"
#include "report/where.h"

#include "apr_strings.h"

#include "http/rule.h"

/** Limits that the line of a section names. */
#define BRIEF_MAX 3

/** Sections that are written in full, and up to which every server is
 *  unfolded at first. What is more is a link away. */
#define SECTIONS_MAX    2500
#define SECTIONS_AT_ONCE 60

/* --- limits ------------------------------------------------------------- */

/** ", 3 exempt"; nothing of none. */
static void put_also(rlx_page_t *page, apr_uint64_t n, const char *what)
{
    if (n) {
        rlx_page_put(page, ", ");
        rlx_page_number(page, n);
        rlx_page_put(page, what);
    }
}

/** What became of requests; nothing where there were none. What a meta= says
 *  has no line of its own, and is named. */
static void put_figures(rlx_page_t *page, const rlx_rule_t *rule)
{
    rlx_fates_t fates;
    apr_uint64_t refused, dry;

    rlx_figures_of(rule, &fates);
    if (!fates.seen) {
        return;
    }
    dry = fates.of[RLX_FATE_DRY_RUN];
    refused = fates.of[RLX_FATE_REFUSED] + dry;
    rlx_page_put(page, "<div class=\"figures\">");
    rlx_page_meter(page, refused > dry ? "refusals" : "refusals dry", refused,
                   fates.seen, "share of requests without room");
    rlx_page_put(page, "<span>");
    if (rule->of) {
        rlx_page_put(page, "meta ");
        rlx_page_element(page, "b", "limit", rlx_rule_text(rule));
        rlx_page_put(page, ": ");
    }
    rlx_page_number(page, fates.seen);
    rlx_page_put(page, fates.seen == 1 ? " request, " : " requests, ");
    rlx_page_number(page, refused);
    rlx_page_put(page, dry && refused == dry ? " would be refused ("
                                             : " refused (");
    rlx_page_percent(page, refused, fates.seen);
    rlx_page_put(page, ")");
    put_also(page, fates.of[RLX_FATE_EXEMPT], " exempt");
    put_also(page, fates.of[RLX_FATE_ERROR], " undecided");
    rlx_page_put(page, "</span></div>");
}

/** Not 0 if it is the first of its directive's limits in a list. */
static int is_first(const apr_array_header_t *rules, const rlx_rule_t *rule)
{
    int i = 0;

    while (i < rules->nelts && APR_ARRAY_IDX(rules, i, rlx_rule_t *)->options
                               != rule->options) {
        i++;
    }
    return i < rules->nelts && APR_ARRAY_IDX(rules, i, rlx_rule_t *) == rule;
}

/** The figures of a limit, and once for its directive those of meta=. */
static void put_all_figures(rlx_page_t *page, const rlx_rule_t *rule,
                            const apr_array_header_t *rules)
{
    const apr_array_header_t *meta = rule->options->meta;

    put_figures(page, rule);
    for (int i = 0; meta && i < meta->nelts && is_first(rules, rule); i++) {
        put_figures(page, APR_ARRAY_IDX(meta, i, rlx_rule_t *));
    }
}

/** @param source NULL: it goes without saying
 *  @param rules  the list that it stands in, with figures; NULL: without */
static void put_limit(rlx_page_t *page, const rlx_limit_view_t *view,
                      const char *source, const apr_array_header_t *rules)
{
    rlx_page_put(page, "<li><div class=\"line\"><span class=\"what\">");
    rlx_page_limit(page, view);
    rlx_page_put(page, "</span> <span class=\"from\">");
    if (source) {
        rlx_page_element(page, "span", strcmp(source, "own") ? "source"
                                                             : "source own",
                         source);
        rlx_page_put(page, " ");
    }
    rlx_page_where(page, view->declared_at);
    rlx_page_put(page, "</span></div>");
    if (rules) {
        put_all_figures(page, view->rule, rules);
    }
    rlx_page_put(page, "</li>\n");
}

/** The limits of a server that are of one kind. */
static void put_rules(rlx_page_t *page, const rlx_tree_t *tree,
                      const char *title, const apr_array_header_t *rules)
{
    const rlx_dir_t *dir = rlx_tree_dir(tree, NULL);

    if (!rules || !rules->nelts) {
        return;
    }
    rlx_page_print(page, "<h4>%s</h4>\n<ul class=\"limits\">\n", title);
    for (int i = 0; i < rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);
        rlx_limit_view_t view;

        rlx_view_rule(page->p, tree->sv, dir, NULL, rule, &view);
        put_limit(page, &view, rule->owner == tree->sv ? NULL
                  : "from the main server",
                  rule->owner == tree->sv ? rules : NULL);
    }
    rlx_page_put(page, "</ul>\n");
    apr_pool_clear(page->p);
}

static void put_effective(rlx_page_t *page, const rlx_node_t *node)
{
    const apr_array_header_t *effective = node->effective;

    if (!effective->nelts) {
        rlx_page_put(page, "<p class=\"none\">No limit holds here.</p>\n");
        return;
    }
    rlx_page_put(page, "<h4>In effect</h4>\n<ul class=\"limits\">\n");
    for (int i = 0; i < effective->nelts; i++) {
        const rlx_effect_t *effect = &APR_ARRAY_IDX(effective, i,
                                                    rlx_effect_t);
        rlx_limit_view_t view;

        rlx_view_effect(page->p, node->dir, node->section, effect, &view);
        put_limit(page, &view, view.source,
                  effect->holding.declared_in == node->section
                  ? node->section->rules : NULL);
    }
    rlx_page_put(page, "</ul>\n");
}

static int is_in_effect(const rlx_node_t *node, const rlx_rule_t *rule)
{
    for (int i = 0; i < node->effective->nelts; i++) {
        if (APR_ARRAY_IDX(node->effective, i, rlx_effect_t).holding.rule
            == rule) {
            return 1;
        }
    }
    return 0;
}

/** Those of its own limits that do not hold in a section. */
static void put_without_effect(rlx_page_t *page, const rlx_tree_t *tree,
                               const rlx_node_t *node)
{
    const apr_array_header_t *rules = node->section->rules;
    int n = 0;

    for (int i = 0; rules && i < rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);
        rlx_limit_view_t view;

        if (is_in_effect(node, rule)) {
            continue;
        }
        if (!n++) {
            rlx_page_put(page, "<h4>Own, without effect</h4>\n"
                         "<ul class=\"limits off\">\n");
        }
        rlx_view_rule(page->p, tree->sv, node->dir, node->section, rule,
                      &view);
        put_limit(page, &view, NULL, rules);
    }
    rlx_page_put(page, n ? "</ul>\n" : "");
}

/* --- a section ---------------------------------------------------------- */

/** "5 per 1 minute; 100 per 1 hour; 2 more" */
static void put_brief(rlx_page_t *page, const rlx_node_t *node,
                      const apr_array_header_t *effective)
{
    rlx_page_put(page, " <span class=\"brief\">");
    for (int i = 0; i < effective->nelts && i < BRIEF_MAX; i++) {
        rlx_limit_view_t view;

        rlx_view_effect(page->p, node ? node->dir : NULL,
                        node ? node->section : NULL,
                        &APR_ARRAY_IDX(effective, i, rlx_effect_t), &view);
        rlx_page_put(page, i ? "; " : "");
        rlx_page_text(page, view.limit);
    }
    if (effective->nelts > BRIEF_MAX) {
        rlx_page_print(page, "; %d more", effective->nelts - BRIEF_MAX);
    }
    rlx_page_put(page, effective->nelts ? "</span>" : "no limit</span>");
}

/** Where limits do not refuse, whatever they say. */
static void put_engine(rlx_page_t *page, const rlx_dir_t *dir)
{
    const char *engine = rlx_view_engine(dir);

    if (strcmp(engine, "On")) {
        rlx_page_print(page, " <span class=\"badge warn\">%s</span>",
                       strcmp(engine, "Off") ? "dry run" : "engine off");
    }
}

static void put_badges(rlx_page_t *page, const rlx_node_t *node)
{
    const apr_array_header_t *rules = node->section->rules;
    apr_uint64_t refused = 0;
    rlx_fates_t fates;

    if (node->section->exempt) {
        rlx_page_put(page, " <span class=\"badge\">exempt</span>");
    }
    put_engine(page, node->dir);
    for (int i = 0; rules && i < rules->nelts; i++) {
        rlx_figures_of(APR_ARRAY_IDX(rules, i, rlx_rule_t *), &fates);
        refused += fates.of[RLX_FATE_REFUSED];
    }
    if (refused) {
        rlx_page_put(page, " <span class=\"badge bad\">");
        rlx_page_number(page, refused);
        rlx_page_put(page, " refused</span>");
    }
}

static void put_fact(rlx_page_t *page, const char *name, const char *text)
{
    if (text && text[0]) {
        rlx_page_print(page, "<div><dt>%s</dt><dd>", name);
        rlx_page_text(page, text);
        rlx_page_put(page, "</dd></div>\n");
    }
}

static void put_facts(rlx_page_t *page, const rlx_node_t *node)
{
    const rlx_section_t *section = node->section;
    const char *engine = rlx_view_engine(node->dir);

    rlx_page_put(page, "<dl class=\"facts\">\n<div><dt>Declared at</dt><dd>");
    rlx_page_where(page, rlx_where(page->p, section->file, section->line));
    rlx_page_put(page, "</dd></div>\n");
    put_fact(page, "Within", node->within);
    put_fact(page, "Endpoint",
             section->endpoint ? section->endpoint->text : NULL);
    put_fact(page, "Exempt from", rlx_view_join(
        page->p, rlx_view_exempt(page->p, section->exempt), ", "));
    put_fact(page, "Exempt from, by enclosing sections", rlx_view_join(
        page->p, rlx_view_exempt(page->p, node->exempt & ~section->exempt),
        ", "));
    put_fact(page, "Engine", strcmp(engine, "On") ? engine : NULL);
    rlx_page_put(page, "</dl>\n");
}

static void put_nodes(rlx_page_t *page, const rlx_tree_t *tree, int tree_no,
                      const apr_array_header_t *nodes, int *serial, int depth)
{
    for (int i = 0; nodes && i < nodes->nelts; i++) {
        const rlx_node_t *node = APR_ARRAY_IDX(nodes, i, rlx_node_t *);

        /* Deep ones are not pushed off a small screen. */
        rlx_page_print(page, "<details class=\"node%s\" id=\"t%ds%d\">"
                       "<summary>", depth > 5 ? " deep" : "", tree_no,
                       ++*serial);
        rlx_page_section(page, node->type, node->path);
        put_badges(page, node);
        put_brief(page, node, node->effective);
        if (node->inner) {
            rlx_page_print(page, " <span class=\"nested\">%d nested</span>",
                           node->inner->nelts);
        }
        rlx_page_put(page, "</summary><div class=\"in\">\n");
        put_facts(page, node);
        put_effective(page, node);
        put_without_effect(page, tree, node);
        apr_pool_clear(page->p);
        put_nodes(page, tree, tree_no, node->inner, serial, depth + 1);
        rlx_page_put(page, "</div></details>\n");
    }
}

/* --- a server ----------------------------------------------------------- */

/** "main server", or the virtual host's name. */
static void put_server_name(rlx_page_t *page, const rlx_tree_t *tree)
{
    rlx_page_element(page, "span", "server-name", tree->sv->name);
    rlx_page_put(page, strcmp(tree->sv->name, "_main")
                       ? "" : " <span class=\"muted\">main server</span>");
}

/** Not 0 if it is the one that ?tree= wants to see in full. */
static int has_asked_for(const rlx_page_t *page, const rlx_tree_t *tree)
{
    const char *name = rlx_page_asked(page, "tree");

    return name && !strcmp(name, tree->sv->name);
}

static void put_sections(rlx_page_t *page, const rlx_tree_t *tree, int no)
{
    int serial = 0;

    if (!tree->all->nelts) {
        rlx_page_put(page, "<p class=\"none\">No section speaks of limits."
                     "</p>\n");
    }
    else if (has_asked_for(page, tree) || tree->all->nelts <= page->room) {
        page->room -= has_asked_for(page, tree) ? 0 : tree->all->nelts;
        put_nodes(page, tree, no, tree->sections, &serial, 0);
    }
    else {
        rlx_page_put(page, "<p class=\"none\"><a href=\"");
        rlx_page_link(page, "tree", tree->sv->name);
        rlx_page_print(page, "#t%d\">Show its %d sections</a></p>\n", no,
                       tree->all->nelts);
    }
}

static void put_server(rlx_page_t *page, const rlx_tree_t *tree, int no,
                       int is_open)
{
    const rlx_server_t *sv = tree->sv;
    int n = tree->all->nelts;

    rlx_page_print(page, "<details class=\"card vhost\" id=\"t%d\"%s>"
                   "<summary><h3>", no, is_open ? " open=\"open\"" : "");
    put_server_name(page, tree);
    rlx_page_put(page, "</h3>");
    put_engine(page, rlx_dir_of(sv->server->lookup_defaults));
    put_brief(page, NULL, tree->effective);
    rlx_page_print(page, " <span class=\"count\">%d section%s</span>"
                   "</summary><div class=\"in\">\n", n, n == 1 ? "" : "s");
    put_rules(page, tree, "Application", sv->application);
    put_rules(page, tree, "Default", sv->defaults);
    put_rules(page, tree, "Meta", sv->meta);
    put_rules(page, tree, "Fallback", sv->fallback);
    rlx_page_put(page, n ? "<h4>Sections</h4>\n" : "");
    put_sections(page, tree, no);
    rlx_page_htaccess(page, sv->name, no);
    rlx_page_put(page, "</div></details>\n");
    apr_pool_clear(page->p);
}

/** Sections of all trees; the main server's count for each. */
static int count_sections(const apr_array_header_t *trees)
{
    int n = 0;

    for (int i = 0; i < trees->nelts; i++) {
        n += APR_ARRAY_IDX(trees, i, rlx_tree_t *)->all->nelts;
    }
    return n;
}

/** Not 0 if nothing in any server limits anything. */
static int is_unlimited(const apr_array_header_t *trees)
{
    for (int i = 0; i < trees->nelts; i++) {
        const rlx_tree_t *tree = APR_ARRAY_IDX(trees, i, rlx_tree_t *);
        const rlx_server_t *sv = tree->sv;

        if (tree->all->nelts || tree->effective->nelts
            || (sv->meta && sv->meta->nelts)) {
            return 0;
        }
    }
    return 1;
}

/** Figures of limits that are in no tree. */
static void put_others(rlx_page_t *page, const char *whose,
                       const rlx_fates_t *fates)
{
    if (!fates->seen) {
        return;
    }
    rlx_page_print(page, "<p class=\"more\">%s: looked at for ", whose);
    rlx_page_number(page, fates->seen);
    rlx_page_put(page, fates->seen == 1 ? " request, " : " requests, ");
    rlx_page_number(page, fates->of[RLX_FATE_REFUSED]);
    rlx_page_put(page, " refused.</p>\n");
}

/** What is to be said behind the trees. */
static void put_rest(rlx_page_t *page)
{
    rlx_fates_t fates;

    if (page->snapshot->htaccess_left_out) {
        rlx_page_print(page, "<p class=\"more\">About %d more .htaccess files "
                       "were seen that there is no room for.</p>\n",
                       page->snapshot->htaccess_left_out);
    }
    rlx_figures_of_modules(&fates);
    put_others(page, "Limits of other modules", &fates);
    rlx_figures_of_others(&fates);
    put_others(page, "Limits of .htaccess files without figures of their own",
               &fates);
}

/** The heading, with buttons for the script. */
static void put_heading(rlx_page_t *page)
{
    rlx_page_put(page, "<section id=\"limits\" aria-labelledby=\"h-lim\">\n"
                 "<div class=\"head\"><h2 id=\"h-lim\">Limits</h2>"
                 "<span class=\"fold\" hidden=\"hidden\">"
                 "<button type=\"button\" data-fold=\"open\">Unfold all"
                 "</button> <button type=\"button\" data-fold=\"\">Fold all"
                 "</button></span></div>\n");
}

void rlx_page_tree(rlx_page_t *page)
{
    const apr_array_header_t *trees = page->snapshot->trees;
    int total = count_sections(trees);
    int is_small = trees->nelts <= 5 && total <= SECTIONS_AT_ONCE;

    page->room = SECTIONS_MAX;
    for (int i = 0; i < trees->nelts; i++) {
        const rlx_tree_t *tree = APR_ARRAY_IDX(trees, i, rlx_tree_t *);

        /* What was asked for comes first, wherever it stands. */
        if (has_asked_for(page, tree)) {
            page->room -= tree->all->nelts;
        }
    }
    put_heading(page);
    if (is_unlimited(trees)) {
        rlx_page_put(page, "<p class=\"empty\">No limit is configured. "
                     "<code>RateLimitDefault \"100 per minute\"</code> in the "
                     "server's configuration is a beginning.</p>\n");
    }
    for (int i = 0; i < trees->nelts; i++) {
        const rlx_tree_t *tree = APR_ARRAY_IDX(trees, i, rlx_tree_t *);

        put_server(page, tree, i, is_small || trees->nelts == 1
                                  || has_asked_for(page, tree));
    }
    put_rest(page);
    rlx_page_put(page, "</section>\n");
}
