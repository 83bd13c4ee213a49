/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Sections: where a directive stands, what that place is called, and the
 * record of it.
 */

#include "http/htaccess.h"
#include "http/parse.h"

#include "apr_strings.h"

/** The sections of httpd as its manual writes them: the same section gets the
 *  same name however its author wrote it. */
static const char *const section_types[] = {
    "Directory", "DirectoryMatch", "Else", "ElseIf", "Files", "FilesMatch",
    "If", "Location", "LocationMatch", "Proxy", "ProxyMatch"
};

/** Is this directive the opening of such a section? */
static int is_section(const ap_directive_t *d, const char *type)
{
    return d->directive[0] == '<' && !ap_cstr_casecmp(d->directive + 1, type);
}

static const char *type_of(const ap_directive_t *d)
{
    for (apr_size_t i = 0; i < sizeof(section_types) / sizeof(char *); i++) {
        if (is_section(d, section_types[i])) {
            return section_types[i];
        }
    }
    return d->directive[0] == '<' ? d->directive + 1 : d->directive;
}

const char *rlx_shown_url(apr_pool_t *p, const char *url)
{
    const char *host = strstr(url, "://");
    const char *at;
    apr_size_t len;

    if (!host) {
        return url;
    }
    host += 3;
    len = strcspn(host, "/?#");
    at = NULL;
    for (apr_size_t i = 0; i < len; i++) {
        at = host[i] == '@' ? host + i : at;
    }
    return at ? apr_pstrcat(p, apr_pstrmemdup(p, url,
                                              (apr_size_t)(host - url)),
                            "***@", at + 1, NULL) : url;
}

/** "Location /api" of "<Location" and "\"/api\">". */
static const char *own_text(const ap_directive_t *d, apr_pool_t *p)
{
    const char *end = ap_strrchr_c(d->args, '>');
    const char *args = end ? apr_pstrmemdup(p, d->args, end - d->args)
                           : d->args;
    const char *text = type_of(d);
    int is_of_urls = is_section(d, "Proxy") || is_section(d, "ProxyMatch");

    while (*args) {
        const char *word = ap_getword_conf(p, &args);

        /* Names of sections are in logs, metrics and storages. */
        word = is_of_urls ? rlx_shown_url(p, word) : word;
        text = *word ? apr_pstrcat(p, text, " ", word, NULL) : text;
    }
    return text;
}

/** The <If> or <ElseIf> that an <Else> belongs to. Its text sets apart two
 *  <Else> of one place. */
static const ap_directive_t *condition_of(const ap_directive_t *otherwise)
{
    const ap_directive_t *d = otherwise->parent ? otherwise->parent->first_child
                                                : ap_conftree;
    const ap_directive_t *found = NULL;

    for (; d && d != otherwise; d = d->next) {
        if (is_section(d, "If") || is_section(d, "ElseIf")) {
            found = d;
        }
    }
    return d ? found : NULL;
}

const char *rlx_section_text(const ap_directive_t *d, apr_pool_t *p)
{
    const ap_directive_t *condition = is_section(d, "Else") ? condition_of(d)
                                                            : NULL;

    return condition
           ? apr_pstrcat(p, "Else of ", own_text(condition, p), NULL)
           : own_text(d, p);
}

/** The directory of a .htaccess file. */
static const char *htaccess_text(const ap_directive_t *d, apr_pool_t *p)
{
    const char *slash = ap_strrchr_c(d->filename, '/');

    return apr_pstrcat(p, "Htaccess ",
                       slash ? apr_pstrmemdup(p, d->filename,
                                              slash + 1 - d->filename)
                             : "./", NULL);
}

/** Names of all that encloses a directive, outermost first. */
static const char *name_here(const cmd_parms *cmd)
{
    const ap_directive_t *d = cmd->directive;
    const char *name = NULL;

    for (const ap_directive_t *s = d->parent; s; s = s->parent) {
        const char *text;

        if (is_section(s, "VirtualHost")) {
            continue;
        }
        text = rlx_section_text(s, cmd->pool);
        name = name ? apr_pstrcat(cmd->pool, text, ", ", name, NULL) : text;
    }
    if (rlx_in_htaccess(cmd)) {
        const char *text = htaccess_text(d, cmd->pool);

        name = name ? apr_pstrcat(cmd->pool, text, ", ", name, NULL) : text;
    }
    return name ? name : "";
}

