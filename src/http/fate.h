/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  fate.h
 * @brief Counting what becomes of requests: of each once in total, and once
 *        for each limit that it was looked at for.
 *
 * A request is counted as soon as its fate is known, so before its response is
 * sent. Where a later look changes it (DirectoryIndex, an error document), it
 * is taken back and counted anew. What one limit counts does not depend on
 * what others say: one that has room has allowed the request, also if another
 * refused it. Where a limit is looked at several times for one request, under
 * several endpoints say, the worst counts.
 */

#ifndef RLX_HTTP_FATE_H
#define RLX_HTTP_FATE_H

#include "http/request.h"
#include "http/shared_figures.h"

/** rlx_fate_count() for what is not usual. */
void rlx_fate_recount(rlx_request_t *request);

/** Count a request as what its record says, or correct it. The usual one has
 *  been counted by rlx_fate_decided(). */
static inline void rlx_fate_count(rlx_request_t *request)
{
    if (request->counted != 1 + RLX_FATE_ALLOWED
        || ((int)request->result | request->has_failed)) {
        rlx_fate_recount(request);
    }
}

/** Not 0 if a configuration refuses nothing. */
static inline int rlx_fate_is_dry(const rlx_dir_t *dir)
{
    return dir && dir->engine == RLX_ENGINE_DRY_RUN;
}

/** rlx_fate_decided() for what is not usual. */
void rlx_fate_decided_all(request_rec *r, const rlx_dir_t *dir,
                          rlx_request_t *request, int first);

/**
 * Count the limits of decisions that have their verdicts, and the request if
 * all is as usual.
 * @param dir      may be NULL
 * @param first    the decisions from there on; there is one at least
 * @param breached not 0: one of them has no room
 */
static inline void rlx_fate_decided(request_rec *r, const rlx_dir_t *dir,
                                    rlx_request_t *request, int first,
                                    int breached)
{
    const rlx_decision_t *decision = request->decisions;
    const rlx_decision_t *end = decision + request->n;
    rlx_tally_row_t *stripe = rlx_shared_figures.stripe;

    if ((first | breached | request->is_unusual | request->counted)
        || rlx_fate_is_dry(dir) || !stripe) {
        rlx_fate_decided_all(r, dir, request, first);
        return;
    }
    request->counted = 1 + RLX_FATE_ALLOWED;
    rlx_tally_add(stripe, RLX_ROW_TOTALS, RLX_FATE_ALLOWED);
    for (; decision < end; decision++) {
        int row = decision->rule->row;

        if (row < 0) {
            rlx_fate_decided_all(r, dir, request,
                                 (int)(decision - request->decisions));
            return;
        }
        rlx_tally_add(stripe, (apr_uint32_t)row, RLX_FATE_ALLOWED);
    }
}

/** Count a request for a limit that has no decision about it in the record,
 *  unless the limit has counted it as that or as worse. */
void rlx_fate_note(request_rec *r, rlx_request_t *request,
                   const rlx_rule_t *rule, rlx_fate_e fate);

/** As what a limit counts a request.
 *  @param dir may be NULL */
rlx_fate_e rlx_fate_of(const request_rec *r, const rlx_dir_t *dir,
                       const rlx_decision_t *decision, int has_room);

/** Count for a limit, whatever it has counted. */
void rlx_fate_add(const rlx_rule_t *rule, rlx_fate_e fate);

/** Take that back, and count something else. */
void rlx_fate_move(const rlx_rule_t *rule, rlx_fate_e from, rlx_fate_e to);

/** The storage cannot answer, and the limits of a plan are not asked
 *  elsewhere: count each that would have been asked. */
void rlx_fate_failed(request_rec *r, rlx_request_t *request,
                     const rlx_plan_t *plan);

/** A decision is forgotten, and its limit may be looked at anew: what the limit
 *  has counted is kept in mind without it. */
void rlx_fate_forget(request_rec *r, rlx_request_t *request,
                     const rlx_decision_t *decision);

/** Note in the trial of a limit, if it is tried, what a request takes of it.
 *  @param dir  may be NULL
 *  @param cost 0: that is not known yet, or nothing */
void rlx_fate_try(const rlx_request_t *request, const rlx_dir_t *dir,
                  const rlx_decision_t *decision, apr_uint32_t cost,
                  int has_room);

/** Keep in mind that a request was refused: whose key, and by which limit. */
void rlx_fate_refused(request_rec *r, const rlx_request_t *request,
                      const rlx_decision_t *breached);

#endif /* RLX_HTTP_FATE_H */
