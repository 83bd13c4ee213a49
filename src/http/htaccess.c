/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What .htaccess files may do.
 *
 * Which RateLimitAllowOverride holds for a file is a question of depth. httpd
 * walks down a path and merges, for each directory, its <Directory> sections
 * and then its .htaccess. All of them lie on that one path: so a section
 * encloses a file exactly if it is no deeper. What is merged later (<Location>,
 * <Files>, <If>, and <Directory> with a regular expression) is about the
 * request and overrules, as does what was set for the whole server where
 * nothing else was: both have depth 0, and the innermost is asked first.
 */

#include "http/htaccess.h"

#include "http_core.h"
#include "http_log.h"
#include "apr_strings.h"

#include "http/fate.h"
#include "http/log_tags.h"
#include "http/parse.h"

APLOG_USE_MODULE(ratelimit_ext);

/** A RateLimitAllowOverride, and those around it. */
typedef struct allow_t allow_t;
struct allow_t {
    int value;
    int depth;
    const char *file;
    int line;
    const allow_t *outer;
};

/** What a .htaccess file wants; each <Files> and <If> in it by itself. */
typedef struct wants_t {
    /** The first directive of the module. */
    const ap_directive_t *first;
    /** The first that only All allows, and what of it, as for
     *  rlx_htaccess_note_beyond(); NULL: none. */
    const ap_directive_t *beyond;
    const char *what;
    int limits;
} wants_t;

/** The files that were read, innermost first. */
typedef struct read_t read_t;
struct read_t {
    const wants_t *wants;
    const read_t *outer;
};

struct rlx_htaccess_t {
    const allow_t *allow;
    const read_t *read;
};

static const rlx_choice_t allowances[] = {
    { "None", RLX_ALLOW_NONE },
    { "Add", RLX_ALLOW_ADD },
    { "All", RLX_ALLOW_ALL },
    { NULL, 0 }
};

/* Reading */

/** How deep a file or, with a slash at its end, a directory is. "/" is 1. */
static int depth_of(const char *path)
{
    int n = 0;

    while ((path = ap_strchr_c(path, '/')) != NULL) {
        path++;
        n++;
    }
    return n;
}

/** How deep the directive's <Directory> section is; 0: it is not in one that
 *  httpd meets on its way down a path. */
static int section_depth(const cmd_parms *cmd)
{
    const ap_directive_t *section = cmd->directive->parent;
    const char *args;

    if (!section || ap_cstr_casecmp(section->directive, "<Directory")) {
        return 0;
    }
    args = section->args;
    return strcmp(ap_getword_conf(cmd->temp_pool, &args), "~")
           ? depth_of(cmd->path) : 0;
}

const char *rlx_set_allow_override(cmd_parms *cmd, void *conf,
                                   const char *arg)
{
    rlx_dir_t *dir = conf;
    int value = 0;
    const char *error = rlx_check_place(cmd, RLX_IN_SERVER | RLX_IN_SECTION);
    allow_t *allow;

    if (!error) {
        error = rlx_choose(cmd, "", arg, allowances, &value);
    }
    if (error) {
        return error;
    }
    allow = apr_pcalloc(cmd->pool, sizeof(*allow));
    allow->value = value;
    allow->depth = section_depth(cmd);
    allow->file = cmd->directive->filename;
    allow->line = cmd->directive->line_num;
    dir->htaccess = apr_pcalloc(cmd->pool, sizeof(*dir->htaccess));
    dir->htaccess->allow = allow;
    return NULL;
}

/** The configuration that a directive is in. httpd made it before it called the
 *  directive. */
static rlx_dir_t *dir_here(const cmd_parms *cmd)
{
    return ap_get_module_config(cmd->context, &ratelimit_ext_module);
}

/** What the file being read wants: of the section that the directive is in. */
static wants_t *wants_here(const cmd_parms *cmd)
{
    return (wants_t *)dir_here(cmd)->htaccess->read->wants;
}

void rlx_htaccess_note(const cmd_parms *cmd)
{
    rlx_dir_t *dir = dir_here(cmd);
    struct {
        rlx_htaccess_t htaccess;
        read_t read;
        wants_t wants;
    } *made;

    if (dir->htaccess) {
        return;
    }
    made = apr_pcalloc(cmd->pool, sizeof(*made));
    made->wants.first = cmd->directive;
    made->read.wants = &made->wants;
    made->htaccess.read = &made->read;
    dir->htaccess = &made->htaccess;
}

void rlx_htaccess_note_beyond(const cmd_parms *cmd, const char *what)
{
    wants_t *wants = wants_here(cmd);

    if (!wants->beyond) {
        wants->beyond = cmd->directive;
        wants->what = what;
    }
}

void rlx_htaccess_note_limits(const cmd_parms *cmd, int n)
{
    wants_here(cmd)->limits += n;
}

