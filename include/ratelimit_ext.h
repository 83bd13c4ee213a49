/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  ratelimit_ext.h
 * @brief What mod_ratelimit_ext offers to other modules: limits of their own,
 *        what was decided for a request, and news of every breach.
 *
 * A limit of a module's own is prepared once and charged as often as wanted:
 *
 *     static APR_OPTIONAL_FN_TYPE(rlx_ext_prepare) *prepare;
 *     static APR_OPTIONAL_FN_TYPE(rlx_ext_charge) *charge;
 *     static APR_OPTIONAL_FN_TYPE(rlx_ext_refuse) *refuse;
 *     static const rlx_ext_limits_t *uploads;
 *
 *     static int check_config(...)
 *     {
 *         rlx_ext_spec_t spec = RLX_EXT_SPEC_INIT;
 *
 *         prepare = APR_RETRIEVE_OPTIONAL_FN(rlx_ext_prepare);
 *         charge = APR_RETRIEVE_OPTIONAL_FN(rlx_ext_charge);
 *         refuse = APR_RETRIEVE_OPTIONAL_FN(rlx_ext_refuse);
 *         if (!prepare || !charge || !refuse) {
 *             ... mod_ratelimit_ext is not loaded
 *         }
 *         spec.limits = "3 per minute; 20 per day";
 *         spec.scope = "uploads";
 *         error = prepare(pconf, main_server, &spec, &uploads);
 *     }
 *
 *     static int handler(request_rec *r)
 *     {
 *         const rlx_ext_outcome_t *outcome;
 *         int status;
 *
 *         charge(r, uploads, NULL, 1, 0, &outcome);
 *         status = refuse(r, outcome);
 *         if (status != DECLINED) {
 *             return status;
 *         }
 *         ...
 *     }
 *
 * docs/api.md has the whole of it, ready to be compiled.
 *
 * Nothing is linked: the functions are optional functions of APR, found by
 * name in check_config or later, and the hook is an optional hook. A restart
 * may load the module at another place, so what was retrieved and prepared is
 * retrieved and prepared again each time.
 *
 * Everything is meant for the thread that has the request. Different requests
 * may be in different threads and processes: counters are the same for all of
 * them, and exact.
 *
 * This header grows without breaking modules that were compiled with an older
 * one. Structures that the module makes get new members at their end: use
 * them through the pointers given, never copy them or make arrays of them.
 * Structures that the caller makes begin with their size. Functions never
 * change; a new one has a new name, and is NULL where the module is older.
 */

#ifndef RATELIMIT_EXT_H
#define RATELIMIT_EXT_H

#include "httpd.h"
#include "apr_optional.h"
#include "apr_optional_hooks.h"

#include "ratelimit_limit.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Counts the additions to this header. */
#define RLX_EXT_VERSION 1

/*
 * What was decided
 */

/** How a request or a charge fared. More may come: whether it may go on is
 *  what `allowed` says. */
typedef enum {
    /** Nothing has been looked at: there are no limits, RateLimitEngine is
     *  Off, or it has not come to that yet. */
    RLX_EXT_NONE,
    /** Everything had room. */
    RLX_EXT_ALLOWED,
    /** Some limit had no room. */
    RLX_EXT_REFUSED,
    /** Some limit had no room, but refusing is switched off. */
    RLX_EXT_DRY_RUN,
    /** Some exemption or request filter held; nothing was looked at. */
    RLX_EXT_EXEMPT,
    /** Everything had room, but the storage cannot answer and this server
     *  counts by itself, as RateLimitStorageFailure says. */
    RLX_EXT_FALLBACK,
    /** The storage cannot answer: nothing was counted. Allowed, unless
     *  RateLimitStorageFailure says deny. */
    RLX_EXT_ERROR
} rlx_ext_result_e;

