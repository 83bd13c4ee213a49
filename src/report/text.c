/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A snapshot for a terminal. Each level is indented by two blanks; whatever
 * stands in a configuration stays on its line.
 */

#include "report/render.h"

#include "apr_strings.h"

#include "report/text_figures.h"
#include "report/text_storage.h"
#include "report/where.h"

/** Begin a line. */
static void indent(rlx_out_t *out, int depth)
{
    while (depth--) {
        rlx_out_put(out, "  ");
    }
}

/** "name: text" on a line of its own. */
static void line(rlx_out_t *out, int depth, const char *name,
                 const char *text)
{
    indent(out, depth);
    rlx_out_put(out, name);
    rlx_out_put(out, ": ");
    rlx_out_text(out, text);
    rlx_out_put(out, "\n");
}

static void render_setting(rlx_out_t *out, const rlx_setting_t *setting)
{
    rlx_out_print(out, "  %-24s ", setting->directive);
    rlx_out_text(out, setting->value);
    rlx_out_put(out, "  (");
    rlx_out_text(out, setting->declared_at ? setting->declared_at : "default");
    rlx_out_put(out, ")");
    if (setting->section || strcmp(setting->server, "_main")) {
        rlx_out_put(out, " in ");
        rlx_out_text(out, setting->server);
    }
    if (setting->section) {
        rlx_out_put(out, ", ");
        rlx_out_text(out, setting->section);
    }
    rlx_out_put(out, "\n");
}

/** "10 per 1 hour, fixed-window key=..., from default (file:line)". */
static void render_limit(rlx_out_t *out, int depth, apr_pool_t *p,
                         const rlx_limit_view_t *view, int with_source)
{
    const char *methods = rlx_view_methods(p, view);

    indent(out, depth);
    rlx_out_text(out, view->limit);
    rlx_out_put(out, ", ");
    rlx_out_put(out, view->strategy);
    rlx_out_text(out, rlx_view_options(p, view));
    if (methods) {
        rlx_out_put(out, ", for ");
        rlx_out_text(out, methods);
    }
    if (with_source) {
        rlx_out_put(out, " [");
        rlx_out_text(out, view->source);
        rlx_out_put(out, "]");
    }
    rlx_out_put(out, "  (");
    rlx_out_text(out, view->declared_at);
    rlx_out_put(out, ")\n");
}

static void render_rules(rlx_out_t *out, int depth, const char *name,
                         const rlx_snapshot_t *snapshot,
                         const rlx_tree_t *tree, const rlx_node_t *node,
                         const apr_array_header_t *rules)
{
    const rlx_dir_t *dir = rlx_tree_dir(tree, node);

    if (!rules || !rules->nelts) {
        return;
    }
    indent(out, depth);
    rlx_out_print(out, "%s:\n", name);
    for (int i = 0; i < rules->nelts; i++) {
        rlx_limit_view_t view;

        rlx_view_rule(snapshot->p, tree->sv, dir, node ? node->section : NULL,
                      APR_ARRAY_IDX(rules, i, rlx_rule_t *), &view);
        render_limit(out, depth + 1, snapshot->p, &view, 0);
    }
}

static void render_effective(rlx_out_t *out, int depth,
                             const rlx_snapshot_t *snapshot,
                             const rlx_node_t *node)
{
    const apr_array_header_t *effective = node->effective;

    indent(out, depth);
    rlx_out_put(out, effective->nelts ? "effective:\n" : "effective: none\n");
    for (int i = 0; i < effective->nelts; i++) {
        rlx_limit_view_t view;

        rlx_view_effect(snapshot->p, node->dir, node->section,
                        &APR_ARRAY_IDX(effective, i, rlx_effect_t), &view);
        render_limit(out, depth + 1, snapshot->p, &view, 1);
    }
}

