/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * mod_ratelimit_use: a module that uses all that mod_ratelimit_ext offers to
 * other modules (include/ratelimit_ext.h), for the tests and as an example.
 * It is compiled against that header alone:
 *
 *     apxs -c -I../../include mod_ratelimit_use.c
 *
 * UseGate early|access "LIMITS" [moving-window]
 *                                 each request is charged to limits of this
 *                                 module, before or after the section is known,
 *                                 and refused where they have no room
 * UseStrikes "LIMITS"             every breach, by whatever limit, is charged
 *                                 to the client here, and the log says when it
 *                                 has had too many
 * UseLog On                       what was decided for each request, in the log
 * SetHandler ratelimit-use        charges what the query string says, and shows
 *                                 what came of it
 */

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "apr_strings.h"

#include "ratelimit_ext.h"

extern module AP_MODULE_DECLARE_DATA ratelimit_use_module;
APLOG_USE_MODULE(ratelimit_use);

/** Per server. */
typedef struct use_t {
    const char *gate_hook;
    const char *gate_text;
    int gate_strategy;
    const char *strikes_text;
    int log;
    /** Prepared of the texts; NULL: not wanted. */
    const rlx_ext_limits_t *gate;
    const rlx_ext_limits_t *strikes;
} use_t;

/* NULL: mod_ratelimit_ext is not loaded. Set in each check_config. */
static APR_OPTIONAL_FN_TYPE(rlx_ext_prepare) *prepare;
static APR_OPTIONAL_FN_TYPE(rlx_ext_charge) *charge;
static APR_OPTIONAL_FN_TYPE(rlx_ext_refuse) *refuse;
static APR_OPTIONAL_FN_TYPE(rlx_ext_give_back) *give_back;
static APR_OPTIONAL_FN_TYPE(rlx_ext_decisions) *decisions;

static use_t *use_of(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &ratelimit_use_module);
}

/*
 * What is seen, as text
 */

static const char *result_text(rlx_ext_result_e result)
{
    static const char *const names[] = {
        "none", "allowed", "refused", "dry-run", "exempt", "fallback", "error"
    };

    return names[result];
}

static const char *kind_text(rlx_ext_kind_e kind)
{
    static const char *const names[] = {
        "section", "shared", "default", "application", "meta", "fallback",
        "module"
    };

    return names[kind];
}

static const char *outcome_text(apr_pool_t *p, const rlx_ext_outcome_t *o)
{
    return apr_psprintf(p, "%s allowed=%d n=%d breached=%s kind=%s status=%d "
                        "retry=%" APR_INT64_T_FMT, result_text(o->result),
                        o->allowed, o->n,
                        o->breached ? o->breached->policy : "-",
                        o->breached ? kind_text(o->breached->kind) : "-",
                        o->status, o->retry_after_sec);
}

/** Times are shown as microseconds from the decision on. */
static const char *decision_text(apr_pool_t *p, const rlx_ext_outcome_t *o,
                                 int i)
{
    const rlx_ext_decision_t *d = o->decisions[i];

    return apr_psprintf(p, "\"%s\" policy=\"%s\" strategy=%d kind=%s "
                        "scope=\"%s\" key=\"%s\" cost=%u room=%d charged=%d "
                        "dry=%d pending=%d remaining=%u reset=%"
                        APR_INT64_T_FMT " retry=%" APR_INT64_T_FMT,
                        d->limit->text, d->policy, (int)d->limit->strategy,
                        kind_text(d->kind), ap_escape_logitem(p, d->scope),
                        ap_escape_logitem(p, d->key), d->cost, d->has_room,
                        d->charged, d->is_dry_run, d->is_pending,
                        d->remaining, d->reset_at - o->decided_at,
                        d->retry_at == RLX_NEVER ? -1
                        : d->retry_at - o->decided_at);
}

/*
 * Limits that are known when the server starts
 */

/** Prepare limits for a server; a wrong text stops the start. */
static int prepare_for(apr_pool_t *p, server_rec *s, const char *text,
                       int strategy, const char *scope,
                       const rlx_ext_limits_t **limits)
{
    rlx_ext_spec_t spec = RLX_EXT_SPEC_INIT;
    const char *error;

    if (!text) {
        return OK;
    }
    spec.limits = text;
    spec.strategy = strategy;
    spec.scope = scope;
    error = prepare(p, s, &spec, limits);
    if (error) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "mod_ratelimit_use: %s",
                     error);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

