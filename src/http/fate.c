/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Counting what becomes of requests: all that is not on the way of the usual
 * request, which has room and is looked at once.
 *
 * For each limit one place of the record says as what it has counted the
 * request, its holder: a decision, or, where there is none, a note. A decision
 * about a limit that has a holder already is none itself.
 */

#include "http/fate.h"

#include "http/counter.h"
#include "http/key.h"
#include "http/manner.h"

/** What a limit has counted without a decision. */
typedef struct rlx_noted_t {
    const rlx_rule_t *rule;
    int fate;
    struct rlx_noted_t *next;
} noted_t;

/** The worse of two fates counts: the higher. */
static const int ranks[] = {
    [RLX_FATE_EXEMPT] = 0,
    [RLX_FATE_ALLOWED] = 1,
    [RLX_FATE_DRY_RUN] = 2,
    [RLX_FATE_REFUSED] = 3,
    [RLX_FATE_ERROR] = 4
};

/*
 * Requests
 */

/** What became of a request.
 *  @return 0: no limit was looked at, nor would have been */
static int fate_of_request(const rlx_request_t *request, rlx_fate_e *fate)
{
    if (request->has_failed) {
        *fate = RLX_FATE_ERROR;
        return 1;
    }
    switch (rlx_request_result(request)) {
    case RLX_RESULT_REFUSED:
        *fate = RLX_FATE_REFUSED;
        return 1;
    case RLX_RESULT_DRY_RUN:
        *fate = RLX_FATE_DRY_RUN;
        return 1;
    case RLX_RESULT_EXEMPT:
        *fate = RLX_FATE_EXEMPT;
        return 1;
    case RLX_RESULT_FALLBACK:
    case RLX_RESULT_ERROR:
        *fate = RLX_FATE_ERROR;
        return 1;
    default:
        /* Meta limits that have room leave no decision. */
        *fate = RLX_FATE_ALLOWED;
        return request->n || request->meta;
    }
}

void rlx_fate_recount(rlx_request_t *request)
{
    rlx_tally_row_t *stripe = rlx_shared_figures.stripe;
    rlx_fate_e fate;
    int before = request->counted;

    if (!stripe || !fate_of_request(request, &fate)
        || before == 1 + (int)fate) {
        return;
    }
    request->counted = (unsigned char)(1 + (int)fate);
    rlx_tally_add(stripe, RLX_ROW_TOTALS, fate);
    if (before) {
        rlx_tally_take_back(stripe, RLX_ROW_TOTALS,
                            (unsigned int)(before - 1));
    }
}

/*
 * Limits
 */

void rlx_fate_add(const rlx_rule_t *rule, rlx_fate_e fate)
{
    if (rlx_shared_figures.stripe) {
        rlx_tally_add(rlx_shared_figures.stripe, rlx_row_of(rule), fate);
    }
}

void rlx_fate_move(const rlx_rule_t *rule, rlx_fate_e from, rlx_fate_e to)
{
    rlx_fate_add(rule, to);
    if (rlx_shared_figures.stripe) {
        rlx_tally_take_back(rlx_shared_figures.stripe, rlx_row_of(rule),
                            from);
    }
}

/** Not 0 if two rules are one limit to who reads the figures. */
static int is_same(const rlx_rule_t *a, const rlx_rule_t *b)
{
    return a == b || (a->row && rlx_row_of(a) == rlx_row_of(b)
                      && a->kind != RLX_RULE_MODULE);
}

/** Where it stands as what a limit has counted the request; NULL: it has not.
 *  @param n decisions that have been counted */
static int *find_holder(rlx_request_t *request, int n, const rlx_rule_t *rule)
{
    for (int i = 0; i < n; i++) {
        rlx_decision_t *decision = &request->decisions[i];

        if (decision->fate != RLX_FATE_ELSEWHERE && is_same(decision->rule, rule)) {
            return &decision->fate;
        }
    }
    for (noted_t *noted = request->noted; noted; noted = noted->next) {
        if (is_same(noted->rule, rule)) {
            return &noted->fate;
        }
    }
    return NULL;
}

/** Another look for the same request: the worst counts. */
static void worsen(const rlx_rule_t *rule, int *holder, rlx_fate_e fate)
{
    if (ranks[fate] > ranks[*holder]) {
        rlx_fate_move(rule, (rlx_fate_e)*holder, fate);
        *holder = (int)fate;
    }
}

/** Make a note of what a limit has counted. */
static void remember(request_rec *r, rlx_request_t *request,
                     const rlx_rule_t *rule, rlx_fate_e fate)
{
    noted_t *noted = apr_palloc(r->pool, sizeof(*noted));

    noted->rule = rule;
    noted->fate = (int)fate;
    noted->next = request->noted;
    request->noted = noted;
    request->is_unusual = 1;
}

