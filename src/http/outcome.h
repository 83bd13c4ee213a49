/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  outcome.h
 * @brief What was decided, in the form that include/ratelimit_ext.h gives to
 *        other modules; and the hook that tells them of breaches.
 */

#ifndef RLX_HTTP_OUTCOME_H
#define RLX_HTTP_OUTCOME_H

#include "ratelimit_ext.h"

#include "http/request.h"

/** An outcome, and what is behind it. Lives in the request's pool. */
typedef struct rlx_outcome_t {
    /** What others see. First: a pointer to it is one to the whole. */
    rlx_ext_outcome_t shown;
    /** What `shown` has pointers to, to write to; shown.n of them. */
    rlx_ext_decision_t *shown_decisions;
    /** Of a charge: what was decided, shown.n of them. */
    rlx_decision_t *decisions;
    /** The storage that was asked last; NULL: this is not a charge, or none
     *  was asked. */
    const rlx_store_t *store;
    /** Not 0: listeners have heard of it. */
    int is_told;
} rlx_outcome_t;

/** Make one of which nothing has been looked at. */
rlx_outcome_t *rlx_outcome_make(apr_pool_t *p);

/**
 * Show decisions in an outcome.
 * @param r         keys and scopes are those of this request
 * @param decisions n of them; may be none
 */
void rlx_outcome_show(request_rec *r, rlx_outcome_t *outcome,
                      const rlx_decision_t *decisions, int n);

/** Show anew what may change of a decision: what is charged and left. */
void rlx_outcome_show_verdict(rlx_outcome_t *outcome, int i,
                              const rlx_verdict_t *verdict);

/** What has been decided of the client's request that r belongs to. */
rlx_outcome_t *rlx_outcome_of(request_rec *r);

/** The record of the client's request that r belongs to, be r a subrequest or
 *  what a redirect began with; NULL if none has been made. */
rlx_request_t *rlx_outcome_record(request_rec *r);

/** The latest time at which decisions have room; one that never has is taken
 *  to have it when a window has passed. */
rlx_usec_t rlx_outcome_retry_at(const rlx_decision_t *decisions, int n,
                                rlx_usec_t now_usec);

/** Find out who listens. In each child, once. */
void rlx_outcome_prepare(void);

/** Tell listeners of a breach. What they cause in turn is told to none. */
void rlx_outcome_tell(request_rec *r, rlx_outcome_t *outcome);

/** The same for one that the request's record has just been given; those of
 *  other modules' limits have been told already. */
void rlx_outcome_tell_breach(request_rec *r, const rlx_request_t *request);

/** Not 0 within a listener. */
int rlx_outcome_is_telling(void);

#endif /* RLX_HTTP_OUTCOME_H */