/** Where a limit comes from. More may come. */
typedef enum {
    /** RateLimit. */
    RLX_EXT_KIND_SECTION,
    /** RateLimitShared. */
    RLX_EXT_KIND_SHARED,
    /** RateLimitDefault. */
    RLX_EXT_KIND_DEFAULT,
    /** RateLimitApplication. */
    RLX_EXT_KIND_APPLICATION,
    /** RateLimitMeta. */
    RLX_EXT_KIND_META,
    /** RateLimitFallback. */
    RLX_EXT_KIND_FALLBACK,
    /** rlx_ext_prepare(). */
    RLX_EXT_KIND_MODULE
} rlx_ext_kind_e;

/** One limit that was looked at. Made by the module; read it, and through the
 *  pointer alone. It lives as long as the outcome that it belongs to. */
typedef struct rlx_ext_decision_t {
    /** Count, window, strategy in force and canonical text. */
    const rlx_limit_t *limit;
    /** The limit's name, or its canonical text. */
    const char *policy;
    rlx_ext_kind_e kind;
    /** Where it counts: the endpoint, the shared scope, the server, or the
     *  scope that a module gave. */
    const char *scope;
    /** Who was counted, as RateLimitKeyDisplay lets it be shown: a key that
     *  may be a secret is hashed. It may hold what a client sent: escape it
     *  where that matters. */
    const char *key;
    /** Units that were asked for. */
    apr_uint32_t cost;
    /** Not 0: they fitted. */
    int has_room;
    /** Not 0: they are charged. 0 also where another limit had no room, and
     *  after they were given back. */
    int charged;
    /** Not 0: the limit has dry_run=on and refuses nobody. */
    int is_dry_run;
    /** Not 0: the limit has deduct_when=, and the response, which is not known
     *  yet, says what is charged in the end. */
    int is_pending;
    /** Units that are left. */
    apr_uint32_t remaining;
    /** When the counter resets, and the earliest time at which the cost has
     *  room if nobody else charges (RLX_NEVER: it is above the count). Wall
     *  clock; see rlx_verdict_t. */
    rlx_usec_t reset_at;
    rlx_usec_t retry_at;
} rlx_ext_decision_t;

/** What became of a charge, or of a request so far. Made by the module; read
 *  it, and through the pointer alone. It lives as long as the request_rec that
 *  was given. */
typedef struct rlx_ext_outcome_t {
    /** 0: some limit had no room and refusing is not switched off; or the
     *  storage cannot answer and RateLimitStorageFailure says deny. */
    int allowed;
    rlx_ext_result_e result;
    /** The limits that were looked at, n of them: those of a charge by their
     *  window, the shortest first; those of a request in the order in which
     *  they were decided. NULL where n is 0. */
    const rlx_ext_decision_t *const *decisions;
    int n;
    /** One of them: the first without room, or the one that a refusal or dry
     *  run of the request speaks of. NULL: all had room. */
    const rlx_ext_decision_t *breached;
    /** The HTTP status of the refusal; 0 while allowed. */
    int status;
    /** Seconds until there is room by all of these limits, rounded up, at
     *  least 1; 0 while allowed. */
    apr_int64_t retry_after_sec;
    /** When the storage was asked last, wall clock; 0: never. */
    rlx_usec_t decided_at;
} rlx_ext_outcome_t;

/*
 * Limits of a module's own
 */

/** Limits that are ready to be charged. Never changes: any thread may use it
 *  at any time. */
typedef struct rlx_ext_limits_t rlx_ext_limits_t;

/** The strategy of RateLimitStrategy in the configuration of the server that a
 *  request is for, outside of sections. */
#define RLX_EXT_STRATEGY_OF_SERVER (-1)

/** What rlx_ext_prepare() is asked for. Begin with RLX_EXT_SPEC_INIT, then set
 *  what is wanted. The texts are copied. */
typedef struct rlx_ext_spec_t {
    /** sizeof(rlx_ext_spec_t). */
    apr_size_t size;
    /** One or several limits: "10/second; 100 per day". Needed. */
    const char *limits;
    /** What is limited: the counters' name, shared by all who use the same
     *  text, so begin it with the name of your module. Needed. Counters are
     *  apart from all those of directives, and from those of other virtual
     *  hosts. */
    const char *scope;
    /** rlx_strategy_e, or RLX_EXT_STRATEGY_OF_SERVER. */
    int strategy;
    /** Units that may come at once, for RLX_GCRA alone; 0: the count. */
    apr_uint32_t burst;
    /** The policy's name in fields, logs and variables, as name= of a
     *  directive; for one limit alone. NULL: none. */
    const char *name;
    /** What the refusal says to the client, in place of the limit; plain
     *  text. NULL: the limit. */
    const char *error_message;
    /** Status of the refusal, 400 to 599; 0: RateLimitStatus. */
    int status;
    /** Not 0: counts and is always allowed, as dry_run=on of a directive. */
    int dry_run;
} rlx_ext_spec_t;

