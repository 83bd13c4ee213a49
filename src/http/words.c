/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Words, numbers and choices of a directive's line, and the sentences that
 * say what is wrong with them.
 */

#include "http/parse.h"

#include "core/strategy.h"

#include "apr_lib.h"
#include "apr_strings.h"

/** How much of a bad text is shown. */
#define SHOWN_MAX 60

const char *rlx_wrong(const cmd_parms *cmd, const char *format, ...)
{
    va_list args;
    const char *text;

    va_start(args, format);
    text = apr_pvsprintf(cmd->pool, format, args);
    va_end(args);
    return apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", text, NULL);
}

const char *rlx_shown(apr_pool_t *p, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *shown = apr_palloc(p, SHOWN_MAX * 4 + sizeof("\"\"..."));
    char *out = shown;
    int i;

    *out++ = '"';
    for (i = 0; text[i] && i < SHOWN_MAX; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < 0x20 || c > 0x7e || c == '"') {
            *out++ = '\\';
            *out++ = 'x';
            *out++ = hex[c >> 4];
            *out++ = hex[c & 15];
        }
        else {
            *out++ = (char)c;
        }
    }
    strcpy(out, text[i] ? "...\"" : "\"");
    return shown;
}

const char *rlx_enumerate(apr_pool_t *p, const char *const *names, int n,
                          const char *conjunction)
{
    const char *text = names[0];

    for (int i = 1; i < n; i++) {
        text = i + 1 < n
               ? apr_pstrcat(p, text, ", ", names[i], NULL)
               : apr_pstrcat(p, text, " ", conjunction, " ", names[i], NULL);
    }
    return text;
}

/** Copy up to the closing quote, or where quote is 0 up to a blank. A
 *  backslash stands before itself or the quote, as in every directive. */
static char *take(const char **from, char *out, char quote)
{
    const char *c = *from;

    while (*c && (quote ? *c != quote : !apr_isspace(*c))) {
        if (*c == '\\' && (c[1] == '\\' || (quote && c[1] == quote))) {
            c++;
        }
        *out++ = *c++;
    }
    *from = c;
    return out;
}

/** The length of "name=" where a line goes on with it, else 0. */
static apr_size_t name_length(const char *line)
{
    const char *c = line;

    while (apr_isalnum(*c) || *c == '_' || *c == '-' || *c == '.') {
        c++;
    }
    return *c == '=' && c > line ? (apr_size_t)(c + 1 - line) : 0;
}

/** Take one word off a line that begins with it. */
static const char *next_word(const cmd_parms *cmd, const char **line,
                             char **word)
{
    const char *start = *line;
    apr_size_t prefix = name_length(start);
    char *out;

    *word = out = apr_palloc(cmd->pool, strlen(start) + 1);
    memcpy(out, start, prefix);
    out += prefix;
    *line += prefix;
    if (**line == '"' || **line == '\'') {
        char quote = *(*line)++;

        out = take(line, out, quote);
        if (**line != quote) {
            return rlx_wrong(cmd, "the quote is never closed in %s",
                             rlx_shown(cmd->pool, start));
        }
        (*line)++;
        if (**line && !apr_isspace(**line)) {
            return rlx_wrong(cmd, "there is no blank after the closing quote "
                             "in %s", rlx_shown(cmd->pool, start));
        }
    }
    else {
        out = take(line, out, 0);
    }
    *out = '\0';
    return NULL;
}

const char *rlx_words(const cmd_parms *cmd, const char *line,
                      apr_array_header_t **words)
{
    *words = apr_array_make(cmd->pool, 4, sizeof(char *));
    for (;;) {
        const char *error;
        char *word;

        while (apr_isspace(*line)) {
            line++;
        }
        if (!*line) {
            return NULL;
        }
        error = next_word(cmd, &line, &word);
        if (error) {
            return error;
        }
        APR_ARRAY_PUSH(*words, char *) = word;
    }
}

const char *rlx_split_option(apr_pool_t *p, const char *word,
                             const char **name)
{
    apr_size_t prefix = name_length(word);

    if (!prefix) {
        return NULL;
    }
    *name = apr_pstrmemdup(p, word, prefix - 1);
    return word + prefix;
}

const char *rlx_choose(const cmd_parms *cmd, const char *what,
                       const char *text, const rlx_choice_t *choices,
                       int *value)
{
    const char *names[16];
    int n;

    for (n = 0; choices[n].name; n++) {
        if (!ap_cstr_casecmp(text, choices[n].name)) {
            *value = choices[n].value;
            return NULL;
        }
        names[n] = choices[n].name;
    }
    return rlx_wrong(cmd, "%s%s is not %s", what, rlx_shown(cmd->pool, text),
                     rlx_enumerate(cmd->pool, names, n, "or"));
}

const char *rlx_number(const cmd_parms *cmd, const char *what,
                       const char *text, apr_int64_t min, apr_int64_t max,
                       apr_int64_t *value)
{
    apr_int64_t number = 0;
    const char *c = text;

    while (apr_isdigit(*c) && number <= max) {
        number = number * 10 + (*c++ - '0');
    }
    if (c == text || *c || number < min || number > max) {
        return rlx_wrong(cmd, "%s%s is not a whole number from %" APR_INT64_T_FMT
                         " to %" APR_INT64_T_FMT, what,
                         rlx_shown(cmd->pool, text), min, max);
    }
    *value = number;
    return NULL;
}

const char *rlx_flag(const cmd_parms *cmd, const char *what, const char *text,
                     int *value)
{
    static const rlx_choice_t choices[] = {
        { "On", 1 }, { "Off", 0 }, { NULL, 0 }
    };

    return rlx_choose(cmd, what, text, choices, value);
}

const char *rlx_strategy_choose(const cmd_parms *cmd, const char *what,
                                const char *text, int *value)
{
    rlx_strategy_e strategy;

    if (!rlx_strategy_by_name(text, &strategy)) {
        return rlx_wrong(cmd, "%s%s is not a strategy; strategies are %s",
                         what, rlx_shown(cmd->pool, text),
                         rlx_strategy_names());
    }
    *value = (int)strategy;
    return NULL;
}
