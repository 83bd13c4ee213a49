/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A limit on the page, and every limit that is declared.
 */

#include "report/html_parts.h"

#include "apr_hash.h"
#include "apr_strings.h"

/** The option name=, which the page shows by itself; NULL: none. */
static const char *name_of(const rlx_limit_view_t *view)
{
    return view->rule->options->name;
}

/** Options as they would be written, but for the name. */
static void put_options(rlx_page_t *page, const rlx_limit_view_t *view)
{
    rlx_limit_view_t one = *view;

    for (int i = 0; i < view->options->nelts; i++) {
        const rlx_option_view_t *option = &APR_ARRAY_IDX(view->options, i,
                                                         rlx_option_view_t);

        if (strcmp(option->name, "name")) {
            one.options = apr_array_make(page->p, 1, sizeof(*option));
            APR_ARRAY_PUSH(one.options, rlx_option_view_t) = *option;
            rlx_page_put(page, " ");
            rlx_page_element(page, "code",
                             strcmp(option->name, "dry_run") ? "option"
                                                             : "option dry",
                             rlx_view_options(page->p, &one) + 1);
        }
    }
}

void rlx_page_limit(rlx_page_t *page, const rlx_limit_view_t *view)
{
    const char *methods = rlx_view_methods(page->p, view);

    rlx_page_element(page, view->is_dynamic ? "code" : "b", "limit",
                     view->limit);
    if (name_of(view)) {
        rlx_page_put(page, " ");
        rlx_page_element(page, "span", "name", name_of(view));
    }
    rlx_page_put(page, " ");
    rlx_page_element(page, "span", "strategy word", view->strategy);
    if (methods) {
        rlx_page_put(page, " <span class=\"strategy\">for ");
        rlx_page_text(page, methods);
        rlx_page_put(page, "</span>");
    }
    put_options(page, view);
}

/** A file's name may be broken behind its slashes. */
void rlx_page_where(rlx_page_t *page, const char *declared_at)
{
    const char *slash;

    rlx_page_put(page, "<code class=\"where\">");
    while ((slash = strchr(declared_at, '/'))) {
        rlx_page_text(page, apr_pstrmemdup(page->p, declared_at,
                                           slash - declared_at + 1));
        rlx_page_put(page, "<wbr/>");
        declared_at = slash + 1;
    }
    rlx_page_text(page, declared_at);
    rlx_page_put(page, "</code>");
}

static void visit_rules(rlx_page_t *page, rlx_page_rule_fn visit, void *baton,
                        const rlx_tree_t *tree, const rlx_node_t *node,
                        const apr_array_header_t *rules)
{
    const rlx_dir_t *dir = node ? node->dir
                           : rlx_dir_of(tree->sv->server->lookup_defaults);

    for (int i = 0; rules && i < rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);
        rlx_limit_view_t view;

        /* A virtual host without its own has the main server's. */
        if (!node && rule->owner != tree->sv) {
            continue;
        }
        rlx_view_rule(page->p, tree->sv, dir, node ? node->section : NULL,
                      rule, &view);
        visit(baton, tree, node, &view);
        apr_pool_clear(page->p);
    }
}

/** The main server's sections are in each virtual host's tree, too. */
static int is_new(apr_hash_t *seen, const rlx_section_t **section)
{
    if (apr_hash_get(seen, section, sizeof(*section))) {
        return 0;
    }
    apr_hash_set(seen, section, sizeof(*section), *section);
    return 1;
}

void rlx_page_each_rule(rlx_page_t *page, rlx_page_rule_fn visit, void *baton)
{
    const apr_array_header_t *trees = page->snapshot->trees;
    apr_hash_t *seen = apr_hash_make(page->snapshot->p);

    for (int i = 0; i < trees->nelts; i++) {
        const rlx_tree_t *tree = APR_ARRAY_IDX(trees, i, rlx_tree_t *);
        const rlx_server_t *sv = tree->sv;

        visit_rules(page, visit, baton, tree, NULL, sv->application);
        visit_rules(page, visit, baton, tree, NULL, sv->defaults);
        visit_rules(page, visit, baton, tree, NULL, sv->meta);
        visit_rules(page, visit, baton, tree, NULL, sv->fallback);
        for (int j = 0; j < tree->all->nelts; j++) {
            rlx_node_t *node = APR_ARRAY_IDX(tree->all, j, rlx_node_t *);

            if (is_new(seen, &node->section)) {
                visit_rules(page, visit, baton, tree, node,
                            node->section->rules);
            }
        }
    }
}

void rlx_page_place(rlx_page_t *page, const rlx_tree_t *tree,
                    const rlx_node_t *node)
{
    rlx_page_element(page, "span", "server", tree->sv->name);
    if (node) {
        rlx_page_put(page, " <span class=\"type\">");
        rlx_page_text(page, node->type);
        rlx_page_put(page, "</span> ");
        rlx_page_element(page, "code", "path", node->path);
    }
}
