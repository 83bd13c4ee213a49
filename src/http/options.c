/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The options of a limit directive. One table says which there are, where
 * they make sense and how they are read; error sentences come of it too.
 */

#include "http/manner.h"
#include "http/parse.h"

#include "http_protocol.h"
#include "apr_lib.h"
#include "apr_strings.h"

#define ON(kind)  (1u << (kind))
#define ON_ALL    (ON(RLX_RULE_SECTION) | ON(RLX_RULE_SHARED) \
                   | ON(RLX_RULE_DEFAULT) | ON(RLX_RULE_APPLICATION) \
                   | ON(RLX_RULE_META) | ON(RLX_RULE_FALLBACK))

/** What is being read. */
typedef struct reading_t {
    const cmd_parms *cmd;
    rlx_options_t *options;
    /** How many limits the directive has. */
    int limits;
    /** reserve= as written; NULL: it is not there. */
    const char *reserve;
} reading_t;

typedef struct option_t {
    const char *name;
    /** Directives that take it. */
    unsigned int kinds;
    int repeats;
    const char *(*read)(reading_t *reading, const char *text);
} option_t;

static const char *read_key(reading_t *reading, const char *text)
{
    const rlx_value_t *value;
    const char *error = rlx_value_parse(reading->cmd, "key=", text, &value);

    if (error) {
        return error;
    }
    if (!reading->options->keys) {
        reading->options->keys = apr_array_make(reading->cmd->pool, 2,
                                                sizeof(rlx_value_t *));
    }
    APR_ARRAY_PUSH(reading->options->keys, const rlx_value_t *) = value;
    return NULL;
}

/** One method's number; M_INVALID if httpd does not know it. */
static int method_number(apr_pool_t *p, const char **name)
{
    int number = ap_method_number_of(*name);

    if (number == M_INVALID) {
        char *upper = apr_pstrdup(p, *name);

        for (char *c = upper; *c; c++) {
            *c = (char)apr_toupper(*c);
        }
        *name = upper;
        number = ap_method_number_of(upper);
    }
    return number;
}

/** Add one method to those of the options. */
static const char *add_method(reading_t *reading, const char *name)
{
    rlx_options_t *options = reading->options;
    apr_pool_t *p = reading->cmd->pool;
    const char *written = name;
    int number = method_number(p, &name);

    if (number == M_INVALID) {
        return rlx_wrong(reading->cmd, "methods=: %s is not a method that "
                         "httpd knows; it takes names such as GET,POST "
                         "(others are made known by RegisterHttpMethod)",
                         rlx_shown(p, written));
    }
    /* To httpd HEAD is a GET. */
    number = !strcmp(name, "HEAD") ? RLX_METHOD_HEAD : number;
    if (!(options->methods & (AP_METHOD_BIT << number))) {
        options->methods_text = options->methods_text
            ? apr_pstrcat(p, options->methods_text, ",", name, NULL) : name;
    }
    options->methods |= AP_METHOD_BIT << number;
    return NULL;
}

/** A copy of text up to end, without the blanks around it. */
static char *trimmed(apr_pool_t *p, const char *text, const char *end)
{
    while (text < end && apr_isspace(*text)) {
        text++;
    }
    while (end > text && apr_isspace(end[-1])) {
        end--;
    }
    return apr_pstrmemdup(p, text, (apr_size_t)(end - text));
}

static const char *read_methods(reading_t *reading, const char *text)
{
    const char *rest = text;

    do {
        const char *comma = ap_strchr_c(rest, ',');
        const char *end = comma ? comma : rest + strlen(rest);
        const char *error = add_method(reading,
                                       trimmed(reading->cmd->pool, rest,
                                               end));

        if (error) {
            return error;
        }
        rest = comma ? comma + 1 : NULL;
    } while (rest);
    return NULL;
}

static const char *read_per_method(reading_t *reading, const char *text)
{
    return rlx_flag(reading->cmd, "per_method=", text,
                    &reading->options->per_method);
}

static const char *read_scope(reading_t *reading, const char *text)
{
    return rlx_value_parse(reading->cmd, "scope=", text,
                           &reading->options->scope);
}

static const char *read_cost(reading_t *reading, const char *text)
{
    apr_int64_t number = 0;
    const char *error;

    if (ap_strstr_c(text, "%{")) {
        return rlx_value_parse(reading->cmd, "cost=", text,
                               &reading->options->cost_value);
    }
    error = rlx_number(reading->cmd, "cost=", text, 0, RLX_COUNT_MAX,
                       &number);
    reading->options->cost = (apr_uint32_t)number;
    return error;
}

static const char *read_exempt_when(reading_t *reading, const char *text)
{
    return rlx_condition_parse(reading->cmd, "exempt_when=", text,
                               &reading->options->exempt_when);
}

