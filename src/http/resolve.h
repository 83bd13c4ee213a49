/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  resolve.h
 * @brief Which limits hold for a request: inheritance, overriding and
 *        exemption, as DESIGN section 3 and docs/architecture.md say.
 */

#ifndef RLX_HTTP_RESOLVE_H
#define RLX_HTTP_RESOLVE_H

#include "http/config.h"

/** A limit that holds for a request, and under which endpoint it counts. */
typedef struct rlx_holding_t {
    const rlx_rule_t *rule;
    /** The section whose endpoint the counter bears; NULL: the server
     *  itself (no section speaks of limits). Of no meaning for shared and
     *  application rules. */
    const rlx_section_t *endpoint;
    /** The section that holds the directive; NULL: server level. */
    const rlx_section_t *declared_in;
} rlx_holding_t;

/** All limits that hold for a request. */
typedef struct rlx_plan_t {
    /** Sorted by window, shortest first; application rules first among
     *  equals, else in the order defaults, inner sections, outer sections,
     *  as written: Flask-Limiter's order. From the pool given or the configuration. */
    const rlx_holding_t *holdings;
    int n;
    /** The RLX_EXEMPT_ bits in force. */
    unsigned short exempt;
    /** Not 0: a limit has meta limits of its own. */
    unsigned short has_meta;
    /** The innermost section (outside .htaccess) that speaks of limits. */
    const rlx_section_t *endpoint;
    /** What is known of its counters beforehand; NULL: nothing. See
     *  usual.h. */
    const struct rlx_usual_t *usual;
} rlx_plan_t;

/** A plan that was worked out when the configuration was read. It is for
 *  requests that meet one section, or none. */
typedef struct rlx_ready_t {
    rlx_plan_t plan;
    /** Not 0: for every method; else for GET alone. */
    int any_method;
    /** The lists of the server that it was worked out for. It is for every
     *  server with the same ones. */
    const apr_array_header_t *defaults;
    const apr_array_header_t *application;
} rlx_ready_t;

/**
 * Work out what can be known before any request: plans of a server and of
 * its sections, each by itself. Once the configuration is complete.
 */
void rlx_resolve_prepare(apr_pool_t *pconf, rlx_server_t *sv);

/**
 * Collect the limits that hold.
 * @param r      the request, for limits that are expressions and for memory
 * @param sv     its server
 * @param dir    its merged configuration; may be NULL
 * @param method rlx_method_of() the client's request
 * @param room   for the plan, unless it is one of the configuration
 * @return the plan; n is 0 where nothing holds
 */
const rlx_plan_t *rlx_resolve(request_rec *r, const rlx_server_t *sv,
                              const rlx_dir_t *dir, int method,
                              rlx_plan_t *room);

/**
 * The same for no request at all: what would hold where these sections are
 * met. A limit that is an expression stands there itself, as if it gave limits.
 * @param p     for memory
 * @param chain innermost first; may be NULL. None of .htaccess
 */
void rlx_resolve_shown(apr_pool_t *p, const rlx_server_t *sv,
                       const rlx_chain_t *chain, int method,
                       rlx_plan_t *plan);

/**
 * Collect the meta limits of a server and of the limits that hold, none of
 * which rlx_resolve() collects.
 * @param limits what rlx_resolve() has collected
 * @param plan   filled in; n is 0 where none is for the request. A limit's own
 *               may stand there twice, if it has several limits
 */
void rlx_resolve_meta(request_rec *r, const rlx_server_t *sv, int method,
                      const rlx_plan_t *limits, rlx_plan_t *plan);

/** The same for the limits that stand in place of all others while the
 *  storage cannot answer. */
void rlx_resolve_fallback(request_rec *r, const rlx_server_t *sv, int method,
                          rlx_plan_t *plan);

/** The number of the method that a request was made with. */
static inline int rlx_method_of(const request_rec *r)
{
    return r->header_only && r->method_number == M_GET ? RLX_METHOD_HEAD
                                                       : r->method_number;
}

/** Not 0 if a rule is for this method (see rlx_method_of()). */
static inline int rlx_rule_has_method(const rlx_rule_t *rule, int method)
{
    apr_int64_t bits = AP_METHOD_BIT << method;

    if (method == RLX_METHOD_HEAD) {
        bits |= AP_METHOD_BIT << M_GET;
    }
    return !rule->options->methods || (rule->options->methods & bits);
}

#endif /* RLX_HTTP_RESOLVE_H */
