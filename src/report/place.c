/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What holds for a request at one of the places that it comes to: the path
 * itself, the file that DirectoryIndex puts in its place, what a rewrite leads
 * to. A limit that was met at one place is not met again at the next, if it is
 * the same counter.
 */

#include "report/place.h"

#include "report/where.h"

#include "apr_strings.h"

#include "http/counter.h"
#include "http/htaccess.h"
#include "http/plan_text.h"

void rlx_note(rlx_asking_t *asking, const char *format, ...)
{
    apr_array_header_t *notes = asking->view->notes;
    const char *text;
    va_list ap;

    va_start(ap, format);
    text = apr_pvsprintf(asking->p, format, ap);
    va_end(ap);
    for (int i = 0; i < notes->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(notes, i, const char *), text)) {
            return;
        }
    }
    APR_ARRAY_PUSH(notes, const char *) = text;
}

/*
 * Limits
 */

static int is_same_limit(const rlx_path_limit_t *a, const rlx_path_limit_t *b)
{
    return !strcmp(a->view.declared_at, b->view.declared_at)
           && !strcmp(a->view.limit, b->view.limit)
           && a->view.rule->kind == b->view.rule->kind;
}

/** Not 0 if a limit is in a list already.
 *  @param with_scope not 0: with the same counter */
static int is_listed(const apr_array_header_t *list,
                     const rlx_path_limit_t *limit, int with_scope)
{
    for (int i = 0; i < list->nelts; i++) {
        const rlx_path_limit_t *other = &APR_ARRAY_IDX(list, i,
                                                       rlx_path_limit_t);

        if (is_same_limit(other, limit)
            && (!with_scope || !strcmp(other->scope, limit->scope))) {
            return 1;
        }
    }
    return 0;
}

/** What the counter bears, with the name that RateLimitEndpoint gives. */
static const char *scope_of(const rlx_asking_t *asking,
                            const rlx_holding_t *holding)
{
    rlx_decision_t decision = { .rule = holding->rule,
                                .endpoint = holding->endpoint };
    const rlx_section_t *section = holding->endpoint;

    if (section && section->endpoint && !rlx_decision_is_shared(&decision)) {
        const char *name = rlx_value_of(asking->why->r, section->endpoint);

        return *name ? name : section->name;
    }
    return rlx_plan_scope(asking->p, holding);
}

/** Put a limit in a list, unless what it is about is there. */
static void add(rlx_asking_t *asking, apr_array_header_t *list,
                const rlx_holding_t *holding, const char *reason, int holds)
{
    const rlx_why_t *why = asking->why;
    const rlx_section_t *section = holding->declared_in;
    rlx_effect_t effect = { *holding, 0, 0, 0 };
    rlx_path_limit_t limit;

    memset(&limit, 0, sizeof(limit));
    effect.strategy = rlx_counter_strategy(why->sv, why->dir, holding,
                                           asking->p);
    rlx_view_effect(asking->p, why->dir, rlx_why_innermost(why), &effect,
                    &limit.view);
    if (section && rlx_htaccess_is_added(why->dir, section)) {
        limit.view.from = section->name;
        limit.view.source = apr_pstrcat(asking->p, "added by ", section->file,
                                        NULL);
    }
    limit.holds = holds;
    limit.at = asking->at;
    limit.why = asking->at ? apr_pstrcat(asking->p, "at ", asking->at, ": ",
                                         reason, NULL) : reason;
    limit.scope = scope_of(asking, holding);
    if (!is_listed(list, &limit, holds)) {
        APR_ARRAY_PUSH(list, rlx_path_limit_t) = limit;
    }
}

static void add_not(void *baton, const rlx_holding_t *holding,
                    const char *reason)
{
    rlx_asking_t *asking = baton;

    add(asking, asking->not, holding, reason, 0);
}

