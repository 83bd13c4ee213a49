/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Limits that other modules prepare. They become rules like those of
 * directives, so that deciding and refusing know no difference.
 */

#include "http/module_limit.h"

#include <stddef.h>

#include <apr_strings.h>

#include "http_core.h"

#include "http/parse.h"
#include "http/rule.h"
#include "http/shared_figures.h"

/** The smallest spec that there ever was. */
#define SPEC_BYTES_1 (offsetof(rlx_ext_spec_t, dry_run) + sizeof(int))

/** Copy a spec of a caller that may know an older or a newer header. */
static const char *take(const rlx_ext_spec_t *given, rlx_ext_spec_t *spec)
{
    static const rlx_ext_spec_t initial = RLX_EXT_SPEC_INIT;
    const char *bytes = (const char *)given;

    if (given->size < SPEC_BYTES_1) {
        return "the size of the spec is not set: begin it with "
               "RLX_EXT_SPEC_INIT";
    }
    for (apr_size_t i = sizeof(*spec); i < given->size; i++) {
        if (bytes[i]) {
            return "the spec asks for something that this version of "
                   "mod_ratelimit_ext does not know yet";
        }
    }
    *spec = initial;
    memcpy(spec, given, given->size < sizeof(*spec) ? given->size
                                                    : sizeof(*spec));
    return NULL;
}

/** Check what does not depend on the limits. */
static const char *check(apr_pool_t *p, const rlx_ext_spec_t *spec)
{
    if (!spec->limits) {
        return "the limits are missing, as in \"10 per hour\"";
    }
    if (!spec->scope || !*spec->scope) {
        return "the scope is missing: a text that names what is limited";
    }
    if (spec->strategy != RLX_EXT_STRATEGY_OF_SERVER
        && (spec->strategy < 0 || spec->strategy >= RLX_STRATEGIES)) {
        return apr_psprintf(p, "%d is not a strategy: use RLX_FIXED_WINDOW, "
                            "RLX_MOVING_WINDOW, RLX_SLIDING_WINDOW_COUNTER, "
                            "RLX_GCRA or RLX_EXT_STRATEGY_OF_SERVER",
                            spec->strategy);
    }
    if (spec->burst && spec->strategy != RLX_GCRA) {
        return apr_psprintf(p, "a burst of %u is for RLX_GCRA alone",
                            spec->burst);
    }
    if (spec->burst > RLX_COUNT_MAX) {
        return apr_psprintf(p, "a burst of %u is too high; the highest is %d",
                            spec->burst, RLX_COUNT_MAX);
    }
    if (spec->status && (spec->status < 400 || spec->status > 599)) {
        return apr_psprintf(p, "%d is not a status from 400 to 599",
                            spec->status);
    }
    if (spec->name && (!*spec->name || !rlx_is_policy_name(spec->name))) {
        return apr_psprintf(p, "%s is not a name: up to %d printable ASCII "
                            "characters, no blanks, quotes or backslashes",
                            rlx_shown(p, spec->name), RLX_NAME_MAX);
    }
    return NULL;
}

static void take_options(apr_pool_t *p, rlx_ext_limits_t *made,
                         const rlx_ext_spec_t *spec)
{
    rlx_options_t *options = &made->options;

    made->scope.text = apr_pstrdup(p, spec->scope);
    options->scope = &made->scope;
    options->strategy = spec->strategy == RLX_EXT_STRATEGY_OF_SERVER
                        ? RLX_UNSET : spec->strategy;
    options->burst = spec->burst;
    options->name = apr_pstrdup(p, spec->name);
    options->status = spec->status;
    options->dry_run = spec->dry_run != 0;
    if (spec->error_message) {
        made->error_message.text = apr_pstrdup(p, spec->error_message);
        options->error_message = &made->error_message;
    }
}

/** Put a limit in its place, unless it is there already. */
static void add(rlx_ext_limits_t *made, const rlx_limit_t *limit)
{
    rlx_rule_t rule = { .kind = RLX_RULE_MODULE, .options = &made->options,
                        .file = "", .row = RLX_ROW_MODULES };
    rlx_rule_t *at = made->rules + made->n;

    rlx_rule_set_limit(&rule, limit);
    for (int i = 0; i < made->n; i++) {
        if (rlx_id_equal(made->rules[i].id[0], rule.id[0])) {
            return;
        }
    }
    while (at > made->rules
           && at[-1].limit[0].window_usec > limit->window_usec) {
        *at = at[-1];
        at--;
    }
    *at = rule;
    made->n++;
}

const char *rlx_module_limits_refused(const rlx_ext_limits_t *limits,
                                      const rlx_store_t *store,
                                      apr_pool_t *ptemp)
{
    int strategy = limits->options.strategy;
    const char *why = NULL;

    /* One that the server's settings give counts what it can: counter.c. */
    for (int i = 0; i < limits->n && strategy != RLX_UNSET && !why; i++) {
        why = store->provider->refuses(store->instance,
                                       &limits->rules[i].limit[strategy],
                                       ptemp);
    }
    return why;
}

/** The limits of a spec that was checked.
 *  @return NULL, or a sentence */
static const char *make(apr_pool_t *p, const rlx_ext_spec_t *spec,
                        rlx_ext_limits_t **limits)
{
    rlx_limit_t parsed[RLX_LIMITS_PER_STRING];
    char error[RLX_LIMIT_ERROR_MAX];
    int n = rlx_limits_parse(spec->limits, parsed, RLX_LIMITS_PER_STRING,
                             error);
    rlx_ext_limits_t *made;

    if (n < 1) {
        return apr_pstrdup(p, error);
    }
    if (n > 1 && spec->name) {
        return apr_psprintf(p, "the name %s belongs to one limit, and there "
                            "are %d", rlx_shown(p, spec->name), n);
    }
    made = apr_pcalloc(p, sizeof(*made) + sizeof(rlx_rule_t) * (apr_size_t)n);
    take_options(p, made, spec);
    for (int i = 0; i < n; i++) {
        add(made, &parsed[i]);
    }
    *limits = made;
    return NULL;
}

/** What was prepared while the configuration was read, which one thread does.
 *  Requests only read it. */
static rlx_ext_limits_t *prepared;

const rlx_ext_limits_t *rlx_module_limits_prepared(void)
{
    return prepared;
}

/** The configuration goes, and with it all of them. */
static apr_status_t unlist(void *data)
{
    prepared = NULL;
    return APR_SUCCESS;
}

/** List limits for those who look for counters, if they live as long as the
 *  configuration. */
static void list(apr_pool_t *p, const server_rec *s, rlx_ext_limits_t *made)
{
    if (!s || p != s->process->pconf
        || ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_RUN_MPM) {
        return;
    }
    if (!prepared) {
        apr_pool_cleanup_register(p, NULL, unlist, apr_pool_cleanup_null);
    }
    made->next = prepared;
    prepared = made;
}

const char *rlx_ext_prepare(apr_pool_t *p, const server_rec *s,
                            const rlx_ext_spec_t *given,
                            const rlx_ext_limits_t **limits)
{
    rlx_ext_limits_t *made = NULL;
    rlx_ext_spec_t spec;
    const char *error = take(given, &spec);

    *limits = NULL;
    if (!error) {
        error = check(p, &spec);
    }
    if (!error) {
        error = make(p, &spec, &made);
    }
    if (!error && s && rlx_server_of(s)->store) {
        error = rlx_module_limits_refused(made, rlx_server_of(s)->store, p);
    }
    if (!error) {
        list(p, s, made);
        *limits = made;
    }
    return error;
}
