/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Values: text that is fixed, or an expression evaluated for each request.
 */

#include "http/parse.h"
#include "http/log_tags.h"

#include "http_log.h"
#include "apr_strings.h"

APLOG_USE_MODULE(ratelimit_ext);

/** Flags for an expression of this place. The response is never marked as
 *  varying by a header that merely says who is counted. */
static unsigned int expression_flags(const cmd_parms *cmd)
{
    unsigned int flags = AP_EXPR_FLAG_DONT_VARY | AP_EXPR_FLAG_STRING_RESULT;

    if (rlx_in_htaccess(cmd)) {
        flags |= AP_EXPR_FLAG_RESTRICTED;
#ifdef AP_EXPR_FLAG_RESTRICTED_FILE_FUNC
        flags |= AP_EXPR_FLAG_RESTRICTED_FILE_FUNC;
#endif
    }
    return flags;
}

const char *rlx_value_parse(const cmd_parms *cmd, const char *what,
                            const char *text, const rlx_value_t **value)
{
    rlx_value_t *made = apr_pcalloc(cmd->pool, sizeof(*made));
    const char *error = NULL;

    if (!*text) {
        return rlx_wrong(cmd, "%s\"\" is empty: it takes text or an "
                         "expression such as %%{HTTP_HOST}", what);
    }
    made->text = text;
    /* Text without any of these is its own value in httpd's syntax. */
    if (strpbrk(text, "%$\\")) {
        made->expr = ap_expr_parse_cmd(cmd, text, expression_flags(cmd),
                                       &error, NULL);
        if (error) {
            return rlx_wrong(cmd, "%s%s is not a valid expression, such as "
                             "%%{HTTP_HOST} or %%{req:X-Api-Key}: %s", what,
                             rlx_shown(cmd->pool, text), error);
        }
    }
    *value = made;
    return NULL;
}

const char *rlx_value_of(request_rec *r, const rlx_value_t *value)
{
    const char *error = NULL;
    const char *text;

    if (!value->expr) {
        return value->text;
    }
    text = ap_expr_str_exec(r, value->expr, &error);
    if (error) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0020)
                      "expression \"%s\" (%s:%u) failed: %s", value->text,
                      value->expr->filename, value->expr->line_number, error);
        return "";
    }
    return text ? text : "";
}
