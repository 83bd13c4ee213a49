/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Decides requests. One client request is decided once, whatever subrequests
 * and internal redirects it causes: subrequests are passed over, and of a
 * redirect only the counters that the request has not met before are asked.
 */

#include "http/engine.h"

#include <apr_strings.h>

#include "http_log.h"
#include "http_protocol.h"

#include "http/counter.h"
#include "http/headers.h"
#include "http/log_tags.h"
#include "http/plan_text.h"
#include "http/request.h"
#include "http/resolve.h"

APLOG_USE_MODULE(ratelimit_ext);

/** The counters that a storage is asked for in one go. */
typedef struct batch_t {
    rlx_counter_t *counters;
    /** Index of each counter's decision in the request's record. */
    int *decision;
    int n;
} batch_t;

/** Not 0 if the request was charged to this counter already. */
static int is_known(const rlx_request_t *request, rlx_id_t id)
{
    for (int i = 0; i < request->decisions->nelts; i++) {
        const rlx_decision_t *decision = &APR_ARRAY_IDX(request->decisions, i,
                                                        rlx_decision_t);

        if (rlx_id_equal(decision->id, id)) {
            return 1;
        }
    }
    return 0;
}

/** Put the counters of a plan that are new to the request in a batch. */
static void batch_fill(batch_t *batch, rlx_counting_t *counting,
                       const rlx_plan_t *plan, rlx_request_t *request)
{
    request_rec *r = counting->r;

    batch->n = 0;
    batch->counters = apr_palloc(r->pool, sizeof(rlx_counter_t) * plan->n);
    batch->decision = apr_palloc(r->pool, sizeof(int) * plan->n);
    for (int i = 0; i < plan->n; i++) {
        rlx_decision_t decision;

        if (!rlx_counter_of(counting, &plan->holdings[i], &decision,
                            &batch->counters[batch->n])) {
            ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0011)
                          "no key for %s (%s:%d): the limit is skipped",
                          plan->holdings[i].rule->limit[0].text,
                          plan->holdings[i].rule->file,
                          plan->holdings[i].rule->line);
            continue;
        }
        if (is_known(request, decision.id)) {
            continue;
        }
        batch->decision[batch->n++] = request->decisions->nelts;
        APR_ARRAY_PUSH(request->decisions, rlx_decision_t) = decision;
    }
}

/** Ask the storage. Verdicts land in the request's record. */
static apr_status_t batch_decide(const batch_t *batch, request_rec *r,
                                 rlx_request_t *request, rlx_charge_e mode)
{
    const rlx_store_t *store = rlx_server_of(r->server)->store;
    rlx_verdict_t *verdicts = apr_palloc(r->pool,
                                         sizeof(rlx_verdict_t) * batch->n);

    for (int from = 0; from < batch->n; from += RLX_STORAGE_BATCH_MAX) {
        int n = batch->n - from;
        apr_status_t status;

        n = n < RLX_STORAGE_BATCH_MAX ? n : RLX_STORAGE_BATCH_MAX;
        status = store->provider->decide(store->instance, mode,
                                         batch->counters + from, n,
                                         request->now_usec, verdicts + from,
                                         r->pool);
        if (status != APR_SUCCESS) {
            return status;
        }
    }
    for (int i = 0; i < batch->n; i++) {
        APR_ARRAY_IDX(request->decisions, batch->decision[i],
                      rlx_decision_t).verdict = verdicts[i];
    }
    return APR_SUCCESS;
}

/** The first decision of a batch without room; NULL if all had. */
static const rlx_decision_t *batch_breach(const batch_t *batch,
                                          const rlx_request_t *request)
{
    for (int i = 0; i < batch->n; i++) {
        const rlx_decision_t *decision = &APR_ARRAY_IDX(
            request->decisions, batch->decision[i], rlx_decision_t);

        if (!decision->verdict.has_room) {
            return decision;
        }
    }
    return NULL;
}

/** One line for each refusal. What a client sent is escaped. */
static void log_breach(request_rec *r, const rlx_decision_t *breached,
                       const char *what)
{
    if (!APLOG_R_IS_LEVEL(r, APLOG_INFO)) {
        return;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, RLXNO(0001)
                  "%s: limit \"%s\" key \"%s\" scope \"%s\" client %s", what,
                  breached->rule->options->name
                  ? breached->rule->options->name : breached->limit->text,
                  ap_escape_logitem(r->pool, rlx_decision_key(r, breached)),
                  ap_escape_logitem(r->pool,
                                    rlx_decision_scope(r, breached)),
                  r->useragent_ip);
}

/** httpd turns a status that it has no words for into 500, unless the status
 *  line is there already. */