static const char *read_deduct_when(reading_t *reading, const char *text)
{
    return rlx_condition_parse(reading->cmd, "deduct_when=", text,
                               &reading->options->deduct_when);
}

static const char *read_reserve(reading_t *reading, const char *text)
{
    reading->reserve = text;
    return rlx_flag(reading->cmd, "reserve=", text,
                    &reading->options->reserve);
}

static const char *read_phase(reading_t *reading, const char *text)
{
    static const rlx_choice_t phases[] = {
        { "fixups", 0 }, { "early", RLX_LANE_EARLY }, { NULL, 0 }
    };
    int lane = 0;
    const char *error = rlx_choose(reading->cmd, "phase=", text, phases,
                                   &lane);

    reading->options->lane |= (unsigned int)lane;
    return error;
}

static const char *read_dry_run(reading_t *reading, const char *text)
{
    return rlx_flag(reading->cmd, "dry_run=", text,
                    &reading->options->dry_run);
}

static const char *read_status(reading_t *reading, const char *text)
{
    apr_int64_t number = 0;
    const char *error = rlx_number(reading->cmd, "status=", text, 400, 599,
                                   &number);

    reading->options->status = (int)number;
    return error;
}

static const char *read_override(reading_t *reading, const char *text)
{
    return rlx_flag(reading->cmd, "override_defaults=", text,
                    &reading->options->override_defaults);
}

static const char *read_strategy(reading_t *reading, const char *text)
{
    return rlx_strategy_choose(reading->cmd, "strategy=", text,
                               &reading->options->strategy);
}

static const char *read_burst(reading_t *reading, const char *text)
{
    apr_int64_t number = 0;
    const char *error = rlx_number(reading->cmd, "burst=", text, 1,
                                   RLX_COUNT_MAX, &number);

    reading->options->burst = (apr_uint32_t)number;
    return error;
}

/* It must fit a string of a structured header field and a label. */
int rlx_is_policy_name(const char *text)
{
    const char *c = text;

    while (*c > ' ' && *c < 0x7f && *c != '"' && *c != '\'' && *c != '\\') {
        c++;
    }
    return !*c && c - text <= RLX_NAME_MAX;
}

static const char *read_name(reading_t *reading, const char *text)
{
    if (!rlx_is_policy_name(text)) {
        return rlx_wrong(reading->cmd, "name=%s is not a name: up to %d "
                         "printable ASCII characters, no blanks, quotes or "
                         "backslashes", rlx_shown(reading->cmd->pool, text),
                         RLX_NAME_MAX);
    }
    if (reading->limits > 1) {
        return rlx_wrong(reading->cmd, "name=%s belongs to one limit, and "
                         "there are %d in the limit string; write a directive "
                         "for each", rlx_shown(reading->cmd->pool, text),
                         reading->limits);
    }
    reading->options->name = text;
    return NULL;
}

static const char *read_message(reading_t *reading, const char *text)
{
    rlx_value_t *plain;

    /* Text that people wrote for people: a backslash or a $ stays one. */
    if (ap_strstr_c(text, "%{")) {
        return rlx_value_parse(reading->cmd, "error_message=", text,
                               &reading->options->error_message);
    }
    plain = apr_pcalloc(reading->cmd->pool, sizeof(*plain));
    plain->text = text;
    reading->options->error_message = plain;
    return NULL;
}

static const char *read_on_breach(reading_t *reading, const char *text)
{
    reading->options->on_breach = text;
    return rlx_check_url_path(reading->cmd, "on_breach=", text);
}

/** What it means is read when all options are known. */
static const char *read_meta(reading_t *reading, const char *text)
{
    reading->options->meta_text = text;
    return NULL;
}

static const option_t known[] = {
    { "key", ON_ALL, 1, read_key },
    { "methods", ON_ALL, 0, read_methods },
    { "per_method", ON_ALL, 0, read_per_method },
    { "scope", ON(RLX_RULE_SECTION) | ON(RLX_RULE_SHARED)
               | ON(RLX_RULE_DEFAULT), 0, read_scope },
    { "cost", ON_ALL, 0, read_cost },
    { "override_defaults", ON(RLX_RULE_SECTION) | ON(RLX_RULE_SHARED), 0,
      read_override },
    { "strategy", ON_ALL, 0, read_strategy },
    { "burst", ON_ALL, 0, read_burst },
    { "name", ON_ALL, 0, read_name },
    { "error_message", ON_ALL, 0, read_message },
    { "exempt_when", ON_ALL, 0, read_exempt_when },
    { "on_breach", ON_ALL, 0, read_on_breach },
    { "status", ON_ALL, 0, read_status },
    { "dry_run", ON_ALL, 0, read_dry_run },
    { "deduct_when", ON_ALL & ~ON(RLX_RULE_META), 0, read_deduct_when },
    { "reserve", ON_ALL & ~ON(RLX_RULE_META), 0, read_reserve },
    { "phase", ON_ALL & ~ON(RLX_RULE_FALLBACK), 0, read_phase },
    { "meta", ON_ALL & ~(ON(RLX_RULE_META) | ON(RLX_RULE_FALLBACK)), 0,
      read_meta }
};

