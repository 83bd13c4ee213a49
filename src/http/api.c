/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What other modules may call. Each charge is decided by itself, beside what
 * directives decide for the request; it enters the request's record only when
 * it becomes the request's refusal.
 */

#include "http/api.h"

#include <apr_strings.h>

#include "httpd.h"
#include "http_log.h"

#include "http/breach.h"
#include "http/counter.h"
#include "http/digits.h"
#include "http/environment.h"
#include "http/failure.h"
#include "http/fate.h"
#include "http/headers.h"
#include "http/htaccess.h"
#include "http/log_tags.h"
#include "http/meta.h"
#include "http/module_limit.h"
#include "http/outcome.h"
#include "http/settle.h"

APLOG_USE_MODULE(ratelimit_ext);

#define FLAGS (RLX_EXT_ONLY_TEST | RLX_EXT_KEY_IS_PUBLIC)

/** One call of rlx_ext_charge(). */
typedef struct charge_t {
    request_rec *r;
    const rlx_server_t *sv;
    /** May be NULL. */
    const rlx_dir_t *dir;
    const rlx_ext_limits_t *limits;
    /** NULL: the key of RateLimitKey. */
    const char *key;
    apr_uint32_t cost;
    unsigned int flags;
    rlx_outcome_t *outcome;
} charge_t;

/*
 * Charging
 */

/** Not 0 if a request filter lets the request pass. */
static int is_filtered(request_rec *r, const rlx_dir_t *dir)
{
    const rlx_request_t *request = rlx_outcome_record(r);

    if (request && (request->is_filtered
                    || request->decided_for == r->per_dir_config)) {
        return request->is_filtered;
    }
    for (const rlx_filter_t *filter = dir ? dir->filters : NULL; filter;
         filter = filter->next) {
        if (rlx_condition_holds(r, filter->condition)) {
            return 1;
        }
    }
    return 0;
}

/** Work out the counters in a storage.
 *  @param decisions filled in but for their verdicts
 *  @return 0 if the key is empty */
static int fill(const charge_t *charge, const rlx_store_t *store,
                rlx_counter_t *counters, rlx_decision_t *decisions)
{
    const rlx_request_t no_record = { .store = store };
    rlx_counting_t counting;

    rlx_counting_begin(&counting, charge->r, &no_record, charge->dir,
                       store->provider->flags & RLX_STORAGE_WANTS_TEXT);
    if (charge->key) {
        rlx_key_t *key = &counting.common_key;

        /* A refusal may speak of it long after the caller is done. */
        key->len = strlen(charge->key);
        key->text = apr_pstrmemdup(charge->r->pool, charge->key, key->len);
        key->is_public = (charge->flags & RLX_EXT_KEY_IS_PUBLIC) != 0;
        key->id = rlx_id_of(rlx_secret(), RLX_ID_KEY, key->text, key->len);
    }
    for (int i = 0; i < charge->limits->n; i++) {
        rlx_holding_t holding = { &charge->limits->rules[i], NULL, NULL };

        if (!rlx_counter_of(&counting, &holding, &decisions[i],
                            &counters[i])) {
            return 0;
        }
        decisions[i].cost = counters[i].cost = charge->cost;
        counters[i].only_test = charge->flags & RLX_EXT_ONLY_TEST;
    }
    return 1;
}

/** Say how it came about. */
static void log_charge(const charge_t *charge)
{
    const rlx_ext_outcome_t *shown = &charge->outcome->shown;
    request_rec *r = charge->r;

    for (int i = 0; i < shown->n && APLOG_R_IS_LEVEL(r, APLOG_DEBUG); i++) {
        const rlx_ext_decision_t *decision = shown->decisions[i];

        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0060)
                      "a module %s %u of %s [%s], key \"%s\": %s, %u left",
                      charge->flags & RLX_EXT_ONLY_TEST ? "tests" : "charges",
                      decision->cost, decision->limit->text,
                      ap_escape_logitem(r->pool, decision->scope),
                      ap_escape_logitem(r->pool, decision->key),
                      decision->has_room ? "has room" : "no room",
                      decision->remaining);
    }
}