static int use_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                            apr_pool_t *ptemp, server_rec *main_server)
{
    prepare = APR_RETRIEVE_OPTIONAL_FN(rlx_ext_prepare);
    charge = APR_RETRIEVE_OPTIONAL_FN(rlx_ext_charge);
    refuse = APR_RETRIEVE_OPTIONAL_FN(rlx_ext_refuse);
    give_back = APR_RETRIEVE_OPTIONAL_FN(rlx_ext_give_back);
    decisions = APR_RETRIEVE_OPTIONAL_FN(rlx_ext_decisions);
    if (!prepare || !charge || !refuse || !give_back || !decisions) {
        prepare = NULL;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server,
                     "mod_ratelimit_use: mod_ratelimit_ext is not loaded, "
                     "nothing is limited");
        return OK;
    }
    for (server_rec *s = main_server; s; s = s->next) {
        use_t *use = use_of(s);
        int status = prepare_for(pconf, s, use->gate_text, use->gate_strategy,
                                 "ratelimit_use:gate", &use->gate);

        if (status == OK) {
            status = prepare_for(pconf, s, use->strikes_text,
                                 RLX_EXT_STRATEGY_OF_SERVER,
                                 "ratelimit_use:strikes", &use->strikes);
        }
        if (status != OK) {
            return status;
        }
    }
    return OK;
}

/** Charge a request at the gate, if this is where it stands. */
static int pass_gate(request_rec *r, const char *hook)
{
    const use_t *use = use_of(r->server);
    const rlx_ext_outcome_t *outcome;

    if (!use->gate || strcmp(use->gate_hook, hook) || !ap_is_initial_req(r)) {
        return DECLINED;
    }
    charge(r, use->gate, NULL, 1, 0, &outcome);
    return refuse(r, outcome);
}

static int use_post_read_request(request_rec *r)
{
    return pass_gate(r, "early");
}

static int use_access_checker(request_rec *r)
{
    return pass_gate(r, "access");
}

/*
 * Listening
 */

static void use_breach(request_rec *r, const rlx_ext_outcome_t *outcome)
{
    const use_t *use = use_of(r->server);
    const rlx_ext_outcome_t *strike;

    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, "use: breach %s of %d, %s",
                  outcome_text(r->pool, outcome), outcome->n,
                  outcome->breached->scope);
    if (!use->strikes) {
        return;
    }
    charge(r, use->strikes, NULL, 1, 0, &strike);
    if (refuse(r, strike) != DECLINED) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "use: a listener refuses");
    }
    if (!strike->allowed) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      "use: client %s has had %u breaches", r->useragent_ip,
                      strike->breached->limit->count);
    }
}

static int use_log_transaction(request_rec *r)
{
    const rlx_ext_outcome_t *outcome;

    if (!prepare || !use_of(r->server)->log) {
        return DECLINED;
    }
    outcome = decisions(r);
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, "use: %s is %s", r->uri,
                  outcome_text(r->pool, outcome));
    for (int i = 0; i < outcome->n; i++) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, "use: %s has %s", r->uri,
                      decision_text(r->pool, outcome, i));
    }
    return OK;
}

/*
 * The handler: charges what it is told to
 */

/** A value of the query string, unescaped; NULL: it has no such name. */
static const char *arg(request_rec *r, const char *name)
{
    const char *rest = r->args ? r->args : "";
    size_t len = strlen(name);

    while (*rest) {
        char *pair = ap_getword(r->pool, &rest, '&');

        if (!strncmp(pair, name, len) && pair[len] == '=') {
            ap_unescape_urlencoded(pair + len + 1);
            return pair + len + 1;
        }
    }
    return NULL;
}

static int number(request_rec *r, const char *name, int otherwise)
{
    const char *text = arg(r, name);

    return text ? atoi(text) : otherwise;
}

static void show(request_rec *r, const char *what,
                 const rlx_ext_outcome_t *outcome)
{
    ap_rprintf(r, "%s %s\n", what, outcome_text(r->pool, outcome));
    for (int i = 0; i < outcome->n; i++) {
        ap_rprintf(r, "  %s\n", decision_text(r->pool, outcome, i));
    }
}

