/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A snapshot for programs: servers, sections and limits.
 */

#include "report/json_inside.h"
#include "report/where.h"

#include "apr_strings.h"

/** What of a limit may be asked of each. */
static void put_common(rlx_json_t *json, const rlx_limit_view_t *view)
{
    rlx_json_text(json, "limit", view->limit);
    if (view->is_dynamic) {
        rlx_json_null(json, "count");
        rlx_json_null(json, "window");
    }
    else {
        rlx_json_unsigned(json, "count", view->count);
        rlx_json_number(json, "window", view->window_sec);
    }
    rlx_json_text(json, "strategy", view->strategy);
    rlx_json_text(json, "source", view->source);
    rlx_json_text(json, "declared_at", view->declared_at);
}

static void put_option(rlx_json_t *json, const rlx_option_view_t *option)
{
    switch (option->kind) {
    case RLX_VIEW_NUMBER:
        rlx_json_number(json, option->name, option->number);
        break;
    case RLX_VIEW_FLAG:
        rlx_json_flag(json, option->name, option->number != 0);
        break;
    case RLX_VIEW_LIST:
        rlx_json_texts(json, option->name, option->list);
        break;
    default:
        rlx_json_text(json, option->name, option->text);
    }
}

void rlx_json_limit(rlx_json_t *json, const rlx_limit_view_t *view)
{
    put_common(json, view);
    if (view->from) {
        rlx_json_text(json, "from", view->from);
    }
    if (view->methods) {
        rlx_json_texts(json, view->is_all_but ? "holds_for_all_but"
                                              : "holds_for", view->methods);
    }
    for (int i = 0; i < view->options->nelts; i++) {
        put_option(json, &APR_ARRAY_IDX(view->options, i, rlx_option_view_t));
    }
}

void rlx_json_limit_brief(rlx_json_t *json, const rlx_limit_view_t *view)
{
    put_common(json, view);
    rlx_json_text(json, "name", view->rule->options->name);
}

/** What is being written. */
typedef struct writing_t {
    rlx_json_t *json;
    const rlx_tree_t *tree;
    /** For one section or server at a time: there may be thousands. */
    apr_pool_t *ptemp;
} writing_t;

static void put_limit(rlx_json_t *json, const rlx_limit_view_t *view)
{
    rlx_json_open_object(json, NULL);
    rlx_json_limit(json, view);
    rlx_json_close(json);
}

/** A list of limits where they are declared.
 *  @param section NULL: at server level */
static void put_rules(const writing_t *to, const char *name,
                      const rlx_dir_t *dir, const rlx_section_t *section,
                      const apr_array_header_t *rules)
{
    rlx_json_open_list(to->json, name);
    for (int i = 0; rules && i < rules->nelts; i++) {
        rlx_limit_view_t view;

        rlx_view_rule(to->ptemp, to->tree->sv, dir, section,
                      APR_ARRAY_IDX(rules, i, rlx_rule_t *), &view);
        put_limit(to->json, &view);
    }
    rlx_json_close(to->json);
}

/** What holds.
 *  @param section where; NULL: where no section speaks of limits */
static void put_effective(const writing_t *to, const rlx_dir_t *dir,
                          const rlx_section_t *section,
                          const apr_array_header_t *effective)
{
    rlx_json_open_list(to->json, "effective");
    for (int i = 0; i < effective->nelts; i++) {
        rlx_limit_view_t view;

        rlx_view_effect(to->ptemp, dir, section,
                        &APR_ARRAY_IDX(effective, i, rlx_effect_t), &view);
        put_limit(to->json, &view);
    }
    rlx_json_close(to->json);
}

/** The members of a section but for those in it. */
static void put_node(const writing_t *to, const rlx_node_t *node)
{
    const rlx_section_t *section = node->section;
    rlx_json_t *json = to->json;
    apr_pool_t *p = to->ptemp;

    rlx_json_text(json, "type", node->type);
    rlx_json_text(json, "path", node->path);
    rlx_json_text(json, "name", section->name);
    rlx_json_text(json, "within", node->within);
    rlx_json_text(json, "declared_at",
                  rlx_where(p, section->file, section->line));
    rlx_json_text(json, "endpoint",
                  section->endpoint ? section->endpoint->text : NULL);
    rlx_json_text(json, "engine", rlx_view_engine(node->dir));
    put_rules(to, "own", node->dir, section, section->rules);
    rlx_json_texts(json, "exempt", rlx_view_exempt(p, section->exempt));
    rlx_json_texts(json, "exempt_in_force", rlx_view_exempt(p, node->exempt));
    put_effective(to, node->dir, section, node->effective);
    apr_pool_clear(p);
}

static void put_nodes(const writing_t *to, const apr_array_header_t *nodes)
{
    rlx_json_open_list(to->json, "sections");
    for (int i = 0; nodes && i < nodes->nelts; i++) {
        const rlx_node_t *node = APR_ARRAY_IDX(nodes, i, rlx_node_t *);

        rlx_json_open_object(to->json, NULL);
        put_node(to, node);
        put_nodes(to, node->inner);
        rlx_json_close(to->json);
    }
    rlx_json_close(to->json);
}

/** Where a virtual host begins; NULL: it is the main server. */
static const char *place_of(apr_pool_t *p, const server_rec *s)
{
    return s->is_virtual && s->defn_name
           ? apr_psprintf(p, "%s:%u", s->defn_name, s->defn_line_number)
           : NULL;
}

static void put_server(const writing_t *to)
{
    const rlx_server_t *sv = to->tree->sv;
    const rlx_dir_t *dir = rlx_tree_dir(to->tree, NULL);
    rlx_json_t *json = to->json;

    rlx_json_text(json, "name", sv->name);
    rlx_json_text(json, "declared_at", place_of(to->ptemp, sv->server));
    rlx_json_text(json, "storage", sv->store->shown_uri);
    rlx_json_text(json, "engine", rlx_view_engine(dir));
    put_rules(to, "application", dir, NULL, sv->application);
    put_rules(to, "default", dir, NULL, sv->defaults);
    put_rules(to, "meta", dir, NULL, sv->meta);
    put_rules(to, "fallback", dir, NULL, sv->fallback);
    put_effective(to, dir, NULL, to->tree->effective);
    apr_pool_clear(to->ptemp);
    put_nodes(to, to->tree->sections);
}

void rlx_json_servers(rlx_json_t *json, const rlx_snapshot_t *snapshot)
{
    writing_t to = { json, NULL, NULL };

    apr_pool_create(&to.ptemp, snapshot->p);
    apr_pool_tag(to.ptemp, "rlx_json");
    rlx_json_open_list(json, "servers");
    for (int i = 0; i < snapshot->trees->nelts; i++) {
        to.tree = APR_ARRAY_IDX(snapshot->trees, i, rlx_tree_t *);
        rlx_json_open_object(json, NULL);
        put_server(&to);
        rlx_json_close(json);
    }
    rlx_json_close(json);
    apr_pool_destroy(to.ptemp);
}
