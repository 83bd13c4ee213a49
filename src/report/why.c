/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Why a limit holds or not. Whether it does is read from what http/resolve.c
 * found; this walks the same way once more, and looks what it was that cut off
 * each limit that is not there.
 */

#include "report/why.h"

#include "report/where.h"

#include "apr_strings.h"
#include "http_main.h"

#include "http/dynamic.h"
#include "http/htaccess.h"
#include "http/key.h"

/** The walk outwards. A reason is NULL as long as there is none. */
typedef struct walk_t {
    const rlx_why_t *why;
    rlx_why_not_fn tell;
    void *baton;
    /** Why limits of sections further out, and defaults, do not hold. */
    const char *outer;
    const char *defaults;
} walk_t;

/** "Location /a (file:line)". */
static const char *at(const walk_t *walk, const rlx_section_t *section,
                      const char *file, int line)
{
    return apr_psprintf(walk->why->p, "%s (%s)", section->name,
                        rlx_where(walk->why->p, file, line));
}

/** "RateLimitExempt ancestors of Location /a (file:line)". */
static const char *exemption(const walk_t *walk, const char *flag,
                             const rlx_section_t *section)
{
    return apr_pstrcat(walk->why->p, "RateLimitExempt ", flag, " of ",
                       at(walk, section, section->exempt_file,
                          section->exempt_line), NULL);
}

/** Does a directive's limit stand in a plan? One that is an expression is
 *  there as what it gives. */
static int is_in(const rlx_plan_t *plan, const rlx_rule_t *rule)
{
    for (int i = 0; i < plan->n; i++) {
        const rlx_rule_t *other = plan->holdings[i].rule;

        if (other == rule
            || (rule->dynamic && other->options == rule->options)) {
            return 1;
        }
    }
    return 0;
}

/** Why a limit does not hold that nothing has cut off. */
static const char *own_reason(const rlx_why_t *why, const rlx_rule_t *rule)
{
    if (!rlx_rule_has_method(rule, why->method)) {
        return apr_pstrcat(why->p, "not for ", why->method_name,
                           ": methods=", rule->options->methods_text, NULL);
    }
    if (rule->dynamic) {
        return "its expression gives no limit for this look-up";
    }
    return "not looked at";
}

/** Tell of a list's limits that are not in a plan.
 *  @param reason why; NULL: each has its own */
static void tell_list(const walk_t *walk, const rlx_plan_t *plan,
                      const apr_array_header_t *rules,
                      const rlx_section_t *section, const char *reason)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);
        rlx_holding_t holding = {
            rule, section && section->is_htaccess ? section
                  : walk->why->plan.endpoint, section
        };

        if (!is_in(plan, rule)) {
            walk->tell(walk->baton, &holding,
                       reason ? reason : own_reason(walk->why, rule));
        }
    }
}

/** Note that a section cuts off what is around it, if a limit of it that holds
 *  does so. */
static void note_override(walk_t *walk, const rlx_section_t *section)
{
    for (int i = 0; i < section->rules->nelts && !walk->outer; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(section->rules, i,
                                               rlx_rule_t *);

        if (rule->options->override_defaults
            && is_in(&walk->why->plan, rule)) {
            walk->outer = walk->defaults = apr_pstrcat(
                walk->why->p, "overridden by ",
                at(walk, section, rule->file, rule->line), NULL);
        }
    }
}

static void note_ancestors(walk_t *walk, const rlx_section_t *section)
{
    if (!walk->outer && (section->exempt & RLX_EXEMPT_ANCESTORS)) {
        walk->outer = apr_pstrcat(walk->why->p, "cut off by ",
                                  exemption(walk, "ancestors", section), NULL);
    }
}

static void visit_outer(walk_t *walk, const rlx_section_t *section)
{
    int goes_without = section->exempt & RLX_EXEMPT_DESCENDENTS;
    const char *reason = walk->outer;

    if (!reason && goes_without) {
        reason = apr_pstrcat(walk->why->p, "left out by ",
                             exemption(walk, "descendents", section), NULL);
    }
    tell_list(walk, &walk->why->plan, section->rules, section, reason);
    if (goes_without) {
        note_ancestors(walk, section);
    }
    else {
        note_override(walk, section);
    }
}

static int is_added(const rlx_why_t *why, const rlx_section_t *section)
{
    return rlx_htaccess_is_added(why->dir, section);
}

static const rlx_chain_t *chain_of(const rlx_why_t *why)
{
    return why->dir ? why->dir->chain : NULL;
}

const rlx_section_t *rlx_why_innermost(const rlx_why_t *why)
{
    const rlx_chain_t *chain = chain_of(why);

    while (chain && is_added(why, chain->section)) {
        chain = chain->outer;
    }
    return chain ? chain->section : NULL;
}

static void visit_sections(walk_t *walk)
{
    const rlx_section_t *innermost = rlx_why_innermost(walk->why);

    for (const rlx_chain_t *c = chain_of(walk->why); c; c = c->outer) {
        const rlx_section_t *section = c->section;

        if (is_added(walk->why, section)) {
            tell_list(walk, &walk->why->plan, section->rules, section, NULL);
        }
        else if (section == innermost) {
            tell_list(walk, &walk->why->plan, section->rules, section, NULL);
            note_override(walk, section);
            note_ancestors(walk, section);
        }
        else {
            visit_outer(walk, section);
        }
    }
}

/** "exempt by RateLimitExempt meta of Location /a (file:line)"; NULL: no
 *  section says so. */
