/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  visit.h
 * @brief Seeing where a path leads, by httpd's own steps, without serving it.
 */

#ifndef RLX_REPORT_VISIT_H
#define RLX_REPORT_VISIT_H

#include "http/config.h"
#include "http/lookup.h"

/** A visit to a path. */
typedef struct rlx_visit_t {
    /** For httpd's part; must stand first. */
    rlx_lookup_t lookup;
    /** Where to, and how: the server, the method, and path and query string as
     *  in a request line. */
    server_rec *server;
    const char *method;
    const char *uri;
    /** The name in Host; NULL: the server's own, or where that is the one that
     *  the page is asked of, as there. */
    const char *host;
    /** Called where a client's request would be decided; see lookup.h. */
    void (*decide)(struct rlx_visit_t *visit, request_rec *r);
    void *baton;
    /** What came of it: the request, as far as httpd came with it. */
    request_rec *r;
    /** 0: httpd would go on to serve it; else what it answers instead. */
    int status;
    /** Not 0: all of its sections were known. */
    int is_walked;
    /** Not 0: it came to where limits are looked at. */
    int is_reached;
} rlx_visit_t;

/**
 * Make a visit. What is in force for the request for the page, such as who
 * asks, is for the visit too. Nothing is counted or charged; what httpd logs as
 * an error for such a request is logged.
 * @param r the request for the page
 */
void rlx_visit(request_rec *r, rlx_visit_t *visit);

/**
 * Walk down to a directory for what its .htaccess files say. No access control
 * is asked, and nothing is logged.
 * @param directory with a slash at its end
 * @param lookup    hears what would be logged
 * @return a request with the directory's configuration, or with the status
 *         that httpd gives; from r->pool
 */
request_rec *rlx_visit_directory(request_rec *r, server_rec *server,
                                 const char *directory,
                                 rlx_lookup_t *lookup);

/** Find a server by its name in the tree, or by a host name, with or without
 *  a port, that it is asked by. NULL if there is none.
 *  @param host_name where that host name goes, for Host; NULL in the first case */
server_rec *rlx_visit_server(const request_rec *r, const char *name,
                             const char **host_name);

#endif /* RLX_REPORT_VISIT_H */
