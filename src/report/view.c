/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A limit as it is shown.
 */

#include "report/view.h"

#include "report/where.h"

#include "http_protocol.h"
#include "apr_strings.h"

#include "core/strategy.h"
#include "http/counter.h"
#include "http/rule.h"

static rlx_option_view_t *add(rlx_limit_view_t *view, const char *name)
{
    rlx_option_view_t *option = apr_array_push(view->options);

    memset(option, 0, sizeof(*option));
    option->name = name;
    return option;
}

static void add_text(rlx_limit_view_t *view, const char *name,
                     const char *text)
{
    if (text) {
        add(view, name)->text = text;
    }
}

static void add_number(rlx_limit_view_t *view, const char *name,
                       apr_int64_t number)
{
    rlx_option_view_t *option = add(view, name);

    option->kind = RLX_VIEW_NUMBER;
    option->number = number;
}

static void add_flag(rlx_limit_view_t *view, const char *name, int value)
{
    rlx_option_view_t *option = add(view, name);

    option->kind = RLX_VIEW_FLAG;
    option->number = value;
}

static void add_list(rlx_limit_view_t *view, const char *name,
                     const apr_array_header_t *list)
{
    rlx_option_view_t *option = add(view, name);

    option->kind = RLX_VIEW_LIST;
    option->list = list;
}

static const char *name_of_method(apr_pool_t *p, int number)
{
    /* To httpd GET and HEAD have one number, and it gives either name. */
    return number == RLX_METHOD_HEAD ? "HEAD"
           : number == M_GET ? "GET" : ap_method_name_of(p, number);
}

static apr_array_header_t *names_of_methods(apr_pool_t *p, apr_int64_t bits)
{
    apr_array_header_t *names = apr_array_make(p, 4, sizeof(char *));

    for (int i = 0; i < 63; i++) {
        if (bits & (AP_METHOD_BIT << i)) {
            APR_ARRAY_PUSH(names, const char *) = name_of_method(p, i);
        }
    }
    return names;
}

/** Who is counted, what is, and what it costs. */
static void add_counting(apr_pool_t *p, const rlx_options_t *options,
                         rlx_limit_view_t *view)
{
    if (options->keys) {
        apr_array_header_t *keys = apr_array_make(p, 2, sizeof(char *));

        for (int i = 0; i < options->keys->nelts; i++) {
            APR_ARRAY_PUSH(keys, const char *) = APR_ARRAY_IDX(
                options->keys, i, rlx_value_t *)->text;
        }
        add_list(view, "key", keys);
    }
    if (options->methods) {
        add_list(view, "methods", names_of_methods(p, options->methods));
    }
    if (options->per_method) {
        add_flag(view, "per_method", 1);
    }
    add_text(view, "scope", options->scope ? options->scope->text : NULL);
    if (options->cost_value) {
        add_text(view, "cost", options->cost_value->text);
    }
    else if (options->cost != 1) {
        add_number(view, "cost", options->cost);
    }
    if (options->burst) {
        add_number(view, "burst", options->burst);
    }
}

/** When it is looked at. */
static void add_conditions(const rlx_options_t *options,
                           rlx_limit_view_t *view)
{
    add_text(view, "exempt_when",
             options->exempt_when ? options->exempt_when->text : NULL);
    add_text(view, "deduct_when",
             options->deduct_when ? options->deduct_when->text : NULL);
    if (options->reserve) {
        add_flag(view, "reserve", 1);
    }
    if (options->lane & RLX_LANE_EARLY) {
        add_text(view, "phase", "early");
    }
}

/** The limits of meta=, in canonical form; NULL: there are none. */
static const char *meta_of(apr_pool_t *p, const rlx_options_t *options)
{
    const apr_array_header_t *rules = options->meta;
    apr_array_header_t *texts;

    if (!rules) {
        return options->meta_text;
    }
    texts = apr_array_make(p, rules->nelts, sizeof(char *));
    for (int i = 0; i < rules->nelts; i++) {
        APR_ARRAY_PUSH(texts, const char *) = rlx_rule_text(
            APR_ARRAY_IDX(rules, i, rlx_rule_t *));
    }
    return rlx_view_join(p, texts, "; ");
}