static const char *exempt_by(const walk_t *walk, unsigned int bit,
                             const char *flag)
{
    const rlx_section_t *innermost = rlx_why_innermost(walk->why);

    for (const rlx_chain_t *c = chain_of(walk->why); c; c = c->outer) {
        const rlx_section_t *section = c->section;

        if (!is_added(walk->why, section) && (section->exempt & bit)
            && (section == innermost
                || (section->exempt & RLX_EXEMPT_DESCENDENTS))) {
            return apr_pstrcat(walk->why->p, "exempt by ",
                               exemption(walk, flag, section), NULL);
        }
    }
    return NULL;
}

/** What the main server has and the virtual host has replaced by its own. */
static void tell_replaced(const walk_t *walk, const apr_array_header_t *mine,
                          const apr_array_header_t *mains)
{
    const rlx_rule_t *own;

    if (!mine || !mains || mine == mains || !mine->nelts) {
        return;
    }
    own = APR_ARRAY_IDX(mine, 0, rlx_rule_t *);
    for (int i = 0; i < mains->nelts; i++) {
        rlx_holding_t holding = { APR_ARRAY_IDX(mains, i, rlx_rule_t *),
                                  walk->why->plan.endpoint, NULL };

        walk->tell(walk->baton, &holding, apr_psprintf(
            walk->why->p, "replaced: %s has its own (%s)",
            walk->why->sv->name,
            rlx_where(walk->why->p, own->file, own->line)));
    }
}

/** The meta limits that belong to limits that hold. */
static void tell_own_meta(const walk_t *walk, const char *exempt)
{
    const rlx_plan_t *plan = &walk->why->plan;

    for (int i = 0; i < plan->n; i++) {
        tell_list(walk, &walk->why->meta, plan->holdings[i].rule->options->meta,
                  plan->holdings[i].declared_in, exempt);
    }
}

static void visit_server(const walk_t *walk)
{
    const rlx_why_t *why = walk->why;
    const rlx_server_t *sv = why->sv;
    const rlx_server_t *base = rlx_server_of(ap_server_conf);
    const char *exempt = exempt_by(walk, RLX_EXEMPT_DEFAULT, "default");
    const char *exempt_meta = exempt_by(walk, RLX_EXEMPT_META, "meta");

    tell_list(walk, &why->plan, sv->defaults, NULL,
              walk->defaults ? walk->defaults : exempt);
    tell_list(walk, &why->plan, sv->application, NULL,
              exempt_by(walk, RLX_EXEMPT_APPLICATION, "application"));
    tell_list(walk, &why->meta, sv->meta, NULL, exempt_meta);
    tell_own_meta(walk, exempt_meta);
    tell_list(walk, &why->meta, sv->fallback, NULL,
              sv->local ? "in place of all others while the storage cannot "
                          "answer"
                        : "never: the storage is one that always answers, or "
                          "nothing is counted while it does not");
    tell_replaced(walk, sv->defaults, base->defaults);
    tell_replaced(walk, sv->application, base->application);
    tell_replaced(walk, sv->meta, base->meta);
    tell_replaced(walk, sv->fallback, base->fallback);
}

void rlx_why_not(const rlx_why_t *why, rlx_why_not_fn tell, void *baton)
{
    walk_t walk = { why, tell, baton, NULL, NULL };

    visit_sections(&walk);
    visit_server(&walk);
}

/*
 * Why a limit holds
 */

/** Where it comes from. */
static const char *origin(const rlx_why_t *why, const rlx_holding_t *holding,
                          const rlx_section_t *innermost)
{
    const rlx_section_t *section = holding->declared_in;

    switch (holding->rule->kind) {
    case RLX_RULE_APPLICATION:
        return "application";
    case RLX_RULE_DEFAULT:
        return "default";
    case RLX_RULE_META:
        return holding->rule->of
               ? apr_psprintf(why->p, "meta of the limit at %s",
                              rlx_where(why->p, holding->rule->file,
                                        holding->rule->line))
               : "meta";
    default:
        break;
    }
    if (section && is_added(why, section)) {
        return apr_pstrcat(why->p, "added by ", section->file, NULL);
    }
    return section == innermost || !section ? "own"
           : apr_pstrcat(why->p, "inherited from ", section->name, NULL);
}

/** The expression that gave a limit; NULL: it is fixed. */
static const char *given_by(const rlx_why_t *why,
                            const rlx_holding_t *holding)
{
    const apr_array_header_t *lists[] = {
        holding->declared_in ? holding->declared_in->rules : NULL,
        why->sv->defaults, why->sv->application, why->sv->meta
    };

    for (apr_size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (int j = 0; lists[i] && j < lists[i]->nelts; j++) {
            const rlx_rule_t *rule = APR_ARRAY_IDX(lists[i], j, rlx_rule_t *);

            if (rule->dynamic && rule->options == holding->rule->options) {
                return rlx_dynamic_text(rule->dynamic);
            }
        }
    }
    return NULL;
}

const char *rlx_why(const rlx_why_t *why, const rlx_holding_t *holding,
                    const rlx_section_t *innermost)
{
    const rlx_options_t *options = holding->rule->options;
    const char *text = origin(why, holding, innermost);
    const char *given = given_by(why, holding);
    rlx_key_t key;

    if (given) {
        text = apr_pstrcat(why->p, text, ", given by ", given, NULL);
    }
    if (options->lane & RLX_LANE_EARLY) {
        text = apr_pstrcat(why->p, text, ", before access control", NULL);
    }
    if (options->exempt_when) {
        text = apr_pstrcat(why->p, text, ", unless exempt_when=\"",
                           options->exempt_when->text,
                           "\", which is false here", NULL);
    }
    rlx_key_of(why->r, why->dir, options, &key);
    if (!key.len) {
        text = apr_pstrcat(why->p, text, ", but its key is empty for this "
                           "look-up, which would skip it", NULL);
    }
    return text;
}
