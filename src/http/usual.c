/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The usual request. Most limits say nothing that depends on the request but
 * who is counted: then the counter's id lacks the key's part alone, and all
 * else about it is copied. A third of the work of one limit, and more of each
 * further one.
 */

#include "http/usual.h"

#include "http/counter.h"

/** Not 0 if two of the limits have one counter: then the request is charged
 *  once, which is not foreseen. */
static int has_twins(const rlx_usual_t *usual)
{
    for (int i = 1; i < usual->n; i++) {
        for (int k = 0; k < i; k++) {
            if (rlx_id_equal(usual->limits[i].decision.id,
                             usual->limits[k].decision.id)) {
                return 1;
            }
        }
    }
    return 0;
}

const rlx_usual_t *rlx_usual_make(apr_pool_t *pconf, const rlx_server_t *sv,
                                  int strategy, const rlx_plan_t *plan)
{
    rlx_usual_t *usual;

    if (plan->n > RLX_USUAL_MAX) {
        return NULL;
    }
    usual = apr_pcalloc(pconf, sizeof(*usual) + sizeof(usual->limits[0])
                                                * (apr_size_t)plan->n);
    usual->sv = sv;
    usual->strategy = strategy;
    usual->n = plan->n;
    for (int i = 0; i < plan->n; i++) {
        if (!rlx_counter_foresee(sv, &plan->holdings[i], strategy,
                                 &usual->limits[i].decision,
                                 &usual->limits[i].counter, pconf)) {
            return NULL;
        }
    }
    return plan->n && !has_twins(usual) ? usual : NULL;
}
