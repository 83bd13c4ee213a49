/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Values: text that is fixed, or an expression evaluated for each request.
 * Conditions: expressions that are true or false.
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
    unsigned int flags = AP_EXPR_FLAG_DONT_VARY;

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
        made->expr = ap_expr_parse_cmd(cmd, text, expression_flags(cmd)
                                       | AP_EXPR_FLAG_STRING_RESULT,
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

const char *rlx_condition_parse(const cmd_parms *cmd, const char *what,
                                const char *text,
                                const rlx_condition_t **condition)
{
    rlx_condition_t *made = apr_pcalloc(cmd->pool, sizeof(*made));
    const char *error = NULL;

    made->text = text;
    made->expr = ap_expr_parse_cmd(cmd, text, expression_flags(cmd), &error,
                                   NULL);
    if (error) {
        return rlx_wrong(cmd, "%s%s is not a valid condition, such as "
                         "\"%%{REQUEST_METHOD} == 'GET'\" or "
                         "\"-n %%{req:X-Api-Key}\": %s", what,
                         rlx_shown(cmd->pool, text), error);
    }
    *condition = made;
    return NULL;
}

static void log_failed(request_rec *r, const char *text,
                       const ap_expr_info_t *expr, const char *error)
{
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, RLXNO(0020)
                  "expression \"%s\" (%s:%u) failed: %s", text,
                  expr->filename, expr->line_number, error);
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
        log_failed(r, value->text, value->expr, error);
        return "";
    }
    return text ? text : "";
}

int rlx_condition_holds(request_rec *r, const rlx_condition_t *condition)
{
    const char *error = NULL;
    int result = ap_expr_exec(r, condition->expr, &error);

    if (error || result < 0) {
        log_failed(r, condition->text, condition->expr,
                   error ? error : "no reason given");
        return 0;
    }
    return result > 0;
}