const char *rlx_htaccess_refuses(const rlx_limit_t *limit, apr_pool_t *p)
{
    if (limit->strategy != RLX_MOVING_WINDOW
        || limit->count <= RLX_HTACCESS_LOG) {
        return NULL;
    }
    return apr_psprintf(p, "\"%s\" as a moving-window keeps a log of up to "
                        "%u requests for each key, and in .htaccess %d is the "
                        "most; use sliding-window-counter, which keeps two "
                        "numbers", limit->text, limit->count,
                        RLX_HTACCESS_LOG);
}

/* Merging */

static const allow_t *allow_join(apr_pool_t *p, const allow_t *outer,
                                 const allow_t *inner)
{
    allow_t *first;

    if (!inner || inner == outer) {
        return outer;
    }
    if (!outer) {
        return inner;
    }
    first = apr_palloc(p, sizeof(*first));
    *first = *inner;
    first->outer = allow_join(p, outer, inner->outer);
    return first;
}

static int was_read(const read_t *read, const wants_t *wants)
{
    while (read && read->wants != wants) {
        read = read->outer;
    }
    return read != NULL;
}

/** The same for files. httpd may merge one into what holds it already. */
static const read_t *read_join(apr_pool_t *p, const read_t *outer,
                               const read_t *inner)
{
    const read_t *rest;
    read_t *first;

    if (!inner || inner == outer) {
        return outer;
    }
    if (!outer) {
        return inner;
    }
    rest = read_join(p, outer, inner->outer);
    if (was_read(outer, inner->wants)) {
        return rest;
    }
    first = apr_palloc(p, sizeof(*first));
    first->wants = inner->wants;
    first->outer = rest;
    return first;
}

rlx_htaccess_t *rlx_htaccess_merge(apr_pool_t *p, rlx_htaccess_t *outer,
                                   rlx_htaccess_t *inner)
{
    rlx_htaccess_t *made;

    if (!inner || !outer || inner == outer) {
        return inner ? inner : outer;
    }
    made = apr_palloc(p, sizeof(*made));
    made->allow = allow_join(p, outer->allow, inner->allow);
    made->read = read_join(p, outer->read, inner->read);
    return made;
}

/* Comparing */

/** What holds for a file; NULL: the default. */
static const allow_t *allow_for(const rlx_dir_t *dir, const char *file)
{
    const allow_t *allow = dir && dir->htaccess ? dir->htaccess->allow : NULL;
    int depth;

    if (!allow || !allow->depth) {
        return allow;
    }
    depth = depth_of(file);
    while (allow && allow->depth > depth) {
        allow = allow->outer;
    }
    return allow;
}

int rlx_htaccess_is_added(const rlx_dir_t *dir, const rlx_section_t *section)
{
    const allow_t *allow;

    if (!section || !section->is_htaccess) {
        return 0;
    }
    allow = allow_for(dir, section->file);
    return !allow || allow->value != RLX_ALLOW_ALL;
}

/** "(httpd.conf:12)", or "(the default)". */
static const char *origin(apr_pool_t *p, const allow_t *allow)
{
    return allow ? apr_psprintf(p, "(%s:%d)", allow->file, allow->line)
                 : "(the default)";
}

/** Is all that a file wants allowed? One line if not. */
static int check_one(request_rec *r, const rlx_dir_t *dir,
                     const wants_t *wants)
{
    const allow_t *allow = allow_for(dir, wants->first->filename);
    int value = allow ? allow->value : RLX_ALLOW_ADD;
    const ap_directive_t *d = value == RLX_ALLOW_NONE ? wants->first
                              : wants->beyond;
    const char *what;

    if (value == RLX_ALLOW_ALL || !d) {
        return DECLINED;
    }
    what = value == RLX_ALLOW_ADD && wants->what
           ? apr_pstrcat(r->pool, wants->what, " is ", NULL) : "";
    ap_log_rerror(APLOG_MARK, APLOG_ALERT, 0, r, RLXNO(0040)
                  "%s: %s (line %d): %snot allowed in .htaccess: "
                  "RateLimitAllowOverride is %s %s, which accepts %s",
                  d->filename, d->directive, d->line_num, what,
                  value == RLX_ALLOW_NONE ? "None" : "Add",
                  origin(r->pool, allow),
                  value == RLX_ALLOW_NONE
                  ? "no directive of this module there"
                  : "limits on top of all others, RateLimitHeaders and "
                    "RateLimitErrorBody there; All accepts also "
                    "override_defaults=on and RateLimitExempt");
    return HTTP_INTERNAL_SERVER_ERROR;
}

