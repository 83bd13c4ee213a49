/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  ratelimit_limit.h
 * @brief The words that every part of mod_ratelimit_ext and every storage
 *        provider shares: a limit, a counter to be decided, a verdict.
 *
 * Plain C, no APR, no httpd: a provider's arithmetic can be tested alone.
 */

#ifndef RATELIMIT_LIMIT_H
#define RATELIMIT_LIMIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Microseconds: of wall clock since the Unix epoch, or a length of time. */
typedef int64_t rlx_usec_t;

/** A time that never comes: a request that costs more than its limit has. */
#define RLX_NEVER INT64_MAX

/** The highest count, burst or cost: 2^31 - 1. */
#define RLX_COUNT_MAX INT32_MAX

/** How charges are remembered and forgotten; see docs/strategies.md. */
typedef enum {
    RLX_FIXED_WINDOW,
    RLX_MOVING_WINDOW,
    RLX_SLIDING_WINDOW_COUNTER,
    RLX_GCRA
} rlx_strategy_e;

/** How many strategies there are. */
#define RLX_STRATEGIES 4

/** The longest canonical text of a limit, with its NUL. */
#define RLX_LIMIT_TEXT_MAX 48

/** What a limit allows. A value: copied freely, owns nothing. */
typedef struct rlx_limit_t {
    /** Units that one window has; 0 refuses everything. */
    uint32_t count;
    /** gcra: units that may come at once. Otherwise equal to count. */
    uint32_t burst;
    /** Length of the window, > 0. Always a whole number of seconds. */
    rlx_usec_t window_usec;
    /** How the charges are counted. */
    rlx_strategy_e strategy;
    /** The canonical form, "10 per 1 hour". */
    char text[RLX_LIMIT_TEXT_MAX];
} rlx_limit_t;

/** What a refused request is charged to; see RateLimitCharge. */
typedef enum {
    /** Nothing: either all counters are charged or none is. */
    RLX_CHARGE_ATOMIC,
    /** The counters in their order, up to the first without room. */
    RLX_CHARGE_IN_ORDER,
    /** Every counter that has room. */
    RLX_CHARGE_ALL
} rlx_charge_e;

/** A 128-bit name. Made with a secret of this server: nobody outside can
 *  aim at one. Stable over graceful restarts, not over full ones. */
typedef struct rlx_id_t {
    uint64_t word[2];
} rlx_id_t;

/** One counter of a batch: who is counted, where, and against which limit. */
typedef struct rlx_counter_t {
    /** What it may take. Never NULL; outlives the call. */
    const rlx_limit_t *limit;
    /** Names the counter: prefix, scope, key, limit and strategy, hashed.
     *  For a storage on this machine. No two counters of a batch share it. */
    rlx_id_t id;
    /** The same in readable parts, for a storage that is shared with other
     *  machines. Undefined unless the provider set RLX_STORAGE_WANTS_TEXT. Any
     *  bytes may stand in them. `scope` holds the prefix and all else that
     *  is no secret; `key` is the client and may be a secret. A counter is
     *  named by both with their lengths, the strategy, and of the limit: its
     *  text, and the burst where that is not the count; or, if it is_named,
     *  the window alone. */
    const char *scope;
    size_t scope_len;
    const char *key;
    size_t key_len;
    /** Not 0: the key is an address or a user name and may be shown. */
    int key_is_public;
    /** Not 0: the limit has a name of its own, `id` does not depend on its
     *  count, and what was used stays used when the count is edited. */
    int is_named;
    /** Units that this request takes, 0 to RLX_COUNT_MAX. 0 only tests. */
    uint32_t cost;
    /** Not 0: the cost is tested and never charged. Without room for it the
     *  request is refused like any other; the verdict's `remaining` is as
     *  before the charge that may follow later. */
    int only_test;
} rlx_counter_t;

/** What became of one counter of a batch. */
typedef struct rlx_verdict_t {
    /** Not 0: the cost fitted (whether or not it was then charged). */
    int has_room;
    /** Not 0: the cost was charged. */
    int charged;
    /** Units that are left now, after this batch. */
    uint32_t remaining;
    /** When the counter resets, wall clock: the end of a fixed window; when
     *  the oldest charge of a moving window leaves it; when the next unit of
     *  a sliding window comes back; when a gcra counter is full again. The
     *  time of the call where nothing is charged at all. */
    rlx_usec_t reset_at;
    /** The earliest time, wall clock, at which this cost has room if nobody
     *  else charges: the time of the call if it has room now, RLX_NEVER if
     *  it can never have. */
    rlx_usec_t retry_at;
    /** When this was decided by the clock that the storage counts by, which
     *  need not be the caller's: what give_back() is to be given. */
    rlx_usec_t decided_at;
} rlx_verdict_t;

#ifdef __cplusplus
}
#endif

#endif /* RATELIMIT_LIMIT_H */
