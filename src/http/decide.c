/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Decides the limits that hold for a request: asks the storage for their
 * counters in one go, and says what becomes of the request. Only the counters
 * that the request has not met before are asked.
 */

#include "http/decide.h"

#include <apr_strings.h>

#include "http_log.h"

#include "http/breach.h"
#include "http/counter.h"
#include "http/failure.h"
#include "http/fate.h"
#include "http/headers.h"
#include "http/log_tags.h"
#include "http/meta.h"
#include "http/plan_text.h"
#include "http/settle.h"
#include "http/twin.h"
#include "http/usual.h"
#include "http/wait.h"

APLOG_USE_MODULE(ratelimit_ext);

/** More counters than this do not fit the stack. */
#define FEW 8

/** In place of a status: the storage cannot answer, and the request's record
 *  is as if it had not been asked. */
#define UNDECIDED (-100)

/** The counters that a storage is asked for in one go: those of the record's
 *  decisions from `first` on. */
typedef struct batch_t {
    rlx_counter_t *counters;
    rlx_verdict_t *verdicts;
    int first;
    int n;
    /** RLX_LANE_ bits: limits whose lane is `lane` where `lane_mask` has a
     *  bit are of this batch. Those with dry_run=on are decided by themselves,
     *  so that they stand in nobody's way. */
    unsigned int lane;
    unsigned int lane_mask;
    /** Limits of the plan that differ in RLX_LANE_DRY alone. */
    int n_other;
    /** Not 0: there are earlier decisions about counters of this batch. */
    int has_again;
} batch_t;

/** The decision that the record has about a counter already: that of its next
 *  decision, which is not in it yet. A limit that was looked at early is not
 *  looked at again where its key has become another (%{REMOTE_USER}). NULL if
 *  there is none. */
static rlx_decision_t *find_known(const rlx_request_t *request)
{
    const rlx_decision_t *next = &request->decisions[request->n];
    int is_early = (next->rule->options->lane & RLX_LANE_EARLY) != 0;

    for (int i = 0; i < request->n; i++) {
        rlx_decision_t *decision = &request->decisions[i];

        if (rlx_id_equal(decision->id, next->id)
            || (is_early && decision->rule == next->rule
                && decision->endpoint == next->endpoint)) {
            return decision;
        }
    }
    return NULL;
}

/** Put the counters of a plan that are new to the request in a batch. Always
 *  inline: the second call, for limits that only try, is rare. */
static inline __attribute__((always_inline)) void
batch_fill(batch_t *batch, rlx_counting_t *counting, const rlx_plan_t *plan,
           rlx_request_t *request)
{
    batch->n = 0;
    batch->first = request->n;
    for (int i = 0; i < plan->n; i++) {
        rlx_decision_t *decision = &request->decisions[request->n];
        const rlx_rule_t *rule = plan->holdings[i].rule;
        rlx_decision_t *known;
        unsigned int differs = (rule->options->lane ^ batch->lane)
                               & batch->lane_mask;

        if (differs) {
            batch->n_other += differs == RLX_LANE_DRY;
        }
        else if (rule->options->exempt_when
                 && rlx_rule_is_exempt(counting->r, request, rule)) {
            rlx_fate_note(counting->r, request, rule, RLX_FATE_EXEMPT);
        }
        else if (!rlx_counter_of(counting, &plan->holdings[i], decision,
                                 &batch->counters[batch->n])) {
            rlx_rule_log_keyless(counting->r, rule);
        }
        else if ((known = find_known(request)) == NULL
                 || rlx_twin_is_asked(counting->r, request, known,
                                      batch->first, batch->counters,
                                      &batch->has_again)) {
            batch->n++;
            request->n++;
            request->has_pending |= decision->is_pending;
        }
    }
}

/** Not 0 if every counter has room. */
static int has_room(const rlx_verdict_t *verdicts, int n)
{
    for (int i = 0; i < n; i++) {
        if (!verdicts[i].has_room) {
            return 0;
        }
    }
    return 1;
}

/** Not 0 if any counter was charged. */
static int is_charged(const rlx_verdict_t *verdicts, int n)
{
    for (int i = 0; i < n; i++) {
        if (verdicts[i].charged) {
            return 1;
        }
    }
    return 0;
}