/** Not 0 if nothing is refused. */
static int is_dry(const charge_t *charge)
{
    return charge->limits->options.dry_run
           || (charge->dir && charge->dir->engine == RLX_ENGINE_DRY_RUN);
}

/** A time to wait, as clients are told. */
static apr_int64_t wait_sec(rlx_usec_t usec)
{
    apr_int64_t sec = rlx_seconds_up(usec);

    return sec < 1 ? 1 : sec;
}

/** Draw the conclusion from the verdicts. */
static void conclude(const charge_t *charge)
{
    rlx_outcome_t *outcome = charge->outcome;
    rlx_ext_outcome_t *shown = &outcome->shown;

    shown->result = outcome->store == charge->sv->store ? RLX_EXT_ALLOWED
                                                        : RLX_EXT_FALLBACK;
    for (int i = 0; i < shown->n && !shown->breached; i++) {
        if (!shown->decisions[i]->has_room) {
            shown->breached = shown->decisions[i];
        }
    }
    if (!shown->breached) {
        return;
    }
    if (is_dry(charge)) {
        shown->result = RLX_EXT_DRY_RUN;
        return;
    }
    shown->result = RLX_EXT_REFUSED;
    shown->allowed = 0;
    shown->status = rlx_breach_status(charge->dir, &charge->limits->options);
    shown->retry_after_sec
        = wait_sec(rlx_outcome_retry_at(outcome->decisions, shown->n,
                                        shown->decided_at)
                   - shown->decided_at);
}

/** Count for each limit what it says. */
static void count(const charge_t *charge)
{
    for (int i = 0; i < charge->limits->n; i++) {
        const rlx_decision_t *decision = &charge->outcome->decisions[i];

        rlx_fate_add(decision->rule,
                     rlx_fate_of(charge->r, charge->dir, decision,
                                 decision->verdict.has_room));
    }
}

/** Ask a storage.
 *  @return APR_SUCCESS also if the key is empty; then there are no decisions */
static apr_status_t ask(const charge_t *charge, const rlx_store_t *store)
{
    rlx_counter_t counters[RLX_LIMITS_PER_STRING];
    rlx_verdict_t verdicts[RLX_LIMITS_PER_STRING];
    rlx_outcome_t *outcome = charge->outcome;
    int n = charge->limits->n;
    /* Decided by itself, and so at a time of its own. */
    rlx_usec_t now_usec = apr_time_now();
    apr_status_t status;

    outcome->decisions = apr_palloc(charge->r->pool, sizeof(rlx_decision_t)
                                                     * (apr_size_t)n);
    if (!fill(charge, store, counters, outcome->decisions)) {
        return APR_SUCCESS;
    }
    outcome->store = store;
    outcome->shown.decided_at = now_usec;
    status = rlx_store_decide(store, RLX_CHARGE_ATOMIC, counters, n, now_usec,
                              verdicts, charge->r->pool);
    if (status != APR_SUCCESS) {
        return status;
    }
    for (int i = 0; i < n; i++) {
        outcome->decisions[i].verdict = verdicts[i];
    }
    count(charge);
    rlx_outcome_show(charge->r, outcome, outcome->decisions, n);
    conclude(charge);
    return APR_SUCCESS;
}

/** No storage can answer: allow, or not. */
static void give_up(const charge_t *charge)
{
    rlx_ext_outcome_t *shown = &charge->outcome->shown;
    rlx_usec_t wait_usec = rlx_store_retry_at(charge->sv->store,
                                              shown->decided_at)
                           - shown->decided_at;

    for (int i = 0; i < charge->limits->n; i++) {
        rlx_fate_add(&charge->limits->rules[i], RLX_FATE_ERROR);
    }
    shown->result = RLX_EXT_ERROR;
    if (charge->sv->storage_failure == RLX_FAILURE_DENY && !is_dry(charge)) {
        shown->allowed = 0;
        shown->status = HTTP_SERVICE_UNAVAILABLE;
        shown->retry_after_sec = wait_sec(wait_usec);
    }
}

