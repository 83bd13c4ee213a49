/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What was decided, as other modules see it. Nothing here is on the way of a
 * request that nobody asks about.
 */

#include "http/outcome.h"

#include "http/counter.h"
#include "http/headers.h"

static const rlx_ext_kind_e kinds[] = {
    [RLX_RULE_SECTION] = RLX_EXT_KIND_SECTION,
    [RLX_RULE_SHARED] = RLX_EXT_KIND_SHARED,
    [RLX_RULE_DEFAULT] = RLX_EXT_KIND_DEFAULT,
    [RLX_RULE_APPLICATION] = RLX_EXT_KIND_APPLICATION,
    [RLX_RULE_META] = RLX_EXT_KIND_META,
    [RLX_RULE_FALLBACK] = RLX_EXT_KIND_FALLBACK,
    [RLX_RULE_MODULE] = RLX_EXT_KIND_MODULE
};

static const rlx_ext_result_e results[] = {
    [RLX_RESULT_ALLOWED] = RLX_EXT_ALLOWED,
    [RLX_RESULT_REFUSED] = RLX_EXT_REFUSED,
    [RLX_RESULT_DRY_RUN] = RLX_EXT_DRY_RUN,
    [RLX_RESULT_EXEMPT] = RLX_EXT_EXEMPT,
    [RLX_RESULT_FALLBACK] = RLX_EXT_FALLBACK,
    [RLX_RESULT_ERROR] = RLX_EXT_ERROR
};

rlx_outcome_t *rlx_outcome_make(apr_pool_t *p)
{
    rlx_outcome_t *outcome = apr_pcalloc(p, sizeof(*outcome));

    outcome->shown.allowed = 1;
    return outcome;
}

void rlx_outcome_show_verdict(rlx_outcome_t *outcome, int i,
                              const rlx_verdict_t *verdict)
{
    rlx_ext_decision_t *shown = &outcome->shown_decisions[i];

    shown->has_room = verdict->has_room;
    shown->charged = verdict->charged;
    shown->remaining = verdict->remaining;
    shown->reset_at = verdict->reset_at;
    shown->retry_at = verdict->retry_at;
}

void rlx_outcome_show(request_rec *r, rlx_outcome_t *outcome,
                      const rlx_decision_t *decisions, int n)
{
    const rlx_ext_decision_t **list;

    if (!n) {
        return;
    }
    list = apr_palloc(r->pool, sizeof(*list) * (apr_size_t)n);
    outcome->shown_decisions = apr_palloc(r->pool, sizeof(rlx_ext_decision_t)
                                                   * (apr_size_t)n);
    for (int i = 0; i < n; i++) {
        const rlx_decision_t *decision = &decisions[i];
        rlx_ext_decision_t *shown = &outcome->shown_decisions[i];

        shown->limit = decision->limit;
        shown->policy = rlx_policy_name(decision);
        shown->kind = kinds[decision->rule->kind];
        shown->scope = rlx_decision_scope(r, decision);
        shown->key = rlx_decision_key(r, decision);
        shown->cost = decision->cost;
        shown->is_dry_run = decision->rule->options->dry_run;
        shown->is_pending = decision->is_pending;
        rlx_outcome_show_verdict(outcome, i, &decision->verdict);
        list[i] = shown;
    }
    outcome->shown.decisions = list;
    outcome->shown.n = n;
}

rlx_request_t *rlx_outcome_record(request_rec *r)
{
    while (r->main) {
        r = r->main;
    }
    while (r->next) {
        r = r->next;
    }
    return rlx_request_find(r);
}

rlx_outcome_t *rlx_outcome_of(request_rec *r)
{
    const rlx_request_t *request = rlx_outcome_record(r);
    rlx_outcome_t *outcome = rlx_outcome_make(r->pool);
    rlx_ext_outcome_t *shown = &outcome->shown;

    if (!request) {
        return outcome;
    }
    shown->result = results[rlx_request_result(request)];
    shown->allowed = !request->refused_in;
    shown->decided_at = request->n ? request->now_usec : 0;
    if (request->decided_in) {
        rlx_outcome_show(request->decided_in, outcome, request->decisions,
                         request->n);
    }
    if (request->breached) {
        shown->breached = shown->decisions[request->breached
                                           - request->decisions];
    }
    if (!shown->allowed) {
        shown->status = request->status;
        shown->retry_after_sec = request->wait_sec;
    }
    return outcome;
}

rlx_usec_t rlx_outcome_retry_at(const rlx_decision_t *decisions, int n,
                                rlx_usec_t now_usec)
{
    rlx_usec_t latest = now_usec;

    for (int i = 0; i < n; i++) {
        rlx_usec_t at = decisions[i].verdict.retry_at;

        if (at == RLX_NEVER) {
            at = now_usec + decisions[i].limit->window_usec;
        }
        latest = at > latest ? at : latest;
    }
    return latest;
}

/*
 * The hook
 */

/** What apr_optional_hook_get() gives an array of; the macros of APR that make
 *  this structure make functions to be linked as well. */
typedef struct listener_t {
    rlx_HOOK_ratelimit_breach_t *hear;
    const char *name;
    const char *const *predecessors;
    const char *const *successors;
    int order;
} listener_t;

/** Who listens; NULL: nobody. Set once in each child, before there are
 *  threads: to look it up for each refusal takes 180 instructions. */
static const apr_array_header_t *listeners;

/** Not 0: this thread is telling of a breach. */
static __thread int is_telling;

void rlx_outcome_prepare(void)
{
    listeners = apr_optional_hook_get("ratelimit_breach");
}

void rlx_outcome_tell(request_rec *r, rlx_outcome_t *outcome)
{
    outcome->is_told = 1;
    if (!listeners || is_telling) {
        return;
    }
    is_telling = 1;
    for (int i = 0; i < listeners->nelts; i++) {
        APR_ARRAY_IDX(listeners, i, listener_t).hear(r, &outcome->shown);
    }
    is_telling = 0;
}

void rlx_outcome_tell_breach(request_rec *r, const rlx_request_t *request)
{
    if (listeners && request->breached->rule->kind != RLX_RULE_MODULE) {
        rlx_outcome_tell(r, rlx_outcome_of(r));
    }
}

int rlx_outcome_is_telling(void)
{
    return is_telling;
}
