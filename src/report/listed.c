/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Every limit of the configuration.
 */

#include "report/listed.h"

#include "apr_hash.h"

#include "http/declared.h"

/** A list while it is made. */
typedef struct listing_t {
    apr_pool_t *p;
    /** rlx_listed_t */
    apr_array_header_t *listed;
    /** The server that is looked at, and the nodes of its tree, by their
     *  sections: const rlx_section_t *. */
    const rlx_tree_t *tree;
    apr_hash_t *nodes;
} listing_t;

static apr_hash_t *nodes_of(apr_pool_t *ptemp, const rlx_tree_t *tree)
{
    apr_hash_t *nodes = apr_hash_make(ptemp);

    for (int i = 0; i < tree->all->nelts; i++) {
        const rlx_node_t *node = APR_ARRAY_IDX(tree->all, i, rlx_node_t *);

        apr_hash_set(nodes, &node->section, sizeof(node->section), node);
    }
    return nodes;
}

/** List a limit; an rlx_declared_fn. Those that a virtual host has of the main
 *  server are listed there. */
static int list(void *baton, rlx_rule_t *rule, const rlx_section_t *section)
{
    listing_t *listing = baton;
    const rlx_tree_t *tree = listing->tree;
    rlx_listed_t *listed;

    if (rule->owner != tree->sv) {
        return 0;
    }
    listed = apr_array_push(listing->listed);
    listed->tree = tree;
    listed->node = section ? apr_hash_get(listing->nodes, &section,
                                          sizeof(section)) : NULL;
    rlx_view_rule(listing->p, tree->sv, rlx_tree_dir(tree, listed->node),
                  section, rule, &listed->view);
    return 0;
}

apr_array_header_t *rlx_listed_make(apr_pool_t *p,
                                    const apr_array_header_t *trees)
{
    listing_t listing = { p, apr_array_make(p, 16, sizeof(rlx_listed_t)) };
    apr_pool_t *ptemp;

    apr_pool_create(&ptemp, p);
    apr_pool_tag(ptemp, "rlx_listed");
    for (int i = 0; i < trees->nelts; i++) {
        listing.tree = APR_ARRAY_IDX(trees, i, rlx_tree_t *);
        listing.nodes = nodes_of(ptemp, listing.tree);
        rlx_declared_each(listing.tree->sv, list, &listing);
        apr_pool_clear(ptemp);
    }
    apr_pool_destroy(ptemp);
    return listing.listed;
}

const char *rlx_listed_section(const rlx_listed_t *listed)
{
    return listed->node ? listed->node->section->name : NULL;
}
