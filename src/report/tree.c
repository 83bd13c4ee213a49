/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The sections that speak of limits, nested as they inherit.
 *
 * httpd keeps <Directory> and <Location> in two lists of the server, in which
 * a virtual host's come after the main server's, and <Files> and <If> in lists
 * of what they stand in. A request meets some of each list, in its order. So
 * for each section that is asked for, those of its list that a request to its
 * path meets are merged, and it is nested in the last of them before it.
 *
 * mod_proxy keeps <Proxy> to itself: such sections are found as directives.
 */

#include "report/tree.h"

#include "apr_hash.h"
#include "apr_strings.h"

#include "http/counter.h"
#include "report/meets.h"

/** What is in the making. */
typedef struct making_t {
    apr_pool_t *p;
    apr_pool_t *ptemp;
    rlx_tree_t *tree;
    /** rlx_node_t by its line, const ap_directive_t *. */
    apr_hash_t *by_line;
} making_t;

/** A section of one of httpd's lists. */
typedef struct place_t {
    ap_conf_vector_t *conf;
    const core_dir_config *core;
    /** NULL: it does not speak of limits. */
    rlx_node_t *node;
} place_t;

/*
 * What holds
 */

/** The methods that some rule of a list names. */
static apr_int64_t methods_of(const apr_array_header_t *rules)
{
    apr_int64_t bits = 0;

    for (int i = 0; rules && i < rules->nelts; i++) {
        bits |= APR_ARRAY_IDX(rules, i, rlx_rule_t *)->options->methods;
    }
    return bits;
}

static apr_int64_t methods_of_all(const rlx_server_t *sv,
                                  const rlx_chain_t *chain)
{
    apr_int64_t bits = methods_of(sv->defaults) | methods_of(sv->application);

    for (; chain; chain = chain->outer) {
        bits |= methods_of(chain->section->rules);
    }
    /* HEAD is a GET unless something says more. */
    return bits & (AP_METHOD_BIT << RLX_METHOD_HEAD)
           ? bits | (AP_METHOD_BIT << M_GET) : bits;
}

/** Sorts before another: as rlx_resolve() sorts, with several plans in one. */
static int goes_before(const rlx_holding_t *holding,
                       const rlx_holding_t *than)
{
    const rlx_rule_t *a = holding->rule, *b = than->rule;
    static const int ranks[] = {
        [RLX_RULE_APPLICATION] = 0,
        [RLX_RULE_DEFAULT] = 1,
        [RLX_RULE_SECTION] = 2,
        [RLX_RULE_SHARED] = 2,
        [RLX_RULE_META] = 2,
        [RLX_RULE_FALLBACK] = 2,
        [RLX_RULE_MODULE] = 2
    };

    if (a->limit[0].window_usec != b->limit[0].window_usec) {
        return a->limit[0].window_usec < b->limit[0].window_usec;
    }
    if (ranks[a->kind] != ranks[b->kind]) {
        return ranks[a->kind] < ranks[b->kind];
    }
    /* Of one section, as written, whichever method asks first. */
    return holding->declared_in == than->declared_in && a->line < b->line;
}

/** The place of a holding among what is known to hold, made if it is new. */
static rlx_effect_t *effect_of(apr_array_header_t *effects,
                               const rlx_holding_t *holding)
{
    rlx_effect_t *at = (rlx_effect_t *)effects->elts;
    int n = effects->nelts;

    for (int i = 0; i < n; i++) {
        if (at[i].holding.rule == holding->rule) {
            return &at[i];
        }
    }
    apr_array_push(effects);
    at = (rlx_effect_t *)effects->elts;
    while (n && goes_before(holding, &at[n - 1].holding)) {
        at[n] = at[n - 1];
        n--;
    }
    memset(&at[n], 0, sizeof(at[n]));
    at[n].holding = *holding;
    return &at[n];
}

/** Note what holds for one method.
 *  @param bit of it; 0: all that no rule names */
static unsigned int add_method(apr_pool_t *p, apr_array_header_t *effects,
                               const rlx_server_t *sv,
                               const rlx_chain_t *chain, int method,
                               apr_int64_t bit)
{
    rlx_plan_t plan;

    rlx_resolve_shown(p, sv, chain, method, &plan);
    for (int i = 0; i < plan.n; i++) {
        rlx_effect_t *effect = effect_of(effects, &plan.holdings[i]);

        effect->methods |= bit;
        effect->is_all_but |= !bit;
    }
    return plan.exempt;
}

