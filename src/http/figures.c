/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What became of requests since the start, as it is read. Counting is in
 * fate.c, and where to in shared_figures.c.
 */

#include "http/figures.h"

#include <stdlib.h>

#include "apr_strings.h"

#include "http/shared_figures.h"

const rlx_fate_names_t rlx_fate_seen = { "seen", NULL, "Seen", "seen" };

const rlx_fate_names_t rlx_fate_names[RLX_FATES] = {
    [RLX_FATE_ALLOWED] = { "allowed", "allowed", "Allowed", "allowed" },
    [RLX_FATE_REFUSED] = { "refused", "refused", "Refused", "refused" },
    [RLX_FATE_EXEMPT] = { "exempt", "exempt", "Exempt", "exempt" },
    [RLX_FATE_DRY_RUN] = { "dry_run", "dry_run", "DryRun", "dry run" },
    [RLX_FATE_ERROR] = { "errors", "error", "Errors", "storage errors" }
};

rlx_usec_t rlx_figures_since(void)
{
    return rlx_shared_figures.tally ? rlx_shared_figures.since : 0;
}

/** A number that was read while it was taken back and counted elsewhere may be
 *  one too low. */
static apr_uint64_t at_least_0(apr_uint64_t number)
{
    return number > APR_UINT64_MAX / 2 ? 0 : number;
}

static void read_row(apr_uint32_t row, rlx_fates_t *fates)
{
    uint64_t sums[RLX_TALLY_COLUMNS];

    memset(fates, 0, sizeof(*fates));
    if (!rlx_shared_figures.tally) {
        return;
    }
    rlx_tally_sum(rlx_shared_figures.tally, row, sums);
    for (int i = 0; i < RLX_FATES; i++) {
        fates->of[i] = at_least_0(sums[i]);
        fates->seen += fates->of[i];
    }
}

void rlx_figures_totals(rlx_fates_t *fates)
{
    read_row(RLX_ROW_TOTALS, fates);
}

void rlx_figures_of_modules(rlx_fates_t *fates)
{
    read_row(RLX_ROW_MODULES, fates);
}

void rlx_figures_of_others(rlx_fates_t *fates)
{
    read_row(RLX_ROW_OTHERS, fates);
}

int rlx_figures_of(const rlx_rule_t *rule, rlx_fates_t *fates)
{
    apr_uint32_t row = rlx_row_of(rule);

    if (row < RLX_TALLY_RESERVED) {
        memset(fates, 0, sizeof(*fates));
        return 0;
    }
    read_row(row, fates);
    return rlx_shared_figures.tally != NULL;
}

int rlx_figures_trial(const rlx_rule_t *rule, rlx_trial_t *trial)
{
    const rlx_trial_table_t *table = rlx_shared_figures_trial(rule, 0);
    rlx_trial_sums_t sums;
    uint32_t *room;

    memset(trial, 0, sizeof(*trial));
    if (!table) {
        return 0;
    }
    room = malloc(sizeof(*room) * RLX_TRIAL_KEYS);
    if (!room) {
        return 0;
    }
    rlx_trial_sum(table, &sums, room);
    free(room);
    trial->keys = sums.watched * sums.one_in;
    trial->keys_refused = sums.refused * sums.one_in;
    trial->is_exact = sums.one_in == 1;
    trial->sample = sums.watched;
    trial->count_1_percent = sums.count_1_percent;
    trial->count_01_percent = sums.count_01_percent;
    trial->last_at = sums.last_at;
    return 1;
}

static void show(apr_pool_t *p, const rlx_heavy_view_t *view,
                 rlx_refused_key_t *shown)
{
    shown->key = apr_pstrdup(p, view->words.key);
    shown->server = apr_pstrdup(p, view->words.server);
    shown->limit = apr_pstrdup(p, view->words.limit);
    shown->name = view->words.name[0] ? apr_pstrdup(p, view->words.name)
                                      : NULL;
    shown->refused = view->count;
    shown->over = view->over;
    shown->last_at = view->last_at;
}

apr_array_header_t *rlx_figures_top_refused(apr_pool_t *p)
{
    apr_array_header_t *top = apr_array_make(p, RLX_FIGURES_TOP,
                                             sizeof(rlx_refused_key_t));
    rlx_heavy_view_t *views;
    int n;

    /* Half a megabyte, for as long as this takes. */
    if (!rlx_shared_figures.heavy
        || !(views = malloc(sizeof(*views) * RLX_HEAVY_KEYS))) {
        return top;
    }
    n = rlx_heavy_read(rlx_shared_figures.heavy, views);
    for (int i = 0; i < n && i < RLX_FIGURES_TOP; i++) {
        show(p, &views[i], apr_array_push(top));
    }
    free(views);
    return top;
}
