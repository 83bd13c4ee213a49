/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  ratelimit_storage.h
 * @brief The interface between mod_ratelimit_ext and a storage.
 *
 * A storage is a provider that some module registers, in its register_hooks:
 *
 *     ap_register_provider(p, RLX_STORAGE_GROUP, "myscheme",
 *                          RLX_STORAGE_VERSION, &my_provider);
 *
 * "RateLimitStorage myscheme://..." then finds it by the scheme of its URI.
 * Include this header and ratelimit_limit.h; nothing else is needed.
 *
 * Life of an instance: create() at configuration time, once per different
 * RateLimitStorage value and configuration pass; open() once in the parent
 * before the children start; child_init() in each child; then decide() and
 * the others from any number of threads at once.
 *
 * A storage that cannot answer says so by a status, soon: whoever asked waits.
 * It logs nothing then and keeps no count of failures. That it fails is
 * remembered for all children, it is not asked but for one try after 1, 2, 4
 * ... 32 seconds, the log has a line when it fails and when it goes on, and
 * RateLimitStorageFailure says what requests get meanwhile. So a connection
 * that broke while nobody used it is no failure before a new one was tried.
 * A storage that is at hand in memory has RLX_STORAGE_ALWAYS_ANSWERS instead.
 *
 * A storage of many servers, one of which fails, has the status APR_EAGAIN for
 * calls that are for that one: these get what RateLimitStorageFailure says,
 * and all else goes on. That is the one failure that it remembers by itself,
 * for all children, so that few calls wait; and the one that it logs, not for
 * each call.
 */

#ifndef RATELIMIT_STORAGE_H
#define RATELIMIT_STORAGE_H

#include "ratelimit_limit.h"

#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_tables.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The provider group, and the version of this header within it. */
#define RLX_STORAGE_GROUP   "ratelimit-storage"
#define RLX_STORAGE_VERSION "0"

/** The most counters that one call of decide() or look() is given. */
#define RLX_STORAGE_BATCH_MAX 64

/** Flag of a provider: rlx_counter_t's scope and key texts are used. */
#define RLX_STORAGE_WANTS_TEXT 0x01u

/** Flag of a provider: a URI names one thing, so the same URI with different
 *  options in two places is an error. */
#define RLX_STORAGE_ONE_PER_URI 0x02u

/** Flag of a provider: it always answers, as memory does. Of any other it is
 *  remembered for all children that it fails, see decide(). */
#define RLX_STORAGE_ALWAYS_ANSWERS 0x04u

/** Flag of a provider: to ask it takes a while, as over a network. So it is
 *  not asked what it would refuse for sure, by what it said of the same
 *  counters a moment ago: the deny cache. The options deny_cache= and
 *  deny_cache_time= are that cache's and never shown to the provider. */
#define RLX_STORAGE_IS_FAR 0x08u

/** Levels for rlx_storage_env_t.log, a subset of httpd's own. */
typedef enum {
    RLX_LOG_ERR,
    RLX_LOG_WARNING,
    RLX_LOG_NOTICE,
    RLX_LOG_INFO,
    RLX_LOG_DEBUG
} rlx_log_level_e;

/** What the server lends a storage. Lives as long as the instance. */
typedef struct rlx_storage_env_t {
    /** Writes one line to the server's error log. Safe from any thread.
     *  @param baton   this structure's baton
     *  @param level   how grave it is
     *  @param status  an APR status to be explained, or APR_SUCCESS
     *  @param message a sentence; no secrets (no URI with its password) */
    void (*log)(void *baton, rlx_log_level_e level, apr_status_t status,
                const char *message);
    /** For log. */
    void *baton;
    /** A pool that survives every graceful restart, for what must be found
     *  again; not thread-safe: only for create() and open(). */
    apr_pool_t *process_pool;
    /** Finds or makes zeroed memory that survives every graceful restart.
     *  Only for create() and open().
     *  @param name  what it is called; the same name gives the same memory
     *  @param bytes how much of it
     *  @return the memory; never NULL */
    void *(*retain)(const char *name, apr_size_t bytes);
    /** Threads of all children together that may ask at once. A hint; 0
     *  before open(). */
    unsigned int workers;
} rlx_storage_env_t;

/** Figures of a storage, for status pages. */
typedef struct rlx_storage_figures_t {
    /** Not 0: it can answer. */
    int healthy;
    /** One word or phrase about its state; static or from the call's pool. */
    const char *state;
    /** Bytes it holds, and how many counters fit; 0 where unknown. */
    apr_uint64_t size_bytes;
    apr_uint64_t keys_max;
    /** Counters that it holds now; expired ones may be among them. */
    apr_uint64_t keys_used;
    /** Live counters dropped to make room, since the start. */
    apr_uint64_t evictions;
} rlx_storage_figures_t;

/** An instance: what create() made of one RateLimitStorage value. Opaque. */
typedef struct rlx_storage_t rlx_storage_t;

/**
 * A storage. No function but trouble() may be NULL. All but create() and open() are called
 * from many threads and processes at once and must be safe there.
 */
