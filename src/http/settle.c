/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Limits with deduct_when=. When the request came in, such a limit was tested
 * and not charged, or with reserve=on charged; either is settled here, when
 * the response is known and its head not sent. What a limit has no room for
 * by then (others were charged meanwhile) is not charged: it is full, and the
 * response can not be taken back.
 */

#include "http/settle.h"

#include "http_log.h"
#include "http_protocol.h"

#include "http/counter.h"
#include "http/environment.h"
#include "http/fate.h"
#include "http/log_tags.h"

APLOG_USE_MODULE(ratelimit_ext);

/** Some decisions of a request that one storage made: their counters and
 *  places in the record. */
typedef struct selection_t {
    const rlx_store_t *store;
    rlx_counter_t *counters;
    rlx_verdict_t *verdicts;
    int *places;
    int n;
} selection_t;

static selection_t *select_none(request_rec *r, const rlx_store_t *store,
                                int room)
{
    selection_t *selection = apr_pcalloc(r->pool, sizeof(*selection));
    apr_size_t n = (apr_size_t)room;

    selection->store = store;
    selection->counters = apr_palloc(r->pool, sizeof(rlx_counter_t) * n);
    selection->verdicts = apr_palloc(r->pool, sizeof(rlx_verdict_t) * n);
    selection->places = apr_palloc(r->pool, sizeof(int) * n);
    return selection;
}

static void select_one(selection_t *selection, const rlx_request_t *request,
                       int place)
{
    rlx_decision_counter(&request->decisions[place],
                         &selection->counters[selection->n]);
    selection->places[selection->n++] = place;
}

/** What the client will get stands in two tables until the head is written, and
 *  the media type beside them; conditions see all, as it is put together
 *  then. */
static int holds(request_rec *r, const rlx_condition_t *condition)
{
    apr_table_t *headers_out = r->headers_out;
    int result;

    r->headers_out = apr_table_overlay(r->pool, r->err_headers_out,
                                       headers_out);
    if (r->content_type) {
        apr_table_setn(r->headers_out, "Content-Type",
                       ap_make_content_type(r, r->content_type));
    }
    result = rlx_condition_holds(r, condition);
    r->headers_out = headers_out;
    return result;
}

/** Not 0 if a decision that is pending is to be charged. */
static int is_due(request_rec *r, const rlx_decision_t *decision)
{
    int due = holds(r, decision->rule->options->deduct_when);

    for (const rlx_filter_t *other = decision->also; other && !due;
         other = other->next) {
        due = holds(r, other->condition);
    }
    return due;
}

/** Sort what is pending into what is charged and what is given back. */
static void judge(request_rec *r, rlx_request_t *request,
                  selection_t *charge, selection_t *back)
{
    for (int i = 0; i < request->n; i++) {
        rlx_decision_t *decision = &request->decisions[i];
        const rlx_options_t *options = decision->rule->options;
        int due;

        if (!decision->is_pending || decision->store != charge->store) {
            continue;
        }
        decision->is_pending = 0;
        due = is_due(r, decision);
        if (due) {
            rlx_fate_try(request, rlx_dir_of(r->per_dir_config), decision,
                         decision->cost, 1);
        }
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0036)
                      "deduct_when=%s %s: %s (%s:%d) is %scharged",
                      options->deduct_when->text,
                      due ? "holds" : "does not hold",
                      decision->limit->text, decision->rule->file,
                      decision->rule->line, due ? "" : "not ");
        if (due && !options->reserve) {
            select_one(charge, request, i);
        }
        else if (!due && decision->verdict.charged) {
            select_one(back, request, i);
        }
    }
}

/** Bring the record up to date. Whether there was room is told by the look
 *  that let the request pass. */
static void keep(rlx_request_t *request, const selection_t *selection)
{
    for (int i = 0; i < selection->n; i++) {
        rlx_verdict_t *verdict = &request->decisions[selection->places[i]]
                                      .verdict;
        int had_room = verdict->has_room;

        *verdict = selection->verdicts[i];
        verdict->has_room = had_room;
    }
}

static void log_failed(request_rec *r, const selection_t *selection)
{
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0037)
                  "storage %s cannot answer: what deduct_when= says is not "
                  "charged, or not given back", selection->store->shown_uri);
}

static void charge_all(request_rec *r, rlx_request_t *request,
                       const selection_t *selection)
{
    if (!selection->n) {
        return;
    }
    if (rlx_store_decide(selection->store, RLX_CHARGE_ALL, selection->counters,
                         selection->n, request->now_usec, selection->verdicts,
                         r->pool) != APR_SUCCESS) {
        log_failed(r, selection);
        return;
    }
    keep(request, selection);
}

/** Charges of one batch were made at one time, but a record may have several
 *  batches: one for each redirect. */
static void give_back_all(request_rec *r, rlx_request_t *request,
                          const selection_t *selection)
{
    apr_status_t status = APR_SUCCESS;

    if (!selection->n) {
        return;
    }
    for (int i = 0; i < selection->n && status == APR_SUCCESS; i++) {
        const rlx_decision_t *decision = &request->decisions[
            selection->places[i]];

        status = rlx_store_give_back(selection->store,
                                     &selection->counters[i], 1,
                                     decision->verdict.decided_at,
                                     request->now_usec, r->pool);
    }
    if (status == APR_SUCCESS) {
        status = rlx_store_look(selection->store, selection->counters,
                                selection->n, request->now_usec,
                                selection->verdicts, r->pool);
    }
    if (status != APR_SUCCESS) {
        log_failed(r, selection);
        return;
    }
    keep(request, selection);
}

/** Settle what one storage decided. */
static void settle_in(request_rec *r, rlx_request_t *request,
                      const rlx_store_t *store)
{
    selection_t *charge = select_none(r, store, request->n);
    selection_t *back = select_none(r, store, request->n);

    judge(r, request, charge, back);
    if (!charge->n && !back->n) {
        return;
    }
    rlx_request_read_clock(request);
    charge_all(r, request, charge);
    give_back_all(r, request, back);
    if (request->shown_in) {
        rlx_environment_set_again(request);
    }
}

void rlx_settle(request_rec *r, rlx_request_t *request)
{
    const rlx_server_t *sv = rlx_server_of(r->server);

    if (!request->has_pending) {
        return;
    }
    request->has_pending = 0;
    settle_in(r, request, sv->store);
    /* What was counted while the storage did not answer is settled where it
     * was counted, also if it answers again. */
    if (sv->local) {
        settle_in(r, request, sv->local);
    }
}

void rlx_settle_drop(rlx_request_t *request, int from)
{
    for (int i = from; i < request->n; i++) {
        request->decisions[i].is_pending = 0;
    }
}

int rlx_settle_at_end(request_rec *r)
{
    rlx_request_t *request;

    while (r->next) {
        r = r->next;
    }
    request = rlx_request_find(r);
    if (request && request->has_pending) {
        rlx_settle(r, request);
    }
    return DECLINED;
}
