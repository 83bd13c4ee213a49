/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  parse.h
 * @brief What the rooms that read directives share: words of a line, values,
 *        sections, error sentences.
 *
 * Functions that return an error return NULL or one sentence that names the
 * directive, the bad part as written and what is accepted, as httpd wants it
 * of a directive. All memory comes from cmd->pool.
 */

#ifndef RLX_HTTP_PARSE_H
#define RLX_HTTP_PARSE_H

#include "http/config.h"

/** Where a directive may stand: bits for rlx_check_place(). */
#define RLX_IN_SERVER   0x1
#define RLX_IN_SECTION  0x2
#define RLX_IN_HTACCESS 0x4

/** The longest name= of a limit. */
#define RLX_NAME_MAX 128

/** A word that stands for a number. */
typedef struct rlx_choice_t {
    const char *name;
    int value;
} rlx_choice_t;

/** Begin a sentence with the directive's name: "RateLimit: ...". */
const char *rlx_wrong(const cmd_parms *cmd, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Text in quotes for a sentence: cut to a sane length, quotes and all but
 *  printable ASCII as \x22. Backslashes are httpd's to double: what shows the
 *  sentence is its log. */
const char *rlx_shown(apr_pool_t *p, const char *text);

/** "a, b and c" of n names. */
const char *rlx_enumerate(apr_pool_t *p, const char *const *names, int n,
                          const char *conjunction);

/** Not 0 if a .htaccess file is being read, within a request. */
static inline int rlx_in_htaccess(const cmd_parms *cmd)
{
    return cmd->pool == cmd->temp_pool;
}

/**
 * Refuse a directive where it does not belong, and within <Limit> anywhere.
 * @param where RLX_IN_ bits
 */
const char *rlx_check_place(const cmd_parms *cmd, unsigned int where);

/**
 * Split a line into words as httpd does, with one addition: a quote may also
 * open after "name=", as in error_message="Slow down".
 * @param words char *, without the quotes
 */
const char *rlx_words(const cmd_parms *cmd, const char *line,
                      apr_array_header_t **words);

/**
 * Split "name=value".
 * @param name where the name goes
 * @return the value, or NULL if there is no name or no =
 */
const char *rlx_split_option(apr_pool_t *p, const char *word,
                             const char **name);

/**
 * Find a word in a table, case-insensitively.
 * @param what    put before the value in the sentence, "strategy=" or ""
 * @param choices ends with a name of NULL
 */
const char *rlx_choose(const cmd_parms *cmd, const char *what,
                       const char *text, const rlx_choice_t *choices,
                       int *value);

/** Read a whole number of digits alone, from min to max. */
const char *rlx_number(const cmd_parms *cmd, const char *what,
                       const char *text, apr_int64_t min, apr_int64_t max,
                       apr_int64_t *value);

/** Read On or Off. */
const char *rlx_flag(const cmd_parms *cmd, const char *what, const char *text,
                     int *value);

/** Read the name of a strategy. */
const char *rlx_strategy_choose(const cmd_parms *cmd, const char *what,
                                const char *text, int *value);

/** Read fixed text or an expression that gives text; never empty. */
const char *rlx_value_parse(const cmd_parms *cmd, const char *what,
                            const char *text, const rlx_value_t **value);

/** Read a boolean expression. */
const char *rlx_condition_parse(const cmd_parms *cmd, const char *what,
                                const char *text,
                                const rlx_condition_t **condition);

/**
 * The section that a directive stands in, made when it is first asked for.
 * Only where rlx_check_place() lets no server level pass.
 * @param name what rlx_section_name() would say, and `id` its id; or NULL
 */
rlx_section_t *rlx_section_here(const cmd_parms *cmd, rlx_dir_t *dir,
                                const char *name, const rlx_id_t *id);

/** Work out what the section is called that a directive stands in.
 *  @param id where the name's id goes */
const char *rlx_section_name(const cmd_parms *cmd, rlx_id_t *id);

/** Fill in a section's `tree`. Within .htaccess alone. */
void rlx_section_know_tree(const cmd_parms *cmd, rlx_section_t *section);

/** Not 0 if a text may be the name= of a limit. */
int rlx_is_policy_name(const char *text);

/**
 * Read the options of a limit directive.
 * @param kind  which directive
 * @param words char *, "name=value" each, from element `first` on
 * @param n     how many limits the directive has
 */
const char *rlx_options_parse(const cmd_parms *cmd, rlx_rule_e kind,
                              const apr_array_header_t *words, int first,
                              int n, rlx_options_t **options);

/** The directives that hold limits; cmd->info is which, an rlx_rule_e. For
 *  RAW_ARGS. */
const char *rlx_limit_directive(cmd_parms *cmd, void *conf, const char *line);

#endif /* RLX_HTTP_PARSE_H */