/** What comes of it. */
static void add_consequences(apr_pool_t *p, const rlx_options_t *options,
                             rlx_limit_view_t *view)
{
    add_text(view, "name", options->name);
    add_text(view, "error_message",
             options->error_message ? options->error_message->text : NULL);
    add_text(view, "on_breach", options->on_breach);
    if (options->status) {
        add_number(view, "status", options->status);
    }
    add_text(view, "meta", meta_of(p, options));
    if (options->dry_run) {
        add_flag(view, "dry_run", 1);
    }
}

/** What is to be said of a rule wherever it is met. */
static void look(apr_pool_t *p, const rlx_rule_t *rule,
                 rlx_strategy_e strategy, rlx_limit_view_t *view)
{
    const rlx_options_t *options = rule->options;
    int is_sections = rule->kind == RLX_RULE_SECTION
                      || rule->kind == RLX_RULE_SHARED;

    memset(view, 0, sizeof(*view));
    view->rule = rule;
    view->is_dynamic = rule->dynamic != NULL;
    view->limit = rlx_rule_text(rule);
    view->count = rule->limit[0].count;
    view->window_sec = rule->limit[0].window_usec / APR_USEC_PER_SEC;
    view->strategy = rlx_strategies[strategy]->name;
    view->declared_at = rule->file[0] ? rlx_where(p, rule->file, rule->line)
                                      : "another module";
    view->options = apr_array_make(p, 4, sizeof(rlx_option_view_t));
    add_counting(p, options, view);
    add_conditions(options, view);
    if (is_sections && !options->override_defaults) {
        add_flag(view, "override_defaults", 0);
    }
    add_consequences(p, options, view);
}

const char *rlx_view_kind(rlx_rule_e kind)
{
    static const char *const kinds[] = {
        [RLX_RULE_SECTION] = "section",
        [RLX_RULE_SHARED] = "shared",
        [RLX_RULE_DEFAULT] = "default",
        [RLX_RULE_APPLICATION] = "application",
        [RLX_RULE_META] = "meta",
        [RLX_RULE_FALLBACK] = "fallback",
        [RLX_RULE_MODULE] = "module"
    };

    return kinds[kind];
}

/** Not 0 if a section is further inside than another. */
static int is_inside(const rlx_chain_t *chain, const rlx_section_t *section,
                     const rlx_section_t *other)
{
    while (chain && chain->section != section && chain->section != other) {
        chain = chain->outer;
    }
    return chain && chain->section == section;
}

/** Where a limit comes from, seen from a section. */
static void find_source(apr_pool_t *p, const rlx_dir_t *dir,
                        const rlx_section_t *section,
                        const rlx_holding_t *holding, rlx_limit_view_t *view)
{
    rlx_rule_e kind = holding->rule->kind;

    view->source = kind == RLX_RULE_SECTION || kind == RLX_RULE_SHARED
                   ? "own" : rlx_view_kind(kind);
    if (holding->declared_in && holding->declared_in != section) {
        view->from = holding->declared_in->name;
        view->source = apr_pstrcat(
            p, dir && is_inside(dir->chain, holding->declared_in, section)
               ? "overridden by " : "inherited from ", view->from, NULL);
    }
}

void rlx_view_effect(apr_pool_t *p, const rlx_dir_t *dir,
                     const rlx_section_t *section, const rlx_effect_t *effect,
                     rlx_limit_view_t *view)
{
    apr_int64_t own = effect->holding.rule->options->methods;

    look(p, effect->holding.rule, effect->strategy, view);
    find_source(p, dir, section, &effect->holding, view);
    if (effect->methods && (effect->is_all_but || effect->methods != own)) {
        view->methods = names_of_methods(p, effect->methods);
        view->is_all_but = effect->is_all_but;
    }
}

