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

/** More counters than this do not fit the stack. */
#define FEW 8

/** Bytes of a key or a scope that are logged. */
#define LOGGED_MAX 200

/** The counters that a storage is asked for in one go: those of the record's
 *  decisions from `first` on. */
typedef struct batch_t {
    rlx_counter_t *counters;
    rlx_verdict_t *verdicts;
    int first;
    int n;
    /** Not 0: of limits with dry_run=on, which are decided by themselves so
     *  that they stand in nobody's way. */
    int is_dry;
    /** Limits of the other kind that the plan has. */
    int n_other;
} batch_t;

/** Not 0 if the request was charged to this counter already. */
static int is_known(const rlx_request_t *request, rlx_id_t id)
{
    for (int i = 0; i < request->n; i++) {
        if (rlx_id_equal(request->decisions[i].id, id)) {
            return 1;
        }
    }
    return 0;
}

static void log_keyless(request_rec *r, const rlx_rule_t *rule)
{
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0011)
                  "no key for %s (%s:%d): the limit is skipped",
                  rule->limit[0].text, rule->file, rule->line);
}

/** Not 0 if a limit is not looked at for this request. */
static int is_exempt(request_rec *r, rlx_request_t *request,
                     const rlx_rule_t *rule)
{
    if (!rlx_condition_holds(r, rule->options->exempt_when)) {
        return 0;
    }
    request->is_exempt = 1;
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0033)
                  "exempt_when=%s holds: %s (%s:%d) is not looked at",
                  rule->options->exempt_when->text, rule->limit[0].text,
                  rule->file, rule->line);
    return 1;
}

