/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Which limits hold for a request. Every request comes here.
 *
 * The chain of sections is walked from the innermost outwards. Lists are read
 * backwards, and each limit found goes before those of the same window: what
 * comes last here stands first in the plan, so the plan ends up in the order
 * application, defaults, outer sections, inner sections, as written, without
 * a second pass.
 */

#include "http/resolve.h"

/** What is known of the walk so far. */
typedef struct walk_t {
    rlx_plan_t *plan;
    apr_pool_t *pool;
    int method;
    /** Not 0: sections further out give their own limits. */
    int outer_holds;
    /** Not 0: the defaults are not overridden. */
    int defaults_hold;
    /** How many limits there might be at most. */
    int bound;
} walk_t;

/** Put one limit in its place. */
static void hold(walk_t *walk, const rlx_rule_t *rule,
                 const rlx_section_t *endpoint,
                 const rlx_section_t *declared_in)
{
    rlx_plan_t *plan = walk->plan;
    rlx_usec_t window_usec = rule->limit[0].window_usec;
    rlx_holding_t *at;

    if (!plan->holdings) {
        plan->holdings = apr_palloc(walk->pool, sizeof(rlx_holding_t)
                                                * (apr_size_t)walk->bound);
    }
    at = plan->holdings + plan->n++;
    while (at > plan->holdings
           && at[-1].rule->limit[0].window_usec >= window_usec) {
        *at = at[-1];
        at--;
    }
    at->rule = rule;
    at->endpoint = endpoint;
    at->declared_in = declared_in;
}

/** Put the rules of a list that hold for the method into the plan.
 *  @return not 0 if one of them overrides */
static int hold_all(walk_t *walk, const apr_array_header_t *rules,
                    const rlx_section_t *endpoint,
                    const rlx_section_t *declared_in)
{
    int overrides = 0;

    for (int i = rules->nelts - 1; i >= 0; i--) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);

        if (rlx_rule_has_method(rule, walk->method)) {
            hold(walk, rule, endpoint, declared_in);
            overrides |= rule->options->override_defaults;
        }
    }
    return overrides;
}

/** The innermost section: what stands there holds in any case. */
static void visit_innermost(walk_t *walk, const rlx_section_t *section)
{
    walk->plan->endpoint = section;
    walk->plan->exempt = section->exempt;
    if (hold_all(walk, section->rules, section, section)) {
        walk->outer_holds = walk->defaults_hold = 0;
    }
    else if (section->exempt & RLX_EXEMPT_ANCESTORS) {
        walk->outer_holds = 0;
    }
}

/** A section around it. */
static void visit_outer(walk_t *walk, const rlx_section_t *section)
{
    if (section->exempt & RLX_EXEMPT_DESCENDENTS) {
        /* Goes without its own limits, for what is nested inside too. */
        walk->plan->exempt |= section->exempt;
        if (section->exempt & RLX_EXEMPT_ANCESTORS) {
            walk->outer_holds = 0;
        }
    }
    else if (walk->outer_holds
             && hold_all(walk, section->rules, walk->plan->endpoint,
                         section)) {
        walk->outer_holds = walk->defaults_hold = 0;
    }
}

/** Limits of .htaccess files come on top of all others, and change nothing
 *  of those. */
static void visit_htaccess(walk_t *walk, const rlx_chain_t *chain)
{
    for (; chain; chain = chain->outer) {
        if (chain->section->is_htaccess) {
            hold_all(walk, chain->section->rules, chain->section,
                     chain->section);
        }
    }
}

static int length(const apr_array_header_t *rules)
{
    return rules ? rules->nelts : 0;
}

static void visit_sections(walk_t *walk, const rlx_chain_t *chain)
{
    int has_htaccess = 0;

    for (const rlx_chain_t *c = chain; c; c = c->outer) {
        walk->bound += c->section->rules->nelts;
        has_htaccess |= c->section->is_htaccess;
    }
    if (has_htaccess) {
        visit_htaccess(walk, chain);
    }
    for (const rlx_chain_t *c = chain; c; c = c->outer) {
        if (c->section->is_htaccess) {
            continue;
        }
        if (!walk->plan->endpoint) {
            visit_innermost(walk, c->section);
        }
        else {
            visit_outer(walk, c->section);
        }
    }
}

void rlx_resolve(const rlx_server_t *sv, const rlx_dir_t *dir, int method,
                 apr_pool_t *p, rlx_plan_t *plan)
{
    walk_t walk = { plan, p, method, 1, 1, 0 };

    plan->holdings = NULL;
    plan->n = 0;
    plan->exempt = 0;
    plan->endpoint = NULL;
    walk.bound = length(sv->defaults) + length(sv->application);
    if (dir && dir->chain) {
        visit_sections(&walk, dir->chain);
    }
    if (sv->defaults && walk.defaults_hold
        && !(plan->exempt & RLX_EXEMPT_DEFAULT)) {
        hold_all(&walk, sv->defaults, plan->endpoint, NULL);
    }
    if (sv->application && !(plan->exempt & RLX_EXEMPT_APPLICATION)) {
        hold_all(&walk, sv->application, plan->endpoint, NULL);
    }
}
