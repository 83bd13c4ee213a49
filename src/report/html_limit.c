/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A limit on the page, and where it is declared.
 */

#include "report/html_parts.h"

#include "apr_strings.h"

/** The option name=, which the page shows by itself; NULL: none. */
static const char *name_of(const rlx_limit_view_t *view)
{
    return view->rule->options->name;
}

/** Options as they would be written, but for the name. */
static void put_options(rlx_page_t *page, const rlx_limit_view_t *view)
{
    rlx_limit_view_t one = *view;

    for (int i = 0; i < view->options->nelts; i++) {
        const rlx_option_view_t *option = &APR_ARRAY_IDX(view->options, i,
                                                         rlx_option_view_t);

        if (strcmp(option->name, "name")) {
            one.options = apr_array_make(page->p, 1, sizeof(*option));
            APR_ARRAY_PUSH(one.options, rlx_option_view_t) = *option;
            rlx_page_put(page, " ");
            rlx_page_element(page, "code",
                             strcmp(option->name, "dry_run") ? "option"
                                                             : "option dry",
                             rlx_view_options(page->p, &one) + 1);
        }
    }
}

void rlx_page_limit(rlx_page_t *page, const rlx_limit_view_t *view)
{
    const char *methods = rlx_view_methods(page->p, view);

    rlx_page_element(page, view->is_dynamic ? "code" : "b", "limit",
                     view->limit);
    if (name_of(view)) {
        rlx_page_put(page, " ");
        rlx_page_element(page, "span", "name", name_of(view));
    }
    rlx_page_put(page, " ");
    rlx_page_element(page, "span", "strategy word", view->strategy);
    if (methods) {
        rlx_page_put(page, " <span class=\"strategy\">for ");
        rlx_page_text(page, methods);
        rlx_page_put(page, "</span>");
    }
    put_options(page, view);
}

/** A file's name may be broken behind its slashes. */
void rlx_page_where(rlx_page_t *page, const char *declared_at)
{
    const char *slash;

    rlx_page_put(page, "<code class=\"where\">");
    while ((slash = strchr(declared_at, '/'))) {
        rlx_page_text(page, apr_pstrmemdup(page->p, declared_at,
                                           slash - declared_at + 1));
        rlx_page_put(page, "<wbr/>");
        declared_at = slash + 1;
    }
    rlx_page_text(page, declared_at);
    rlx_page_put(page, "</code>");
}

void rlx_page_place(rlx_page_t *page, const rlx_listed_t *listed)
{
    const rlx_node_t *node = listed->node;

    rlx_page_element(page, "span", "server", listed->tree->sv->name);
    rlx_page_put(page, " ");
    if (node) {
        rlx_page_section(page, node->type, node->path);
        rlx_page_put(page, " ");
    }
    rlx_page_where(page, listed->view.declared_at);
}
