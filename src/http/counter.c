/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Names of counters. For storages on this machine a name is 128 bits, put
 * together from ids that were hashed when the configuration was read; only
 * the key, and parts that are expressions, are hashed for each request.
 */

#include "http/counter.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "http_log.h"

#include "http/htaccess.h"
#include "http/log_tags.h"
#include "http/manner.h"
#include "http/once.h"
#include "http/parse.h"

APLOG_USE_MODULE(ratelimit_ext);

void rlx_counting_begin(rlx_counting_t *counting, request_rec *r,
                        const rlx_request_t *request, const rlx_dir_t *dir,
                        int wants_text)
{
    memset(counting, 0, sizeof(*counting));
    counting->r = r;
    counting->request = request;
    counting->store = request->store;
    counting->sv = rlx_server_of(r->server);
    counting->dir = dir;
    counting->wants_text = wants_text;
    counting->p = r->pool;
}

/** The name that RateLimitEndpoint gives; NULL: the section's own. */
static const char *endpoint_name(request_rec *r, const rlx_section_t *section)
{
    const char *name = section->endpoint
                       ? rlx_value_of(r, section->endpoint) : "";

    return *name ? name : NULL;
}

/** The id of an endpoint. Remembered: most limits of a request share it. */
static rlx_id_t endpoint_id(rlx_counting_t *counting,
                            const rlx_section_t *section)
{
    const char *name;

    if (counting->endpoint_known && counting->endpoint == section) {
        return counting->endpoint_id;
    }
    if (!section) {
        memset(&counting->endpoint_id, 0, sizeof(counting->endpoint_id));
    }
    else if ((name = endpoint_name(counting->r, section)) != NULL) {
        counting->endpoint_id = rlx_id_of(rlx_secret(), RLX_ID_ENDPOINT, name,
                                          strlen(name));
    }
    else {
        counting->endpoint_id = section->id;
    }
    counting->endpoint = section;
    counting->endpoint_known = 1;
    return counting->endpoint_id;
}

/** Not 0 if no log is kept of as many requests as a limit counts. */
static int is_too_long(const rlx_counting_t *counting,
                       const rlx_holding_t *holding, apr_pool_t *p)
{
    const rlx_store_t *store = counting->store;
    const rlx_limit_t *limit = &holding->rule->limit[RLX_MOVING_WINDOW];

    return store->provider->refuses(store->instance, limit, p)
           || (holding->declared_in && holding->declared_in->is_htaccess
               && rlx_htaccess_refuses(limit, p));
}

/** The strategy that a rule is counted by. An umbrella has one counter over
 *  its server, so it keeps to the strategy of the server that declares it
 *  whatever a section says; so does another module's limit. */
static rlx_strategy_e strategy_of(const rlx_counting_t *counting,
                                  const rlx_holding_t *holding, apr_pool_t *p)
{
    const rlx_rule_t *rule = holding->rule;
    const rlx_dir_t *dir = counting->dir;
    int strategy = rule->options->strategy;

    if (strategy != RLX_UNSET) {
        /* Its own storage keeps it, or the server would not have started. */
        return strategy == RLX_MOVING_WINDOW
               && counting->store != counting->sv->store
               && is_too_long(counting, holding, p) ? RLX_SLIDING_WINDOW_COUNTER
                                              : (rlx_strategy_e)strategy;
    }
    if (rlx_rule_is_umbrella(rule) || rule->kind == RLX_RULE_MODULE) {
        const server_rec *s = rule->owner ? rule->owner->server
                                          : counting->sv->server;

        dir = rlx_dir_of(s->lookup_defaults);
    }
    if (!dir || dir->strategy == RLX_UNSET) {
        return RLX_FIXED_WINDOW;
    }
    /* Which limits a section's strategy meets is known only now: a log that
     * the storage would cut short is counted in two windows. */
    if (dir->strategy == RLX_MOVING_WINDOW
        && is_too_long(counting, holding, p)) {
        return RLX_SLIDING_WINDOW_COUNTER;
    }
    return (rlx_strategy_e)dir->strategy;
}

