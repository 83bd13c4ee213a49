/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  usual.h
 * @brief The usual request: one whose counters are known when the
 *        configuration is read, but for the key.
 */

#ifndef RLX_HTTP_USUAL_H
#define RLX_HTTP_USUAL_H

#include "http/key.h"
#include "http/request.h"

/** More limits than this are not usual. */
#define RLX_USUAL_MAX 8

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

/** Put the counters in an array and their decisions in a record that has
 *  none. */
static inline void rlx_usual_fill(const rlx_usual_t *usual,
                                  const rlx_key_t *key, rlx_request_t *request,
                                  rlx_counter_t *counters)
{
    rlx_decision_t *decision = request->decisions;
    /* Copies, as for all that a compiler knows the loop might write there. */
    const rlx_key_t who = *key;
    int n = usual->n;

    for (int i = 0; i < n; i++, decision++, counters++) {
        const rlx_decision_t *known = &usual->limits[i].decision;
        rlx_id_t id = rlx_id_mix(known->id, who.id);

        memcpy(decision, known, offsetof(rlx_decision_t, verdict));
        decision->id = id;
        decision->key = who.text;
        decision->key_is_public = who.is_public;
        *counters = usual->limits[i].counter;
        counters->id = id;
        counters->key = who.text;
        counters->key_len = who.len;
        counters->key_is_public = who.is_public;
    }
    request->n = n;
}

#endif /* RLX_HTTP_USUAL_H */
