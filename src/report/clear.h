/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  clear.h
 * @brief Forgetting counters, on every storage.
 */

#ifndef RLX_REPORT_CLEAR_H
#define RLX_REPORT_CLEAR_H

#include "report/counters.h"

/** What became of it. */
typedef struct rlx_cleared_t {
    /** Counters that were not as new and are now; -1: all, however many. */
    int counters;
    /** Counters that the key may have, in storages that answered. */
    int asked;
    /** Limits of the configuration that were meant. */
    int limits;
    /** Not 0: the key is an address or a user name. */
    int is_public;
    /** Storages that do not answer and keep what they have, const char *,
     *  secrets masked. */
    apr_array_header_t *failed;
    /** Sentences, as in rlx_key_view_t. */
    apr_array_header_t *notes;
} rlx_cleared_t;

/**
 * Forget what a key was charged: in every storage that servers use, in the
 * tables that stand in for those, and in the deny caches of this server.
 * @param r     who asks; its pool is for the result
 * @param limit the name or the text of a limit; NULL: all of the key's
 */
void rlx_clear_key(request_rec *r, server_rec *main_server, const char *key,
                   const char *limit, rlx_cleared_t *cleared);

/** Forget every counter of every key, there. Of a storage that is shared with
 *  other servers, also those of servers with the same RateLimitKeyPrefix. */
void rlx_clear_all(apr_pool_t *p, server_rec *main_server,
                   rlx_cleared_t *cleared);

#endif /* RLX_REPORT_CLEAR_H */
