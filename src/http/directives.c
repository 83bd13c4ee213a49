/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The table of directives, and those that hold no limits.
 */

#include "http/htaccess.h"
#include "http/manner.h"
#include "http/parse.h"
#include "http/seen.h"

#include "apr_strings.h"

#define IN_ALL (RLX_IN_SERVER | RLX_IN_SECTION)

/** Directives that take one word of a table. By their field in rlx_dir_t. */
static const rlx_choice_t engines[] = {
    { "On", RLX_ENGINE_ON },
    { "Off", RLX_ENGINE_OFF },
    { "DryRun", RLX_ENGINE_DRY_RUN },
    { NULL, 0 }
};

static const rlx_choice_t charges[] = {
    { "atomic", RLX_CHARGE_ATOMIC },
    { "in-order", RLX_CHARGE_IN_ORDER },
    { "all", RLX_CHARGE_ALL },
    { NULL, 0 }
};

static const rlx_choice_t failures[] = {
    { "fallback", RLX_FAILURE_FALLBACK },
    { "allow", RLX_FAILURE_ALLOW },
    { "deny", RLX_FAILURE_DENY },
    { NULL, 0 }
};

/** What On is made of. */
#define EXEMPT_ON  (RLX_EXEMPT_APPLICATION | RLX_EXEMPT_DEFAULT \
                    | RLX_EXEMPT_META)
#define EXEMPT_ALL (EXEMPT_ON | RLX_EXEMPT_ANCESTORS | RLX_EXEMPT_DESCENDENTS)

/** Words of RateLimitExempt; the first ALONE of them stand alone. */
#define ALONE 3
static const rlx_choice_t exemptions[] = {
    { "On", EXEMPT_ON },
    { "Off", 0 },
    { "All", EXEMPT_ALL },
    { "application", RLX_EXEMPT_APPLICATION },
    { "default", RLX_EXEMPT_DEFAULT },
    { "meta", RLX_EXEMPT_META },
    { "ancestors", RLX_EXEMPT_ANCESTORS },
    { "descendents", RLX_EXEMPT_DESCENDENTS },
    { "descendants", RLX_EXEMPT_DESCENDENTS },
    { NULL, 0 }
};

/** Words of RateLimitHeaders, likewise. */
static const rlx_choice_t header_forms[] = {
    { "On", RLX_HEADERS_X },
    { "Off", RLX_HEADERS_OFF },
    { "x-ratelimit", RLX_HEADERS_X },
    { "ietf", RLX_HEADERS_IETF },
    { NULL, 0 }
};

static const char *set_engine(cmd_parms *cmd, void *conf, const char *arg)
{
    rlx_dir_t *dir = conf;
    const char *error = rlx_check_place(cmd, IN_ALL);

    return error ? error : rlx_choose(cmd, "", arg, engines, &dir->engine);
}

static const char *set_charge(cmd_parms *cmd, void *conf, const char *arg)
{
    rlx_dir_t *dir = conf;
    const char *error = rlx_check_place(cmd, IN_ALL);

    return error ? error : rlx_choose(cmd, "", arg, charges, &dir->charge);
}

static const char *set_strategy(cmd_parms *cmd, void *conf, const char *arg)
{
    rlx_dir_t *dir = conf;
    const char *error = rlx_check_place(cmd, IN_ALL);

    if (!error) {
        error = rlx_strategy_choose(cmd, "", arg, &dir->strategy);
    }
    if (!error && dir->strategy == RLX_GCRA) {
        rlx_server_of(cmd->server)->has_gcra = 1;
    }
    return error;
}

static const char *set_key(cmd_parms *cmd, void *conf, const char *arg)
{
    rlx_dir_t *dir = conf;
    const char *error = rlx_check_place(cmd, IN_ALL);

    return error ? error : rlx_value_parse(cmd, "", arg, &dir->key);
}

static const char *set_status(cmd_parms *cmd, void *conf, const char *arg)
{
    rlx_dir_t *dir = conf;
    apr_int64_t number = 0;
    const char *error = rlx_check_place(cmd, IN_ALL);

    if (!error) {
        error = rlx_number(cmd, "", arg, 400, 599, &number);
    }
    if (!error) {
        dir->status = (int)number;
    }
    return error;
}

