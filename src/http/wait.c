/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * How long a refused client has to wait where the limit that refuses is not
 * all that keeps it out: others were charged before and stay so, or are looked
 * at later only. Refused requests alone come here.
 */

#include "http/wait.h"

void rlx_wait_earlier(request_rec *r, const rlx_request_t *request, int before)
{
    for (int i = 0; i < before; i++) {
        rlx_decision_t *decision = &request->decisions[i];
        rlx_counter_t counter;
        rlx_verdict_t after;

        if (!decision->verdict.charged) {
            continue;
        }
        rlx_decision_counter(decision, &counter);
        if (rlx_store_look(decision->store, &counter, 1, request->now_usec,
                           &after, r->pool) == APR_SUCCESS) {
            decision->verdict.retry_at = after.retry_at;
        }
    }
}

void rlx_wait_later(rlx_counting_t *counting, const rlx_plan_t *plan,
                    rlx_request_t *request)
{
    request_rec *r = counting->r;
    apr_size_t room = (apr_size_t)plan->n;
    rlx_counter_t *counters = apr_palloc(r->pool, sizeof(*counters) * room);
    rlx_verdict_t *verdicts = apr_palloc(r->pool, sizeof(*verdicts) * room);
    int n = 0;

    for (int i = 0; i < plan->n; i++) {
        const rlx_rule_t *rule = plan->holdings[i].rule;
        /* The text of a counter may lie in it. */
        rlx_decision_t *decision;

        if (rule->options->lane & (RLX_LANE_EARLY | RLX_LANE_DRY)
            || (rule->options->exempt_when
                && rlx_rule_is_exempt(r, request, rule))) {
            continue;
        }
        decision = apr_palloc(r->pool, sizeof(*decision));
        n += rlx_counter_of(counting, &plan->holdings[i], decision,
                            &counters[n]) != 0;
    }
    if (!n || rlx_store_look(request->store, counters, n, request->now_usec,
                             verdicts, r->pool) != APR_SUCCESS) {
        return;
    }
    for (int i = 0; i < n; i++) {
        rlx_usec_t at = verdicts[i].retry_at == RLX_NEVER
                        ? request->now_usec + counters[i].limit->window_usec
                        : verdicts[i].retry_at;

        if (at > request->closed_until) {
            request->closed_until = at;
        }
    }
}
