/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  counters.h
 * @brief Every counter that a key may have.
 *
 * Storages cannot be asked for the counters of a key: most of them know hashes
 * alone. So what requests may be counted by is worked out from the
 * configuration: the limits of each section, and those that hold there from
 * wherever else, under each strategy that may be in force. That is more than
 * there is; what is there, the storages say.
 */

#ifndef RLX_REPORT_COUNTERS_H
#define RLX_REPORT_COUNTERS_H

#include "http/counter.h"

/** What a counter is of. */
typedef struct rlx_candidate_t {
    /** `rule` is never dynamic. */
    rlx_holding_t holding;
    /** Whose requests are counted. */
    const rlx_server_t *sv;
    /** As it is counted. */
    const char *key;
    /** Of a limit with per_method=on; else NULL. */
    const char *method;
    /** Not 0: it has a key that can be nothing but an address or a user
     *  name. */
    int is_public;
} rlx_candidate_t;

/** Some counters of one storage. */
typedef struct rlx_candidates_t {
    const rlx_store_t *store;
    int n;
    /** n of each, in the same order. */
    rlx_candidate_t of[RLX_STORAGE_BATCH_MAX];
    rlx_counter_t counters[RLX_STORAGE_BATCH_MAX];
} rlx_candidates_t;

/** Told of some of them.
 *  @param batch for the time of the call
 *  @return 0: no more of this storage */
typedef int (*rlx_candidates_fn)(void *baton, const rlx_candidates_t *batch);

/** What is looked for. */
typedef struct rlx_counters_question_t {
    const char *key;
    /** The name of a limit, or its text in whatever form; NULL: all. */
    const char *limit;
    /** rlx_seen_view_t, .htaccess files that were seen; NULL: nobody looked.
     *  How many more there were, about. */
    const apr_array_header_t *htaccess;
    int htaccess_left_out;
    rlx_candidates_fn found;
    void *baton;
} rlx_counters_question_t;

/**
 * Find every counter that a key may have: of each server, in file order, those
 * of its storage and then those of the table that stands in for it. A counter
 * of several servers is told once.
 * @param p     for the call, and for the sentences
 * @param notes const char *, sentences are added: which counters cannot be
 *              found by their key alone
 * @return how many limits of those that were looked through are the one that
 *         is asked for
 */
int rlx_counters_find(apr_pool_t *p, server_rec *main_server,
                      const rlx_counters_question_t *question,
                      apr_array_header_t *notes);

/** Where a counter counts, as rlx_decision_scope() says it of requests. */
const char *rlx_candidate_scope(const rlx_candidate_t *candidate);

/** The server that a counter belongs to: the one that declares an umbrella or
 *  a shared scope, else the one that it counts for. */
const rlx_server_t *rlx_candidate_server(const rlx_candidate_t *candidate);

#endif /* RLX_REPORT_COUNTERS_H */