/** A refused request may have been charged to limits that had room for it and
 *  have none for another: when they will have is asked anew, or Retry-After
 *  would be too early for them. */
static __attribute__((noinline)) void
ask_when(request_rec *r, const rlx_request_t *request,
         const rlx_counter_t *counters, int n, rlx_verdict_t *verdicts)
{
    rlx_verdict_t *after = apr_palloc(r->pool, sizeof(rlx_verdict_t)
                                               * (apr_size_t)n);
    apr_status_t status = rlx_store_look(request->store, counters, n,
                                         request->now_usec, after, r->pool);

    for (int i = 0; i < n && status == APR_SUCCESS; i++) {
        if (verdicts[i].charged) {
            verdicts[i].retry_at = after[i].retry_at;
        }
    }
}

/** Ask the storage. Always inline, as it is for every request. */
static inline __attribute__((always_inline)) apr_status_t
ask(request_rec *r, const rlx_request_t *request, rlx_charge_e mode,
    const rlx_counter_t *counters, int n, rlx_verdict_t *verdicts)
{
    apr_status_t status = rlx_store_decide(request->store, mode, counters, n,
                                           request->now_usec, verdicts,
                                           r->pool);

    if (status == APR_SUCCESS && mode != RLX_CHARGE_ATOMIC
        && !has_room(verdicts, n) && is_charged(verdicts, n)) {
        ask_when(r, request, counters, n, verdicts);
    }
    return status;
}

/** Verdicts land in the request's record. One alone is there already. */
static void batch_keep(const batch_t *batch, rlx_request_t *request)
{
    rlx_decision_t *decision = &request->decisions[batch->first];

    for (int i = 0; i < batch->n && batch->n > 1; i++, decision++) {
        decision->verdict = batch->verdicts[i];
    }
    if (batch->has_again) {
        rlx_twin_refresh(request, batch->first);
    }
}

/** The first decision without room from some on; NULL if all had. */
static inline const rlx_decision_t *find_breach(const rlx_request_t *request,
                                                int first)
{
    const rlx_decision_t *decision = &request->decisions[first];
    const rlx_decision_t *end = &request->decisions[request->n];

    while (decision < end && decision->verdict.has_room) {
        decision++;
    }
    return decision < end ? decision : NULL;
}

/** The storage cannot answer about limits that only try, and may have answered
 *  about the others. */
static void batch_fail(const batch_t *batch, request_rec *r,
                       rlx_request_t *request)
{
    int n = request->n;

    request->n = batch->first;
    request->has_failed = request->is_unusual = 1;
    for (int i = batch->first; i < n; i++) {
        rlx_fate_note(r, request, request->decisions[i].rule, RLX_FATE_ERROR);
    }
}

static rlx_charge_e charge_mode(const rlx_dir_t *dir)
{
    return dir && dir->charge != RLX_UNSET ? (rlx_charge_e)dir->charge
                                           : RLX_CHARGE_ATOMIC;
}

/** For the debug log: what the storage said of each counter of a batch. */
static __attribute__((noinline, cold)) void
log_decisions(request_rec *r, const rlx_request_t *request, int first)
{
    for (int i = first; i < request->n && APLOG_R_IS_LEVEL(r, APLOG_DEBUG);
         i++) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0161) "%s",
                      rlx_decision_text(r, request, &request->decisions[i]));
    }
}

static __attribute__((noinline, cold)) void
log_plan(request_rec *r, const rlx_plan_t *plan)
{
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0010) "%s",
                  rlx_plan_text(r->pool, plan));
}

/** Decide the limits of a plan that have dry_run=on: each by itself, and
 *  charged as if all of them and none of the others could refuse.
 *  @return 0 if the storage cannot answer */
