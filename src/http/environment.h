/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  environment.h
 * @brief Variables that say how a request fared: RATELIMIT_RESULT and others,
 *        for applications, logs and fields.
 */

#ifndef RLX_HTTP_ENVIRONMENT_H
#define RLX_HTTP_ENVIRONMENT_H

#include "http/htaccess.h"
#include "http/request.h"

/** Find out whether the configuration has anything that might look at the
 *  variables of any request. Once it has been read. */
void rlx_environment_prepare(void);

/** Not 0: the configuration has something that might look at any time. */
extern int rlx_environment_is_read;

/** Set the variables if the configuration or r's .htaccess files have
 *  something that might look. After a decision, where there may be no
 *  handler. */
void rlx_environment_set(request_rec *r, rlx_request_t *request);

/** Set the variables if r's handler or its .htaccess files might look. */
void rlx_environment_set_for_handler(request_rec *r, rlx_request_t *request);

/** Decisions have changed since the variables were set, which they were. */
void rlx_environment_set_again(rlx_request_t *request);

/** Not 0 if a handler is what most requests have: httpd's own, which sends
 *  files. It has no name, or that of the type of the file. */
static inline int rlx_environment_is_plain(const request_rec *r)
{
    const char *h = r->handler;

    return !h[0] || (h[0] == 't' && h[1] == 'e' && h[2] == 'x' && h[3] == 't'
                     && h[4] == '/' && h[5] != 'x');
}

/** When there is a handler. */
static inline void rlx_environment_handled(request_rec *r,
                                           rlx_request_t *request)
{
    if (!rlx_environment_is_plain(r) || rlx_htaccess_was_read(r)) {
        rlx_environment_set_for_handler(r, request);
    }
}

#endif /* RLX_HTTP_ENVIRONMENT_H */