/** Limits that are known for this request alone. */
static const char *prepare_here(request_rec *r,
                                const rlx_ext_limits_t **limits)
{
    rlx_ext_spec_t spec = RLX_EXT_SPEC_INIT;

    spec.size = (apr_size_t)number(r, "size", (int)spec.size);
    spec.limits = arg(r, "limits");
    spec.scope = arg(r, "scope");
    spec.strategy = number(r, "strategy", spec.strategy);
    spec.burst = (apr_uint32_t)number(r, "burst", 0);
    spec.name = arg(r, "name");
    spec.error_message = arg(r, "message");
    spec.status = number(r, "status", 0);
    spec.dry_run = number(r, "dry", 0);
    return prepare(r->pool, arg(r, "unasked") ? NULL : r->server, &spec,
                   limits);
}

static int use_handler(request_rec *r)
{
    unsigned int flags = (number(r, "test", 0) ? RLX_EXT_ONLY_TEST : 0)
                         | (number(r, "public", 0) ? RLX_EXT_KEY_IS_PUBLIC : 0)
                         | (unsigned int)number(r, "flags", 0);
    const rlx_ext_limits_t *limits;
    const rlx_ext_outcome_t *outcome = NULL;
    const char *error;
    apr_status_t status = APR_SUCCESS;

    if (!r->handler || strcmp(r->handler, "ratelimit-use")) {
        return DECLINED;
    }
    ap_set_content_type(r, "text/plain");
    if (!prepare) {
        ap_rputs("no limiter\n", r);
        return OK;
    }
    error = prepare_here(r, &limits);
    for (int i = number(r, "times", 1); i > 0 && !error; i--) {
        char *key = (char *)arg(r, "key");

        status = charge(r, limits, key, (apr_uint32_t)number(r, "cost", 1),
                        flags, &outcome);
        if (key) {
            /* It is ours: nobody else may need it any longer. */
            memset(key, '?', strlen(key));
        }
    }
    if (number(r, "refuse", 0) && outcome) {
        int refused = refuse(r, outcome);

        if (refused != DECLINED) {
            return refused;
        }
    }
    if (error) {
        ap_rprintf(r, "error %s, limits %s\n", error, limits ? "there" : "-");
    }
    if (outcome) {
        show(r, apr_psprintf(r->pool, "%d", status), outcome);
    }
    for (int i = number(r, "back", 0); i > 0 && outcome; i--) {
        status = give_back(r, outcome);
        show(r, apr_psprintf(r->pool, "back %d", status), outcome);
    }
    if (number(r, "back_request", 0)) {
        ap_rprintf(r, "back request %d\n", give_back(r, decisions(r)));
    }
    if (number(r, "decisions", 0)) {
        show(r, "request", decisions(r));
    }
    return OK;
}

/*
 * Configuration
 */

static void *use_create(apr_pool_t *p, server_rec *s)
{
    return apr_pcalloc(p, sizeof(use_t));
}

static const char *set_gate(cmd_parms *cmd, void *dir, const char *hook,
                            const char *limits, const char *strategy)
{
    use_t *use = use_of(cmd->server);

    use->gate_hook = hook;
    use->gate_text = limits;
    use->gate_strategy = strategy ? RLX_MOVING_WINDOW
                                  : RLX_EXT_STRATEGY_OF_SERVER;
    return NULL;
}

static const char *set_strikes(cmd_parms *cmd, void *dir, const char *limits)
{
    use_of(cmd->server)->strikes_text = limits;
    return NULL;
}

static const char *set_log(cmd_parms *cmd, void *dir, int on)
{
    use_of(cmd->server)->log = on;
    return NULL;
}

static const command_rec directives[] = {
    AP_INIT_TAKE23("UseGate", set_gate, NULL, RSRC_CONF,
                   "early or access, limits, and their strategy"),
    AP_INIT_TAKE1("UseStrikes", set_strikes, NULL, RSRC_CONF, "limits"),
    AP_INIT_FLAG("UseLog", set_log, NULL, RSRC_CONF, "On or Off"),
    { NULL }
};

static void register_hooks(apr_pool_t *p)
{
    static const char *const limiter[] = { "mod_ratelimit_ext.c", NULL };
    static const char *const remoteip[] = { "mod_remoteip.c", NULL };

    /* After it has found the storages. */
    ap_hook_check_config(use_check_config, limiter, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_read_request(use_post_read_request, remoteip, NULL,
                              APR_HOOK_MIDDLE);
    ap_hook_access_checker(use_access_checker, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(use_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_log_transaction(use_log_transaction, NULL, NULL, APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(rlx, ratelimit_breach, use_breach, NULL, NULL,
                      APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA ratelimit_use_module = {
    STANDARD20_MODULE_STUFF,
    NULL,
    NULL,
    use_create,
    NULL,
    directives,
    register_hooks
};
