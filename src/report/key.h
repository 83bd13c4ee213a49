/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  key.h
 * @brief The counters of a key, as ?key= asks.
 */

#ifndef RLX_REPORT_KEY_H
#define RLX_REPORT_KEY_H

#include "report/counters.h"
#include "report/snapshot.h"

/** A counter of a key. */
typedef struct rlx_key_counter_t {
    rlx_limit_view_t view;
    /** The server's name; the scope as people read it, as in
     *  rlx_decision_scope(). Escape it. */
    const char *server;
    const char *scope;
    /** Where it is; secrets masked. */
    const char *storage;
    /** The form of the key that it counts. Escape it. */
    const char *key;
    /** Of a limit with per_method=on; else NULL. */
    const char *method;
    apr_uint32_t remaining;
    /** Seconds until it resets, as in X-RateLimit-Reset: the end of a fixed
     *  window, a full counter of gcra, the next unit that comes back of the
     *  others. Rounded up. */
    apr_int64_t reset_sec;
    /** Not 0: a request now would pass; else seconds until one does, rounded
     *  up, -1: none ever will. */
    int has_room;
    apr_int64_t retry_sec;
} rlx_key_counter_t;

/** The answer to ?key=. */
typedef struct rlx_key_view_t {
    /** As asked, and as it is counted (an IPv6 address is cut to its prefix in
     *  the main server). Escape them. */
    const char *key;
    const char *counted_as;
    /** rlx_key_counter_t: those that are not as new, server by server. */
    apr_array_header_t *counters;
    /** Counters that were looked at. */
    int asked;
    /** Sentences: which counters cannot be found by their key alone (a scope
     *  or an endpoint that is an expression), a storage that does not
     *  answer. const char *. Escape them. */
    apr_array_header_t *notes;
} rlx_key_view_t;

/** Look at every counter of a key, on every storage. Charges nothing. Limits
 *  of .htaccess files are those of snapshot->htaccess.
 *  @return never NULL; from snapshot->p */
rlx_key_view_t *rlx_key_look(const rlx_snapshot_t *snapshot, const char *key);

/** How counters stand now, past every cache, and not 0 in `live` for each that
 *  is not as new. @return the storage's status */
apr_status_t rlx_key_look_at(const rlx_candidates_t *batch, rlx_usec_t now,
                             rlx_verdict_t *verdicts, int *live,
                             apr_pool_t *p);

#endif /* RLX_REPORT_KEY_H */