rlx_strategy_e rlx_counter_strategy(const rlx_server_t *sv,
                                    const rlx_dir_t *dir,
                                    const rlx_holding_t *holding,
                                    apr_pool_t *p)
{
    rlx_counting_t counting = { .sv = sv, .store = sv->store, .dir = dir };

    return strategy_of(&counting, holding, p);
}

void rlx_rule_log_keyless(request_rec *r, const rlx_rule_t *rule)
{
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0011)
                  "no key for %s (%s:%d): the limit is skipped",
                  rule->limit[0].text, rule->file, rule->line);
}

int rlx_rule_is_exempt(request_rec *r, rlx_request_t *request,
                       const rlx_rule_t *rule)
{
    if (!rlx_condition_holds(r, rule->options->exempt_when)) {
        return 0;
    }
    request->is_exempt = 1;
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0033)
                  "exempt_when=%s holds: %s (%s:%d) is not looked at",
                  rule->options->exempt_when->text, rule->limit[0].text,
                  rule->file, rule->line);
    return 1;
}

/** What keeps counters of different kinds apart whose other parts are the
 *  same: a server's umbrella and its defaults outside of sections, a shared
 *  scope and a section's scope=. Any constants do. */
static const rlx_id_t kind_ids[] = {
    [RLX_RULE_SECTION] = { { 0, 0 } },
    [RLX_RULE_SHARED] = { { UINT64_C(0x5368617265640001),
                            UINT64_C(0x8c13f09a6d5b2e47) } },
    [RLX_RULE_DEFAULT] = { { 0, 0 } },
    [RLX_RULE_APPLICATION] = { { UINT64_C(0x4170706c69630001),
                                 UINT64_C(0x3fb84e60c27d9a15) } },
    [RLX_RULE_META] = { { UINT64_C(0x4d65746100000001),
                          UINT64_C(0xb5027e96d3f81c4b) } },
    [RLX_RULE_FALLBACK] = { { UINT64_C(0x46616c6c62610001),
                              UINT64_C(0x61d93a7f0be8c452) } },
    [RLX_RULE_MODULE] = { { UINT64_C(0x4d6f64756c650001),
                            UINT64_C(0x6e91d0b85a3fc724) } },
};

/** The part of a counter's id that says where it counts. */
static rlx_id_t scope_id(rlx_counting_t *counting,
                         const rlx_holding_t *holding)
{
    const rlx_rule_t *rule = holding->rule;
    const rlx_options_t *options = rule->options;
    request_rec *r = counting->r;
    rlx_id_t id;

    switch (rule->kind) {
    case RLX_RULE_APPLICATION:
    case RLX_RULE_META:
    case RLX_RULE_FALLBACK:
        id = rule->owner->id;
        break;
    case RLX_RULE_SHARED:
        id = rule->owner->id;
        if (holding->declared_in && holding->declared_in->tree_name) {
            id = rlx_id_mix(id, holding->declared_in->tree);
        }
        break;
    case RLX_RULE_MODULE:
        id = counting->sv->id;
        break;
    default:
        id = rlx_id_mix(counting->sv->id,
                        endpoint_id(counting, holding->endpoint));
        break;
    }
    if (options->scope) {
        const char *scope = rlx_value_of(r, options->scope);

        id = rlx_id_mix(id, rlx_id_of(rlx_secret(), RLX_ID_SCOPE, scope,
                                      strlen(scope)));
    }
    if (options->per_method) {
        const char *method = counting->request->method;

        id = rlx_id_mix(id, rlx_id_of(rlx_secret(), RLX_ID_METHOD, method,
                                      strlen(method)));
    }
    return rlx_id_mix(id, kind_ids[rule->kind]);
}

/** Text with %, : and = as %25, %3A and %3D, so that parts can be joined by
 *  these and no two lists of parts give the same text. */
static const char *part(apr_pool_t *p, const char *text)
{
    apr_size_t extra = 0;
    char *out, *to;

    for (const char *c = text; *c; c++) {
        extra += (*c == '%' || *c == ':' || *c == '=') ? 2 : 0;
    }
    if (!extra) {
        return text;
    }
    to = out = apr_palloc(p, strlen(text) + extra + 1);
    for (const char *c = text; *c; c++) {
        if (*c == '%' || *c == ':' || *c == '=') {
            memcpy(to, *c == '%' ? "%25" : *c == ':' ? "%3A" : "%3D", 3);
            to += 3;
        }
        else {
            *to++ = *c;
        }
    }
    *to = '\0';
    return out;
}

