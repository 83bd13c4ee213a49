/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Which limits hold for a request. Every request comes here, and finds the
 * answer ready where it meets at most one section that speaks of limits.
 *
 * The chain of sections is walked from the innermost outwards, and each limit
 * found goes behind those of the same window. Then come the defaults and the
 * application's: their lists are read backwards, and each of their limits goes
 * before those of the same window. So the plan ends up in the order
 * application, defaults, inner sections, outer sections, as written, without a
 * second pass.
 */

#include "http/resolve.h"

#include "http/dynamic.h"
#include "http/htaccess.h"
#include "http/usual.h"

/** What is known of the walk so far. */
typedef struct walk_t {
    rlx_plan_t *plan;
    /** The same as the plan's, to write to. */
    rlx_holding_t *holdings;
    apr_pool_t *pool;
    /** NULL: the configuration is being read. */
    request_rec *r;
    int method;
    /** The merged configuration; may be NULL. */
    const rlx_dir_t *dir;
    /** Not 0: a section was met that is not of a .htaccess file that may only
     *  add. */
    int has_innermost;
    /** Not 0: sections further out give their own limits. */
    int outer_holds;
    /** Not 0: the defaults are not overridden. */
    int defaults_hold;
    /** Not 0: what is found goes before those of the same window. */
    int goes_before;
    /** Not 0: this is for no request, and expressions stand for themselves. */
    int is_shown;
    /** How many limits there is room for; before there is any, how many there
     *  might be. */
    int room;
} walk_t;

/** See to it that there is room for one more. Limits that are expressions
 *  give as many as they like. */
static void make_room(walk_t *walk)
{
    rlx_plan_t *plan = walk->plan;
    rlx_holding_t *larger;

    if (walk->holdings && plan->n < walk->room) {
        return;
    }
    if (walk->holdings || walk->room < 1) {
        walk->room = walk->room * 2 + 4;
    }
    larger = apr_palloc(walk->pool, sizeof(*larger)
                                    * (apr_size_t)walk->room);
    if (plan->n) {
        memcpy(larger, walk->holdings, sizeof(*larger) * (apr_size_t)plan->n);
    }
    plan->holdings = walk->holdings = larger;
}

/** Put one limit in its place. */
static void hold(walk_t *walk, const rlx_rule_t *rule,
                 const rlx_section_t *endpoint,
                 const rlx_section_t *declared_in)
{
    rlx_plan_t *plan = walk->plan;
    rlx_usec_t most = rule->limit[0].window_usec - walk->goes_before;
    rlx_holding_t *at;

    make_room(walk);
    at = walk->holdings + plan->n++;
    while (at > walk->holdings
           && at[-1].rule->limit[0].window_usec > most) {
        *at = at[-1];
        at--;
    }
    plan->has_meta |= rule->options->meta != NULL;
    at->rule = rule;
    at->endpoint = endpoint;
    at->declared_in = declared_in;
}

/** The same for all that an expression gives. Its own window is 0.
 *  @return not 0 if there is any */
static int hold_dynamic(walk_t *walk, const rlx_rule_t *rule,
                        const rlx_section_t *endpoint,
                        const rlx_section_t *declared_in)
{
    int n = 0;
    const rlx_rule_t *rules;

    if (walk->is_shown) {
        hold(walk, rule, endpoint, declared_in);
        return 1;
    }
    rules = walk->r ? rlx_dynamic_rules(walk->r, rule, &n) : NULL;
    for (int i = 0; i < n; i++) {
        hold(walk, &rules[walk->goes_before ? n - 1 - i : i], endpoint,
             declared_in);
    }
    return n > 0;
}

/** Put the rules of a list that hold for the method into the plan.
 *  @return not 0 if one of them overrides */
static int hold_all(walk_t *walk, const apr_array_header_t *rules,
                    const rlx_section_t *endpoint,
                    const rlx_section_t *declared_in)
{
    int overrides = 0;
    int n = rules->nelts;

    for (int i = 0; i < n; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(
            rules, walk->goes_before ? n - 1 - i : i, rlx_rule_t *);

        if (!rlx_rule_has_method(rule, walk->method)) {
            continue;
        }
        if (!rule->dynamic) {
            hold(walk, rule, endpoint, declared_in);
            overrides |= rule->options->override_defaults;
        }
        else if (hold_dynamic(walk, rule, endpoint, declared_in)) {
            overrides |= rule->options->override_defaults;
        }
    }
    return overrides;
}

/** Whose endpoint the limits of a section count under: that of the innermost
 *  section, where it is not a .htaccess file. A file's limits count under its
 *  own directory, wherever below they are met. So no file splits a counter. */