/** Are there too many limits? */
static int check_number(request_rec *r, const read_t *read)
{
    const wants_t *innermost = NULL;
    int n = 0;

    for (; read; read = read->outer) {
        n += read->wants->limits;
        if (!innermost && read->wants->limits) {
            innermost = read->wants;
        }
    }
    if (n <= RLX_HTACCESS_LIMITS) {
        return DECLINED;
    }
    ap_log_rerror(APLOG_MARK, APLOG_ALERT, 0, r, RLXNO(0041)
                  "%s: too many limits in .htaccess: for this request there "
                  "are %d, and %d are the most (one that is an expression "
                  "counts as %d)", innermost->first->filename, n,
                  RLX_HTACCESS_LIMITS, RLX_HTACCESS_DYNAMIC);
    return HTTP_INTERNAL_SERVER_ERROR;
}

static int check_sections(request_rec *r, const rlx_dir_t *dir,
                          const ap_conf_vector_t *conf);

/** Are the files' sections of a list allowed what they want, whether or not
 *  the request meets them? As in httpd, a file is right or wrong. */
static int check_list(request_rec *r, const rlx_dir_t *dir,
                      const apr_array_header_t *sections)
{
    int status = DECLINED;

    for (int i = 0; sections && i < sections->nelts && status == DECLINED;
         i++) {
        const ap_conf_vector_t *conf = APR_ARRAY_IDX(sections, i,
                                                     ap_conf_vector_t *);
        const rlx_dir_t *own = rlx_dir_of(conf);

        if (own && own->htaccess && own->htaccess->read) {
            status = check_one(r, dir, own->htaccess->read->wants);
        }
        if (status == DECLINED) {
            status = check_sections(r, dir, conf);
        }
    }
    return status;
}

/** <Files> and <If> of a configuration. The core collects those of all that
 *  it merged, and of each those that are nested in it. */
static int check_sections(request_rec *r, const rlx_dir_t *dir,
                          const ap_conf_vector_t *conf)
{
    const core_dir_config *core = ap_get_core_module_config(conf);
    int status = core ? check_list(r, dir, core->sec_file) : DECLINED;

    return status == DECLINED && core ? check_list(r, dir, core->sec_if)
                                      : status;
}

static __attribute__((noinline)) int check(request_rec *r)
{
    const rlx_dir_t *dir = rlx_dir_of(r->per_dir_config);
    const read_t *read = dir && dir->htaccess ? dir->htaccess->read : NULL;
    int status = DECLINED;

    for (const read_t *file = read; file && status == DECLINED;
         file = file->outer) {
        status = check_one(r, dir, file->wants);
    }
    if (status == DECLINED) {
        status = check_sections(r, dir, r->per_dir_config);
    }
    return status == DECLINED ? check_number(r, read) : status;
}

int rlx_htaccess_check(request_rec *r)
{
    return rlx_htaccess_was_read(r) ? check(r) : DECLINED;
}

/* Refusals by what was added */

/** Not 0 if a decision of a refused request is about a limit that a file
 *  added. */
static int is_added(const rlx_request_t *request,
                    const rlx_decision_t *decision)
{
    return request->refused_in && rlx_htaccess_is_added(
        rlx_dir_of(request->refused_in->per_dir_config), decision->endpoint);
}

int rlx_htaccess_alone_refused(const rlx_request_t *request)
{
    int n = 0;

    for (int i = 0; i < request->n; i++) {
        const rlx_decision_t *decision = &request->decisions[i];

        if (!rlx_decision_refuses(decision)) {
            continue;
        }
        if (!is_added(request, decision)) {
            return 0;
        }
        n++;
    }
    return n > 0;
}

/** Forget what was asked, not charged, and might be asked again. */
static void forget(request_rec *r, rlx_request_t *request)
{
    int n = 0;

    for (int i = 0; i < request->n; i++) {
        rlx_decision_t *decision = &request->decisions[i];

        if (!decision->verdict.charged && !decision->is_pending
            && !is_added(request, decision)) {
            rlx_fate_forget(r, request, decision);
            continue;
        }
        if (request->breached == decision) {
            request->breached = &request->decisions[n];
        }
        request->decisions[n++] = *decision;
    }
    request->n = n;
}

int rlx_htaccess_goes_on(request_rec *r, rlx_request_t *request,
                         rlx_plan_t *plan)
{
    const rlx_dir_t *dir = rlx_dir_of(r->per_dir_config);
    rlx_holding_t *kept;
    int n = 0;

    if (!request->breached || !is_added(request, request->breached)) {
        return 0;
    }
    forget(r, request);
    kept = apr_palloc(r->pool, sizeof(*kept) * (apr_size_t)(plan->n + 1));
    for (int i = 0; i < plan->n; i++) {
        if (!rlx_htaccess_is_added(dir, plan->holdings[i].declared_in)) {
            kept[n++] = plan->holdings[i];
        }
    }
    plan->holdings = kept;
    plan->n = n;
    plan->usual = NULL;
    return 1;
}