/** Ask the storage, or what stands in for it. */
static apr_status_t decide(const charge_t *charge)
{
    const rlx_server_t *sv = charge->sv;
    apr_status_t status = ask(charge, sv->store);

    if (status != APR_SUCCESS && sv->local) {
        status = ask(charge, sv->local);
    }
    if (status != APR_SUCCESS) {
        give_up(charge);
    }
    return status;
}

/** Not APR_SUCCESS if it cannot be charged at all. */
static apr_status_t check(const charge_t *charge)
{
    if (!charge->limits || (charge->flags & ~FLAGS)
        || charge->cost > RLX_COUNT_MAX) {
        return APR_EINVAL;
    }
    return rlx_module_limits_refused(charge->limits, charge->sv->store,
                                     charge->r->pool)
           ? APR_ENOTIMPL : APR_SUCCESS;
}

static apr_status_t rlx_ext_charge(request_rec *r,
                                   const rlx_ext_limits_t *limits,
                                   const char *key, apr_uint32_t cost,
                                   unsigned int flags,
                                   const rlx_ext_outcome_t **shown)
{
    rlx_outcome_t *outcome = rlx_outcome_make(r->pool);
    charge_t charge = { r, rlx_server_of(r->server),
                        rlx_dir_of(r->per_dir_config), limits, key, cost,
                        flags, outcome };
    apr_status_t status = check(&charge);

    *shown = &outcome->shown;
    if (status != APR_SUCCESS) {
        outcome->shown.result = RLX_EXT_ERROR;
        return status;
    }
    if (charge.dir && charge.dir->engine == RLX_ENGINE_OFF) {
        return APR_SUCCESS;
    }
    if (is_filtered(r, charge.dir)) {
        outcome->shown.result = RLX_EXT_EXEMPT;
        return APR_SUCCESS;
    }
    status = decide(&charge);
    log_charge(&charge);
    if (outcome->shown.breached && !(flags & RLX_EXT_ONLY_TEST)) {
        rlx_outcome_tell(r, outcome);
    }
    return status;
}

static apr_status_t rlx_ext_give_back(request_rec *r,
                                      const rlx_ext_outcome_t *shown)
{
    /* Whoever made it made it as a whole. */
    rlx_outcome_t *outcome = (rlx_outcome_t *)shown;
    apr_status_t result = APR_SUCCESS;
    rlx_usec_t now_usec = apr_time_now();

    if (!outcome->store) {
        return shown->n ? APR_EINVAL : APR_SUCCESS;
    }
    for (int i = 0; i < shown->n; i++) {
        rlx_decision_t *decision = &outcome->decisions[i];
        apr_status_t status = rlx_decision_give_back(decision, now_usec,
                                                     r->pool);

        result = status != APR_SUCCESS ? status : result;
        rlx_outcome_show_verdict(outcome, i, &decision->verdict);
    }
    return result;
}

/*
 * Refusing
 */

/** Make a charge the last thing that was decided of a request. */
static void begin(request_rec *r, rlx_request_t *request,
                  const rlx_outcome_t *outcome)
{
    const rlx_dir_t *dir = rlx_dir_of(r->per_dir_config);

    request->store = outcome->store;
    request->decided_in = r;
    request->now_usec = outcome->shown.decided_at;
    if (dir && dir->headers != RLX_UNSET) {
        request->headers = dir->headers;
    }
}

/** Put the decisions of a charge in the request's record.
 *  @return the one that was breached, there */
static const rlx_decision_t *record(rlx_request_t *request,
                                    const rlx_outcome_t *outcome)
{
    const rlx_decision_t *breached = NULL;

    for (int i = 0; i < outcome->shown.n; i++) {
        rlx_decision_t *decision = &request->decisions[request->n++];

        *decision = outcome->decisions[i];
        decision->fate = RLX_FATE_ELSEWHERE;
        if (!breached && !decision->verdict.has_room) {
            breached = decision;
        }
    }
    return breached;
}