static __attribute__((noinline)) int
decide_dry(rlx_counting_t *counting, const rlx_plan_t *plan,
           rlx_request_t *request, batch_t *batch,
           const rlx_decision_t *breached)
{
    request_rec *r = counting->r;
    rlx_charge_e mode = charge_mode(counting->dir);
    apr_status_t status;

    batch->lane ^= RLX_LANE_DRY;
    batch_fill(batch, counting, plan, request);
    if (!batch->n) {
        return 1;
    }
    batch->verdicts = &request->decisions[batch->first].verdict;
    if (batch->n > 1) {
        batch->verdicts = apr_palloc(r->pool, sizeof(rlx_verdict_t)
                                              * (apr_size_t)batch->n);
    }
    status = breached && mode != RLX_CHARGE_ALL
             ? rlx_store_look(request->store, batch->counters, batch->n,
                              request->now_usec, batch->verdicts, r->pool)
             : rlx_store_decide(request->store, RLX_CHARGE_ALL,
                                batch->counters, batch->n, request->now_usec,
                                batch->verdicts, r->pool);
    if (status != APR_SUCCESS) {
        batch_fail(batch, r, request);
        return 0;
    }
    batch_keep(batch, request);
    rlx_fate_decided_all(r, counting->dir, request, batch->first);
    log_decisions(r, request, batch->first);
    if (!breached && (breached = find_breach(request, batch->first)) != NULL) {
        rlx_breach_spare(r, request, breached);
    }
    return 1;
}

/** A refused request is not charged, or to some limits alone: take the rest
 *  back, and from what is yet to be charged by the response.
 *  @param before decisions that there were before the batch that refuses */
static __attribute__((noinline)) void uncharge(request_rec *r,
                                               const rlx_dir_t *dir,
                                               rlx_request_t *request,
                                               int before)
{
    switch (charge_mode(dir)) {
    case RLX_CHARGE_ATOMIC:
        /* Also what it was charged before DirectoryIndex or a redirect led it
         * to the limit that refuses. */
        for (int i = 0; i < before; i++) {
            rlx_decision_give_back(&request->decisions[i], request->now_usec,
                                   r->pool);
        }
        rlx_settle_drop(request, 0);
        break;
    case RLX_CHARGE_IN_ORDER:
        rlx_settle_drop(request, (int)(request->breached
                                       - request->decisions));
        rlx_wait_earlier(r, request, before);
        break;
    case RLX_CHARGE_ALL:
        rlx_wait_earlier(r, request, before);
        break;
    }
    if (before) {
        rlx_headers_refuse(r, request);
    }
}

/** Put what is to be decided in a batch. */
static void gather(batch_t *batch, rlx_counting_t *counting,
                   const rlx_plan_t *plan, rlx_request_t *request,
                   rlx_phase_e phase)
{
    request_rec *r = counting->r;

    if (phase == RLX_PHASE_EARLY) {
        batch->lane = RLX_LANE_EARLY;
        batch->lane_mask |= RLX_LANE_EARLY;
    }
    else if (phase == RLX_PHASE_FIXUPS
             && request->early_for == r->per_dir_config) {
        batch->lane_mask |= RLX_LANE_EARLY;
    }
    rlx_counting_begin(counting, r, request, counting->dir,
                       request->store->provider->flags
                       & RLX_STORAGE_WANTS_TEXT);
    batch_fill(batch, counting, plan, request);
}

/** Decide what holds for r and was not decided before, whatever it is.
 *  @return DECLINED, the status of the refusal, or UNDECIDED */
static __attribute__((noinline)) int
decide_unusual(request_rec *r, const rlx_dir_t *dir, rlx_request_t *request,
               const rlx_plan_t *plan, rlx_phase_e phase)
{
    rlx_counter_t few_counters[FEW];
    rlx_verdict_t few_verdicts[FEW];
    batch_t batch = { few_counters, few_verdicts, 0, 0, 0, RLX_LANE_DRY, 0, 0 };
    const rlx_decision_t *breached = NULL;
    rlx_counting_t counting;
    int before = request->n;
    int status = DECLINED;
    int is_asked;
    int is_debug = APLOG_R_IS_LEVEL(r, APLOG_DEBUG);

    if (is_debug) {
        log_plan(r, plan);
    }
    if (plan->n > FEW) {
        apr_size_t n = (apr_size_t)plan->n;

        batch.counters = apr_palloc(r->pool, sizeof(rlx_counter_t) * n);
        batch.verdicts = apr_palloc(r->pool, sizeof(rlx_verdict_t) * n);
    }
    counting.r = r;
    counting.dir = dir;
    gather(&batch, &counting, plan, request, phase);
    if (batch.n == 1) {
        batch.verdicts = &request->decisions[before].verdict;
    }
    is_asked = batch.n != 0;
    if (is_asked) {
        if (ask(r, request, charge_mode(dir), batch.counters, batch.n,
                batch.verdicts) != APR_SUCCESS) {
            request->n = before;
            return UNDECIDED;
        }
        batch_keep(&batch, request);
        if (is_debug) {
            log_decisions(r, request, before);
        }
        breached = find_breach(request, before);
        rlx_fate_decided(r, dir, request, before, breached != NULL);
        status = breached ? rlx_breach_refuse(r, dir, request, breached)
                          : DECLINED;
    }
    /* What the others said stands without them. */
    if (batch.n_other
        && !decide_dry(&counting, plan, request, &batch, breached)
        && !is_asked) {
        return UNDECIDED;
    }
    if (status != DECLINED && (before || rlx_settle_is_due(request))) {
        uncharge(r, dir, request, before);
    }
    if (status != DECLINED && phase == RLX_PHASE_EARLY) {
        rlx_wait_later(&counting, plan, request);
        rlx_headers_refuse(r, request);
    }
    return status;
}

