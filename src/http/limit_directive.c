/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The directives that hold limits, and the rules they make.
 */

#include "apr_strings.h"

#include "http/dynamic.h"
#include "http/htaccess.h"
#include "http/own_meta.h"
#include "http/parse.h"
#include "http/remembered.h"
#include "http/rule.h"
#include "http/seen.h"
#include "http/shared_figures.h"

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
                                      rlx_dir_t *dir, const rlx_line_t *line)
{
    rlx_server_t *sv = rlx_server_of(cmd->server);
    apr_array_header_t **list = kind == RLX_RULE_DEFAULT ? &sv->defaults
                                : kind == RLX_RULE_META ? &sv->meta
                                : kind == RLX_RULE_FALLBACK ? &sv->fallback
                                : &sv->application;

    if (kind == RLX_RULE_SECTION || kind == RLX_RULE_SHARED) {
        rlx_section_t *section = rlx_section_here(cmd, dir,
                                                  line->section_name,
                                                  &line->section_id);

        if (kind == RLX_RULE_SHARED && section->is_htaccess) {
            rlx_section_know_tree(cmd, section);
        }
        return section->rules;
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
        why = rlx_htaccess_refuses(&limit, cmd->pool);
        if (!why) {
            why = store->provider->refuses(store->instance, &limit,
                                           cmd->pool);
        }
        if (why) {
            return rlx_wrong(cmd, "%s", why);
        }
    }
    return NULL;
}

/** What a directive limits: "5 per 1 second; 10 per 1 hour", or the
 *  expression as written. */
static const char *limits_text(apr_pool_t *p, const rlx_limit_t *limits, int n,
                               const rlx_value_t *dynamic)
{
    const char *text = dynamic ? dynamic->text : limits[0].text;

    for (int i = 1; i < n; i++) {
        text = apr_pstrcat(p, text, "; ", limits[i].text, NULL);
    }
    return text;
}

/** Make the rules of a line. */
static void make_rules(const cmd_parms *cmd, rlx_rule_e kind,
                       const rlx_limit_t *limits, const rlx_value_t *dynamic,
                       rlx_line_t *line)
{
    line->rules = apr_palloc(cmd->pool, sizeof(rlx_rule_t *)
                                        * (apr_size_t)line->n);
    for (int i = 0; i < line->n; i++) {
        line->rules[i] = make_rule(cmd, kind, dynamic ? NULL : &limits[i],
                                   line->options);
    }
    if (dynamic) {
        line->rules[0]->dynamic = rlx_dynamic_make(cmd->pool, dynamic,
                                                   rlx_in_htaccess(cmd));
    }
}

/** Those of the configuration get theirs when it is complete. */
static void find_rows(const cmd_parms *cmd, const rlx_line_t *line)
{
    const apr_array_header_t *meta = line->options->meta;

    for (int i = 0; i < line->n; i++) {
        rlx_shared_figures_find_row(cmd, line->rules[i]);
    }
    for (int i = 0; meta && i < meta->nelts; i++) {
        rlx_shared_figures_find_row(cmd, APR_ARRAY_IDX(meta, i,
                                                       rlx_rule_t *));
    }
}

const char *rlx_line_read(const cmd_parms *cmd, rlx_rule_e kind,
                          const char *text, rlx_line_t *line)
{
    rlx_limit_t limits[RLX_LIMITS_PER_STRING];
    rlx_options_t *options = NULL;
    const rlx_value_t *dynamic = NULL;
    apr_array_header_t *words;
    const char *error = rlx_words(cmd, text, &words);
    int n = 0;

    if (!error) {
        error = parse_limits(cmd, words, limits, &n, &dynamic);
    }
    if (!error) {
        error = rlx_options_parse(cmd, kind, words, 1, n, &options);
    }
    if (!error) {
        error = check_kept(cmd, limits, n, options);
    }
    if (!error && options->meta_text) {
        error = rlx_own_meta_make(cmd, kind, limits_text(cmd->pool, limits, n,
                                                         dynamic), options);
    }
    if (!error) {
        line->options = options;
        line->n = dynamic ? 1 : n;
        make_rules(cmd, kind, limits, dynamic, line);
        if (rlx_in_htaccess(cmd)) {
            find_rows(cmd, line);
        }
    }
    return error;
}

/** Note what the line of a .htaccess file wants. */
static void note(const cmd_parms *cmd, const rlx_line_t *line)
{
    rlx_htaccess_note_limits(cmd, line->rules[0]->dynamic
                                  ? RLX_HTACCESS_DYNAMIC : line->n);
    if (line->options->override_defaults) {
        rlx_htaccess_note_beyond(cmd, "override_defaults=on");
    }
}

/** Read a line, of a .htaccess file perhaps not for the first time.
 *  @param own where it goes if so */
static const char *get_line(const cmd_parms *cmd, rlx_rule_e kind,
                            const char *text, rlx_line_t *own,
                            const rlx_line_t **line)
{
    const char *error;

    if (rlx_in_htaccess(cmd)
        && (*line = rlx_remembered_find(cmd, kind, text)) != NULL) {
        return NULL;
    }
    if (rlx_in_htaccess(cmd)) {
        rlx_seen_note(cmd);
    }
    own->section_name = NULL;
    *line = own;
    error = rlx_line_read(cmd, kind, text, own);
    if (!error && rlx_in_htaccess(cmd)) {
        rlx_remembered_keep(cmd, kind, text);
    }
    return error;
}

const char *rlx_limit_directive(cmd_parms *cmd, void *conf, const char *text)
{
    rlx_dir_t *dir = conf;
    rlx_rule_e kind = (rlx_rule_e)(apr_uintptr_t)cmd->info;
    rlx_line_t own;
    const rlx_line_t *line = NULL;
    apr_array_header_t *rules;
    const char *error = rlx_check_place(cmd, places[kind]);

    if (!error) {
        error = get_line(cmd, kind, text, &own, &line);
    }
    if (error) {
        return error;
    }
    if (rlx_in_htaccess(cmd)) {
        note(cmd, line);
    }
    rules = rules_here(cmd, kind, dir, line);
    dir->has_early |= (line->options->lane & RLX_LANE_EARLY) != 0;
    for (int i = 0; i < line->n; i++) {
        APR_ARRAY_PUSH(rules, rlx_rule_t *) = line->rules[i];
    }
    return NULL;
}