/** A limit that was resolved: it holds, unless something stands before it. */
static void add_resolved(rlx_asking_t *asking, const rlx_holding_t *holding)
{
    const rlx_options_t *options = holding->rule->options;
    int is_meta = holding->rule->kind == RLX_RULE_META;
    int is_early = (options->lane & RLX_LANE_EARLY) != 0;
    const char *reason = asking->blocked;

    if (!reason && !is_early) {
        reason = asking->blocked_late;
    }
    if (!reason && options->exempt_when
        && rlx_condition_holds(asking->why->r, options->exempt_when)) {
        reason = apr_pstrcat(asking->p, "exempt_when=\"",
                             options->exempt_when->text,
                             "\" holds for this look-up", NULL);
    }
    if (reason) {
        add(asking, asking->not, holding, reason, 0);
        return;
    }
    add(asking, is_meta ? asking->meta : is_early ? asking->early
                : asking->late,
        holding, rlx_why(asking->why, holding, rlx_why_innermost(asking->why)),
        1);
}

/*
 * A place: what a request has come to when it is decided
 */

static void add_section(rlx_asking_t *asking, const rlx_section_t *section)
{
    apr_array_header_t *sections = asking->view->sections;
    rlx_path_section_t *at;
    const char *name = section->endpoint
                       ? rlx_value_of(asking->why->r, section->endpoint) : "";
    const char *declared_at = rlx_where(asking->p, section->file,
                                        section->line);

    for (int i = 0; i < sections->nelts; i++) {
        at = &APR_ARRAY_IDX(sections, i, rlx_path_section_t);
        if (!strcmp(at->name, section->name)
            && !strcmp(at->declared_at, declared_at)) {
            return;
        }
    }
    at = apr_array_push(sections);
    memset(at, 0, sizeof(*at));
    at->name = section->name;
    at->declared_at = declared_at;
    at->is_htaccess = section->is_htaccess;
    at->is_added = rlx_htaccess_is_added(asking->why->dir, section);
    at->exempt = rlx_view_exempt(asking->p, section->exempt);
    at->endpoint = *name ? name : NULL;
}

/** The outermost first. */
static void add_sections(rlx_asking_t *asking, const rlx_chain_t *chain)
{
    if (chain) {
        add_sections(asking, chain->outer);
        add_section(asking, chain->section);
    }
}

/** "(file:line)" of an expression. */
static const char *place_of(apr_pool_t *p, const rlx_condition_t *condition)
{
    return apr_psprintf(p, "(%s:%u)", condition->expr->filename,
                        condition->expr->line_number);
}

/** Request filters: the first that is true ends it. */
static void ask_filters(rlx_asking_t *asking)
{
    const rlx_dir_t *dir = asking->why->dir;
    const rlx_filter_t *filter = dir ? dir->filters : NULL;

    for (; filter && !asking->filtered; filter = filter->next) {
        const rlx_condition_t *condition = filter->condition;

        if (rlx_condition_holds(asking->why->r, condition)) {
            asking->filtered = apr_pstrcat(
                asking->p, "RateLimitRequestFilter \"", condition->text, "\" ",
                place_of(asking->p, condition), " holds for this look-up",
                NULL);
            rlx_note(asking, "%s: no limit is looked at; a request for which "
                     "it does not hold is limited", asking->filtered);
        }
        else {
            rlx_note(asking, "RateLimitRequestFilter \"%s\" %s does not hold "
                     "for this look-up; it lets a request pass for which it "
                     "does",
                     condition->text, place_of(asking->p, condition));
        }
    }
}

/** Limits are what they are, but not if nobody can count. */
static void ask_storage(rlx_asking_t *asking, const rlx_server_t *sv)
{
    rlx_usec_t now = apr_time_now();

    if (rlx_store_retry_at(sv->store, now) > now) {
        rlx_note(asking, "the storage does not answer at present: requests "
                 "get what RateLimitStorageFailure says%s",
                 sv->local && sv->fallback
                 ? ", which are the limits of RateLimitFallback" : "");
    }
}