/** A section, without those in it. */
static void render_node(rlx_out_t *out, int depth,
                        const rlx_snapshot_t *snapshot, const rlx_tree_t *tree,
                        const rlx_node_t *node)
{
    const rlx_section_t *section = node->section;
    apr_pool_t *p = snapshot->p;

    indent(out, depth);
    rlx_out_put(out, node->type);
    rlx_out_put(out, " ");
    rlx_out_text(out, node->path);
    rlx_out_text(out, apr_psprintf(p, "  (%s)", rlx_where(
        p, section->file, section->line)));
    rlx_out_put(out, "\n");
    if (node->within) {
        line(out, depth + 1, "within", node->within);
    }
    if (section->endpoint) {
        line(out, depth + 1, "endpoint", section->endpoint->text);
    }
    if (section->exempt) {
        line(out, depth + 1, "exempt",
             rlx_view_join(p, rlx_view_exempt(p, section->exempt), " "));
    }
    if (strcmp(rlx_view_engine(node->dir), "On")) {
        line(out, depth + 1, "engine", rlx_view_engine(node->dir));
    }
    render_rules(out, depth + 1, "own", snapshot, tree, node, section->rules);
    render_effective(out, depth + 1, snapshot, node);
}

static void render_nodes(rlx_out_t *out, int depth,
                         const rlx_snapshot_t *snapshot,
                         const rlx_tree_t *tree,
                         const apr_array_header_t *nodes)
{
    for (int i = 0; nodes && i < nodes->nelts; i++) {
        const rlx_node_t *node = APR_ARRAY_IDX(nodes, i, rlx_node_t *);

        render_node(out, depth, snapshot, tree, node);
        render_nodes(out, depth + 1, snapshot, tree, node->inner);
    }
}

static void render_tree(rlx_out_t *out, const rlx_snapshot_t *snapshot,
                        const rlx_tree_t *tree)
{
    const rlx_server_t *sv = tree->sv;

    indent(out, 1);
    rlx_out_text(out, sv->name);
    rlx_out_put(out, "\n");
    render_rules(out, 2, "application", snapshot, tree, NULL,
                 sv->application);
    render_rules(out, 2, "default", snapshot, tree, NULL, sv->defaults);
    render_rules(out, 2, "meta", snapshot, tree, NULL, sv->meta);
    render_rules(out, 2, "fallback", snapshot, tree, NULL, sv->fallback);
    if (!tree->sections->nelts) {
        rlx_out_put(out, "    no section speaks of limits\n");
    }
    render_nodes(out, 2, snapshot, tree, tree->sections);
}

static void render_warnings(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    rlx_out_put(out, snapshot->warnings->nelts ? "\nWarnings\n"
                                               : "\nWarnings: none\n");
    for (int i = 0; i < snapshot->warnings->nelts; i++) {
        const rlx_warning_t *warning = &APR_ARRAY_IDX(snapshot->warnings, i,
                                                      rlx_warning_t);

        line(out, 1, "at", warning->where);
        line(out, 2, "what", warning->text);
        line(out, 2, "mend", warning->mend);
    }
}

void rlx_render_text(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    if (snapshot->path) {
        rlx_text_path(out, snapshot);
    }
    if (snapshot->path && snapshot->key) {
        rlx_out_put(out, "\n");
    }
    if (snapshot->key) {
        rlx_text_key(out, snapshot);
    }
    if (snapshot->path || snapshot->key) {
        return;
    }
    rlx_out_put(out, "Configuration\n");
    for (int i = 0; i < snapshot->settings->nelts; i++) {
        render_setting(out, &APR_ARRAY_IDX(snapshot->settings, i,
                                           rlx_setting_t));
    }
    rlx_out_put(out, "\nLimits\n");
    for (int i = 0; i < snapshot->trees->nelts; i++) {
        render_tree(out, snapshot, APR_ARRAY_IDX(snapshot->trees, i,
                                                 rlx_tree_t *));
    }
    rlx_text_seen(out, snapshot);
    rlx_text_storages(out, snapshot);
    render_warnings(out, snapshot);
    if (snapshot->is_served) {
        rlx_text_figures(out, snapshot);
    }
}