#define KNOWN ((int)(sizeof(known) / sizeof(known[0])))

/** The options that a directive takes, for a sentence. */
static const char *accepted(apr_pool_t *p, rlx_rule_e kind)
{
    const char *names[KNOWN];
    int n = 0;

    for (int i = 0; i < KNOWN; i++) {
        if (known[i].kinds & ON(kind)) {
            names[n++] = known[i].name;
        }
    }
    return rlx_enumerate(p, names, n, "and");
}

/** The option of a name; NULL if there is none. */
static const option_t *find_option(const char *name)
{
    for (int i = 0; i < KNOWN; i++) {
        if (!ap_cstr_casecmp(name, known[i].name)) {
            return &known[i];
        }
    }
    return NULL;
}

/** What no single option can tell. */
static const char *check_together(const reading_t *reading, rlx_rule_e kind)
{
    const rlx_options_t *options = reading->options;

    if (kind == RLX_RULE_SHARED && !options->scope) {
        return rlx_wrong(reading->cmd, "scope= is missing: it names the "
                         "counter that is shared, as in scope=api");
    }
    if (reading->reserve && !options->deduct_when) {
        return rlx_wrong(reading->cmd, "reserve=%s makes no sense without "
                         "deduct_when= beside it: it says whether the cost is "
                         "taken before the response is known",
                         rlx_shown(reading->cmd->pool, reading->reserve));
    }
    if (!options->burst || options->strategy == RLX_GCRA) {
        return NULL;
    }
    /* RateLimitStrategy may come later in the file, so its word is waited
     * for; but not in a file that is read within a request. */
    if (options->strategy != RLX_UNSET || rlx_in_htaccess(reading->cmd)) {
        return rlx_wrong(reading->cmd, "burst=%u counts for the strategy gcra "
                         "alone; it needs strategy=gcra beside it",
                         options->burst);
    }
    return NULL;
}

/** Read one option. Bits of `seen`: elements of the table that were there. */
static const char *read_option(reading_t *reading, rlx_rule_e kind,
                               const char *word, unsigned int *seen)
{
    const cmd_parms *cmd = reading->cmd;
    const option_t *option;
    const char *name;
    const char *value = rlx_split_option(cmd->pool, word, &name);

    if (!value) {
        return rlx_wrong(cmd, "%s is not an option (name=value); a limit "
                         "string with blanks stands in quotes, and options "
                         "are %s", rlx_shown(cmd->pool, word),
                         accepted(cmd->pool, kind));
    }
    option = find_option(name);
    if (!option || !(option->kinds & ON(kind))) {
        return rlx_wrong(cmd, "option %s %s; options are %s",
                         rlx_shown(cmd->pool, name),
                         option ? "makes no sense here" : "is not known",
                         accepted(cmd->pool, kind));
    }
    if (!*value) {
        return rlx_wrong(cmd, "option %s has no value", option->name);
    }
    if ((*seen & (1u << (option - known))) && !option->repeats) {
        return rlx_wrong(cmd, "option %s is given twice, the second time as "
                         "%s; only key may be repeated", option->name,
                         rlx_shown(cmd->pool, value));
    }
    *seen |= 1u << (option - known);
    return option->read(reading, value);
}

const char *rlx_options_parse(const cmd_parms *cmd, rlx_rule_e kind,
                              const apr_array_header_t *words, int first,
                              int n, rlx_options_t **options)
{
    rlx_options_t *made = apr_pcalloc(cmd->pool, sizeof(*made));
    reading_t reading = { cmd, made, n, NULL };
    unsigned int seen = 0;

    made->cost = 1;
    made->strategy = RLX_UNSET;
    made->override_defaults = (kind == RLX_RULE_SECTION
                               || kind == RLX_RULE_SHARED)
                              && !rlx_in_htaccess(cmd);
    for (int i = first; i < words->nelts; i++) {
        const char *error = read_option(&reading, kind,
                                        APR_ARRAY_IDX(words, i, char *),
                                        &seen);

        if (error) {
            return error;
        }
    }
    made->lane |= made->dry_run ? RLX_LANE_DRY : 0;
    *options = made;
    return check_together(&reading, kind);
}