#define RLX_EXT_SPEC_INIT \
    { sizeof(rlx_ext_spec_t), NULL, NULL, RLX_EXT_STRATEGY_OF_SERVER, 0, \
      NULL, NULL, 0, 0 }

/**
 * Make limits ready to be charged.
 *
 * In check_config (after "mod_ratelimit_ext.c") or post_config for limits that
 * are known then; with r->pool and r->server where they are not. It reads and
 * hashes: some microseconds.
 * @param p      where the limits go, and the sentence: pconf or r->pool. They
 *               are good as long as p, and not over a restart.
 * @param s      the server whose storage is asked whether it can keep them.
 *               NULL, or before check_config: it is not asked.
 * @param spec   what is wanted
 * @param limits where they go; NULL on error
 * @return NULL, or a sentence without a final period that quotes the bad part
 *         and says what is accepted. Nothing is logged.
 */
APR_DECLARE_OPTIONAL_FN(const char *, rlx_ext_prepare,
                        (apr_pool_t *p, const server_rec *s,
                         const rlx_ext_spec_t *spec,
                         const rlx_ext_limits_t **limits));

/** Flag of rlx_ext_charge(): look whether there is room, and charge nothing.
 *  No listener hears of it. */
#define RLX_EXT_ONLY_TEST     0x01u
/** Flag of rlx_ext_charge(): the key is no secret, and may be shown as an
 *  address or a user name is. */
#define RLX_EXT_KEY_IS_PUBLIC 0x02u

/**
 * Charge limits: all of them in one atomic step, or none if one of them has no
 * room. No two calls, in whatever processes, take together more than a limit
 * has.
 *
 * In any hook from post_read_request to log_transaction, in subrequests too;
 * each call charges, whatever was charged before. What is in force for r at
 * that time counts: RateLimitEngine (Off: nothing is looked at; DryRun: counted
 * and always allowed), RateLimitRequestFilter (true: nothing is looked at),
 * RateLimitKey, and the storage, key prefix and strategy of its server. A
 * moving-window that the server's strategy asks for and the storage cannot keep
 * is counted as sliding-window-counter, as for directives. While the storage
 * cannot answer, RateLimitStorageFailure holds: by default the same limits go
 * on in this server's shared memory.
 *
 * It costs what a directive's limit costs: one call to the storage, and some
 * hundred bytes of r->pool.
 * @param r       the request
 * @param limits  what rlx_ext_prepare() made
 * @param key     who is counted; any text, which is copied. NULL: whom
 *                RateLimitKey says, by default the client's address. If it is
 *                empty, nothing is looked at.
 * @param cost    units to take, up to RLX_COUNT_MAX; 0 only tests that the
 *                limits are not overdrawn
 * @param flags   RLX_EXT_ONLY_TEST, RLX_EXT_KEY_IS_PUBLIC, or 0
 * @param outcome where the outcome goes. Never NULL afterwards; on an error
 *                it has RLX_EXT_ERROR and no decisions, and is allowed or not
 *                as the administrator says.
 * @return APR_SUCCESS if it was decided, or nothing had to be looked at;
 *         APR_EINVAL: a parameter is wrong;
 *         APR_ENOTIMPL: the storage cannot keep one of the limits, which
 *         rlx_ext_prepare() would have told for this server;
 *         else the storage cannot answer, nor is there another: APR_EAGAIN
 *         where it was not asked, since it is known not to. When a storage
 *         stops answering and when it goes on is logged, each request is not.
 */