apr_array_header_t *rlx_tree_effective(apr_pool_t *p, const rlx_server_t *sv,
                                       const rlx_dir_t *dir,
                                       unsigned int *exempt)
{
    apr_array_header_t *effects = apr_array_make(p, 4, sizeof(rlx_effect_t));
    const rlx_chain_t *chain = dir ? dir->chain : NULL;
    apr_int64_t named = methods_of_all(sv, chain);

    *exempt = add_method(p, effects, sv, chain, M_INVALID, 0);
    for (int i = 0; named && i < 63; i++) {
        if (named & (AP_METHOD_BIT << i)) {
            add_method(p, effects, sv, chain, i, AP_METHOD_BIT << i);
        }
    }
    for (int i = 0; i < effects->nelts; i++) {
        rlx_effect_t *effect = &APR_ARRAY_IDX(effects, i, rlx_effect_t);

        if (effect->is_all_but) {
            effect->methods = named & ~effect->methods;
        }
        effect->strategy = rlx_counter_strategy(sv, dir, &effect->holding, p);
    }
    return effects;
}

/*
 * Nodes
 */

static void push(apr_pool_t *p, apr_array_header_t **list, rlx_node_t *node)
{
    if (!*list) {
        *list = apr_array_make(p, 4, sizeof(rlx_node_t *));
    }
    APR_ARRAY_PUSH(*list, rlx_node_t *) = node;
}

/** Make the node of a section, but for where it is and what holds in it. */
static rlx_node_t *make_node(making_t *making, const rlx_section_t *section)
{
    rlx_node_t *node = apr_pcalloc(making->p, sizeof(*node));
    char *text = apr_pstrdup(making->p, rlx_section_text(section->directive,
                                                         making->p));
    char *blank = strchr(text, ' ');

    node->section = section;
    node->type = text;
    node->path = "";
    if (blank) {
        *blank = '\0';
        node->path = blank + 1;
    }
    apr_hash_set(making->by_line, &section->directive,
                 sizeof(section->directive), node);
    return node;
}

/** What encloses a node without being in the tree. */
static const char *within(apr_pool_t *p, const rlx_node_t *node)
{
    apr_size_t own = strlen(node->type) + 1 + strlen(node->path);
    apr_size_t len = strlen(node->section->name);
    const char *around = len > own + 2
                         ? apr_pstrmemdup(p, node->section->name,
                                          len - own - 2) : NULL;

    return around && node->outer && !strcmp(around, node->outer->section->name)
           ? NULL : around;
}

/** Put a node where it belongs. */
static void place_node(making_t *making, rlx_node_t *node, rlx_node_t *outer,
                       const rlx_dir_t *dir)
{
    rlx_tree_t *tree = making->tree;

    node->outer = outer;
    node->within = within(making->p, node);
    node->dir = dir;
    node->effective = rlx_tree_effective(making->p, tree->sv, dir,
                                         &node->exempt);
    push(making->p, outer ? &outer->inner : &tree->sections, node);
    push(making->p, &tree->all, node);
}

static const rlx_dir_t *merge(apr_pool_t *p, const rlx_dir_t *base,
                              const rlx_dir_t *add)
{
    return !base ? add : !add ? base
           : rlx_dir_merge(p, (void *)base, (void *)add);
}

/*
 * httpd's lists
 */

static void take_nested(making_t *making, const core_dir_config *core,
                        rlx_node_t *outer, const rlx_dir_t *base);

/** <Files> or <If> sections of one place: a request may meet any of them. */
static void take_each(making_t *making, const apr_array_header_t *list,
                      rlx_node_t *outer, const rlx_dir_t *base)
{
    for (int i = 0; list && i < list->nelts; i++) {
        ap_conf_vector_t *conf = APR_ARRAY_IDX(list, i, ap_conf_vector_t *);
        const rlx_dir_t *own = rlx_dir_of(conf);
        const rlx_dir_t *dir = merge(making->p, base, own);
        rlx_node_t *node = outer;

        if (own && own->own) {
            node = make_node(making, own->own);
            place_node(making, node, outer, dir);
        }
        take_nested(making, ap_get_core_module_config(conf), node, dir);
    }
}

static void take_nested(making_t *making, const core_dir_config *core,
                        rlx_node_t *outer, const rlx_dir_t *base)
{
    if (core) {
        take_each(making, core->sec_file, outer, base);
        take_each(making, core->sec_if, outer, base);
    }
}

/** Those of a list that have anything of ours in them, place_t. */
static apr_array_header_t *places_of(making_t *making,
                                     const apr_array_header_t *list)
{
    apr_array_header_t *places = apr_array_make(making->ptemp, 16,
                                                sizeof(place_t));

    for (int i = 0; list && i < list->nelts; i++) {
        ap_conf_vector_t *conf = APR_ARRAY_IDX(list, i, ap_conf_vector_t *);
        const core_dir_config *core = ap_get_core_module_config(conf);
        const rlx_dir_t *own = rlx_dir_of(conf);

        if (core && (own || core->sec_file || core->sec_if)) {
            place_t *place = apr_array_push(places);

            place->conf = conf;
            place->core = core;
            place->node = own && own->own ? make_node(making, own->own) : NULL;
        }
    }
    return places;
}

