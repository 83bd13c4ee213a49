/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The hooks that look at limits. One client request is decided once, whatever
 * subrequests and internal redirects it causes: subrequests are passed over,
 * and a redirect goes on with the record of the request before.
 */

#include "http/engine.h"

#include "http_log.h"

#include "http/breach.h"
#include "http/decide.h"
#include "http/environment.h"
#include "http/fate.h"
#include "http/headers.h"
#include "http/htaccess.h"
#include "http/log_tags.h"
#include "http/lookup.h"
#include "http/resolve.h"

APLOG_USE_MODULE(ratelimit_ext);

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

/** Note which configuration is being decided on. */
static void begin(request_rec *r, rlx_request_t *request, rlx_phase_e phase)
{
    request->decided_in = r;
    if (phase == RLX_PHASE_EARLY) {
        request->early_for = r->per_dir_config;
    }
    else {
        request->decided_for = r->per_dir_config;
    }
}

/** Let the request pass, and whatever it is redirected to. */
static int let_pass(request_rec *r)
{
    rlx_request_t *request = rlx_request_get(r, 0);

    if (request->is_filtered == RLX_FILTERED_LOOKUP) {
        return DECLINED;
    }
    request->is_filtered = request->is_exempt = 1;
    begin(r, request, RLX_PHASE_FIXUPS);
    rlx_fate_count(request);
    rlx_environment_set(r, request);
    return DECLINED;
}

/** Not 0 if a plan has any limit with phase=early. */
static int has_early(const rlx_plan_t *plan)
{
    for (int i = 0; i < plan->n; i++) {
        if (plan->holdings[i].rule->options->lane & RLX_LANE_EARLY) {
            return 1;
        }
    }
    return 0;
}

/** Decide r for the configuration that it has now. */
static int look(request_rec *r, const rlx_server_t *sv, const rlx_dir_t *dir,
                rlx_phase_e phase)
{
    rlx_request_t *request = rlx_request_find(r);
    int method = request ? request->method_number : rlx_method_of(r);
    const rlx_plan_t *plan;
    rlx_plan_t room;
    int status;

    if ((request && request->is_filtered)
        || (dir && dir->filters && is_filtered(r, dir->filters))) {
        return let_pass(r);
    }
    plan = rlx_resolve(r, sv, dir, method, &room);
    if (phase == RLX_PHASE_EARLY && !has_early(plan) && !sv->has_early_meta) {
        return DECLINED;
    }
    if (!request) {
        request = rlx_request_make(r, method, plan->n);
    }
    else {
        request = rlx_request_get(r, plan->n);
        /* What is served for a refusal is never refused. */
        if (request->refused_in) {
            room = *plan;
            plan = &room;
            if (!rlx_htaccess_goes_on(r, request, &room)) {
                rlx_environment_set(r, request);
                return DECLINED;
            }
        }
    }
    begin(r, request, phase);
    if (plan->exempt) {
        request->is_exempt = 1;
    }
    /* Off at first; an error document that is silent leaves them as they
     * are. */
    if (dir && dir->headers != RLX_UNSET) {
        request->headers = dir->headers;
    }
    status = rlx_decide(r, sv, dir, request, plan, phase);
    rlx_fate_count(request);
    if (rlx_environment_is_read || status != DECLINED) {
        rlx_environment_set(r, request);
    }
    return status;
}

/** Not 0 if any limit might hold. Every request of the server comes here. */
static int is_concerned(const request_rec *r, const rlx_server_t *sv,
                        const rlx_dir_t *dir)
{
    if (r->main || (dir && dir->engine == RLX_ENGINE_OFF)) {
        return 0;
    }
    return sv->defaults || sv->application || (dir && dir->chain) || sv->meta;
}

/** After an internal redirect, or in a look-up, which takes that for its
 *  disguise: an ErrorDocument is answered with the status of
 *  the refusal, and what was decided is known there. */
static void go_on(request_rec *r)
{
    rlx_request_t *request = rlx_request_find(r);

    if (!request) {
        return;
    }
    if (request->is_filtered == RLX_FILTERED_LOOKUP) {
        rlx_lookup_reach(r);
        return;
    }
    if (request->refused_in && r->status == request->status) {
        rlx_breach_word_status(r, request->status);
    }
    rlx_environment_set(r, request);
}

int rlx_engine_early(request_rec *r)
{
    const rlx_dir_t *dir = rlx_dir_of(r->per_dir_config);
    const rlx_server_t *sv;

    if (!dir || !dir->has_early) {
        return DECLINED;
    }
    sv = rlx_server_of(r->server);
    return is_concerned(r, sv, dir) ? look(r, sv, dir, RLX_PHASE_EARLY) : DECLINED;
}

/** Decide a request by its configuration as it is in fixups. */
static inline int fix_up(request_rec *r)
{
    const rlx_server_t *sv = rlx_server_of(r->server);
    const rlx_dir_t *dir = rlx_dir_of(r->per_dir_config);

    return is_concerned(r, sv, dir) ? look(r, sv, dir, RLX_PHASE_FIXUPS)
                                    : DECLINED;
}

/** Apart, as few requests come here. */
static __attribute__((noinline)) int fix_up_after(request_rec *r)
{
    go_on(r);
    return fix_up(r);
}

int rlx_engine_fixups(request_rec *r)
{
    return r->prev ? fix_up_after(r) : fix_up(r);
}

/** Sections have come into play, or there are no limits. */
static int look_again(request_rec *r)
{
    const rlx_server_t *sv = rlx_server_of(r->server);
    const rlx_dir_t *dir = rlx_dir_of(r->per_dir_config);
    int status = DECLINED;

    if (is_concerned(r, sv, dir)) {
        status = look(r, sv, dir, RLX_PHASE_FIXUPS);
        /* The hook that inserts filters ran before this one. */
        rlx_headers_insert(r);
    }
    return status;
}

/** The same, and the variables for the handler. Apart, as few requests come
 *  here. */
static __attribute__((noinline)) int handle_anew(request_rec *r)
{
    int status = look_again(r);
    rlx_request_t *request = r->main ? NULL : rlx_request_find(r);

    if (request) {
        rlx_environment_handled(r, request);
    }
    return status;
}

int rlx_engine_handler(request_rec *r)
{
    rlx_request_t *request = ap_get_module_config(r->request_config,
                                                  &ratelimit_ext_module);

    if (!request || request->decided_for != r->per_dir_config) {
        return handle_anew(r);
    }
    rlx_environment_handled(r, request);
    return DECLINED;
}