APR_DECLARE_OPTIONAL_FN(apr_status_t, rlx_ext_charge,
                        (request_rec *r, const rlx_ext_limits_t *limits,
                         const char *key, apr_uint32_t cost,
                         unsigned int flags,
                         const rlx_ext_outcome_t **outcome));

/**
 * Make a charge without room the request's refusal, as if a directive had
 * refused it: status, Retry-After, other response fields, body or error
 * document, variables, line in the log, meta limits. With RateLimitCharge
 * atomic, the request gets back what it was charged before by directives.
 * If the charge was allowed for a dry run alone, this is logged. If it is not
 * allowed since the storage cannot answer, the status is 503.
 *
 * In any hook whose result ends the request, up to the handler and before
 * anything was sent. Return what it returns unless that is DECLINED. In a
 * subrequest it only returns the status.
 * @param r       the request of the charge
 * @param outcome what rlx_ext_charge() made
 * @return the status of the refusal; DECLINED if the request may go on: the
 *         charge was allowed, or r is the error document of a refusal, which
 *         is never refused (but for one by a .htaccess file)
 */
APR_DECLARE_OPTIONAL_FN(int, rlx_ext_refuse,
                        (request_rec *r, const rlx_ext_outcome_t *outcome));

/**
 * Give back what a charge took, as far as the strategy can tell
 * (docs/strategies.md): what was limited did not take place after all.
 *
 * Up to log_transaction, once; a second time does nothing. The outcome says
 * afterwards what is charged and left.
 * @param r       the request of the charge
 * @param outcome what rlx_ext_charge() made
 * @return APR_SUCCESS also if nothing was charged; APR_EINVAL: the outcome is
 *         not that of a charge; else the storage cannot answer: it may have
 *         been done or not, and must not be tried again
 */
APR_DECLARE_OPTIONAL_FN(apr_status_t, rlx_ext_give_back,
                        (request_rec *r, const rlx_ext_outcome_t *outcome));

/*
 * What the directives decided
 */

/**
 * What has been decided about a client's request so far, over all of its
 * internal redirects: by directives, and by rlx_ext_refuse(). Other charges of
 * modules are not among it.
 *
 * In any hook. Limits are looked at late in fixups; with phase=early late in
 * header_parser; those of the files that DirectoryIndex and MultiViews find,
 * first of all handlers. Each call takes memory of r->pool for each decision:
 * ask once.
 * @param r any request_rec of it: a subrequest, or the one that it was
 *          redirected from or to
 * @return never NULL; RLX_EXT_NONE and no decisions if nothing was looked at
 */
APR_DECLARE_OPTIONAL_FN(const rlx_ext_outcome_t *, rlx_ext_decisions,
                        (request_rec *r));

/**
 * The breach hook: told of each request that a limit has no room for, whether
 * it is refused (RLX_EXT_REFUSED) or would be if it were not for a dry run
 * (RLX_EXT_DRY_RUN). In register_hooks:
 *
 *     APR_OPTIONAL_HOOK(rlx, ratelimit_breach, my_function, NULL, NULL,
 *                       APR_HOOK_MIDDLE);
 *
 * outcome->breached is the limit, with its kind:
 * - of a directive: outcome is what rlx_ext_decisions() gives. Retry-After is
 *   set (meta limits, which are charged after that, may put it off), and
 *   nothing was sent yet.
 * - RLX_EXT_KIND_MODULE: a module's charge had no room, and outcome is what
 *   that charge gives. RLX_EXT_REFUSED then says that the module is told so;
 *   what it makes of it is its own choice.
 *
 * Runs in the thread of the request, which waits for it. A listener may read,
 * log, write notes and fields, hand work to others, charge limits of its own;
 * it cannot change the outcome: rlx_ext_refuse() does nothing there. Of a
 * breach that it causes itself, no listener is told.
 * @param r       the request, which may be a subrequest for RLX_EXT_KIND_MODULE
 * @param outcome see above
 */
typedef void rlx_HOOK_ratelimit_breach_t(request_rec *r,
                                         const rlx_ext_outcome_t *outcome);

#ifdef __cplusplus
}
#endif

#endif /* RATELIMIT_EXT_H */