static const char *set_endpoint(cmd_parms *cmd, void *conf, const char *arg)
{
    const rlx_value_t *value;
    const char *error = rlx_check_place(cmd, RLX_IN_SECTION);

    if (!error) {
        error = rlx_value_parse(cmd, "", arg, &value);
    }
    if (!error) {
        rlx_section_here(cmd, conf, NULL, NULL)->endpoint = value;
    }
    return error;
}

static const char *set_request_filter(cmd_parms *cmd, void *conf,
                                      const char *arg)
{
    rlx_dir_t *dir = conf;
    rlx_filter_t *filter = apr_palloc(cmd->pool, sizeof(*filter));
    const char *error = rlx_check_place(cmd, IN_ALL);

    if (!error) {
        error = rlx_condition_parse(cmd, "", arg, &filter->condition);
    }
    if (!error) {
        filter->next = dir->filters;
        dir->filters = filter;
    }
    return error;
}

static const char *set_ipv6_prefix(cmd_parms *cmd, void *conf,
                                   const char *arg)
{
    apr_int64_t number = 0;
    const char *error = rlx_check_place(cmd, RLX_IN_SERVER);

    if (!error) {
        error = rlx_number(cmd, "", arg, 0, 128, &number);
    }
    if (!error) {
        rlx_server_of(cmd->server)->ipv6_prefix = (int)number;
    }
    return error;
}

static const char *set_key_prefix(cmd_parms *cmd, void *conf, const char *arg)
{
    const char *error = rlx_check_place(cmd, RLX_IN_SERVER);

    if (!error) {
        rlx_server_of(cmd->server)->key_prefix = arg;
    }
    return error;
}

/**
 * Join words of a table by or. Words that stand for all there is (On, Off)
 * stand alone.
 * @param alone how many such words the table begins with
 */
static const char *set_bits(const cmd_parms *cmd, int argc,
                            char *const argv[], const rlx_choice_t *choices,
                            int alone, unsigned int *bits)
{
    *bits = 0;
    for (int i = 0; i < argc; i++) {
        int bit = 0;
        const char *error = rlx_choose(cmd, "", argv[i], choices, &bit);

        if (error) {
            return error;
        }
        for (int k = 0; k < alone && argc > 1; k++) {
            if (!ap_cstr_casecmp(argv[i], choices[k].name)) {
                return rlx_wrong(cmd, "%s stands alone, without %s",
                                 rlx_shown(cmd->pool, argv[i]),
                                 rlx_shown(cmd->pool, argv[i ? 0 : 1]));
            }
        }
        *bits |= (unsigned int)bit;
    }
    return NULL;
}

static const char *set_exempt(cmd_parms *cmd, void *conf, int argc,
                              char *const argv[])
{
    unsigned int bits = EXEMPT_ON;
    rlx_section_t *section;
    const char *error = rlx_check_place(cmd, RLX_IN_SECTION
                                             | RLX_IN_HTACCESS);

    if (!error && argc) {
        error = set_bits(cmd, argc, argv, exemptions, ALONE, &bits);
    }
    if (error) {
        return error;
    }
    if (rlx_in_htaccess(cmd)) {
        rlx_htaccess_note_beyond(cmd, NULL);
        rlx_seen_note(cmd);
    }
    section = rlx_section_here(cmd, conf, NULL, NULL);
    section->exempt = bits ? section->exempt | bits : 0;
    section->exempt_file = cmd->directive->filename;
    section->exempt_line = cmd->directive->line_num;
    return NULL;
}

static const char *set_headers(cmd_parms *cmd, void *conf, int argc,
                               char *const argv[])
{
    rlx_dir_t *dir = conf;
    unsigned int bits;
    const char *error = rlx_check_place(cmd, IN_ALL | RLX_IN_HTACCESS);

    if (!error && !argc) {
        error = rlx_wrong(cmd, "an argument is missing: Off, On, x-ratelimit "
                          "or ietf");
    }
    if (!error) {
        error = set_bits(cmd, argc, argv, header_forms, 2, &bits);
    }
    if (!error) {
        dir->headers = (int)bits;
    }
    return error;
}

