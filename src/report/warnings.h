/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  warnings.h
 * @brief What is probably a mistake in a configuration that is right by the
 *        letter, and how to mend it.
 */

#ifndef RLX_REPORT_WARNINGS_H
#define RLX_REPORT_WARNINGS_H

#include "report/tree.h"

/** A warning. */
typedef struct rlx_warning_t {
    /** "file:line". */
    const char *where;
    /** What is wrong, and what would be right: without a period at the end.
     *  It quotes the configuration: escape it. */
    const char *text;
    const char *mend;
} rlx_warning_t;

/**
 * Look through the configuration. After check_config.
 * @param p     for all of it
 * @param trees rlx_tree_t *: of every server; NULL: they are made and thrown
 *              away, one after another
 * @return rlx_warning_t, each once however many virtual hosts it concerns
 */
apr_array_header_t *rlx_warnings_make(apr_pool_t *p, server_rec *main_server,
                                      const apr_array_header_t *trees);

/** The same into a list, for rlx_warnings.c and its neighbours.
 *  @param d where it is */
void rlx_warnings_add(apr_array_header_t *warnings, const char *file, int line,
                      const char *text, const char *mend);

/** Those that come of other modules' directives; see around.c. */
void rlx_warnings_around(apr_array_header_t *warnings,
                         server_rec *main_server);

#endif /* RLX_REPORT_WARNINGS_H */