/** Put the counters of a plan that are new to the request in a batch. */
static void batch_fill(batch_t *batch, rlx_counting_t *counting,
                       const rlx_plan_t *plan, rlx_request_t *request)
{
    batch->n = 0;
    batch->first = request->n;
    for (int i = 0; i < plan->n; i++) {
        rlx_decision_t *decision = &request->decisions[request->n];
        const rlx_rule_t *rule = plan->holdings[i].rule;

        if (rule->options->dry_run != batch->is_dry) {
            batch->n_other++;
        }
        else if (rule->options->exempt_when
                 && is_exempt(counting->r, request, rule)) {
            continue;
        }
        else if (!rlx_counter_of(counting, &plan->holdings[i], decision,
                                 &batch->counters[batch->n])) {
            log_keyless(counting->r, rule);
        }
        else if (!is_known(request, decision->id)) {
            batch->n++;
            request->n++;
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

/** A provider's decide(), or its look() in the same form. */
static apr_status_t ask(const batch_t *batch, request_rec *r,
                        const rlx_request_t *request, rlx_charge_e mode,
                        int only_look)
{
    const rlx_store_t *store = rlx_server_of(r->server)->store;
    apr_status_t status = APR_SUCCESS;

    for (int from = 0; from < batch->n && status == APR_SUCCESS;
         from += RLX_STORAGE_BATCH_MAX) {
        const rlx_counter_t *counters = batch->counters + from;
        rlx_verdict_t *verdicts = batch->verdicts + from;
        int n = batch->n - from;

        n = n < RLX_STORAGE_BATCH_MAX ? n : RLX_STORAGE_BATCH_MAX;
        status = only_look
                 ? store->provider->look(store->instance, counters, n,
                                         request->now_usec, verdicts, r->pool)
                 : store->provider->decide(store->instance, mode, counters, n,
                                           request->now_usec, verdicts,
                                           r->pool);
        /* What stands behind a refusal is charged nothing. */
        only_look |= mode == RLX_CHARGE_IN_ORDER && status == APR_SUCCESS
                     && !has_room(verdicts, n);
    }
    return status;
}

/** A refused request may have been charged to limits that had room for it and
 *  have none for another: when they will have is asked anew, or Retry-After
 *  would be too early for them. */
static apr_status_t ask_when(const batch_t *batch, request_rec *r,
                             const rlx_request_t *request, rlx_charge_e mode)
{
    batch_t after = *batch;
    apr_status_t status;

    after.verdicts = apr_palloc(r->pool, sizeof(rlx_verdict_t)
                                         * (apr_size_t)batch->n);
    status = ask(&after, r, request, mode, 1);
    for (int i = 0; i < batch->n && status == APR_SUCCESS; i++) {
        if (batch->verdicts[i].charged) {
            batch->verdicts[i].retry_at = after.verdicts[i].retry_at;
        }
    }
    return status;
}

/** Ask the storage. */
static apr_status_t batch_decide(const batch_t *batch, request_rec *r,
                                 const rlx_request_t *request,
                                 rlx_charge_e mode)
{
    apr_status_t status = APR_SUCCESS;
    int is_decided = 0;

    /* More than fit one step: looked at first, so that a refusal by the last
     * of them is charged to none, unless others take the room meanwhile. */
    if (batch->n > RLX_STORAGE_BATCH_MAX && mode == RLX_CHARGE_ATOMIC) {
        status = ask(batch, r, request, mode, 1);
        is_decided = status == APR_SUCCESS
                     && !has_room(batch->verdicts, batch->n);
    }
    if (status == APR_SUCCESS && !is_decided) {
        status = ask(batch, r, request, mode, 0);
    }
    if (status == APR_SUCCESS && mode != RLX_CHARGE_ATOMIC
        && !has_room(batch->verdicts, batch->n)) {
        status = ask_when(batch, r, request, mode);
    }
    return status;
}

/** Verdicts land in the request's record. */
static void batch_keep(const batch_t *batch, rlx_request_t *request)
{
    for (int i = 0; i < batch->n; i++) {
        request->decisions[batch->first + i].verdict = batch->verdicts[i];
    }
}

/** The first decision of a batch without room; NULL if all had. */
static const rlx_decision_t *batch_breach(const batch_t *batch,
                                          const rlx_request_t *request)
{
    for (int i = batch->first; i < request->n; i++) {
        if (!request->decisions[i].verdict.has_room) {
            return &request->decisions[i];
        }
    }
    return NULL;
}

/** What a client may have sent, for the log: escaped, and cut so that httpd
 *  never cuts the line itself. */
static const char *logged(request_rec *r, const char *text)
{
    if (strlen(text) > LOGGED_MAX) {
        text = apr_pstrcat(r->pool, apr_pstrmemdup(r->pool, text, LOGGED_MAX),
                           "...", NULL);
    }
    return ap_escape_logitem(r->pool, text);
}

/** One line for each refusal. The client comes first, before anything that
 *  it sent: fail2ban can be sure of it there. */
static void log_breach(request_rec *r, const rlx_decision_t *breached,
                       const char *what)
{
    if (!APLOG_R_IS_LEVEL(r, APLOG_INFO)) {
        return;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, RLXNO(0001)
                  "%s: client %s limit \"%s\" key \"%s\" scope \"%s\"", what,
                  r->useragent_ip ? r->useragent_ip : "-",
                  breached->rule->options->name
                  ? breached->rule->options->name : breached->limit->text,
                  logged(r, rlx_decision_key(r, breached)),
                  logged(r, rlx_decision_scope(r, breached)));
}

/** httpd turns a status that it has no words for into 500, unless the status
 *  line is there already. */
static void word_status(request_rec *r, int status)
{
    r->status_line = ap_get_status_line_ex(r->pool, status);
}

/** The request has no room by a limit that does not refuse. */
static void spare(request_rec *r, rlx_request_t *request,
                  const rlx_decision_t *breached)
{
    request->breached = breached;
    request->result = RLX_RESULT_DRY_RUN;
    log_breach(r, breached, "would be refused (dry run)");
}

/** Status of a refusal by a limit. */
static int status_for(const rlx_dir_t *dir, const rlx_options_t *options)
{
    if (options->status) {
        return options->status;
    }
    return dir && dir->status != RLX_UNSET ? dir->status : RLX_STATUS_DEFAULT;
}

/** The request has no room: refuse it, or say so where refusing is off. */
static int refuse(request_rec *r, const rlx_dir_t *dir,
                  rlx_request_t *request, const rlx_decision_t *breached)
{
    if (dir && dir->engine == RLX_ENGINE_DRY_RUN) {
        spare(r, request, breached);
        return DECLINED;
    }
    request->breached = breached;
    request->result = RLX_RESULT_REFUSED;
    request->refused_in = r;
    request->status = status_for(dir, breached->rule->options);
    word_status(r, request->status);
    rlx_headers_refuse(r, request);
    log_breach(r, breached, "refused");
    return request->status;
}

/** The storage cannot answer: a batch is as if it had never been. */
static void give_up(request_rec *r, rlx_request_t *request,
                    const batch_t *batch, apr_status_t status)
{
    request->n = batch->first;
    request->result = RLX_RESULT_ERROR;
    ap_log_rerror(APLOG_MARK, APLOG_ERR, status, r, RLXNO(0012)
                  "storage %s cannot answer: the request passes",
                  rlx_server_of(r->server)->store->shown_uri);
}

static rlx_charge_e charge_mode(const rlx_dir_t *dir)
{
    return dir && dir->charge != RLX_UNSET ? (rlx_charge_e)dir->charge
                                           : RLX_CHARGE_ATOMIC;
}

/** Decide the counters of a batch.
 *  @return the first without room, or NULL */
static const rlx_decision_t *decide_batch(request_rec *r,
                                          rlx_request_t *request,
                                          const batch_t *batch,
                                          rlx_charge_e mode)
{
    apr_status_t status = batch_decide(batch, r, request, mode);

    if (status != APR_SUCCESS) {
        give_up(r, request, batch, status);
        return NULL;
    }
    batch_keep(batch, request);
    return batch_breach(batch, request);
}

/** Decide the limits of a plan that have dry_run=on: each by itself, and
 *  charged as if all of them and none of the others could refuse. */
static void decide_dry(rlx_counting_t *counting, const rlx_plan_t *plan,
                       rlx_request_t *request, batch_t *batch,
                       const rlx_decision_t *breached)
{
    request_rec *r = counting->r;
    rlx_charge_e mode = charge_mode(counting->dir);
    apr_status_t status;

    batch->is_dry = 1;
    batch_fill(batch, counting, plan, request);
    if (!batch->n) {
        return;
    }
    status = ask(batch, r, request, RLX_CHARGE_ALL,
                 breached && mode != RLX_CHARGE_ALL);
    if (status != APR_SUCCESS) {
        give_up(r, request, batch, status);
        return;
    }
    batch_keep(batch, request);
    if (!breached && (breached = batch_breach(batch, request)) != NULL) {
        spare(r, request, breached);
    }
}

/** Decide what holds for r and was not decided before. */
static int decide(request_rec *r, const rlx_dir_t *dir,
                  rlx_request_t *request, const rlx_plan_t *plan)
{
    const rlx_store_t *store = rlx_server_of(r->server)->store;
    rlx_counter_t few_counters[FEW];
    rlx_verdict_t few_verdicts[FEW];
    batch_t batch = { few_counters, few_verdicts, 0, 0, 0, 0 };
    const rlx_decision_t *breached = NULL;
    rlx_counting_t counting;
    int status = DECLINED;

    if (APLOG_R_IS_LEVEL(r, APLOG_DEBUG)) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0010) "%s",
                      rlx_plan_text(r->pool, plan));
    }
    if (plan->n > FEW) {
        apr_size_t n = (apr_size_t)plan->n;

        batch.counters = apr_palloc(r->pool, sizeof(rlx_counter_t) * n);
        batch.verdicts = apr_palloc(r->pool, sizeof(rlx_verdict_t) * n);
    }
    rlx_counting_begin(&counting, r, request, dir,
                       store->provider->flags & RLX_STORAGE_WANTS_TEXT);
    batch_fill(&batch, &counting, plan, request);
    /* The one place where the module reads the wall clock. */
    request->now_usec = apr_time_now();
    if (batch.n) {
        breached = decide_batch(r, request, &batch, charge_mode(dir));
        status = breached ? refuse(r, dir, request, breached) : DECLINED;
    }
    if (batch.n_other) {
        decide_dry(&counting, plan, request, &batch, breached);
    }
    return status;
}

