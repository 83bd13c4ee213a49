/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What applies to a URL and why.
 */

#include "report/path.h"

rlx_path_view_t *rlx_path_explain(request_rec *r,
                                  const rlx_path_question_t *question)
{
    rlx_path_view_t *view = apr_pcalloc(r->pool, sizeof(*view));

    view->path = question->path;
    view->server = rlx_server_of(r->server)->name;
    view->method = "GET";
    view->notes = apr_array_make(r->pool, 1, sizeof(char *));
    view->engine = "On";
    view->sections = apr_array_make(r->pool, 1, sizeof(rlx_path_section_t));
    view->limits = apr_array_make(r->pool, 1, sizeof(rlx_path_limit_t));
    return view;
}