void rlx_fate_note(request_rec *r, rlx_request_t *request,
                   const rlx_rule_t *rule, rlx_fate_e fate)
{
    int *holder = find_holder(request, request->n, rule);

    if (holder) {
        worsen(rule, holder, fate);
        return;
    }
    remember(r, request, rule, fate);
    rlx_fate_add(rule, fate);
}

static int is_dry(const rlx_dir_t *dir, const rlx_rule_t *rule)
{
    return rule->options->dry_run || rlx_fate_is_dry(dir);
}

/* What was counted in place of a storage that does not answer is an error to
 * the limit; not to one that stands in for others just then. */
rlx_fate_e rlx_fate_of(const request_rec *r, const rlx_dir_t *dir,
                       const rlx_decision_t *decision, int has_room)
{
    const rlx_rule_t *rule = decision->rule;

    if (decision->store != rlx_server_of(r->server)->store
        && rule->kind != RLX_RULE_FALLBACK) {
        return RLX_FATE_ERROR;
    }
    return has_room ? RLX_FATE_ALLOWED
           : is_dry(dir, rule) ? RLX_FATE_DRY_RUN : RLX_FATE_REFUSED;
}

void rlx_fate_decided_all(request_rec *r, const rlx_dir_t *dir,
                          rlx_request_t *request, int first)
{
    for (int i = first; i < request->n; i++) {
        rlx_decision_t *decision = &request->decisions[i];
        const rlx_rule_t *rule = decision->rule;
        int has_room = decision->verdict.has_room;
        rlx_fate_e fate = rlx_fate_of(r, dir, decision, has_room);
        int *holder = find_holder(request, i, rule);

        if (holder) {
            worsen(rule, holder, fate);
            decision->fate = RLX_FATE_ELSEWHERE;
        }
        else {
            rlx_fate_add(rule, fate);
            decision->fate = (int)fate;
        }
        rlx_fate_try(request, dir, decision,
                     decision->is_pending ? 0 : decision->cost, has_room);
    }
}

void rlx_fate_failed(request_rec *r, rlx_request_t *request,
                     const rlx_plan_t *plan)
{
    const rlx_server_t *sv = rlx_server_of(r->server);
    rlx_plan_t meta = { .n = 0 };

    if (!(plan->exempt & RLX_EXEMPT_META)) {
        rlx_resolve_meta(r, sv, request->method_number, plan, &meta);
    }
    for (int i = 0; i < plan->n + meta.n; i++) {
        const rlx_rule_t *rule = i < plan->n
                                 ? plan->holdings[i].rule
                                 : meta.holdings[i - plan->n].rule;

        rlx_fate_note(r, request, rule,
                      rule->options->exempt_when
                      && rlx_rule_is_exempt(r, request, rule)
                      ? RLX_FATE_EXEMPT : RLX_FATE_ERROR);
    }
}

void rlx_fate_forget(request_rec *r, rlx_request_t *request,
                     const rlx_decision_t *decision)
{
    if (decision->fate != RLX_FATE_ELSEWHERE) {
        remember(r, request, decision->rule, (rlx_fate_e)decision->fate);
    }
}

/*
 * Keys
 */

void rlx_fate_try(const rlx_request_t *request, const rlx_dir_t *dir,
                  const rlx_decision_t *decision, apr_uint32_t cost,
                  int has_room)
{
    rlx_trial_table_t *trial;

    if (is_dry(dir, decision->rule)
        && (trial = rlx_shared_figures_trial(decision->rule, 1)) != NULL) {
        rlx_trial_note(trial, decision->id.word[0], request->now_usec,
                       decision->limit->window_usec, cost, !has_room);
    }
}

/** What stands for the words that are shown of a refusal: others differ. */
static apr_uint64_t tag_of(request_rec *r, const rlx_decision_t *breached)
{
    const rlx_manner_t *manner = rlx_manner_of(r);
    apr_uint64_t how = manner ? (apr_uint64_t)(manner->key_display + 2) : 1;

    how = how * 2 + (breached->key_is_public != 0);
    return (breached->rule->id[breached->limit->strategy].word[0]
            + breached->limit->count * UINT64_C(0x9e3779b97f4a7c15)) ^ how;
}

void rlx_fate_refused(request_rec *r, const rlx_request_t *request,
                      const rlx_decision_t *breached)
{
    const rlx_server_t *sv = rlx_server_of(r->server);
    apr_uint64_t hash, tag;
    rlx_heavy_entry_t *entry;

    if (!rlx_shared_figures.heavy) {
        return;
    }
    hash = sv->id.word[0] ^ rlx_key_id(r, sv, breached->key).word[0];
    tag = tag_of(r, breached);
    entry = rlx_heavy_note(rlx_shared_figures.heavy, hash, tag,
                           request->now_usec);
    if (entry) {
        rlx_heavy_describe(entry, hash, tag, rlx_decision_key(r, breached),
                           sv->name, breached->limit->text,
                           breached->rule->options->name);
    }
}
