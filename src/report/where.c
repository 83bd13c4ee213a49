/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * File and line. What comes of a macro has no file of its own: mod_macro names
 * it by a sentence in which the file that somebody has to open stands
 * somewhere in the middle, without the line.
 */

#include "report/where.h"

#include "apr_strings.h"

#include <stdlib.h>
#include <string.h>

/** mod_macro's sentence, taken apart. */
typedef struct macro_t {
    const char *file;
    int line;
    /** What uses it: a file, or again a sentence. */
    const char *user;
    int user_line;
} macro_t;

/** What stands behind some words; NULL: they are not there. */
static const char *behind(const char *text, const char *words)
{
    const char *found = text ? strstr(text, words) : NULL;

    return found ? found + strlen(words) : NULL;
}

/** @return not 0 if a file's name is such a sentence:
 *  macro 'x' (defined on line 1 of "F") used on line 9 of "G" */
static int read_macro(apr_pool_t *p, const char *file, macro_t *macro)
{
    static const char use[] = "\") used on line ";
    const char *line, *name, *end, *user_line, *user;

    if (strncmp(file, "macro '", 7)) {
        return 0;
    }
    line = behind(file, "' (defined on line ");
    name = behind(line, " of \"");
    user_line = behind(name, use);
    user = behind(user_line, " of \"");
    /* A macro that is defined in a macro is left as it is. */
    if (!user || !strncmp(name, "macro '", 7)) {
        return 0;
    }
    end = user_line - strlen(use);
    macro->file = apr_pstrmemdup(p, name, end - name);
    macro->line = atoi(line);
    macro->user_line = atoi(user_line);
    macro->user = apr_pstrmemdup(p, user, strlen(user) - (*user != '\0'));
    return 1;
}

const char *rlx_where(apr_pool_t *p, const char *file, int line)
{
    macro_t macro;

    if (!read_macro(p, file, &macro)) {
        return apr_psprintf(p, "%s:%d", file, line);
    }
    return apr_psprintf(p, "%s:%d, used at %s", macro.file, macro.line + line,
                        rlx_where(p, macro.user, macro.user_line));
}