/** Ask for counters that were foreseen. Verdicts land in the record, one alone
 *  at once.
 *  @param has_room not 0 afterwards: all have room
 *  @return not 0 if the storage answers */
static inline __attribute__((always_inline)) int
ask_foreseen(request_rec *r, rlx_request_t *request, rlx_charge_e mode,
             const rlx_counter_t *counters, int n, int *has_room)
{
    rlx_decision_t *decision = request->decisions;
    rlx_verdict_t verdicts[RLX_USUAL_MAX];

    if (n == 1) {
        if (ask(r, request, mode, counters, 1, &decision->verdict)
            != APR_SUCCESS) {
            return 0;
        }
        *has_room = decision->verdict.has_room;
        return 1;
    }
    if (ask(r, request, mode, counters, n, verdicts) != APR_SUCCESS) {
        return 0;
    }
    *has_room = 1;
    for (int i = 0; i < n; i++, decision++) {
        decision->verdict = verdicts[i];
        *has_room &= verdicts[i].has_room != 0;
    }
    return 1;
}

/** The same where all but the key was known beforehand: no limit has a lane,
 *  or is pending, and nothing was decided before. Always inline, as most
 *  requests that a limit holds for come here. */
static inline __attribute__((always_inline)) int
decide_foreseen(request_rec *r, const rlx_server_t *sv, const rlx_dir_t *dir,
             rlx_request_t *request, const rlx_plan_t *plan)
{
    rlx_counter_t counters[RLX_USUAL_MAX];
    const rlx_client_t *client = dir && dir->key ? NULL
                                                 : rlx_client_of(r, sv);
    const rlx_decision_t *breached;
    rlx_key_t own;
    const rlx_key_t *key = client ? &client->key : &own;
    int is_debug = APLOG_R_IS_LEVEL(r, APLOG_DEBUG);
    int has_room;

    if (!client) {
        rlx_key_of(r, dir, plan->holdings[0].rule->options, &own);
        if (!own.len) {
            return decide_unusual(r, dir, request, plan, RLX_PHASE_FIXUPS);
        }
    }
    if (is_debug) {
        log_plan(r, plan);
    }
    rlx_usual_fill(plan->usual, key, request, counters);
    if (!ask_foreseen(r, request, charge_mode(dir), counters,
                      plan->usual->n, &has_room)) {
        request->n = 0;
        return UNDECIDED;
    }
    if (is_debug) {
        log_decisions(r, request, 0);
    }
    breached = has_room ? NULL : find_breach(request, 0);
    rlx_fate_decided(r, dir, request, 0, breached != NULL);
    return breached ? rlx_breach_refuse(r, dir, request, breached) : DECLINED;
}

/** Not 0 if decide_foreseen() may decide. */
static inline int is_foreseen(const rlx_server_t *sv, const rlx_dir_t *dir,
                              const rlx_request_t *request,
                              const rlx_plan_t *plan, rlx_phase_e phase)
{
    return phase == RLX_PHASE_FIXUPS && !request->n
           && rlx_usual_fits(plan, sv, dir);
}