/** What a counter belongs to, as text: the kind of it, and its name within
 *  that kind. What has different ids has different texts. */
static const char *place_text(const rlx_counting_t *counting,
                              const rlx_holding_t *holding)
{
    const rlx_rule_t *rule = holding->rule;
    const rlx_section_t *section = holding->endpoint;
    request_rec *r = counting->r;
    apr_pool_t *p = counting->p;
    const char *name;

    switch (rule->kind) {
    case RLX_RULE_APPLICATION:
        return "application:";
    case RLX_RULE_META:
        return rule->of ? apr_pstrcat(p, "meta-of:", part(p, rule->of), NULL)
                        : "meta:";
    case RLX_RULE_FALLBACK:
        return "fallback:";
    case RLX_RULE_MODULE:
        return apr_pstrcat(p, "module:",
                           part(p, rlx_value_of(r, rule->options->scope)),
                           NULL);
    case RLX_RULE_SHARED:
        name = part(p, rlx_value_of(r, rule->options->scope));
        section = holding->declared_in;
        return section && section->tree_name
               ? apr_pstrcat(p, "shared-in:", name, "=",
                             part(p, section->tree_name), NULL)
               : apr_pstrcat(p, "shared:", name, NULL);
    default:
        name = section ? endpoint_name(r, section) : NULL;
        return !section ? "server:"
               : apr_pstrcat(p, name ? "endpoint:" : "section:",
                             part(p, name ? name : section->name),
                             NULL);
    }
}

/** Fill in the readable scope of a counter's name. */
static void give_scope(const rlx_counting_t *counting,
                       const rlx_holding_t *holding, rlx_decision_t *decision,
                       rlx_counter_t *counter)
{
    const rlx_rule_t *rule = holding->rule;
    const rlx_options_t *options = rule->options;
    apr_pool_t *p = counting->p;
    int by_owner = rlx_rule_is_umbrella(rule) || rule->kind == RLX_RULE_SHARED;
    const rlx_server_t *sv = by_owner ? rule->owner : counting->sv;
    const char *more = "";

    if (options->scope && rule->kind != RLX_RULE_SHARED
        && rule->kind != RLX_RULE_MODULE) {
        more = apr_pstrcat(p, "=", part(p, rlx_value_of(counting->r,
                                                        options->scope)),
                           NULL);
    }
    counter->scope = apr_pstrcat(
        p, sv->key_prefix ? part(p, sv->key_prefix) : "", ":",
        part(p, sv->name), ":", place_text(counting, holding), ":", more, ":",
        options->per_method ? part(p, counting->request->method) : "", ":",
        options->name ? part(p, options->name) : "", NULL);
    counter->scope_len = strlen(counter->scope);
    decision->scope = counter->scope;
    decision->scope_len = counter->scope_len;
}

/** The key of a rule; the common one is worked out once. */
static const rlx_key_t *key_of(rlx_counting_t *counting,
                               const rlx_options_t *options, rlx_key_t *own)
{
    if (options->keys) {
        rlx_key_of(counting->r, counting->dir, options, own);
        return own;
    }
    if (!counting->common_key.text) {
        rlx_key_of(counting->r, counting->dir, options,
                   &counting->common_key);
    }
    return &counting->common_key;
}

static void log_cost(request_rec *r, const rlx_rule_t *rule, const char *text)
{
    if (rlx_once(rule, "cost")) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, RLXNO(0032)
                      "cost=%s (%s:%d) gives %s, which is not a whole number "
                      "from 0 to %d: such requests count 1 (logged once)",
                      rule->options->cost_value->text, rule->file, rule->line,
                      rlx_shown(r->pool, text), RLX_COUNT_MAX);
    }
}

