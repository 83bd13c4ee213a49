/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Limits that have one counter: the same limit of the same place, written
 * twice with different costs, conditions or phases. A request is charged to a
 * counter once, and no limit goes without effect because another has the same.
 */

#include "http/twin.h"

/** How much of a claim a limit has to its counter: none where it costs
 *  nothing, then by the response, then until the response is known. */
static int claim_of(const rlx_decision_t *decision)
{
    if (!decision->cost) {
        return 0;
    }
    if (!decision->is_pending) {
        return 3;
    }
    return decision->rule->options->reserve ? 2 : 1;
}

/** Where two limits by the response have one counter, each has its say. */
static void join_conditions(request_rec *r, rlx_decision_t *into,
                            const rlx_decision_t *from)
{
    rlx_filter_t *other;

    if (into->is_pending && from->is_pending) {
        other = apr_palloc(r->pool, sizeof(*other));
        other->condition = from->rule->options->deduct_when;
        other->next = into->also;
        into->also = other;
    }
}

/** Two limits of a batch have one counter: the one that takes more of it
 *  stays. */
static void keep_greater(request_rec *r, rlx_request_t *request,
                         rlx_decision_t *known, rlx_counter_t *counter,
                         const rlx_counter_t *next_counter)
{
    const rlx_decision_t *next = &request->decisions[request->n];
    int more = claim_of(next) - claim_of(known);
    rlx_decision_t lesser = *next;

    if (more > 0 || (!more && next->cost > known->cost)) {
        *counter = *next_counter;
        lesser = *known;
        *known = *next;
        known->also = lesser.also;
        request->has_pending |= known->is_pending;
    }
    join_conditions(r, known, &lesser);
}

int rlx_twin_is_asked(request_rec *r, rlx_request_t *request,
                      rlx_decision_t *known, int first,
                      rlx_counter_t *counters, int *again)
{
    const rlx_decision_t *next = &request->decisions[request->n];
    rlx_decision_t *batch = &request->decisions[first];

    if (!rlx_id_equal(known->id, next->id)) {
        return 0;
    }
    if (known >= batch) {
        keep_greater(r, request, known, &counters[known - batch],
                     &counters[next - batch]);
        return 0;
    }
    if (known->is_pending && next->is_pending) {
        if (known->rule != next->rule) {
            join_conditions(r, known, next);
        }
        return 0;
    }
    if (claim_of(next) <= claim_of(known)) {
        return 0;
    }
    /* The condition of one that reserved has no say any more. */
    known->is_pending = 0;
    *again |= !known->verdict.charged;
    return !known->verdict.charged;
}

void rlx_twin_refresh(rlx_request_t *request, int first)
{
    for (int i = 0; i < first; i++) {
        rlx_verdict_t *before = &request->decisions[i].verdict;

        for (int k = first; k < request->n; k++) {
            const rlx_decision_t *again = &request->decisions[k];

            if (rlx_id_equal(request->decisions[i].id, again->id)) {
                before->remaining = again->verdict.remaining;
                before->reset_at = again->verdict.reset_at;
                before->retry_at = again->verdict.retry_at;
            }
        }
    }
}
