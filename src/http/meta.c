/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Meta limits. They are looked at before any other limit and charged only
 * when another one refuses: two steps, with the others' decision in between.
 * Requests that run beside each other may all be let in by the look of an
 * instant; each is then held to the other limits as ever, and what they are
 * charged stops at the count.
 */

#include "http/meta.h"

#include "http_log.h"

#include "http/breach.h"
#include "http/counter.h"
#include "http/fate.h"
#include "http/htaccess.h"
#include "http/log_tags.h"

APLOG_USE_MODULE(ratelimit_ext);

struct rlx_meta_t {
    rlx_counter_t *counters;
    rlx_verdict_t *verdicts;
    rlx_decision_t *decisions;
    int n;
    const rlx_store_t *store;
};

/** Not 0 if an earlier one of them has the same counter. */
static int is_twice(const rlx_meta_t *meta, rlx_id_t id)
{
    for (int i = 0; i < meta->n; i++) {
        if (rlx_id_equal(meta->decisions[i].id, id)) {
            return 1;
        }
    }
    return 0;
}

/** The counters of the limits that hold. */
static rlx_meta_t *gather(request_rec *r, const rlx_dir_t *dir,
                          rlx_request_t *request, const rlx_plan_t *plan)
{
    apr_size_t n = (apr_size_t)plan->n;
    rlx_meta_t *meta = apr_pcalloc(r->pool, sizeof(*meta));
    rlx_counting_t counting;

    meta->store = request->store;
    meta->counters = apr_palloc(r->pool, sizeof(rlx_counter_t) * n);
    meta->verdicts = apr_palloc(r->pool, sizeof(rlx_verdict_t) * n);
    meta->decisions = apr_palloc(r->pool, sizeof(rlx_decision_t) * n);
    rlx_counting_begin(&counting, r, request, dir,
                       meta->store->provider->flags & RLX_STORAGE_WANTS_TEXT);
    for (int i = 0; i < plan->n; i++) {
        const rlx_rule_t *rule = plan->holdings[i].rule;
        rlx_decision_t *decision = &meta->decisions[meta->n];

        if (rule->options->exempt_when
            && rlx_rule_is_exempt(r, request, rule)) {
            rlx_fate_note(r, request, rule, RLX_FATE_EXEMPT);
            continue;
        }
        if (!rlx_counter_of(&counting, &plan->holdings[i], decision,
                            &meta->counters[meta->n])) {
            rlx_rule_log_keyless(r, rule);
        }
        else if (!is_twice(meta, decision->id)) {
            meta->n++;
        }
    }
    return meta;
}

/** Not 0 if the request's counters are those that were looked at before an
 *  internal redirect: a request is decided once. */
static int is_known(const rlx_meta_t *meta, const rlx_meta_t *before)
{
    if (!before || before->n != meta->n) {
        return 0;
    }
    for (int i = 0; i < meta->n; i++) {
        if (!is_twice(before, meta->decisions[i].id)) {
            return 0;
        }
    }
    return 1;
}

/** Look at all counters, wherever they are kept. */
static apr_status_t look_at(request_rec *r, const rlx_request_t *request,
                            const rlx_meta_t *meta)
{
    return rlx_store_look(meta->store, meta->counters, meta->n,
                          request->now_usec, meta->verdicts, r->pool);
}

/** Put those without room in the record.
 *  @param more as for rlx_meta_test()
 *  @param dry  where the first of them goes that never refuses; or NULL
 *  @return the first that refuses, or NULL */
static const rlx_decision_t *keep(request_rec *r, rlx_request_t *request,
                                  const rlx_meta_t *meta, int more,
                                  const rlx_decision_t **dry)
{
    const rlx_decision_t *breached = NULL;

    *dry = NULL;
    for (int i = 0; i < meta->n; i++) {
        const rlx_decision_t **first;
        rlx_decision_t *decision;

        if (meta->verdicts[i].has_room) {
            continue;
        }
        if (!breached && !*dry) {
            rlx_request_get(r, meta->n + more);
        }
        decision = &request->decisions[request->n++];
        *decision = meta->decisions[i];
        decision->verdict = meta->verdicts[i];
        decision->verdict.charged = 0;
        decision->fate = RLX_FATE_ELSEWHERE;
        first = decision->rule->options->dry_run ? dry : &breached;
        *first = *first ? *first : decision;
    }
    return breached;
}

/** The place of a limit among others; -1: it is not there. */
static int place_of(const rlx_meta_t *meta, const rlx_rule_t *rule)
{
    int i = meta ? meta->n : 0;

    while (--i >= 0 && meta->decisions[i].rule != rule) {
    }
    return i;
}