/** Read the options of RateLimitStorage. Their values may be secrets: no
 *  sentence shows one. */
static const char *storage_options(const cmd_parms *cmd,
                                   const apr_array_header_t *words,
                                   apr_table_t *options)
{
    for (int i = 1; i < words->nelts; i++) {
        const char *word = APR_ARRAY_IDX(words, i, char *);
        const char *name;
        const char *value = rlx_split_option(cmd->pool, word, &name);

        if (!value) {
            return rlx_wrong(cmd, "%s is not an option (name=value)",
                             rlx_shown(cmd->pool, word));
        }
        if (!*value) {
            return rlx_wrong(cmd, "option %s has no value", name);
        }
        if (apr_table_get(options, name)) {
            return rlx_wrong(cmd, "option %s is given twice; each may stand "
                             "once", name);
        }
        apr_table_setn(options, name, value);
    }
    return NULL;
}

static const char *set_storage(cmd_parms *cmd, void *conf, const char *line)
{
    rlx_server_t *sv = rlx_server_of(cmd->server);
    apr_table_t *options = apr_table_make(cmd->pool, 4);
    apr_array_header_t *words = NULL;
    const char *error = rlx_check_place(cmd, RLX_IN_SERVER);

    if (!error) {
        error = rlx_words(cmd, line, &words);
    }
    if (!error && !words->nelts) {
        error = rlx_wrong(cmd, "the storage's URI is missing, as in shm://");
    }
    if (!error) {
        error = storage_options(cmd, words, options);
    }
    if (error) {
        return error;
    }
    sv->storage_uri = APR_ARRAY_IDX(words, 0, char *);
    sv->storage_options = options;
    sv->storage_file = cmd->directive->filename;
    sv->storage_line = cmd->directive->line_num;
    return NULL;
}

static const char *set_storage_failure(cmd_parms *cmd, void *conf,
                                       const char *arg)
{
    const char *error = rlx_check_place(cmd, RLX_IN_SERVER);

    return error ? error
                 : rlx_choose(cmd, "", arg, failures,
                              &rlx_server_of(cmd->server)->storage_failure);
}

/* httpd's own "not allowed here" says too little: it is told that sections
 * and servers are both fine, and rlx_check_place() says what is not. */
#define SV    (RSRC_CONF | ACCESS_CONF)
#define SVD   (RSRC_CONF | ACCESS_CONF)
#define D     (RSRC_CONF | ACCESS_CONF)
#define DH    (RSRC_CONF | ACCESS_CONF | OR_LIMIT)
#define SVDH  (RSRC_CONF | ACCESS_CONF | OR_LIMIT)
#define KIND(kind) ((void *)(apr_uintptr_t)(kind))

