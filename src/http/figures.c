/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What became of requests since the start.
 */

#include "http/figures.h"

rlx_usec_t rlx_figures_since(void)
{
    return 0;
}

void rlx_figures_totals(rlx_fates_t *fates)
{
    memset(fates, 0, sizeof(*fates));
}

int rlx_figures_of(const rlx_rule_t *rule, rlx_fates_t *fates)
{
    memset(fates, 0, sizeof(*fates));
    return 0;
}

int rlx_figures_trial(const rlx_rule_t *rule, rlx_trial_t *trial)
{
    memset(trial, 0, sizeof(*trial));
    return 0;
}

apr_array_header_t *rlx_figures_top_refused(apr_pool_t *p)
{
    return apr_array_make(p, 1, sizeof(rlx_refused_key_t));
}