/** As httpd sorts <Directory> sections before it serves. */
static int is_later(const core_dir_config *a, const core_dir_config *b)
{
    if (!a->r != !b->r) {
        return a->r != NULL;
    }
    return !a->r && a->d_components > b->d_components;
}

static void sort_directories(apr_array_header_t *places)
{
    place_t *at = (place_t *)places->elts;

    for (int i = 1; i < places->nelts; i++) {
        place_t place = at[i];
        int j = i;

        for (; j && is_later(at[j - 1].core, place.core); j--) {
            at[j] = at[j - 1];
        }
        at[j] = place;
    }
}

/** Nest a list's sections, and what stands in them. */
static void take_list(making_t *making, const apr_array_header_t *places,
                      const rlx_dir_t *base)
{
    const place_t *at = (const place_t *)places->elts;

    for (int i = 0; i < places->nelts; i++) {
        const rlx_dir_t *dir = base;
        rlx_node_t *outer = NULL;

        for (int j = 0; j < places->nelts; j++) {
            if (j == i || rlx_meets(at[j].core, at[i].core, making->ptemp)) {
                dir = merge(making->p, dir, rlx_dir_of(at[j].conf));
                outer = j < i && at[j].node ? at[j].node : outer;
            }
        }
        if (at[i].node) {
            place_node(making, at[i].node, outer, dir);
        }
        take_nested(making, at[i].core, at[i].node ? at[i].node : outer, dir);
    }
}

/*
 * What httpd has in no list
 */

/** The node of what a line stands in. */
static rlx_node_t *node_around(const making_t *making,
                               const ap_directive_t *line)
{
    rlx_node_t *node = NULL;

    for (line = line->parent; line && !node; line = line->parent) {
        node = apr_hash_get(making->by_line, &line, sizeof(line));
    }
    return node;
}

static void take_rest(making_t *making, const rlx_server_t *sv,
                      const rlx_dir_t *base)
{
    for (int i = 0; sv->sections && i < sv->sections->nelts; i++) {
        const rlx_section_t *section = APR_ARRAY_IDX(sv->sections, i,
                                                     rlx_section_t *);
        rlx_node_t *outer;

        if (apr_hash_get(making->by_line, &section->directive,
                         sizeof(section->directive))) {
            continue;
        }
        outer = node_around(making, section->directive);
        place_node(making, make_node(making, section), outer,
                   merge(making->p, outer ? outer->dir : base,
                         section->settings));
    }
}

static apr_pool_t *pool_below(apr_pool_t *p)
{
    apr_pool_t *below;

    apr_pool_create(&below, p);
    apr_pool_tag(below, "rlx_report");
    return below;
}

apr_array_header_t *rlx_tree_servers(apr_pool_t *p, server_rec *main_server)
{
    apr_array_header_t *servers;
    int n = 1;

    for (server_rec *s = main_server->next; s; s = s->next) {
        n++;
    }
    servers = apr_array_make(p, n, sizeof(server_rec *));
    servers->nelts = n;
    APR_ARRAY_IDX(servers, 0, server_rec *) = main_server;
    /* httpd lists virtual hosts backwards. */
    for (server_rec *s = main_server->next; s; s = s->next) {
        APR_ARRAY_IDX(servers, --n, server_rec *) = s;
    }
    return servers;
}

rlx_tree_t *rlx_tree_make(apr_pool_t *p, const server_rec *main_server,
                          const server_rec *s)
{
    const core_server_config *core = ap_get_core_module_config(
        s->module_config);
    const rlx_dir_t *base = rlx_dir_of(s->lookup_defaults);
    rlx_tree_t *tree = apr_pcalloc(p, sizeof(*tree));
    making_t making = { p, pool_below(p), tree, NULL };
    apr_array_header_t *directories;
    unsigned int exempt;

    making.by_line = apr_hash_make(making.ptemp);
    tree->sv = rlx_server_of(s);
    tree->sections = apr_array_make(p, 4, sizeof(rlx_node_t *));
    tree->all = apr_array_make(p, 4, sizeof(rlx_node_t *));
    tree->effective = rlx_tree_effective(p, tree->sv, base, &exempt);

    directories = places_of(&making, core->sec_dir);
    sort_directories(directories);
    take_list(&making, directories, base);
    take_list(&making, places_of(&making, core->sec_url), base);
    take_nested(&making, ap_get_core_module_config(s->lookup_defaults), NULL,
                base);
    take_rest(&making, tree->sv, base);
    if (s != main_server) {
        take_rest(&making, rlx_server_of(main_server), base);
    }
    apr_pool_destroy(making.ptemp);
    return tree;
}