/** Nothing is charged for a refused request, also not by directives. */
static void uncharge(request_rec *r, const rlx_dir_t *dir,
                     rlx_request_t *request, int n)
{
    if (dir && dir->charge != RLX_UNSET && dir->charge != RLX_CHARGE_ATOMIC) {
        return;
    }
    for (int i = 0; i < n; i++) {
        rlx_decision_give_back(&request->decisions[i], request->now_usec,
                               r->pool);
    }
    rlx_settle_drop(request, 0);
}

/** The meta limits may not have been looked at yet: that comes in fixups. */
static void look_at_meta(request_rec *r, const rlx_dir_t *dir,
                         rlx_request_t *request, int more)
{
    const rlx_server_t *sv = rlx_server_of(r->server);
    const rlx_decision_t *breached;
    rlx_plan_t plan;

    /* RateLimitFallback stands in place of them. */
    if (!sv->meta || request->meta
        || (sv->fallback && request->store != sv->store)) {
        return;
    }
    plan = *rlx_resolve(r, sv, dir, request->method_number, &plan);
    if (!(plan.exempt & RLX_EXEMPT_META)) {
        /* Those of single limits have nothing to do with this one. */
        plan.n = plan.has_meta = 0;
        rlx_meta_test(r, dir, request, &plan, &breached);
        rlx_request_get(r, more);
    }
}

/** Refuse the request. */
static int refuse(request_rec *r, rlx_request_t *request,
                  const rlx_outcome_t *outcome)
{
    const rlx_dir_t *dir = rlx_dir_of(r->per_dir_config);
    int before, status;

    if (!outcome->shown.breached) {
        return rlx_failure_deny(r, request);
    }
    look_at_meta(r, dir, request, outcome->shown.n);
    before = request->n;
    status = rlx_breach_refuse(r, dir, request, record(request, outcome));
    if (status == DECLINED) {
        return DECLINED;
    }
    uncharge(r, dir, request, before);
    if (request->meta) {
        rlx_meta_charge(r, request, RLX_CHARGE_ATOMIC);
        if (request->closed_until) {
            /* Or Retry-After would be too early for them. */
            rlx_headers_refuse(r, request);
        }
    }
    return status;
}

static int rlx_ext_refuse(request_rec *r, const rlx_ext_outcome_t *shown)
{
    rlx_outcome_t *outcome = (rlx_outcome_t *)shown;
    rlx_request_t *request;
    int status = DECLINED;

    if (!outcome->store || (shown->allowed && !shown->breached)
        || rlx_outcome_is_telling()) {
        return DECLINED;
    }
    if (r->main) {
        return shown->allowed ? DECLINED : shown->status;
    }
    request = rlx_request_get(r, shown->n);
    if (request->refused_in == r) {
        return request->status;
    }
    if (request->refused_in && !rlx_htaccess_alone_refused(request)) {
        return DECLINED;
    }
    begin(r, request, outcome);
    if (shown->allowed) {
        rlx_breach_spare(r, request, record(request, outcome));
    }
    else {
        status = refuse(r, request, outcome);
    }
    rlx_fate_count(request);
    rlx_environment_set(r, request);
    /* The hook that inserts filters may have run before. */
    rlx_headers_insert(r);
    if (shown->breached && !outcome->is_told) {
        rlx_outcome_tell(r, outcome);
    }
    return status;
}

static const rlx_ext_outcome_t *rlx_ext_decisions(request_rec *r)
{
    return &rlx_outcome_of(r)->shown;
}

void rlx_api_register(void)
{
    APR_REGISTER_OPTIONAL_FN(rlx_ext_prepare);
    APR_REGISTER_OPTIONAL_FN(rlx_ext_charge);
    APR_REGISTER_OPTIONAL_FN(rlx_ext_refuse);
    APR_REGISTER_OPTIONAL_FN(rlx_ext_give_back);
    APR_REGISTER_OPTIONAL_FN(rlx_ext_decisions);
}
