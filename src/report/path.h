/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  path.h
 * @brief What applies to a URL and why, as ?path= asks.
 */

#ifndef RLX_REPORT_PATH_H
#define RLX_REPORT_PATH_H

#include "report/view.h"

/** A section that a request to the path meets. */
typedef struct rlx_path_section_t {
    /** As rlx_section_t.name. */
    const char *name;
    /** "file:line". */
    const char *declared_at;
    int is_htaccess;
    /** Not 0: it is of a .htaccess file that may only add limits. */
    int is_added;
    /** What its RateLimitExempt says, const char *; may be empty. */
    apr_array_header_t *exempt;
    /** RateLimitEndpoint as it comes out for the path; NULL: none. */
    const char *endpoint;
} rlx_path_section_t;

/** A limit that is anywhere around the path. */
typedef struct rlx_path_limit_t {
    rlx_limit_view_t view;
    /** Not 0: it is looked at for such a request. */
    int holds;
    /** Why it holds or not, a phrase: "own", "inherited from Location /a",
     *  "overridden by Location /a/b (file:line)", "exempt by ...", "not for
     *  GET". Where `at` is not NULL it begins with that, "at /index.html: own".
     *  Escape it. */
    const char *why;
    /** What its counter bears beside the key, as rlx_plan_scope(). Escape
     *  it. */
    const char *scope;
    /** Where httpd goes on to from the path, by DirectoryIndex or a rewrite:
     *  the limit is met there for the first time. NULL: at the path itself. */
    const char *at;
} rlx_path_limit_t;

/** The answer to ?path=. */
typedef struct rlx_path_view_t {
    /** As asked, without its query string, and the server and method that it
     *  was looked up for. */
    const char *path;
    const char *server;
    const char *method;
    /** What it leads to: a file's name, or a URL that it is passed on to,
     *  without a password; NULL: nothing. */
    const char *filename;
    /** 0: it could be looked up; else the status that httpd gives instead. */
    int status;
    /** Sentences on what else matters: Engine Off, a request filter, a
     *  status that access control gives, a redirect. const char *. */
    apr_array_header_t *notes;
    /** RateLimitEngine in force. */
    const char *engine;
    /** What limits of sections and defaults are counted under: what
     *  RateLimitEndpoint gives, or the section's name; "-": none. */
    const char *endpoint;
    /** RateLimitKey in force; NULL: the client's address. */
    const char *key;
    /** The sections that speak of limits, the outermost first,
     *  rlx_path_section_t. */
    apr_array_header_t *sections;
    /** rlx_path_limit_t: those that hold, in the order in which they are
     *  decided, then those that do not. */
    apr_array_header_t *limits;
} rlx_path_view_t;

/** Read-only text that a question may hold. */
typedef struct rlx_path_question_t {
    /** Begins with a slash; may have a query string. */
    const char *path;
    /** NULL: GET. */
    const char *method;
    /** The server, by its name in the tree or by a host name; NULL: the one
     *  that is asked. */
    const char *server;
} rlx_path_question_t;

/**
 * Look up a path without serving it and without charging anything; .htaccess
 * files are read.
 * @param r the request for the page
 * @return the answer; never NULL. From r->pool
 */
rlx_path_view_t *rlx_path_explain(request_rec *r,
                                  const rlx_path_question_t *question);

#endif /* RLX_REPORT_PATH_H */