/** decide_foreseen() where that is rare. */
static __attribute__((noinline)) int
decide_usual(request_rec *r, const rlx_server_t *sv, const rlx_dir_t *dir,
             rlx_request_t *request, const rlx_plan_t *plan)
{
    return decide_foreseen(r, sv, dir, request, plan);
}

/** The one or the other. */
static int decide(request_rec *r, const rlx_server_t *sv, const rlx_dir_t *dir,
       rlx_request_t *request, const rlx_plan_t *plan, rlx_phase_e phase)
{
    return is_foreseen(sv, dir, request, plan, phase)
           ? decide_usual(r, sv, dir, request, plan)
           : decide_unusual(r, dir, request, plan, phase);
}

/** The same where there are meta limits: nothing else is looked at or charged
 *  where they refuse, and they are charged where another limit does. */
static __attribute__((noinline)) int
decide_with_meta(request_rec *r, const rlx_server_t *sv, const rlx_dir_t *dir,
                 rlx_request_t *request, const rlx_plan_t *plan,
                 rlx_phase_e phase)
{
    int before = request->n;
    const rlx_decision_t *breached;
    int status = DECLINED;

    if (!rlx_meta_test(r, dir, request, plan, &breached)) {
        return UNDECIDED;
    }
    if (breached) {
        log_decisions(r, request, before);
        status = rlx_breach_refuse(r, dir, request, breached);
        if (status != DECLINED) {
            uncharge(r, dir, request, before);
        }
        return status;
    }
    if (plan->n) {
        status = decide(r, sv, dir, request, plan, phase);
    }
    if (status != DECLINED && status != UNDECIDED) {
        rlx_meta_charge(r, request, charge_mode(dir));
        if (request->closed_until) {
            /* Or Retry-After would be too early for them. */
            rlx_headers_refuse(r, request);
        }
    }
    return status;
}

/** Not 0 if meta limits may hold beside a plan. */
static inline int has_meta(const rlx_server_t *sv, const rlx_plan_t *plan)
{
    return (sv->meta || plan->has_meta) && !(plan->exempt & RLX_EXEMPT_META);
}

/** Decide what holds, meta limits too.
 *  @return DECLINED, the status of the refusal, or UNDECIDED */
static __attribute__((noinline)) int
decide_all(request_rec *r, const rlx_server_t *sv, const rlx_dir_t *dir,
           rlx_request_t *request, const rlx_plan_t *plan, rlx_phase_e phase)
{
    if (has_meta(sv, plan)) {
        return decide_with_meta(r, sv, dir, request, plan, phase);
    }
    return plan->n ? decide(r, sv, dir, request, plan, phase) : DECLINED;
}

/** The storage cannot answer: decide elsewhere, or not at all. */
static __attribute__((noinline)) int
decide_without(request_rec *r, const rlx_server_t *sv, const rlx_dir_t *dir,
               rlx_request_t *request, const rlx_plan_t *plan,
               rlx_phase_e phase)
{
    int status = UNDECIDED;
    rlx_plan_t other = *plan;

    request->has_failed = request->is_unusual = 1;
    if (!sv->local || sv->fallback) {
        rlx_fate_failed(r, request, plan);
    }
    if (rlx_failure_falls_back(r, request, &other)) {
        /* Other limits have no phase: the first time is as good as any. */
        phase = sv->fallback ? RLX_PHASE_ALL : phase;
        rlx_request_get(r, other.n);
        status = decide_all(r, sv, dir, request, &other, phase);
    }
    return status == UNDECIDED ? rlx_failure_answer(r, dir, request, &other)
                               : status;
}

int rlx_decide(request_rec *r, const rlx_server_t *sv, const rlx_dir_t *dir,
               rlx_request_t *request, const rlx_plan_t *plan,
               rlx_phase_e phase)
{
    int status;

    request->store = sv->store;
    if (plan->n || sv->meta) {
        rlx_request_read_clock(request);
    }
    status = is_foreseen(sv, dir, request, plan, phase) && !has_meta(sv, plan)
             ? decide_foreseen(r, sv, dir, request, plan)
             : decide_all(r, sv, dir, request, plan, phase);
    return status == UNDECIDED
           ? decide_without(r, sv, dir, request, plan, phase) : status;
}