/** The id of a section's name. */
static rlx_id_t id_of(const char *name)
{
    return rlx_id_of(rlx_secret(), RLX_ID_SECTION, name, strlen(name));
}

const char *rlx_section_name(const cmd_parms *cmd, rlx_id_t *id)
{
    const char *name = name_here(cmd);

    *id = id_of(name);
    return name;
}

void rlx_section_know_tree(const cmd_parms *cmd, rlx_section_t *section)
{
    if (!cmd->directive->parent) {
        section->tree_name = section->name;
        section->tree = section->id;
        return;
    }
    section->tree_name = htaccess_text(cmd->directive, cmd->pool);
    section->tree = id_of(section->tree_name);
}

/** How many rules a section has room for at first. */
#define FEW_RULES 4

/** A section and what goes with it: one piece of memory, since a .htaccess
 *  file comes here within each request. */
typedef struct whole_t {
    rlx_section_t section;
    rlx_chain_t chain;
    apr_array_header_t rules;
    rlx_rule_t *room[FEW_RULES];
} whole_t;

rlx_section_t *rlx_section_here(const cmd_parms *cmd, rlx_dir_t *dir,
                                const char *name, const rlx_id_t *id)
{
    const ap_directive_t *d = cmd->directive;
    rlx_section_t *section = dir->own;
    whole_t *made;

    if (section) {
        return section;
    }
    made = apr_pcalloc(cmd->pool, sizeof(*made));
    section = dir->own = &made->section;
    section->name = name ? name : name_here(cmd);
    section->id = name ? *id : id_of(section->name);
    section->rules = &made->rules;
    made->rules.pool = cmd->pool;
    made->rules.elt_size = sizeof(made->room[0]);
    made->rules.nalloc = FEW_RULES;
    made->rules.elts = (char *)made->room;
    section->settings = dir;
    section->is_htaccess = rlx_in_htaccess(cmd);
    d = d->parent && !section->is_htaccess ? d->parent : d;
    section->directive = section->is_htaccess ? NULL : d;
    section->file = d->filename;
    section->line = d->line_num;
    made->chain.section = section;
    dir->chain = &made->chain;

    if (!section->is_htaccess) {
        apr_array_header_t **list = &rlx_server_of(cmd->server)->sections;

        if (!*list) {
            *list = apr_array_make(cmd->pool, 8, sizeof(rlx_section_t *));
        }
        APR_ARRAY_PUSH(*list, rlx_section_t *) = section;
    }
    return section;
}

/** Where a directive may stand, for a sentence. */
static const char *places(unsigned int where)
{
    switch (where) {
    case RLX_IN_SERVER:
        return "for the whole server or in a <VirtualHost>";
    case RLX_IN_SECTION:
        return "in a section (<Location>, <Directory>, ...)";
    case RLX_IN_SECTION | RLX_IN_HTACCESS:
        return "in a section (<Location>, <Directory>, ...) or in .htaccess";
    default:
        return "for the whole server, in a <VirtualHost> or in a section "
               "(<Location>, <Directory>, ...)";
    }
}

/** Not 0 for a directive of limits. */
static int sets_limits(const cmd_parms *cmd)
{
    return !ap_cstr_casecmp(cmd->cmd->name, "RateLimit")
           || !ap_cstr_casecmp(cmd->cmd->name, "RateLimitShared")
           || !ap_cstr_casecmp(cmd->cmd->name, "RateLimitExempt");
}

const char *rlx_check_place(const cmd_parms *cmd, unsigned int where)
{
    if (cmd->limited != -1) {
        return rlx_wrong(cmd, "not allowed within <Limit> or <LimitExcept>; "
                         "the option methods=, as in methods=GET,POST, makes "
                         "a limit hold for some methods alone");
    }
    if (rlx_in_htaccess(cmd)) {
        if (!(where & RLX_IN_HTACCESS)) {
            return rlx_wrong(cmd, "not allowed in .htaccess; it stands %s",
                             places(where));
        }
        rlx_htaccess_note(cmd);
        return NULL;
    }
    if (!cmd->path && !(where & RLX_IN_SERVER)) {
        return rlx_wrong(cmd, "not allowed outside of sections; it stands %s%s",
                         places(where), sets_limits(cmd) ? ", and limits for "
                         "the whole server are set by RateLimitDefault or "
                         "RateLimitApplication" : "");
    }
    if (cmd->path && !(where & RLX_IN_SECTION)) {
        return rlx_wrong(cmd, "not allowed in a section; it stands %s",
                         places(where));
    }
    return NULL;
}
