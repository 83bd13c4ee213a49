/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  listed.h
 * @brief Every limit of the configuration, each once, where it is declared:
 *        what is told of each limit is told of this list in every form.
 */

#ifndef RLX_REPORT_LISTED_H
#define RLX_REPORT_LISTED_H

#include "report/view.h"

/** A limit that is declared. */
typedef struct rlx_listed_t {
    /** The tree of the server that declares it. */
    const rlx_tree_t *tree;
    /** The section, in that tree; NULL: it stands outside of sections. */
    const rlx_node_t *node;
    /** As it is shown there. view.rule->of is not NULL where it is of another
     *  limit's meta=. */
    rlx_limit_view_t view;
} rlx_listed_t;

/**
 * List them: server by server, as rlx_declared_each() goes through each. Those
 * of .htaccess files and of other modules are not there.
 * @param p     for all of it
 * @param trees rlx_tree_t *, of every server, in file order
 * @return rlx_listed_t
 */
apr_array_header_t *rlx_listed_make(apr_pool_t *p,
                                    const apr_array_header_t *trees);

/** The section of a limit as it is called; NULL: none. */
const char *rlx_listed_section(const rlx_listed_t *listed);

#endif /* RLX_REPORT_LISTED_H */