/** Count for each what it says, once for a request.
 *  @param before what was looked at before an internal redirect, or NULL */
static void count(request_rec *r, const rlx_dir_t *dir,
                  const rlx_request_t *request, const rlx_meta_t *meta,
                  const rlx_meta_t *before)
{
    for (int i = 0; i < meta->n; i++) {
        const rlx_decision_t *decision = &meta->decisions[i];
        int has_room = meta->verdicts[i].has_room;
        rlx_fate_e fate = rlx_fate_of(r, dir, decision, has_room);
        int place = place_of(before, decision->rule);

        rlx_fate_try(request, dir, decision, 0, has_room);
        if (place < 0) {
            rlx_fate_add(decision->rule, fate);
        }
        else if (!has_room && before->verdicts[place].has_room) {
            rlx_fate_move(decision->rule, rlx_fate_of(r, dir, decision, 1),
                          fate);
        }
    }
}

int rlx_meta_test(request_rec *r, const rlx_dir_t *dir,
                  rlx_request_t *request, const rlx_plan_t *limits,
                  const rlx_decision_t **breached)
{
    const rlx_decision_t *dry;
    rlx_meta_t *meta;
    rlx_plan_t plan;

    rlx_resolve_meta(r, rlx_server_of(r->server), request->method_number,
                     limits, &plan);
    meta = gather(r, dir, request, &plan);
    *breached = NULL;
    if (is_known(meta, request->meta)) {
        return 1;
    }
    if (look_at(r, request, meta) != APR_SUCCESS) {
        return 0;
    }
    count(r, dir, request, meta, request->meta);
    request->meta = meta;
    *breached = keep(r, request, meta, limits->n, &dry);
    if (dry && !*breached) {
        rlx_breach_spare(r, request, dry);
    }
    return 1;
}

/** The time when all of them that refuse have room for one more breach. */
static rlx_usec_t open_at(const rlx_request_t *request, const rlx_meta_t *meta)
{
    rlx_usec_t latest = 0;

    for (int i = 0; i < meta->n; i++) {
        const rlx_decision_t *decision = &meta->decisions[i];
        rlx_usec_t at = meta->verdicts[i].retry_at;

        if (meta->verdicts[i].has_room || decision->rule->options->dry_run) {
            continue;
        }
        if (at == RLX_NEVER) {
            at = request->now_usec + decision->limit->window_usec;
        }
        latest = at > latest ? at : latest;
    }
    return latest;
}

/** Not 0 if the limit that a meta limit belongs to refuses the request. */
static int is_breached(const rlx_request_t *request, const rlx_rule_t *rule,
                       rlx_charge_e mode)
{
    if (mode != RLX_CHARGE_ALL) {
        return request->breached->rule->options == rule->of_options;
    }
    for (int i = 0; i < request->n; i++) {
        const rlx_decision_t *decision = &request->decisions[i];

        if (decision->rule->options == rule->of_options
            && rlx_decision_refuses(decision)) {
            return 1;
        }
    }
    return 0;
}

/** Forget what this refusal is not charged to. */
static void drop_others(const rlx_request_t *request, rlx_meta_t *meta,
                        rlx_charge_e mode)
{
    /* Or any .htaccess file could shut its visitors out of the whole
     * server. */
    int is_general = !rlx_htaccess_alone_refused(request);
    int n = 0;

    for (int i = 0; i < meta->n; i++) {
        const rlx_rule_t *rule = meta->decisions[i].rule;

        if (rule->of ? is_breached(request, rule, mode) : is_general) {
            meta->counters[n] = meta->counters[i];
            meta->decisions[n++] = meta->decisions[i];
        }
    }
    meta->n = n;
}

void rlx_meta_charge(request_rec *r, rlx_request_t *request,
                     rlx_charge_e mode)
{
    rlx_meta_t *meta = request->meta;

    drop_others(request, meta, mode);
    if (!meta->n) {
        return;
    }
    if (rlx_store_decide(meta->store, RLX_CHARGE_ALL, meta->counters, meta->n,
                         request->now_usec, meta->verdicts, r->pool)
        != APR_SUCCESS) {
        return;
    }
    for (int i = 0; i < meta->n; i++) {
        rlx_fate_try(request, rlx_dir_of(r->per_dir_config),
                     &meta->decisions[i], meta->decisions[i].cost, 1);
    }
    /* What had room for this breach may have none for another. */
    if (look_at(r, request, meta) == APR_SUCCESS) {
        rlx_usec_t at = open_at(request, meta);

        if (at > request->closed_until) {
            request->closed_until = at;
        }
    }
}
