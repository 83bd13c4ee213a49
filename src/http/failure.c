/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What a request gets that the storage could not decide. Whether a storage
 * answers is known to all children (store/guard.c); what that means for a
 * request is its server's to say.
 */

#include "http/failure.h"

#include "http_log.h"

#include "http/digits.h"
#include "http/headers.h"
#include "http/log_tags.h"

APLOG_USE_MODULE(ratelimit_ext);

void rlx_failure_log_change(void *baton, const rlx_store_change_t *change)
{
    const server_rec *s = baton;
    apr_int64_t sec = rlx_seconds_up(change->usec);
    const char *plural = sec == 1 ? "" : "s";
    const char *open = change->trouble ? " (" : "";
    const char *trouble = change->trouble ? change->trouble : "";
    const char *close = change->trouble ? ")" : "";

    switch (change->state) {
    case RLX_STORE_DOWN:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, change->status, s, RLXNO(0051)
                     "storage %s cannot answer%s%s%s: requests get what "
                     "RateLimitStorageFailure says until it does; it is asked "
                     "again in %" APR_INT64_T_FMT " second%s",
                     change->shown_uri, open, trouble, close, sec, plural);
        break;
    case RLX_STORE_STILL_DOWN:
        ap_log_error(APLOG_MARK, APLOG_INFO, change->status, s, RLXNO(0052)
                     "storage %s still cannot answer%s%s%s; it is asked again "
                     "in %" APR_INT64_T_FMT " second%s", change->shown_uri,
                     open, trouble, close, sec, plural);
        break;
    case RLX_STORE_UP:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, RLXNO(0053)
                     "storage %s answers again, after %" APR_INT64_T_FMT
                     " second%s", change->shown_uri, sec, plural);
        break;
    }
}

static void log_request(request_rec *r, const char *what)
{
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0054)
                  "storage %s cannot answer: the request %s",
                  rlx_server_of(r->server)->store->shown_uri, what);
}

/** Keep in mind how the request fared, unless worse is known of it. */
static void note_result(rlx_request_t *request, rlx_result_e result)
{
    if (request->result == RLX_RESULT_ALLOWED
        || request->result == RLX_RESULT_FALLBACK) {
        request->result = result;
    }
}

int rlx_failure_falls_back(request_rec *r, rlx_request_t *request,
                           rlx_plan_t *plan)
{
    const rlx_server_t *sv = rlx_server_of(r->server);
    const rlx_section_t *endpoint = plan->endpoint;

    if (!sv->local) {
        return 0;
    }
    log_request(r, sv->fallback ? "is held to RateLimitFallback"
                                : "is counted in shared memory");
    request->store = sv->local;
    plan->usual = NULL;
    request->meta = NULL;
    note_result(request, RLX_RESULT_FALLBACK);
    if (sv->fallback) {
        /* In place of limits: where none holds, none of them does either. */
        if (plan->n) {
            rlx_resolve_fallback(r, sv, request->method_number, plan);
        }
        plan->endpoint = endpoint;
        plan->exempt |= RLX_EXEMPT_META;
    }
    return 1;
}

/** Not 0 if one of the limits could refuse a request. */
static int may_refuse(const rlx_server_t *sv, const rlx_plan_t *plan)
{
    const apr_array_header_t *meta = plan->exempt & RLX_EXEMPT_META
                                     ? NULL : sv->meta;

    for (int i = 0; i < plan->n; i++) {
        if (!plan->holdings[i].rule->options->dry_run) {
            return 1;
        }
    }
    for (int i = 0; meta && i < meta->nelts; i++) {
        if (!APR_ARRAY_IDX(meta, i, const rlx_rule_t *)->options->dry_run) {
            return 1;
        }
    }
    return 0;
}

int rlx_failure_answer(request_rec *r, const rlx_dir_t *dir,
                       rlx_request_t *request, const rlx_plan_t *plan)
{
    const rlx_server_t *sv = rlx_server_of(r->server);

    note_result(request, RLX_RESULT_ERROR);
    if (sv->storage_failure != RLX_FAILURE_DENY
        || (dir && dir->engine == RLX_ENGINE_DRY_RUN)
        || !may_refuse(sv, plan)) {
        log_request(r, "passes");
        return DECLINED;
    }
    return rlx_failure_deny(r, request);
}

int rlx_failure_deny(request_rec *r, rlx_request_t *request)
{
    const rlx_store_t *store = rlx_server_of(r->server)->store;

    log_request(r, "is turned away");
    request->result = RLX_RESULT_ERROR;
    request->refused_in = r;
    request->status = HTTP_SERVICE_UNAVAILABLE;
    request->closed_until = rlx_store_retry_at(store, request->now_usec);
    rlx_headers_refuse(r, request);
    return request->status;
}