void rlx_view_rule(apr_pool_t *p, const rlx_server_t *sv, const rlx_dir_t *dir,
                   const rlx_section_t *section, const rlx_rule_t *rule,
                   rlx_limit_view_t *view)
{
    rlx_holding_t holding = { rule, section, section };

    look(p, rule, rlx_counter_strategy(sv, dir, &holding, p), view);
    find_source(p, dir, section, &holding, view);
}

const char *rlx_view_join(apr_pool_t *p, const apr_array_header_t *texts,
                          const char *between)
{
    const char *text = "";

    for (int i = 0; i < texts->nelts; i++) {
        text = apr_pstrcat(p, text, i ? between : "",
                           APR_ARRAY_IDX(texts, i, const char *), NULL);
    }
    return text;
}

const char *rlx_view_methods(apr_pool_t *p, const rlx_limit_view_t *view)
{
    return view->methods
           ? apr_pstrcat(p, view->is_all_but ? "all but " : "",
                         rlx_view_join(p, view->methods, ", "), NULL)
           : NULL;
}

/** A value as it would stand in a directive. */
static const char *as_written(apr_pool_t *p, const char *text)
{
    return text[strcspn(text, " \t\"")]
           ? apr_pstrcat(p, "\"", ap_escape_quotes(p, text), "\"", NULL)
           : text;
}

static const char *option_text(apr_pool_t *p, const rlx_option_view_t *option)
{
    const char *text = "";

    switch (option->kind) {
    case RLX_VIEW_NUMBER:
        return apr_psprintf(p, " %s=%" APR_INT64_T_FMT, option->name,
                            option->number);
    case RLX_VIEW_FLAG:
        return apr_pstrcat(p, " ", option->name,
                           option->number ? "=on" : "=off", NULL);
    case RLX_VIEW_LIST:
        if (!strcmp(option->name, "methods")) {
            return apr_pstrcat(p, " methods=",
                               rlx_view_join(p, option->list, ","), NULL);
        }
        for (int i = 0; i < option->list->nelts; i++) {
            text = apr_pstrcat(p, text, " ", option->name, "=",
                               as_written(p, APR_ARRAY_IDX(option->list, i,
                                                           const char *)),
                               NULL);
        }
        return text;
    default:
        return apr_pstrcat(p, " ", option->name, "=",
                           as_written(p, option->text), NULL);
    }
}

const char *rlx_view_options(apr_pool_t *p, const rlx_limit_view_t *view)
{
    const char *text = "";

    for (int i = 0; i < view->options->nelts; i++) {
        text = apr_pstrcat(p, text,
                           option_text(p, &APR_ARRAY_IDX(view->options, i,
                                                         rlx_option_view_t)),
                           NULL);
    }
    return text;
}

const char *rlx_view_engine(const rlx_dir_t *dir)
{
    if (!dir || dir->engine == RLX_UNSET) {
        return "On";
    }
    return dir->engine == RLX_ENGINE_OFF ? "Off"
           : dir->engine == RLX_ENGINE_DRY_RUN ? "DryRun" : "On";
}

apr_array_header_t *rlx_view_exempt(apr_pool_t *p, unsigned int exempt)
{
    static const struct {
        unsigned int bit;
        const char *name;
    } names[] = {
        { RLX_EXEMPT_APPLICATION, "application" },
        { RLX_EXEMPT_DEFAULT, "default" },
        { RLX_EXEMPT_META, "meta" },
        { RLX_EXEMPT_ANCESTORS, "ancestors" },
        { RLX_EXEMPT_DESCENDENTS, "descendents" }
    };
    apr_array_header_t *list = apr_array_make(p, 5, sizeof(char *));

    for (apr_size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (exempt & names[i].bit) {
            APR_ARRAY_PUSH(list, const char *) = names[i].name;
        }
    }
    return list;
}
