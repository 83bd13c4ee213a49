/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  tree.h
 * @brief The sections that speak of limits, nested as they inherit, and what
 *        holds in each of them.
 *
 * Sections and their order come from httpd's own lists, they are merged by
 * the function that merges them for requests, and what holds is resolved as
 * for a request: nothing here decides anything.
 *
 * A tree is good for one server, since a virtual host meets the main server's
 * sections too. It is read-only once made.
 */

#ifndef RLX_REPORT_TREE_H
#define RLX_REPORT_TREE_H

#include "http/resolve.h"

/** A limit that holds somewhere. */
typedef struct rlx_effect_t {
    rlx_holding_t holding;
    rlx_strategy_e strategy;
    /** 1 << number of methods, and not 0 if it holds for all but these; else
     *  it holds for these alone. 0 and not 0: for every method. */
    apr_int64_t methods;
    int is_all_but;
} rlx_effect_t;

typedef struct rlx_node_t rlx_node_t;
/** A section that speaks of limits. */
struct rlx_node_t {
    const rlx_section_t *section;
    /** "Location" and "/api" of <Location "/api">. */
    const char *type;
    const char *path;
    /** What encloses it in the configuration without being in the tree, as
     *  "Directory /srv"; NULL: nothing. */
    const char *within;
    /** The section that it is nested in; NULL: none. */
    const rlx_node_t *outer;
    /** The configuration of a request to just that path. Sections that httpd
     *  merges later are in it: they are further inside. */
    const rlx_dir_t *dir;
    /** What holds for such a request: rlx_effect_t, in the order in which it
     *  is decided, and the RLX_EXEMPT_ bits in force. */
    apr_array_header_t *effective;
    unsigned int exempt;
    /** Nested sections, rlx_node_t *, in the order in which httpd merges
     *  them; NULL: none. */
    apr_array_header_t *inner;
};

/** What a server has. */
typedef struct rlx_tree_t {
    const rlx_server_t *sv;
    /** The outermost sections, as rlx_node_t.inner; may be empty. */
    apr_array_header_t *sections;
    /** Every section of the tree, rlx_node_t *, the outer ones first. */
    apr_array_header_t *all;
    /** What holds where no section speaks of limits, as rlx_node_t. */
    apr_array_header_t *effective;
} rlx_tree_t;

/** What is in force in a section of a tree; of NULL, outside of sections.
 *  @return may be NULL */
static inline const rlx_dir_t *rlx_tree_dir(const rlx_tree_t *tree,
                                            const rlx_node_t *node)
{
    return node ? node->dir : rlx_dir_of(tree->sv->server->lookup_defaults);
}

/** The servers of the configuration: server_rec *, in file order, the main
 *  server first. */
apr_array_header_t *rlx_tree_servers(apr_pool_t *p, server_rec *main_server);

/** Make the tree of a server. After check_config.
 *  @param p for all of it */
rlx_tree_t *rlx_tree_make(apr_pool_t *p, const server_rec *main_server,
                          const server_rec *s);

/**
 * What holds for requests with a configuration, whatever their method.
 * @param dir may be NULL
 * @param exempt where the RLX_EXEMPT_ bits in force go
 * @return rlx_effect_t
 */
apr_array_header_t *rlx_tree_effective(apr_pool_t *p, const rlx_server_t *sv,
                                       const rlx_dir_t *dir,
                                       unsigned int *exempt);

#endif /* RLX_REPORT_TREE_H */