typedef struct rlx_storage_provider_t {
    /** RLX_STORAGE_ flags, or 0. */
    unsigned int flags;

    /**
     * Make an instance from its configuration, without touching the outside.
     * @param instance where it goes
     * @param uri      the URI as written, scheme included
     * @param options  option=value pairs after it; every one not known to
     *                 the provider must be an error
     * @param env      what the server lends; outlives the instance
     * @param pconf    pool of the configuration: instance and anything in it
     * @return NULL, or a sentence that names the bad part and what would do,
     *         without secrets
     */
    const char *(*create)(rlx_storage_t **instance, const char *uri,
                          const apr_table_t *options,
                          const rlx_storage_env_t *env, apr_pool_t *pconf);

    /**
     * Say whether a limit can be kept here. At configuration time, after
     * create(), and at run time for limits that only then are known.
     * @param ptemp pool for the sentence
     * @return NULL if so, or a sentence that says why not and what would do
     */
    const char *(*refuses)(const rlx_storage_t *instance,
                           const rlx_limit_t *limit, apr_pool_t *ptemp);

    /**
     * Make ready what the children share. In the parent, as root, on each
     * start and restart; not on a mere configuration test. That a server
     * elsewhere does not answer now is no error here.
     * @return APR_SUCCESS, or an error that stops the start and was logged
     */
    apr_status_t (*open)(rlx_storage_t *instance);

    /**
     * Make ready what one child needs. Not the place to connect: after an
     * error this child never asks the storage, and its requests get what
     * RateLimitStorageFailure says.
     * @param pchild pool of the child
     */
    apr_status_t (*child_init)(rlx_storage_t *instance, apr_pool_t *pchild);

    /**
     * Decide a whole batch in one atomic step: no two calls, in whatever
     * processes, may together take more than a limit has. A call that has
     * been answered with an error has charged nothing that matters.
     * @param instance the storage
     * @param mode     what is charged if a counter has no room
     * @param counters n counters in the order of their importance
     * @param n        how many, 1 to RLX_STORAGE_BATCH_MAX
     * @param now      wall clock; a storage with a clock of its own that all
     *                 its users share may use that in its place
     * @param verdicts n verdicts, filled in on success
     * @param ptemp    pool for the call, the same for all calls of one
     *                 request; a local storage should not use it
     * @return APR_SUCCESS if the batch was decided, whatever the verdicts;
     *         else the storage cannot answer and nobody was refused by it.
     *         The status is explained in the log. APR_EAGAIN: this batch
     *         cannot be decided, which says nothing of others; any other
     *         error says that the storage is down, and nobody asks it for a
     *         while. So for look() and give_back()
     */
    apr_status_t (*decide)(rlx_storage_t *instance, rlx_charge_e mode,
                           const rlx_counter_t *counters, int n,
                           rlx_usec_t now, rlx_verdict_t *verdicts,
                           apr_pool_t *ptemp);

    /**
     * Say what decide() would, and charge nothing. Parameters and result as
     * there; verdicts of one call need not be of one instant.
     */
    apr_status_t (*look)(rlx_storage_t *instance,
                         const rlx_counter_t *counters, int n,
                         rlx_usec_t now, rlx_verdict_t *verdicts,
                         apr_pool_t *ptemp);

    /**
     * Give back charges that turned out not to be due: each counter is then
     * as if its charge had never been, as nearly as the storage can tell, and
     * never with more room than that (docs/strategies.md says what each
     * strategy can tell). Need not be one step for all of the counters; must
     * be one for each. A counter that is not there any more, whose window
     * has ended, or which began anew since is left as it is. Called at most
     * once for each charge.
     *
     * Safe to lose: where it is never called (a killed child) or fails, the
     * charge just stands until its window ends. So it must never be tried
     * again after an error that leaves open whether it was done.
     * @param counters   as they were given to decide(), cost included; those
     *                   with verdict.charged. Those with a cost of 0 or
     *                   only_test are passed over.
     * @param n          how many, 1 to RLX_STORAGE_BATCH_MAX
     * @param charged_at decided_at of their verdicts
     * @param now        wall clock; a storage with a clock of its own uses
     *                   that. Before charged_at, nothing is given back: the
     *                   clock stepped.
     * @param ptemp      pool for the call
     * @return APR_SUCCESS also where there was nothing to give back; an error
     *         if the storage cannot answer: some charges may still stand
     */
    apr_status_t (*give_back)(rlx_storage_t *instance,
                              const rlx_counter_t *counters, int n,
                              rlx_usec_t charged_at, rlx_usec_t now,
                              apr_pool_t *ptemp);

    /**
     * Forget what some counters were charged. An administrator asks: also of a
     * storage that is known not to answer.
     * @return APR_SUCCESS also where there was nothing to forget
     */
    apr_status_t (*forget)(rlx_storage_t *instance,
                           const rlx_counter_t *counters, int n,
                           apr_pool_t *ptemp);

    /**
     * Forget every counter of one installation.
     * @param prefix what their scope texts begin with, up to the first colon;
     *               a storage of this server alone may forget all that it has
     * @param len    its bytes
     */
    apr_status_t (*forget_all)(rlx_storage_t *instance, const char *prefix,
                               size_t len, apr_pool_t *ptemp);

    /** Health and figures. Cheap enough for every view of a status page.
     *  @param now wall clock */
    apr_status_t (*figures)(rlx_storage_t *instance, rlx_usec_t now,
                            rlx_storage_figures_t *figures,
                            apr_pool_t *ptemp);

    /**
     * Say what the call that failed last in this child ran into: a phrase for
     * the log, as in "it says ...", without secrets. The one function that
     * may be NULL: an error's status then says all.
     * @return the phrase, or NULL; static or from ptemp
     */
    const char *(*trouble)(const rlx_storage_t *instance, apr_pool_t *ptemp);
} rlx_storage_provider_t;

#ifdef __cplusplus
}
#endif

#endif /* RATELIMIT_STORAGE_H */
