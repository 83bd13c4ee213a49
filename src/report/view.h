/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  view.h
 * @brief A limit as it is shown: every renderer says the same of it.
 */

#ifndef RLX_REPORT_VIEW_H
#define RLX_REPORT_VIEW_H

#include "report/tree.h"

/** An option of a limit that is not what it would be anyway. */
typedef struct rlx_option_view_t {
    const char *name;
    /** What is set: one of these. */
    enum {
        RLX_VIEW_TEXT,
        RLX_VIEW_NUMBER,
        RLX_VIEW_FLAG,
        /** const char *, in `list`. */
        RLX_VIEW_LIST
    } kind;
    const char *text;
    apr_int64_t number;
    const apr_array_header_t *list;
} rlx_option_view_t;

/** A limit. All text may hold what some configuration holds: it is to be
 *  escaped. */
typedef struct rlx_limit_view_t {
    /** What it is a view of. */
    const rlx_rule_t *rule;
    /** Canonical, or the expression that gives it. */
    const char *limit;
    /** Not 0: it is an expression, and count and window are not known. */
    int is_dynamic;
    apr_uint32_t count;
    apr_int64_t window_sec;
    const char *strategy;
    /** "own", "default", "application", "meta", "fallback", "inherited from
     *  Location /a", or, of a section that httpd merges later, "overridden by
     *  Location /a". */
    const char *source;
    /** That section; NULL: it is of none, or its own. */
    const char *from;
    /** "file:line"; "another module" of a limit that one has prepared. */
    const char *declared_at;
    /** The methods that it holds for where that depends on other limits too,
     *  const char *, and not 0 if it holds for all but those. NULL: its option
     *  methods= says all. */
    const apr_array_header_t *methods;
    int is_all_but;
    /** rlx_option_view_t */
    apr_array_header_t *options;
} rlx_limit_view_t;

/** Look at a limit that holds.
 *  @param dir     with what is in force there; may be NULL
 *  @param section where; NULL: at server level */
void rlx_view_effect(apr_pool_t *p, const rlx_dir_t *dir,
                     const rlx_section_t *section, const rlx_effect_t *effect,
                     rlx_limit_view_t *view);

/** Look at a limit where it is declared.
 *  @param dir     what is in force there; may be NULL
 *  @param section that holds it; NULL: server level */
void rlx_view_rule(apr_pool_t *p, const rlx_server_t *sv, const rlx_dir_t *dir,
                   const rlx_section_t *section, const rlx_rule_t *rule,
                   rlx_limit_view_t *view);

/** A kind of limit: "section", "shared", "default", "application", "meta",
 *  "fallback" or "module". */
const char *rlx_view_kind(rlx_rule_e kind);

/** Options as in a directive: " cost=2 key=%{REMOTE_USER}"; "" if none. */
const char *rlx_view_options(apr_pool_t *p, const rlx_limit_view_t *view);

/** "GET, POST", or "all but GET, POST", of the methods of a view; NULL if it
 *  has none. */
const char *rlx_view_methods(apr_pool_t *p, const rlx_limit_view_t *view);

/** The names of RLX_EXEMPT_ bits: const char *, in the order of the manual. */
apr_array_header_t *rlx_view_exempt(apr_pool_t *p, unsigned int exempt);

/** RateLimitEngine as it is in force: "On", "Off" or "DryRun".
 *  @param dir may be NULL */
const char *rlx_view_engine(const rlx_dir_t *dir);

/** Texts with something between them. */
const char *rlx_view_join(apr_pool_t *p, const apr_array_header_t *texts,
                          const char *between);

#endif /* RLX_REPORT_VIEW_H */