static const rlx_section_t *endpoint_for(const walk_t *walk,
                                         const rlx_section_t *section)
{
    return section->is_htaccess ? section : walk->plan->endpoint;
}

/** The innermost section: what stands there holds in any case. */
static void visit_innermost(walk_t *walk, const rlx_section_t *section)
{
    walk->has_innermost = 1;
    walk->plan->exempt = (unsigned short)section->exempt;
    if (hold_all(walk, section->rules, endpoint_for(walk, section),
                 section)) {
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
             && hold_all(walk, section->rules, endpoint_for(walk, section),
                         section)) {
        walk->outer_holds = walk->defaults_hold = 0;
    }
}

/** Not 0 if a section is of a .htaccess file that may only add. */
static int is_added(const walk_t *walk, const rlx_section_t *section)
{
    return section->is_htaccess && rlx_htaccess_is_added(walk->dir, section);
}

/** Limits of such files come on top of all others, and change nothing of
 *  those. */
static void visit_added(walk_t *walk, const rlx_chain_t *chain)
{
    for (; chain; chain = chain->outer) {
        if (is_added(walk, chain->section)) {
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
        walk->room += c->section->rules->nelts;
        has_htaccess |= c->section->is_htaccess;
        if (!walk->plan->endpoint && !c->section->is_htaccess) {
            walk->plan->endpoint = c->section;
        }
    }
    if (has_htaccess) {
        visit_added(walk, chain);
    }
    for (const rlx_chain_t *c = chain; c; c = c->outer) {
        if (is_added(walk, c->section)) {
            continue;
        }
        if (!walk->has_innermost) {
            visit_innermost(walk, c->section);
        }
        else {
            visit_outer(walk, c->section);
        }
    }
}

/** Walk through the sections, then the lists of the server. */
static void walk_through(walk_t *walk, const rlx_server_t *sv,
                         const rlx_chain_t *chain)
{
    rlx_plan_t *plan = walk->plan;

    plan->holdings = NULL;
    plan->n = 0;
    plan->exempt = plan->has_meta = 0;
    plan->endpoint = NULL;
    plan->usual = NULL;
    walk->room = length(sv->defaults) + length(sv->application);
    visit_sections(walk, chain);
    walk->goes_before = 1;
    if (sv->defaults && walk->defaults_hold
        && !(plan->exempt & RLX_EXEMPT_DEFAULT)) {
        hold_all(walk, sv->defaults, plan->endpoint, NULL);
    }
    if (sv->application && !(plan->exempt & RLX_EXEMPT_APPLICATION)) {
        hold_all(walk, sv->application, plan->endpoint, NULL);
    }
}

/** The long way. Apart: its memory would be set up for every request. */
static __attribute__((noinline)) void
walk_all(request_rec *r, const rlx_server_t *sv, const rlx_dir_t *dir,
         const rlx_chain_t *chain, int method, apr_pool_t *p, rlx_plan_t *plan)
{
    walk_t walk = { plan, NULL, p, r, method, dir, 0, 1, 1, 0, 0, 0 };

    walk_through(&walk, sv, chain);
}

void rlx_resolve_shown(apr_pool_t *p, const rlx_server_t *sv,
                       const rlx_chain_t *chain, int method,
                       rlx_plan_t *plan)
{
    walk_t walk = { plan, NULL, p, NULL, method, NULL, 0, 1, 1, 0, 1, 0 };

    walk_through(&walk, sv, chain);
}

/** Most requests meet one section that speaks of limits, or none. */
static const rlx_ready_t *find_ready(const rlx_server_t *sv,
                                     const rlx_chain_t *chain, int method)
{
    const rlx_ready_t *ready = sv->ready;

    if (chain) {
        if (chain->outer) {
            return NULL;
        }
        ready = chain->section->ready;
    }
    return ready && (ready->any_method || method == M_GET)
           && ready->defaults == sv->defaults
           && ready->application == sv->application ? ready : NULL;
}

const rlx_plan_t *rlx_resolve(request_rec *r, const rlx_server_t *sv,
                              const rlx_dir_t *dir, int method,
                              rlx_plan_t *room)
{
    const rlx_chain_t *chain = dir ? dir->chain : NULL;
    const rlx_ready_t *ready = find_ready(sv, chain, method);

    if (ready) {
        return &ready->plan;
    }
    walk_all(r, sv, dir, chain, method, r->pool, room);
    return room;
}

static int has_methods(const apr_array_header_t *rules)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        if (APR_ARRAY_IDX(rules, i, rlx_rule_t *)->options->methods) {
            return 1;
        }
    }
    return 0;
}

