/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Which sections a request to another section's path meets as well. As httpd's
 * walks in server/request.c compare, with a path in the request's place.
 */

#include "report/meets.h"

#include <limits.h>

#include "apr_fnmatch.h"
#include "apr_lib.h"
#include "apr_strings.h"

/** What every text that matches a regular expression begins with; "" where
 *  that is unknown. */
static const char *regex_start(const char *pattern, apr_pool_t *p)
{
    char *start, *to;

    /* Alternatives may begin as they like. */
    if (*pattern++ != '^' || ap_strchr_c(pattern, '|')) {
        return "";
    }
    start = to = apr_pstrdup(p, pattern);
    while (*pattern && !strchr(".[](){}*+?$^", *pattern)) {
        if (*pattern == '\\') {
            if (!pattern[1] || apr_isalnum(pattern[1])) {
                break;
            }
            pattern++;
        }
        *to++ = *pattern++;
    }
    if (to > start && *pattern && strchr("*?{", *pattern)) {
        to--;
    }
    *to = '\0';
    return start;
}

/** The same of a pattern with * and ?. */
static const char *glob_start(const char *pattern, apr_pool_t *p)
{
    return apr_pstrmemdup(p, pattern, strcspn(pattern, "*?[\\"));
}

/** Not 0 if a path is another or lies below it.
 *  @param goes_on not 0: more characters may follow, nobody knows which */
static int is_below(const char *path, const char *above, int goes_on)
{
    apr_size_t len = strlen(above);

    if (strncmp(path, above, len)) {
        return 0;
    }
    return (len && above[len - 1] == '/') || path[len] == '/'
           || (!path[len] && !goes_on);
}

/** A directory's path without the slash at its end, or its first n parts. */
static const char *cut(const char *path, unsigned int parts, apr_pool_t *p)
{
    const char *end = path;

    while (*end && parts) {
        parts -= *end++ == '/';
    }
    if (end > path + 1 && end[-1] == '/') {
        end--;
    }
    return apr_pstrmemdup(p, path, end - path);
}

int rlx_meets(const core_dir_config *other, const core_dir_config *core,
              apr_pool_t *p)
{
    if (!other->d || !core->d) {
        return 0;
    }
    if (core->r || core->d_is_fnmatch) {
        const char *start = core->r ? regex_start(core->d, p)
                                    : glob_start(core->d, p);

        return !other->r && !other->d_is_fnmatch
               && is_below(start, other->d, 1);
    }
    if (other->r) {
        return !ap_regexec(other->r, core->d, 0, NULL, 0)
               || (core->d_components
                   && !ap_regexec(other->r, cut(core->d, UINT_MAX, p), 0, NULL,
                                  0));
    }
    if (other->d_is_fnmatch) {
        /* A directory's pattern is compared with each directory on the way. */
        return !apr_fnmatch(other->d, core->d, APR_FNM_PATHNAME)
               || (other->d_components && other->d[0] == '/'
                   && core->d_components >= other->d_components
                   && !apr_fnmatch(cut(other->d, UINT_MAX, p),
                                   cut(core->d, other->d_components, p),
                                   APR_FNM_PATHNAME));
    }
    return is_below(core->d, other->d, 0);
}