/** What a request takes where cost= is an expression. */
static apr_uint32_t cost_of(request_rec *r, const rlx_rule_t *rule)
{
    const char *text = rlx_value_of(r, rule->options->cost_value);
    apr_uint64_t cost = 0;
    const char *c = text;

    while (apr_isdigit(*c) && cost <= RLX_COUNT_MAX) {
        cost = cost * 10 + (apr_uint64_t)(*c++ - '0');
    }
    if (c == text || *c || cost > RLX_COUNT_MAX) {
        log_cost(r, rule, text);
        return 1;
    }
    return (apr_uint32_t)cost;
}

int rlx_counter_of(rlx_counting_t *counting, const rlx_holding_t *holding,
                   rlx_decision_t *decision, rlx_counter_t *counter)
{
    const rlx_rule_t *rule = holding->rule;
    const rlx_options_t *options = rule->options;
    rlx_strategy_e strategy = strategy_of(counting, holding,
                                          counting->r->pool);
    rlx_key_t own;
    const rlx_key_t *key = key_of(counting, options, &own);

    if (!key->len) {
        return 0;
    }
    decision->rule = rule;
    decision->limit = &rule->limit[strategy];
    decision->endpoint = holding->endpoint;
    decision->key = key->text;
    decision->key_is_public = key->is_public;
    decision->store = counting->store;
    decision->id = rlx_id_mix(rlx_id_mix(key->id, rule->id[strategy]),
                              scope_id(counting, holding));

    counter->limit = decision->limit;
    counter->id = decision->id;
    decision->cost = options->cost_value ? cost_of(counting->r, rule)
                                         : options->cost;
    counter->cost = decision->cost;
    decision->fate = RLX_FATE_ALLOWED;
    decision->is_pending = options->deduct_when != NULL;
    decision->also = NULL;
    counter->only_test = decision->is_pending && !options->reserve;
    counter->is_named = options->name != NULL;
    counter->key_is_public = key->is_public;
    if (counting->wants_text) {
        give_scope(counting, holding, decision, counter);
        counter->key = key->text;
        counter->key_len = key->len;
    }
    return 1;
}

/** Not 0 if a limit says more than who is counted that depends on the
 *  request. */
static int depends(const rlx_holding_t *holding, int strategy)
{
    const rlx_options_t *options = holding->rule->options;

    return holding->rule->dynamic || options->keys || options->cost_value
           || options->exempt_when || options->deduct_when || options->lane
           || options->per_method
           || (options->scope && options->scope->expr)
           || (holding->endpoint && holding->endpoint->endpoint)
           /* The storage has a say in what that is. */
           || (options->strategy == RLX_UNSET
               && strategy == RLX_MOVING_WINDOW);
}

int rlx_counter_foresee(const rlx_server_t *sv, const rlx_holding_t *holding,
                        int strategy, rlx_decision_t *decision,
                        rlx_counter_t *counter, apr_pool_t *pconf)
{
    const rlx_rule_t *rule = holding->rule;
    rlx_dir_t settings = { .strategy = strategy };
    rlx_counting_t counting = { .sv = sv, .store = sv->store,
                                .dir = &settings, .p = pconf };
    rlx_strategy_e counted_by;

    if (depends(holding, strategy)) {
        return 0;
    }
    counted_by = strategy_of(&counting, holding, NULL);
    memset(decision, 0, sizeof(*decision));
    decision->rule = rule;
    decision->limit = &rule->limit[counted_by];
    decision->endpoint = holding->endpoint;
    decision->store = sv->store;
    decision->cost = rule->options->cost;
    decision->id = rlx_id_mix(rule->id[counted_by],
                              scope_id(&counting, holding));
    memset(counter, 0, sizeof(*counter));
    counter->limit = decision->limit;
    counter->id = decision->id;
    counter->cost = decision->cost;
    counter->is_named = rule->options->name != NULL;
    if (sv->store->provider->flags & RLX_STORAGE_WANTS_TEXT) {
        give_scope(&counting, holding, decision, counter);
    }
    return 1;
}

int rlx_counter_is_findable(const rlx_holding_t *holding)
{
    const rlx_rule_t *rule = holding->rule;
    const rlx_section_t *section = holding->endpoint;

    if (rule->options->scope && rule->options->scope->expr) {
        return 0;
    }
    return rlx_rule_is_umbrella(rule) || rule->kind == RLX_RULE_SHARED
           || !section || !section->endpoint || !section->endpoint->expr;
}