static int has_early(const apr_array_header_t *rules)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        if (APR_ARRAY_IDX(rules, i, rlx_rule_t *)->options->lane
            & RLX_LANE_EARLY) {
            return 1;
        }
    }
    return 0;
}

static int has_dynamic(const apr_array_header_t *rules)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        if (APR_ARRAY_IDX(rules, i, rlx_rule_t *)->dynamic) {
            return 1;
        }
    }
    return 0;
}

/** Put all limits of one list that hold for a method into a plan. */
static walk_t walk_list(request_rec *r, const apr_array_header_t *rules,
                        int method, apr_pool_t *p, rlx_plan_t *plan)
{
    walk_t walk = { plan, NULL, p, r, method, NULL, 0, 1, 1, 0, 0,
                    length(rules) };

    memset(plan, 0, sizeof(*plan));
    if (rules) {
        hold_all(&walk, rules, NULL, NULL);
    }
    return walk;
}

/** All meta limits that hold for a method: those of a server, and those of
 *  limits that have their own. */
static void walk_meta(request_rec *r, const rlx_server_t *sv, int method,
                      apr_pool_t *p, const rlx_plan_t *limits,
                      rlx_plan_t *plan)
{
    walk_t walk = walk_list(r, sv->meta, method, p, plan);

    for (int i = 0; i < limits->n; i++) {
        const rlx_holding_t *of = &limits->holdings[i];

        if (of->rule->options->meta) {
            hold_all(&walk, of->rule->options->meta, of->endpoint,
                     of->declared_in);
        }
    }
}

void rlx_resolve_meta(request_rec *r, const rlx_server_t *sv, int method,
                      const rlx_plan_t *limits, rlx_plan_t *plan)
{
    if (sv->meta_ready && !limits->has_meta) {
        *plan = sv->meta_ready->plan;
    }
    else {
        walk_meta(r, sv, method, r->pool, limits, plan);
    }
}

void rlx_resolve_fallback(request_rec *r, const rlx_server_t *sv, int method,
                          rlx_plan_t *plan)
{
    walk_list(r, sv->fallback, method, r->pool, plan);
}

/** The same, known beforehand unless they depend on the request. */
static const rlx_ready_t *make_meta_ready(apr_pool_t *pconf,
                                          const rlx_server_t *sv)
{
    rlx_ready_t *ready;

    if (!sv->meta || has_methods(sv->meta) || has_dynamic(sv->meta)) {
        return NULL;
    }
    ready = apr_pcalloc(pconf, sizeof(*ready));
    walk_list(NULL, sv->meta, M_GET, pconf, &ready->plan);
    ready->any_method = 1;
    return ready;
}

/** RateLimitStrategy as it is in force in a section, unless another section
 *  that does not speak of limits says something else. */
static int strategy_in(const rlx_server_t *sv, const rlx_section_t *section)
{
    const rlx_dir_t *base = rlx_dir_of(sv->server->lookup_defaults);

    if (section && section->settings->strategy != RLX_UNSET) {
        return section->settings->strategy;
    }
    return base ? base->strategy : RLX_UNSET;
}

/** A plan for all requests; NULL where each has its own. */
static const rlx_ready_t *make_ready(apr_pool_t *pconf,
                                     const rlx_server_t *sv,
                                     const rlx_section_t *section)
{
    rlx_ready_t *ready;
    rlx_chain_t alone = { section, NULL };

    if (has_dynamic(sv->defaults) || has_dynamic(sv->application)
        || (section && has_dynamic(section->rules))) {
        return NULL;
    }
    ready = apr_pcalloc(pconf, sizeof(*ready));
    walk_all(NULL, sv, NULL, section ? &alone : NULL, M_GET, pconf,
             &ready->plan);
    ready->any_method = !has_methods(sv->defaults)
                        && !has_methods(sv->application)
                        && !(section && has_methods(section->rules));
    ready->defaults = sv->defaults;
    ready->application = sv->application;
    ready->plan.usual = rlx_usual_make(pconf, sv, strategy_in(sv, section),
                                       &ready->plan);
    return ready;
}

void rlx_resolve_prepare(apr_pool_t *pconf, rlx_server_t *sv)
{
    sv->ready = make_ready(pconf, sv, NULL);
    sv->has_early_meta = has_early(sv->meta);
    sv->meta_ready = make_meta_ready(pconf, sv);
    for (int i = 0; sv->sections && i < sv->sections->nelts; i++) {
        rlx_section_t *section = APR_ARRAY_IDX(sv->sections, i,
                                               rlx_section_t *);

        section->ready = make_ready(pconf, sv, section);
    }
}