const command_rec rlx_directives[] = {
    AP_INIT_TAKE1("RateLimitEngine", set_engine, NULL, SVD,
                  "On, Off or DryRun (count and log, never refuse)"),
    AP_INIT_RAW_ARGS("RateLimitStorage", set_storage, NULL, SV,
                     "where counters live: a URI, and options of the storage "
                     "as name=value"),
    AP_INIT_TAKE1("RateLimitStorageFailure", set_storage_failure, NULL, SV,
                  "what a request gets while the storage cannot answer: "
                  "fallback (counting in shared memory of this server), allow "
                  "or deny (503)"),
    AP_INIT_RAW_ARGS("RateLimitFallback", rlx_limit_directive,
                     KIND(RLX_RULE_FALLBACK), SV,
                     "limits in place of all others while the storage cannot "
                     "answer: a limit string in quotes, and options as "
                     "name=value"),
    AP_INIT_TAKE1("RateLimitKeyPrefix", set_key_prefix, NULL, SV,
                  "text put before every stored key"),
    AP_INIT_TAKE1("RateLimitStrategy", set_strategy, NULL, SVD,
                  "fixed-window, moving-window, sliding-window-counter or "
                  "gcra"),
    AP_INIT_TAKE1("RateLimitKey", set_key, NULL, SVD,
                  "who is counted: an expression, in quotes where it has "
                  "blanks"),
    AP_INIT_TAKE1("RateLimitKeyDisplay", rlx_set_key_display, NULL, SVD,
                  "how keys are shown: auto (addresses and user names plain, "
                  "all else hashed), plain or hash"),
    AP_INIT_TAKE1("RateLimitIPv6Prefix", set_ipv6_prefix, NULL, SV,
                  "bits of an IPv6 address that make one client: 0 to 128"),
    AP_INIT_RAW_ARGS("RateLimitApplication", rlx_limit_directive,
                     KIND(RLX_RULE_APPLICATION), SV,
                     "limits over everything in this server: a limit string "
                     "in quotes, and options as name=value"),
    AP_INIT_RAW_ARGS("RateLimitDefault", rlx_limit_directive,
                     KIND(RLX_RULE_DEFAULT), SV,
                     "limits of every endpoint that no section overrides: a "
                     "limit string in quotes, and options as name=value"),
    AP_INIT_RAW_ARGS("RateLimitMeta", rlx_limit_directive,
                     KIND(RLX_RULE_META), SV,
                     "how often one key may be refused before everything is: "
                     "a limit string in quotes, and options as name=value"),
    AP_INIT_RAW_ARGS("RateLimit", rlx_limit_directive, KIND(RLX_RULE_SECTION),
                     DH, "limits of this section: a limit string in quotes, "
                     "and options as name=value"),
    AP_INIT_RAW_ARGS("RateLimitShared", rlx_limit_directive,
                     KIND(RLX_RULE_SHARED), DH,
                     "limits whose counters all sections with the same scope "
                     "share: a limit string in quotes, scope=, and options"),
    AP_INIT_TAKE_ARGV("RateLimitExempt", set_exempt, NULL, DH,
                      "On, Off, All, or some of application, default, meta, "
                      "ancestors, descendents"),
    AP_INIT_TAKE1("RateLimitRequestFilter", set_request_filter, NULL, SVD,
                  "a condition, in quotes where it has blanks: requests for "
                  "which it is true meet no limit of any kind"),
    AP_INIT_TAKE1("RateLimitEndpoint", set_endpoint, NULL, D,
                  "the endpoint's name in place of the section's own: an "
                  "expression"),
    AP_INIT_TAKE1("RateLimitCharge", set_charge, NULL, SVD,
                  "what a refused request is charged to: atomic (nothing), "
                  "in-order or all"),
    AP_INIT_TAKE1("RateLimitStatus", set_status, NULL, SVD,
                  "status of a refusal: 400 to 599"),
    AP_INIT_TAKE_ARGV("RateLimitHeaders", set_headers, NULL, SVDH,
                      "Off, On, or some of x-ratelimit, ietf"),
    AP_INIT_TAKE2("RateLimitHeaderName", rlx_set_header_name, NULL, SVD,
                  "limit, remaining, reset or retry-after, and another name "
                  "for that response field"),
    AP_INIT_TAKE1("RateLimitRetryAfter", rlx_set_retry_after, NULL, SVD,
                  "form of Retry-After: delta-seconds or http-date"),
    AP_INIT_TAKE1("RateLimitErrorBody", rlx_set_error_body, NULL, SVDH,
                  "body of a refusal: auto (by Accept), html, json, text or "
                  "off (httpd's own)"),
    AP_INIT_TAKE1("RateLimitOnBreach", rlx_set_on_breach, NULL, SVD,
                  "local URL-path that makes the body of a refusal"),
    AP_INIT_TAKE1("RateLimitStatusControl", rlx_set_status_control, NULL, D,
                  "whether the handler limiter-status here may clear "
                  "counters: On or Off"),
    AP_INIT_TAKE1("RateLimitAllowOverride", rlx_set_allow_override, NULL, SVD,
                  "what .htaccess may do: None, Add (limits, headers, "
                  "bodies) or All (also override and exempt)"),
    { NULL }
};
