/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Directives that say how answers look: keys in logs, bodies of refusals, names
 * of fields; and what the handler limiter-status may do. They are rare, so all of them together are one pointer in the
 * configuration that httpd merges for each request.
 */

#include "http/manner.h"

#include "http/parse.h"

#include "apr_lib.h"

#define IN_ALL (RLX_IN_SERVER | RLX_IN_SECTION)

static const rlx_choice_t displays[] = {
    { "auto", RLX_DISPLAY_AUTO },
    { "plain", RLX_DISPLAY_PLAIN },
    { "hash", RLX_DISPLAY_HASH },
    { NULL, 0 }
};

static const rlx_choice_t bodies[] = {
    { "auto", RLX_BODY_AUTO },
    { "html", RLX_BODY_HTML },
    { "json", RLX_BODY_JSON },
    { "text", RLX_BODY_TEXT },
    { "off", RLX_BODY_OFF },
    { NULL, 0 }
};

static const rlx_choice_t fields[] = {
    { "limit", RLX_FIELD_LIMIT },
    { "remaining", RLX_FIELD_REMAINING },
    { "reset", RLX_FIELD_RESET },
    { "retry-after", RLX_FIELD_RETRY_AFTER },
    { NULL, 0 }
};

static const rlx_choice_t retry_forms[] = {
    { "delta-seconds", RLX_RETRY_SECONDS },
    { "http-date", RLX_RETRY_DATE },
    { NULL, 0 }
};

/** What is set here, before any merging. */
static rlx_manner_t *manner_here(const cmd_parms *cmd, rlx_dir_t *dir)
{
    if (!dir->manner) {
        dir->manner = apr_pcalloc(cmd->pool, sizeof(*dir->manner));
        dir->manner->key_display = RLX_UNSET;
        dir->manner->body = RLX_UNSET;
        dir->manner->retry_after = RLX_UNSET;
        dir->manner->status_control = RLX_UNSET;
    }
    return dir->manner;
}

rlx_manner_t *rlx_manner_merge(apr_pool_t *p, rlx_manner_t *outer,
                               rlx_manner_t *inner)
{
    rlx_manner_t *manner;

    if (!inner || !outer || inner == outer) {
        return inner ? inner : outer;
    }
    manner = apr_palloc(p, sizeof(*manner));
    *manner = *outer;
    if (inner->key_display != RLX_UNSET) {
        manner->key_display = inner->key_display;
    }
    if (inner->body != RLX_UNSET) {
        manner->body = inner->body;
    }
    if (inner->retry_after != RLX_UNSET) {
        manner->retry_after = inner->retry_after;
    }
    if (inner->status_control != RLX_UNSET) {
        manner->status_control = inner->status_control;
    }
    if (inner->on_breach) {
        manner->on_breach = inner->on_breach;
    }
    for (int i = 0; i < RLX_FIELDS; i++) {
        if (inner->fields[i]) {
            manner->fields[i] = inner->fields[i];
        }
    }
    return manner;
}

const char *rlx_set_key_display(cmd_parms *cmd, void *conf, const char *arg)
{
    const char *error = rlx_check_place(cmd, IN_ALL);

    return error ? error
           : rlx_choose(cmd, "", arg, displays,
                        &manner_here(cmd, conf)->key_display);
}

const char *rlx_set_error_body(cmd_parms *cmd, void *conf, const char *arg)
{
    const char *error = rlx_check_place(cmd, IN_ALL | RLX_IN_HTACCESS);

    return error ? error : rlx_choose(cmd, "", arg, bodies,
                                      &manner_here(cmd, conf)->body);
}

const char *rlx_set_retry_after(cmd_parms *cmd, void *conf, const char *arg)
{
    const char *error = rlx_check_place(cmd, IN_ALL);

    return error ? error : rlx_choose(cmd, "", arg, retry_forms,
                                      &manner_here(cmd, conf)->retry_after);
}

const char *rlx_set_status_control(cmd_parms *cmd, void *conf,
                                   const char *arg)
{
    const char *error = rlx_check_place(cmd, RLX_IN_SECTION);

    return error ? error : rlx_flag(cmd, "", arg,
                                    &manner_here(cmd, conf)->status_control);
}

/** Not 0 if a text may be a field's name: a token of RFC 9110. */
static int is_token(const char *text)
{
    const char *c = text;

    while (apr_isalnum(*c) || (*c && ap_strchr_c("!#$%&'*+-.^_`|~", *c))) {
        c++;
    }
    return !*c && c > text && c - text <= RLX_NAME_MAX;
}

const char *rlx_set_header_name(cmd_parms *cmd, void *conf, const char *field,
                                const char *name)
{
    int which = 0;
    const char *error = rlx_check_place(cmd, IN_ALL);

    if (!error) {
        error = rlx_choose(cmd, "", field, fields, &which);
    }
    if (!error && !is_token(name)) {
        error = rlx_wrong(cmd, "%s is not the name of a response field: up to "
                          "%d letters, digits and - _ . ! # $ %% & ' * + ^ ` "
                          "| ~, as in X-Quota-Left",
                          rlx_shown(cmd->pool, name), RLX_NAME_MAX);
    }
    if (!error) {
        manner_here(cmd, conf)->fields[which] = name;
    }
    return error;
}

const char *rlx_check_url_path(const cmd_parms *cmd, const char *what,
                               const char *path)
{
    if (path[0] == '/' && path[1] != '/' && !ap_strstr_c(path, "%{")) {
        return NULL;
    }
    return rlx_wrong(cmd, "%s%s is not a local URL-path, fixed and beginning "
                     "with one slash, such as /errors/slow-down.html", what,
                     rlx_shown(cmd->pool, path));
}

const char *rlx_set_on_breach(cmd_parms *cmd, void *conf, const char *arg)
{
    const char *error = rlx_check_place(cmd, IN_ALL);

    if (!error) {
        error = rlx_check_url_path(cmd, "", arg);
    }
    if (!error) {
        manner_here(cmd, conf)->on_breach = arg;
    }
    return error;
}
