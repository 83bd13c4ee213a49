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
    rlx_usual_t *usual = apr_pcalloc(pconf, sizeof(*usual)
                                     + sizeof(usual->limits[0])
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

int rlx_usual_fill(request_rec *r, const rlx_dir_t *dir,
                   const rlx_usual_t *usual, rlx_request_t *request,
                   rlx_counter_t *counters)
{
    rlx_key_t key;

    rlx_key_of(r, dir, usual->limits[0].decision.rule->options, &key);
    if (!key.len) {
        return 0;
    }
    for (int i = 0; i < usual->n; i++) {
        rlx_decision_t *decision = &request->decisions[i];

        *decision = usual->limits[i].decision;
        decision->id = rlx_id_mix(decision->id, key.id);
        decision->key = key.text;
        decision->key_is_public = key.is_public;
        counters[i] = usual->limits[i].counter;
        counters[i].id = decision->id;
        counters[i].key = key.text;
        counters[i].key_len = key.len;
        counters[i].key_is_public = key.is_public;
    }
    return request->n = usual->n;
}
