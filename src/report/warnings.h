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

/** The same into a list, for warnings.c and its neighbours: each text for a
 *  place once. */
void rlx_warnings_add(apr_array_header_t *warnings, const char *file, int line,
                      const char *text, const char *mend);

/** The same where a section begins. */
void rlx_warnings_section(apr_array_header_t *warnings,
                          const rlx_section_t *section, const char *text,
                          const char *mend);

/** The same where a limit is declared. */
void rlx_warnings_rule(apr_array_header_t *warnings, const rlx_rule_t *rule,
                       const char *text, const char *mend);

/** What never holds or never refuses, looked for server by server: never.c. */
typedef struct rlx_never_t rlx_never_t;

/** Begin. @return from the pool of the warnings */
rlx_never_t *rlx_never_make(apr_array_header_t *warnings,
                            server_rec *main_server);

/** Look at what a server has outside of sections. */
void rlx_never_look_server(rlx_never_t *never, const rlx_server_t *sv);

/** Look at its tree, which may be gone afterwards. */
void rlx_never_look(rlx_never_t *never, const rlx_tree_t *tree);

/** Warn of what holds in no server. */
void rlx_never_end(rlx_never_t *never);

/**
 * Limits of one list that stand in each other's way; see beside.c.
 * @param section that holds them; NULL: server level
 * @param dir     what is in force there; may be NULL
 * @param rules   NULL: none
 * @param is_atomic 0: they may be charged for what others refuse
 */
void rlx_warnings_beside(apr_array_header_t *warnings, const rlx_server_t *sv,
                         const rlx_section_t *section, const rlx_dir_t *dir,
                         const apr_array_header_t *rules, int is_atomic);

/** Limits of one name that hold for the same requests, rlx_effect_t. */
void rlx_warnings_names(apr_array_header_t *warnings,
                        const apr_array_header_t *effective);

/** What lets clients past limits; see gaps.c. */
void rlx_warnings_gaps(apr_array_header_t *warnings, server_rec *main_server);

/** What lets everybody at the handler limiter-status; see access.c. */
void rlx_warnings_access(apr_array_header_t *warnings,
                         server_rec *main_server);

/** Those that come of other modules' directives; see around.c. */
void rlx_warnings_around(apr_array_header_t *warnings,
                         server_rec *main_server);

#endif /* RLX_REPORT_WARNINGS_H */
