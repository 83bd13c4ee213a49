/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  lookup.h
 * @brief A look-up: a request that nobody made and nobody serves, to see where
 *        a path leads. It is told when limits would be looked at, and nothing
 *        is counted or charged.
 *
 * It looks like the redirect of another request, and is no subrequest:
 * mod_rewrite, for one, has rules that are not for subrequests.
 */

#ifndef RLX_HTTP_LOOKUP_H
#define RLX_HTTP_LOOKUP_H

#include "httpd.h"
#include "http_core.h"

typedef struct rlx_lookup_t rlx_lookup_t;
/** A look-up. One thread. */
struct rlx_lookup_t {
    /** Called where a client's request would be decided in fixups, with its
     *  configuration, environment and user as they are just then. */
    void (*reached)(rlx_lookup_t *lookup, request_rec *r);
    /** What was logged last about it, an error or worse; NULL: nothing. */
    const char *said;
};

/** Have a request be a look-up.
 *  @param r its `prev` is a request that nobody else knows, with a pool that
 *           nobody else uses */
void rlx_lookup_begin(request_rec *r, rlx_lookup_t *lookup);

/** A look-up has come to where limits are looked at. */
void rlx_lookup_reach(request_rec *r);

/** The error_log hook: hear what is said about a look-up. */
void rlx_lookup_hear(const ap_errorlog_info *info, const char *text);

#endif /* RLX_HTTP_LOOKUP_H */
