/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The directives that hold limits, and the rules they make.
 */

#include "http/parse.h"

/** Where each kind may stand. */
static const unsigned int places[] = {
    [RLX_RULE_SECTION] = RLX_IN_SECTION | RLX_IN_HTACCESS,
    [RLX_RULE_SHARED] = RLX_IN_SECTION | RLX_IN_HTACCESS,
    [RLX_RULE_DEFAULT] = RLX_IN_SERVER,
    [RLX_RULE_APPLICATION] = RLX_IN_SERVER
};

/** Room for what names a limit: fixed parts, and a name or canonical text. */
#define ID_BYTES (RLX_NAME_MAX + RLX_LIMIT_TEXT_MAX)

static char *put(char *out, const void *data, apr_size_t len)
{
    memcpy(out, data, len);
    return out + len;
}

/** What sets a limit's ids under different strategies apart. Any constants
 *  do: what they are mixed with is hashed. */
static const rlx_id_t strategy_marks[RLX_STRATEGIES] = {
    [RLX_MOVING_WINDOW] = { { UINT64_C(0x6d6f76696e670001),
                              UINT64_C(0xd1b54a32d192ed03) } },
    [RLX_SLIDING_WINDOW_COUNTER] = { { UINT64_C(0x736c6964696e0001),
                                       UINT64_C(0x8cb92ba72f3d8dd7) } },
    [RLX_GCRA] = { { UINT64_C(0x6763726100000001),
                     UINT64_C(0xaef17502108ef2d9) } }
};

/** The limit's part of a counter's id. A name stands for count and burst, so
 *  that what was used stays used when they are edited. */
static rlx_id_t id_of(const rlx_limit_t *limit, const char *name)
{
    const char *text = name ? name : limit->text;
    uint32_t burst = name || limit->burst == limit->count ? 0 : limit->burst;
    char bytes[ID_BYTES];
    char *out = bytes;

    *out++ = name ? 'n' : 't';
    out = put(out, &limit->window_usec, sizeof(limit->window_usec));
    out = put(out, &burst, sizeof(burst));
    out = put(out, text, strlen(text));
    return rlx_id_of(rlx_secret(), RLX_ID_LIMIT, bytes,
                     (size_t)(out - bytes));
}

/** The limit and its id under each strategy. A .htaccess file comes here
 *  within each request: no more hashes than needed. */
static void spread(rlx_rule_t *rule, const rlx_limit_t *limit,
                   const rlx_options_t *options)
{
    rlx_id_t plain = id_of(limit, options->name);

    for (int s = 0; s < RLX_STRATEGIES; s++) {
        rlx_limit_t *own = &rule->limit[s];
        rlx_id_t id = plain;

        *own = *limit;
        own->strategy = (rlx_strategy_e)s;
        own->burst = limit->count;
        if (s == RLX_GCRA && options->burst) {
            own->burst = options->burst;
            id = id_of(own, options->name);
        }
        rule->id[s] = rlx_id_mix(id, strategy_marks[s]);
    }
}

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
    spread(rule, limit, options);
    return rule;
}

/** The list that rules of a kind go to. */
static apr_array_header_t *rules_here(const cmd_parms *cmd, rlx_rule_e kind,
                                      rlx_dir_t *dir)
{
    rlx_server_t *sv = rlx_server_of(cmd->server);
    apr_array_header_t **list = kind == RLX_RULE_DEFAULT ? &sv->defaults
                                                         : &sv->application;

    if (kind == RLX_RULE_SECTION || kind == RLX_RULE_SHARED) {
        return rlx_section_here(cmd, dir)->rules;
    }
    if (!*list) {
        *list = apr_array_make(cmd->pool, 2, sizeof(rlx_rule_t *));
    }
    return *list;
}

/** Read the limit string. */
static const char *parse_limits(const cmd_parms *cmd,
                                const apr_array_header_t *words,
                                rlx_limit_t *limits, int *n)
{
    const char *text = words->nelts ? APR_ARRAY_IDX(words, 0, char *) : "";
    char error[RLX_LIMIT_ERROR_MAX];

    if (!words->nelts) {
        return rlx_wrong(cmd, "the limit string is missing, as in "
                         "\"10 per hour\"");
    }
    if (ap_strstr_c(text, "%{")) {
        return rlx_wrong(cmd, "%s holds an expression; only fixed limits such "
                         "as \"10 per hour\" are accepted",
                         rlx_shown(cmd->pool, text));
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

const char *rlx_limit_directive(cmd_parms *cmd, void *dir, const char *line)
{
    rlx_rule_e kind = (rlx_rule_e)(apr_uintptr_t)cmd->info;
    rlx_limit_t limits[RLX_LIMITS_PER_STRING];
    const rlx_options_t *options;
    apr_array_header_t *words, *rules;
    const char *error;
    int n = 0;

    error = rlx_check_place(cmd, places[kind]);
    if (!error) {
        error = rlx_words(cmd, line, &words);
    }
    if (!error) {
        error = parse_limits(cmd, words, limits, &n);
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
    for (int i = 0; i < n; i++) {
        APR_ARRAY_PUSH(rules, rlx_rule_t *) = make_rule(cmd, kind, &limits[i],
                                                        options);
    }
    return NULL;
}