static void word_status(request_rec *r, int status)
{
    r->status_line = ap_get_status_line_ex(r->pool, status);
}

/** The request has no room: refuse it, or say so where refusing is off. */
static int refuse(request_rec *r, const rlx_dir_t *dir,
                  rlx_request_t *request, const rlx_decision_t *breached)
{
    request->breached = breached;
    if (dir && dir->engine == RLX_ENGINE_DRY_RUN) {
        request->result = RLX_RESULT_DRY_RUN;
        log_breach(r, breached, "would be refused (dry run)");
        return DECLINED;
    }
    request->result = RLX_RESULT_REFUSED;
    request->refused_in = r;
    request->status = dir && dir->status != RLX_UNSET ? dir->status
                                                      : RLX_STATUS_DEFAULT;
    word_status(r, request->status);
    rlx_headers_refuse(r, request);
    log_breach(r, breached, "refused");
    return request->status;
}

/** Decide what holds for r and was not decided before. */
static int decide(request_rec *r, const rlx_dir_t *dir,
                  rlx_request_t *request, const rlx_plan_t *plan)
{
    const rlx_store_t *store = rlx_server_of(r->server)->store;
    rlx_charge_e mode = dir && dir->charge != RLX_UNSET
                        ? (rlx_charge_e)dir->charge : RLX_CHARGE_ATOMIC;
    const rlx_decision_t *breached;
    rlx_counting_t counting;
    batch_t batch;
    apr_status_t status;

    if (APLOG_R_IS_LEVEL(r, APLOG_DEBUG)) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0010) "%s",
                      rlx_plan_text(r->pool, plan));
    }
    rlx_counting_begin(&counting, r, dir, store->provider->flags
                                          & RLX_STORAGE_WANTS_TEXT);
    batch_fill(&batch, &counting, plan, request);
    if (!batch.n) {
        return DECLINED;
    }
    /* The one place where the module reads the wall clock. */
    request->now_usec = apr_time_now();
    status = batch_decide(&batch, r, request, mode);
    if (status != APR_SUCCESS) {
        request->decisions->nelts -= batch.n;
        ap_log_rerror(APLOG_MARK, APLOG_ERR, status, r, RLXNO(0012)
                      "storage %s cannot answer: the request passes",
                      store->shown_uri);
        return DECLINED;
    }
    breached = batch_breach(&batch, request);
    return breached ? refuse(r, dir, request, breached) : DECLINED;
}

/** Decide r for the configuration that it has now. */
static int look(request_rec *r, const rlx_server_t *sv, const rlx_dir_t *dir)
{
    rlx_request_t *request = rlx_request_get(r);
    rlx_plan_t plan;

    /* What is served for a refusal is never refused. */
    if (request->refused_in) {
        return DECLINED;
    }
    request->decided_for = r->per_dir_config;
    request->headers = dir && dir->headers != RLX_UNSET ? dir->headers
                                                        : RLX_HEADERS_OFF;
    rlx_resolve(sv, dir, r->method_number, r->pool, &plan);
    return plan.n ? decide(r, dir, request, &plan) : DECLINED;
}

/** Not 0 if any limit might hold. Every request of the server comes here. */
static int is_concerned(const request_rec *r, const rlx_server_t *sv,
                        const rlx_dir_t *dir)
{
    if (r->main || (dir && dir->engine == RLX_ENGINE_OFF)) {
        return 0;
    }
    return sv->defaults || sv->application || (dir && dir->chain);
}

/** An ErrorDocument is answered with the status of the refusal. */
static void keep_status(request_rec *r)
{
    const rlx_request_t *request = rlx_request_find(r);

    if (request && request->refused_in && r->status == request->status) {
        word_status(r, request->status);
    }
}

int rlx_engine_fixups(request_rec *r)
{
    const rlx_server_t *sv = rlx_server_of(r->server);
    const rlx_dir_t *dir = rlx_dir_of(r->per_dir_config);

    if (r->prev) {
        keep_status(r);
    }
    return is_concerned(r, sv, dir) ? look(r, sv, dir) : DECLINED;
}

int rlx_engine_handler(request_rec *r)
{
    const rlx_server_t *sv = rlx_server_of(r->server);
    const rlx_dir_t *dir = rlx_dir_of(r->per_dir_config);
    const rlx_request_t *request;
    int status;

    if (!is_concerned(r, sv, dir)) {
        return DECLINED;
    }
    request = ap_get_module_config(r->request_config, &ratelimit_ext_module);
    if (request && request->decided_for == r->per_dir_config) {
        return DECLINED;
    }
    status = look(r, sv, dir);
    /* The hook that inserts filters ran before this one. */
    rlx_headers_insert(r);
    return status;
}
