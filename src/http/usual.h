/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  usual.h
 * @brief The usual request: one whose counters are known when the
 *        configuration is read, but for the key.
 */

#ifndef RLX_HTTP_USUAL_H
#define RLX_HTTP_USUAL_H

#include "http/request.h"

/** What is known beforehand of the limits of a ready plan, in its order. */
typedef struct rlx_usual_t {
    /** For requests of this server alone, with this RateLimitStrategy in
     *  force (rlx_strategy_e or RLX_UNSET). */
    const rlx_server_t *sv;
    int strategy;
    int n;
    struct {
        /** Complete but for key and verdict; `id` lacks the key. */
        rlx_decision_t decision;
        /** The same. */
        rlx_counter_t counter;
    } limits[];
} rlx_usual_t;

/**
 * Foresee the counters of a plan.
 * @param strategy RateLimitStrategy as it will be in force
 * @return NULL if something about them is known for each request alone
 */
const rlx_usual_t *rlx_usual_make(apr_pool_t *pconf, const rlx_server_t *sv,
                                  int strategy, const rlx_plan_t *plan);

/** Not 0 if a plan's counters are as was foreseen. */
static inline int rlx_usual_fits(const rlx_plan_t *plan,
                                 const rlx_server_t *sv, const rlx_dir_t *dir)
{
    const rlx_usual_t *usual = plan->usual;

    return usual && usual->sv == sv
           && usual->strategy == (dir ? dir->strategy : RLX_UNSET);
}

/**
 * Put the counters in an array and their decisions in a record that has none.
 * @return how many: usual->n, or 0 if the key is empty
 */
int rlx_usual_fill(request_rec *r, const rlx_dir_t *dir,
                   const rlx_usual_t *usual, rlx_request_t *request,
                   rlx_counter_t *counters);

#endif /* RLX_HTTP_USUAL_H */
