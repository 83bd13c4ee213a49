/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  remembered.h
 * @brief Lines of .htaccess files that this child has read before. httpd reads
 *        such a file for each request; what its limits mean is the same each
 *        time.
 */

#ifndef RLX_HTTP_REMEMBERED_H
#define RLX_HTTP_REMEMBERED_H

#include "http/config.h"

/** What a limit directive says. Read-only once it is read. */
typedef struct rlx_line_t {
    const rlx_options_t *options;
    /** The limits; one that is dynamic, or n that are not. */
    rlx_rule_t **rules;
    int n;
    /** The section that it stands in, and its id; name NULL: not known yet. */
    const char *section_name;
    rlx_id_t section_id;
} rlx_line_t;

/**
 * Read a line; limit_directive.c has it.
 * @param cmd  everything in `line` comes from its pool
 * @param text the directive's arguments
 * @return NULL, or an error's sentence
 */
const char *rlx_line_read(const cmd_parms *cmd, rlx_rule_e kind,
                          const char *text, rlx_line_t *line);

/**
 * Find a line of a .htaccess file. Those within <Files> and <If> are not
 * remembered. Takes no lock.
 * @return it, as long as the child lives; NULL if it is not remembered
 */
const rlx_line_t *rlx_remembered_find(const cmd_parms *cmd, rlx_rule_e kind,
                                      const char *text);

/** Remember a line that has no error, unless there is no room or another
 *  thread is at it. */
void rlx_remembered_keep(const cmd_parms *cmd, rlx_rule_e kind,
                         const char *text);

/** Begin to remember, in a new child. */
void rlx_remembered_child_init(apr_pool_t *pchild);

#endif /* RLX_HTTP_REMEMBERED_H */
