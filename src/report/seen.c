/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What the .htaccess files say that were seen so far. Of what was seen, only
 * names are kept: httpd reads each file once more, on its way down to it, with
 * what is allowed there.
 */

#include "report/seen.h"

#include <stdlib.h>

#include "apr_strings.h"

#include "http/htaccess.h"
#include "http/seen.h"
#include "report/visit.h"
#include "report/where.h"

/** A file in the making. */
typedef struct making_t {
    apr_pool_t *p;
    const rlx_server_t *sv;
    const rlx_dir_t *dir;
    rlx_seen_view_t *view;
} making_t;

/** "Files" and "x.txt", of "Htaccess /srv/a/, Files x.txt". */
static void split_name(const making_t *making, const rlx_section_t *section,
                       rlx_seen_section_t *at)
{
    const char *own = apr_pstrcat(making->p, "Htaccess ", making->view->path,
                                  ", ", NULL);
    const char *name = section->name;
    const char *blank;

    if (!strncmp(name, own, strlen(own))) {
        name += strlen(own);
    }
    blank = ap_strchr_c(name, ' ');
    at->type = blank ? apr_pstrmemdup(making->p, name,
                                      (apr_size_t)(blank - name)) : name;
    at->path = blank ? blank + 1 : "";
}

static void add_section(making_t *making, const rlx_section_t *section)
{
    rlx_seen_section_t *at = apr_array_push(making->view->sections);

    at->section = section;
    split_name(making, section, at);
    at->declared_at = rlx_where(making->p, section->file, section->line);
    at->exempt = rlx_view_exempt(making->p, section->exempt);
    at->limits = apr_array_make(making->p, 2, sizeof(rlx_limit_view_t));
    for (int i = 0; i < section->rules->nelts; i++) {
        rlx_view_rule(making->p, making->sv, making->dir, section,
                      APR_ARRAY_IDX(section->rules, i, rlx_rule_t *),
                      apr_array_push(at->limits));
    }
    making->view->is_added = rlx_htaccess_is_added(making->dir, section);
}

static int is_of(const making_t *making, const rlx_section_t *section)
{
    return section && section->is_htaccess
           && !strcmp(section->file, making->view->file);
}

static void add_nested(making_t *making, const ap_conf_vector_t *conf);

/** Of a list of <Files> or <If>, those of the file. */
static void add_list(making_t *making, const apr_array_header_t *list)
{
    for (int i = 0; list && i < list->nelts; i++) {
        const ap_conf_vector_t *conf = APR_ARRAY_IDX(list, i,
                                                     ap_conf_vector_t *);
        const rlx_dir_t *own = rlx_dir_of(conf);

        if (own && is_of(making, own->own)) {
            add_section(making, own->own);
        }
        add_nested(making, conf);
    }
}

static void add_nested(making_t *making, const ap_conf_vector_t *conf)
{
    const core_dir_config *core = ap_get_core_module_config(conf);

    if (core) {
        add_list(making, core->sec_file);
        add_list(making, core->sec_if);
    }
}

/** The file's own part, then the sections in it. */
static void add_sections(making_t *making, const request_rec *r)
{
    making->dir = rlx_dir_of(r->per_dir_config);
    for (const rlx_chain_t *c = making->dir ? making->dir->chain : NULL; c;
         c = c->outer) {
        if (is_of(making, c->section)) {
            add_section(making, c->section);
        }
    }
    add_nested(making, r->per_dir_config);
}

static int is_there(const char *file, apr_pool_t *p)
{
    apr_finfo_t finfo;
    apr_status_t status = apr_stat(&finfo, file, APR_FINFO_TYPE, p);

    return !APR_STATUS_IS_ENOENT(status) && !APR_STATUS_IS_ENOTDIR(status);
}

/** Read a file once more.
 *  @return 0 if it is to be left out */
static int look_at(request_rec *r, const rlx_seen_t *seen,
                   rlx_seen_view_t *view)
{
    const char *slash = ap_strrchr_c(seen->file, '/');
    making_t making = { r->pool, seen->sv, NULL, view };
    rlx_lookup_t lookup = { NULL, NULL };
    request_rec *walked;

    memset(view, 0, sizeof(*view));
    if (!slash || !is_there(seen->file, r->pool)) {
        return 0;
    }
    view->sv = seen->sv;
    view->server = seen->sv->name;
    view->file = seen->file;
    view->path = apr_pstrmemdup(r->pool, seen->file,
                                (apr_size_t)(slash + 1 - seen->file));
    view->seen_at = seen->seen_at;
    view->sections = apr_array_make(r->pool, 2, sizeof(rlx_seen_section_t));
    walked = rlx_visit_directory(r, seen->sv->server, view->path, &lookup);
    if (walked->status != HTTP_OK) {
        view->status = walked->status;
        view->error = lookup.said;
        return 1;
    }
    add_sections(&making, walked);
    return view->sections->nelts != 0;
}

/** By server, as the trees are, and then by name. */
static int compare(const void *a, const void *b)
{
    const rlx_seen_t *one = a, *other = b;
    int order = strcmp(one->sv->name, other->sv->name);

    return order ? order : strcmp(one->file, other->file);
}

void rlx_seen_look(request_rec *r, rlx_snapshot_t *snapshot)
{
    apr_array_header_t *list;

    if (snapshot->htaccess) {
        return;
    }
    list = rlx_seen_list(r->pool, snapshot->main_server);
    snapshot->htaccess = apr_array_make(r->pool, list->nelts + 1,
                                        sizeof(rlx_seen_view_t));
    snapshot->htaccess_left_out = rlx_seen_left_out();
    qsort(list->elts, (size_t)list->nelts, sizeof(rlx_seen_t), compare);
    for (int i = 0; i < list->nelts; i++) {
        const rlx_seen_t *seen = &APR_ARRAY_IDX(list, i, rlx_seen_t);
        rlx_seen_view_t view;

        if (look_at(r, seen, &view)) {
            APR_ARRAY_PUSH(snapshot->htaccess, rlx_seen_view_t) = view;
        }
        else {
            rlx_seen_forget(seen);
        }
    }
}
