/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The directives that hold limits, and the rules they make.
 */

#include "http/dynamic.h"
#include "http/parse.h"
#include "http/rule.h"

/** Where each kind may stand. */
static const unsigned int places[] = {
    [RLX_RULE_SECTION] = RLX_IN_SECTION | RLX_IN_HTACCESS,
    [RLX_RULE_SHARED] = RLX_IN_SECTION | RLX_IN_HTACCESS,
    [RLX_RULE_DEFAULT] = RLX_IN_SERVER,
    [RLX_RULE_APPLICATION] = RLX_IN_SERVER,
    [RLX_RULE_META] = RLX_IN_SERVER,
    [RLX_RULE_FALLBACK] = RLX_IN_SERVER
};

/** @param limit NULL: it is known for each request alone */
static rlx_rule_t *make_rule(const cmd_parms *cmd, rlx_rule_e kind,
                             const rlx_limit_t *limit,
                             const rlx_options_t *options)
{
    rlx_rule_t *rule = apr_pcalloc(cmd->pool, sizeof(*rule));

    rule->kind = kind;
    rule->options = options;
    rule->owner = rlx_server_of(cmd->server);
    rule->file = cmd->directive->filename;
    rule->line = cmd->directive->line_num;
    if (limit) {
        rlx_rule_set_limit(rule, limit);
    }
    return rule;
}

/** The list that rules of a kind go to. */
static apr_array_header_t *rules_here(const cmd_parms *cmd, rlx_rule_e kind,
                                      rlx_dir_t *dir)
{
    rlx_server_t *sv = rlx_server_of(cmd->server);
    apr_array_header_t **list = kind == RLX_RULE_DEFAULT ? &sv->defaults
                                : kind == RLX_RULE_META ? &sv->meta
                                : kind == RLX_RULE_FALLBACK ? &sv->fallback
                                : &sv->application;

    if (kind == RLX_RULE_SECTION || kind == RLX_RULE_SHARED) {
        return rlx_section_here(cmd, dir)->rules;
    }
    if (!*list) {
        *list = apr_array_make(cmd->pool, 2, sizeof(rlx_rule_t *));
    }
    return *list;
}

/** Read the limit string.
 *  @param dynamic not NULL afterwards: it is an expression, and n is 0 */
static const char *parse_limits(const cmd_parms *cmd,
                                const apr_array_header_t *words,
                                rlx_limit_t *limits, int *n,
                                const rlx_value_t **dynamic)
{
    const char *text = words->nelts ? APR_ARRAY_IDX(words, 0, char *) : "";
    char error[RLX_LIMIT_ERROR_MAX];

    if (!words->nelts) {
        return rlx_wrong(cmd, "the limit string is missing, as in "
                         "\"10 per hour\"");
    }
    if (ap_strstr_c(text, "%{")) {
        return rlx_value_parse(cmd, "", text, dynamic);
    }
    *n = rlx_limits_parse(text, limits, RLX_LIMITS_PER_STRING, error);
    if (*n > 0) {
        return NULL;
    }
    if (words->nelts > 1 && !ap_strchr_c(APR_ARRAY_IDX(words, 1, char *), '=')) {
        return rlx_wrong(cmd, "%s; a limit string with blanks stands in "
                         "quotes", error);
    }
    return rlx_wrong(cmd, "%s", error);
}

/** A .htaccess file is read long after the storage was asked whether it keeps
 *  the limits that there are. */
static const char *check_kept(const cmd_parms *cmd, const rlx_limit_t *limits,
                              int n, const rlx_options_t *options)
{
    const rlx_store_t *store = rlx_server_of(cmd->server)->store;

    if (!rlx_in_htaccess(cmd) || options->strategy == RLX_UNSET) {
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        rlx_limit_t limit = limits[i];
        const char *why;

        limit.strategy = (rlx_strategy_e)options->strategy;
        why = store->provider->refuses(store->instance, &limit, cmd->pool);
        if (why) {
            return rlx_wrong(cmd, "%s", why);
        }
    }
    return NULL;
}

const char *rlx_limit_directive(cmd_parms *cmd, void *conf, const char *line)
{
    rlx_dir_t *dir = conf;
    rlx_rule_e kind = (rlx_rule_e)(apr_uintptr_t)cmd->info;
    rlx_limit_t limits[RLX_LIMITS_PER_STRING];
    const rlx_options_t *options;
    const rlx_value_t *dynamic = NULL;
    apr_array_header_t *words, *rules;
    const char *error;
    int n = 0;

    error = rlx_check_place(cmd, places[kind]);
    if (!error) {
        error = rlx_words(cmd, line, &words);
    }
    if (!error) {
        error = parse_limits(cmd, words, limits, &n, &dynamic);
    }
    if (!error) {
        error = rlx_options_parse(cmd, kind, words, 1, n, &options);
    }
    if (!error) {
        error = check_kept(cmd, limits, n, options);
    }
    if (error) {
        return error;
    }
    rules = rules_here(cmd, kind, dir);
    dir->has_early |= (options->lane & RLX_LANE_EARLY) != 0;
    if (dynamic) {
        rlx_rule_t *rule = make_rule(cmd, kind, NULL, options);

        rule->dynamic = rlx_dynamic_make(cmd->pool, dynamic,
                                         !rlx_in_htaccess(cmd));
        APR_ARRAY_PUSH(rules, rlx_rule_t *) = rule;
    }
    for (int i = 0; i < n; i++) {
        APR_ARRAY_PUSH(rules, rlx_rule_t *) = make_rule(cmd, kind, &limits[i],
                                                        options);
    }
    return NULL;
}