/** What is said once, of the path itself. */
static void describe(rlx_asking_t *asking, const rlx_why_t *why)
{
    rlx_path_view_t *view = asking->view;
    const rlx_section_t *endpoint = why->plan.endpoint;
    const char *name = endpoint && endpoint->endpoint
                       ? rlx_value_of(why->r, endpoint->endpoint) : "";

    if (asking->is_begun) {
        return;
    }
    asking->is_begun = 1;
    view->engine = rlx_view_engine(why->dir);
    view->endpoint = *name ? name : endpoint ? endpoint->name : "-";
    view->key = why->dir && why->dir->key ? why->dir->key->text : NULL;
    ask_storage(asking, why->sv);
}

/** Not 0 if a request is looked at before access control. */
static int has_early(const rlx_why_t *why)
{
    for (int i = 0; i < why->plan.n; i++) {
        if (why->plan.holdings[i].rule->options->lane & RLX_LANE_EARLY) {
            return 1;
        }
    }
    return why->sv->has_early_meta;
}

/** Resolve what holds at a place as it is for a request. */
static void resolve(rlx_asking_t *asking, request_rec *r, rlx_why_t *why)
{
    memset(why, 0, sizeof(*why));
    why->p = asking->p;
    why->r = r;
    why->sv = rlx_server_of(r->server);
    why->dir = rlx_dir_of(r->per_dir_config);
    why->method = asking->method;
    why->method_name = asking->view->method;
    why->plan = *rlx_resolve(r, why->sv, why->dir, why->method, &why->plan);
    if (!(why->plan.exempt & RLX_EXEMPT_META)) {
        rlx_resolve_meta(r, why->sv, why->method, &why->plan, &why->meta);
    }
}

/** Off and DryRun have to be said, and On where httpd comes from one of these:
 *  each place that it leads to has its own. */
static void tell_engine(rlx_asking_t *asking, const rlx_why_t *why)
{
    const char *engine = rlx_view_engine(why->dir);
    const char *here = asking->at ? apr_pstrcat(asking->p, "at ", asking->at,
                                                NULL) : "here";
    int is_other = asking->at && strcmp(engine, asking->view->engine);

    if (!strcmp(engine, "Off")) {
        rlx_note(asking, "RateLimitEngine is Off %s: no limit is looked at",
                 here);
        asking->blocked = "RateLimitEngine is Off";
    }
    else if (!strcmp(engine, "DryRun") && (is_other || !asking->at)) {
        rlx_note(asking, "RateLimitEngine is DryRun %s: limits count and log, "
                 "and refuse nothing", here);
    }
    else if (is_other) {
        rlx_note(asking, "RateLimitEngine is On %s: limits refuse", here);
    }
}

void rlx_place_explain(rlx_asking_t *asking, request_rec *r)
{
    const char *blocked = asking->blocked;
    const char *blocked_late = asking->blocked_late;
    rlx_why_t why;

    resolve(asking, r, &why);
    asking->why = &why;
    asking->decided_for = r->per_dir_config;
    describe(asking, &why);
    add_sections(asking, why.dir ? why.dir->chain : NULL);
    tell_engine(asking, &why);
    if (!asking->blocked) {
        ask_filters(asking);
        asking->blocked = asking->filtered;
    }
    /* Meta limits are tested with the first limits that are looked at. */
    if (has_early(&why)) {
        asking->blocked_late = NULL;
    }
    for (int i = 0; i < why.meta.n; i++) {
        add_resolved(asking, &why.meta.holdings[i]);
    }
    asking->blocked_late = blocked_late;
    for (int i = 0; i < why.plan.n; i++) {
        add_resolved(asking, &why.plan.holdings[i]);
    }
    rlx_why_not(&why, add_not, asking);
    asking->blocked = blocked;
    asking->why = NULL;
}

void rlx_asking_list(rlx_asking_t *asking)
{
    rlx_path_view_t *view = asking->view;

    apr_array_cat(view->limits, asking->meta);
    apr_array_cat(view->limits, asking->early);
    apr_array_cat(view->limits, asking->late);
    for (int i = 0; i < asking->not->nelts; i++) {
        const rlx_path_limit_t *limit = &APR_ARRAY_IDX(asking->not, i,
                                                       rlx_path_limit_t);

        if (!is_listed(view->limits, limit, 0)) {
            APR_ARRAY_PUSH(view->limits, rlx_path_limit_t) = *limit;
        }
    }
}
