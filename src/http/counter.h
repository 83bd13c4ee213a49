/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  counter.h
 * @brief From a limit that holds for a request to the counter that a storage
 *        is asked for: one per (prefix, scope, key, limit, strategy).
 */

#ifndef RLX_HTTP_COUNTER_H
#define RLX_HTTP_COUNTER_H

#include "http/key.h"
#include "http/request.h"

/** What counters of one request have in common; worked out once. */
typedef struct rlx_counting_t {
    request_rec *r;
    const rlx_request_t *request;
    const rlx_server_t *sv;
    /** Where it counts. */
    const rlx_store_t *store;
    /** May be NULL. */
    const rlx_dir_t *dir;
    /** Not 0: the storage wants scope and key as text; from this pool. */
    int wants_text;
    apr_pool_t *p;
    /** The key of rules without key=; text NULL until it is needed. */
    rlx_key_t common_key;
    /** The endpoint last worked out, and its id. */
    const rlx_section_t *endpoint;
    rlx_id_t endpoint_id;
    int endpoint_known;
} rlx_counting_t;

/** Begin a request's counters. */
void rlx_counting_begin(rlx_counting_t *counting, request_rec *r,
                        const rlx_request_t *request, const rlx_dir_t *dir,
                        int wants_text);

/** The strategy that a limit is counted by where a configuration holds.
 *  @param dir may be NULL
 *  @param p   pool for the call */
rlx_strategy_e rlx_counter_strategy(const rlx_server_t *sv,
                                    const rlx_dir_t *dir,
                                    const rlx_holding_t *holding,
                                    apr_pool_t *p);

/**
 * Work out the counter of one limit.
 * @param decision filled in but for its verdict
 * @param counter  filled in
 * @return 1, or 0 if the limit is skipped since its key is empty
 */
int rlx_counter_of(rlx_counting_t *counting, const rlx_holding_t *holding,
                   rlx_decision_t *decision, rlx_counter_t *counter);

/**
 * Work out what can be known of a limit's counter before any request: all
 * but the key and what goes with it.
 * @param strategy RateLimitStrategy as it will be in force, or RLX_UNSET
 * @param decision filled in; `id` lacks the key
 * @param counter  the same
 * @param pconf    for what the storage wants as text
 * @return 0 if more than that depends on the request
 */
int rlx_counter_foresee(const rlx_server_t *sv, const rlx_holding_t *holding,
                        int strategy, rlx_decision_t *decision,
                        rlx_counter_t *counter, apr_pool_t *pconf);

/** Not 0 if a limit's counters can be found without a request: neither scope=
 *  nor RateLimitEndpoint, where they count, is an expression. */
int rlx_counter_is_findable(const rlx_holding_t *holding);

/**
 * Work out the counter of a limit and a key for no request, as
 * rlx_counter_of() does for one.
 * @param sv       whose requests are counted
 * @param store    where: the server's storage, or what stands in for it
 * @param holding  findable, and not dynamic
 * @param strategy RateLimitStrategy in force, or RLX_UNSET
 * @param method   of a limit with per_method=on, as a request has it; else
 *                 NULL
 * @param counter  filled in; its cost is 1 where cost= is an expression
 * @param p        for text, and for the call
 */
void rlx_counter_of_key(const rlx_server_t *sv, const rlx_store_t *store,
                        const rlx_holding_t *holding, int strategy,
                        const char *method, const rlx_key_t *key,
                        rlx_counter_t *counter, apr_pool_t *p);

/** What the scope texts of a server's counters begin with, up to the first
 *  colon. From p or the configuration. */
const char *rlx_counter_prefix(const rlx_server_t *sv, apr_pool_t *p);

/** Not 0 if a rule's exempt_when= holds: it is not looked at, which is
 *  recorded and logged at debug. */
int rlx_rule_is_exempt(request_rec *r, rlx_request_t *request,
                       const rlx_rule_t *rule);

/** Say at debug that a rule is skipped since its key is empty. */
void rlx_rule_log_keyless(request_rec *r, const rlx_rule_t *rule);

/** The counter of a decision once more, as the storage was asked for it. */
void rlx_decision_counter(const rlx_decision_t *decision,
                          rlx_counter_t *counter);

/**
 * Give back what a decision charged, at most once: afterwards it counts as not
 * charged, also where the storage cannot answer.
 * @param now wall clock
 */
apr_status_t rlx_decision_give_back(rlx_decision_t *decision, rlx_usec_t now,
                                    apr_pool_t *ptemp);

/** The scope of a decision as people read it: the endpoint, the shared
 *  scope, the server, or what another module gave. From r->pool or the configuration. */
const char *rlx_decision_scope(request_rec *r, const rlx_decision_t *decision);

/** A key as RateLimitKeyDisplay says that it is shown.
 *  @param is_public not 0: it is an address or a user name
 *  @return the key, or from r->pool */
const char *rlx_key_shown(request_rec *r, const char *key, int is_public);

/** The key of a decision as RateLimitKeyDisplay says that it is shown: as it
 *  is, or hashed. From r->pool. */
const char *rlx_decision_key(request_rec *r, const rlx_decision_t *decision);

#endif /* RLX_HTTP_COUNTER_H */
