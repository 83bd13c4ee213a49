/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The option meta= of a limit: how often one key may be refused by this limit
 * before everything that the limit holds for is refused. Made of the limit's
 * options when the directive is read; from then on they are meta limits like
 * any other, but for what they belong to (rlx_rule_t.of).
 */

#include "http/own_meta.h"

#include <apr_strings.h>

#include "http/dynamic.h"
#include "http/htaccess.h"
#include "http/rule.h"

/** What a meta limit belongs to, as text: names its counter, so nothing in it
 *  may change when a file is edited elsewhere. */
static const char *owner_text(const cmd_parms *cmd, rlx_rule_e kind,
                              const char *limits,
                              const rlx_options_t *options)
{
    static const char *const places[] = {
        [RLX_RULE_SHARED] = "a shared limit",
        [RLX_RULE_DEFAULT] = "the defaults",
        [RLX_RULE_APPLICATION] = "the application"
    };
    /* Sections that name the same scope share the limit's counter, and so
     * this one; not those of .htaccess files. */
    int is_of_section = kind == RLX_RULE_SECTION || rlx_in_htaccess(cmd);
    rlx_id_t id;

    return apr_pstrcat(cmd->pool, options->name ? options->name : limits,
                       " of ", is_of_section ? rlx_section_name(cmd, &id)
                                             : places[kind], NULL);
}

/** The options of a meta limit: what says who is counted and how a refusal
 *  looks is the limit's. */
static const rlx_options_t *options_like(const cmd_parms *cmd,
                                         const rlx_options_t *options)
{
    rlx_options_t *like = apr_pmemdup(cmd->pool, options, sizeof(*like));

    like->methods = 0;
    like->methods_text = NULL;
    like->per_method = 0;
    like->cost = 1;
    like->cost_value = NULL;
    like->deduct_when = NULL;
    like->reserve = 0;
    like->lane &= ~RLX_LANE_EARLY;
    like->override_defaults = 0;
    like->burst = 0;
    like->name = NULL;
    like->meta_text = NULL;
    like->meta = NULL;
    return like;
}

/** The storage is asked for those of .htaccess here, for others later. */
static const char *check_kept(const cmd_parms *cmd, const rlx_limit_t *limit,
                              const rlx_options_t *options)
{
    rlx_limit_t kept = *limit;
    const char *why;
    const rlx_store_t *store = rlx_server_of(cmd->server)->store;

    if (!rlx_in_htaccess(cmd) || options->strategy == RLX_UNSET) {
        return NULL;
    }
    kept.strategy = (rlx_strategy_e)options->strategy;
    why = rlx_htaccess_refuses(&kept, cmd->pool);
    return why ? why : store->provider->refuses(store->instance, &kept,
                                                cmd->pool);
}

static const char *add_fixed(const cmd_parms *cmd, const rlx_rule_t *like,
                             apr_array_header_t *rules)
{
    const char *text = like->of_options->meta_text;
    rlx_limit_t limits[RLX_LIMITS_PER_STRING];
    char error[RLX_LIMIT_ERROR_MAX];
    int n = rlx_limits_parse(text, limits, RLX_LIMITS_PER_STRING, error);

    if (n < 1) {
        return rlx_wrong(cmd, "meta=%s: %s", rlx_shown(cmd->pool, text),
                         error);
    }
    for (int i = 0; i < n; i++) {
        rlx_rule_t *rule = apr_pmemdup(cmd->pool, like, sizeof(*rule));
        const char *why = check_kept(cmd, &limits[i], like->options);

        if (why) {
            return rlx_wrong(cmd, "meta=%s: %s", rlx_shown(cmd->pool, text),
                             why);
        }
        rlx_rule_set_limit(rule, &limits[i]);
        APR_ARRAY_PUSH(rules, rlx_rule_t *) = rule;
    }
    return NULL;
}

static const char *add_dynamic(const cmd_parms *cmd, rlx_rule_t *like,
                               apr_array_header_t *rules)
{
    const rlx_value_t *value;
    const char *error = rlx_value_parse(cmd, "meta=",
                                        like->of_options->meta_text, &value);

    if (error) {
        return error;
    }
    like->dynamic = rlx_dynamic_make(cmd->pool, value, rlx_in_htaccess(cmd));
    APR_ARRAY_PUSH(rules, rlx_rule_t *) = like;
    return NULL;
}

const char *rlx_own_meta_make(const cmd_parms *cmd, rlx_rule_e kind,
                              const char *limits, rlx_options_t *options)
{
    apr_array_header_t *rules;
    rlx_rule_t *like;
    const char *error;

    like = apr_pcalloc(cmd->pool, sizeof(*like));
    like->kind = RLX_RULE_META;
    like->options = options_like(cmd, options);
    like->of = owner_text(cmd, kind, limits, options);
    like->of_kind = kind;
    like->of_options = options;
    like->owner = rlx_server_of(cmd->server);
    like->file = cmd->directive->filename;
    like->line = cmd->directive->line_num;
    like->is_htaccess = rlx_in_htaccess(cmd);
    rules = apr_array_make(cmd->pool, 2, sizeof(rlx_rule_t *));
    error = ap_strstr_c(options->meta_text, "%{")
            ? add_dynamic(cmd, like, rules) : add_fixed(cmd, like, rules);
    options->meta = rules;
    return error;
}