void rlx_counter_of_key(const rlx_server_t *sv, const rlx_store_t *store,
                        const rlx_holding_t *holding, int strategy,
                        const char *method, const rlx_key_t *key,
                        rlx_counter_t *counter, apr_pool_t *p)
{
    const rlx_rule_t *rule = holding->rule;
    const rlx_dir_t settings = { .strategy = strategy };
    const rlx_request_t request = { .method = method };
    rlx_counting_t counting = { .request = &request, .sv = sv, .store = store,
                                .dir = &settings, .p = p };
    rlx_strategy_e counted_by = strategy_of(&counting, holding, p);
    rlx_decision_t decision;

    memset(counter, 0, sizeof(*counter));
    counter->limit = &rule->limit[counted_by];
    counter->id = rlx_id_mix(rlx_id_mix(key->id, rule->id[counted_by]),
                             scope_id(&counting, holding));
    counter->cost = rule->options->cost_value ? 1 : rule->options->cost;
    counter->is_named = rule->options->name != NULL;
    counter->key_is_public = key->is_public;
    if (store->provider->flags & RLX_STORAGE_WANTS_TEXT) {
        give_scope(&counting, holding, &decision, counter);
        counter->key = key->text;
        counter->key_len = key->len;
    }
}

const char *rlx_counter_prefix(const rlx_server_t *sv, apr_pool_t *p)
{
    return sv->key_prefix ? part(p, sv->key_prefix) : "";
}

void rlx_decision_counter(const rlx_decision_t *decision,
                          rlx_counter_t *counter)
{
    memset(counter, 0, sizeof(*counter));
    counter->limit = decision->limit;
    counter->id = decision->id;
    counter->cost = decision->cost;
    counter->is_named = decision->rule->options->name != NULL;
    counter->key_is_public = decision->key_is_public;
    counter->scope = decision->scope;
    counter->scope_len = decision->scope_len;
    counter->key = decision->key;
    counter->key_len = strlen(decision->key);
}

apr_status_t rlx_decision_give_back(rlx_decision_t *decision, rlx_usec_t now,
                                    apr_pool_t *ptemp)
{
    rlx_counter_t counter;
    apr_status_t status;

    if (!decision->verdict.charged) {
        return APR_SUCCESS;
    }
    rlx_decision_counter(decision, &counter);
    decision->verdict.charged = 0;
    status = rlx_store_give_back(decision->store, &counter, 1,
                                 decision->verdict.decided_at, now, ptemp);
    if (status == APR_SUCCESS) {
        decision->verdict.remaining += decision->cost;
    }
    return status;
}

const char *rlx_decision_scope(request_rec *r, const rlx_decision_t *decision)
{
    const rlx_rule_t *rule = decision->rule;
    const char *name;

    switch (rule->kind) {
    case RLX_RULE_META:
        return rule->of ? rule->of : rule->owner->name;
    case RLX_RULE_APPLICATION:
    case RLX_RULE_FALLBACK:
        return rule->owner->name;
    case RLX_RULE_SHARED:
    case RLX_RULE_MODULE:
        return rlx_value_of(r, rule->options->scope);
    default:
        if (!decision->endpoint) {
            return rlx_server_of(r->server)->name;
        }
        name = endpoint_name(r, decision->endpoint);
        return name ? name : decision->endpoint->name;
    }
}

const char *rlx_key_shown(request_rec *r, const char *key, int is_public)
{
    const rlx_manner_t *manner = rlx_manner_of(r);
    int display = manner ? manner->key_display : RLX_UNSET;
    rlx_id_t id;

    if (display == RLX_DISPLAY_PLAIN
        || (display != RLX_DISPLAY_HASH && is_public)) {
        return key;
    }
    id = rlx_id_of(rlx_secret(), RLX_ID_KEY, key, strlen(key));
    return apr_psprintf(r->pool, "#%016" APR_UINT64_T_HEX_FMT, id.word[0]);
}

const char *rlx_decision_key(request_rec *r, const rlx_decision_t *decision)
{
    return rlx_key_shown(r, decision->key, decision->key_is_public);
}