/** Not 0 if a request filter lets the request pass. */
static int is_filtered(request_rec *r, const rlx_filter_t *filter)
{
    for (; filter; filter = filter->next) {
        if (rlx_condition_holds(r, filter->condition)) {
            ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0034)
                          "RateLimitRequestFilter \"%s\" holds: no limit is "
                          "looked at", filter->condition->text);
            return 1;
        }
    }
    return 0;
}

/** Let the request pass, and whatever it is redirected to. */
static int let_pass(request_rec *r)
{
    rlx_request_t *request = rlx_request_get(r, 0);

    request->is_filtered = request->is_exempt = 1;
    request->decided_for = r->per_dir_config;
    return DECLINED;
}

/** Decide r for the configuration that it has now. */
static int look(request_rec *r, const rlx_server_t *sv, const rlx_dir_t *dir)
{
    rlx_request_t *request = r->prev ? rlx_request_find(r) : NULL;
    int method = request ? request->method_number : r->method_number;
    rlx_plan_t plan;

    if ((request && request->is_filtered)
        || (dir && dir->filters && is_filtered(r, dir->filters))) {
        return let_pass(r);
    }
    rlx_resolve(r, sv, dir, method, &plan);
    request = rlx_request_get(r, plan.n);
    /* What is served for a refusal is never refused. */
    if (request->refused_in) {
        return DECLINED;
    }
    request->decided_for = r->per_dir_config;
    request->is_exempt |= plan.exempt != 0;
    /* Off at first; an error document that is silent leaves them as they
     * are. */
    if (dir && dir->headers != RLX_UNSET) {
        request->headers = dir->headers;
    }
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
    const rlx_request_t *request = ap_get_module_config(
        r->request_config, &ratelimit_ext_module);
    const rlx_server_t *sv;
    const rlx_dir_t *dir;
    int status;

    if (request && request->decided_for == r->per_dir_config) {
        return DECLINED;
    }
    sv = rlx_server_of(r->server);
    dir = rlx_dir_of(r->per_dir_config);
    if (!is_concerned(r, sv, dir)) {
        return DECLINED;
    }
    status = look(r, sv, dir);
    /* The hook that inserts filters ran before this one. */
    rlx_headers_insert(r);
    return status;
}
