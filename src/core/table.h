/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  table.h
 * @brief The table of counters inside one block of shared memory.
 *
 * Every function but rlx_table_format() may run in any number of threads and
 * processes at once. None takes a lock, none waits for another: a step that
 * a killed process left half done is completed by whoever meets it. The
 * layout and the proof are in docs/shared-table.md.
 */

#ifndef RLX_CORE_TABLE_H
#define RLX_CORE_TABLE_H

#include "ratelimit_limit.h"
#include "core/hash.h"

/** A process's handle on a table. A value; owns nothing. */
typedef struct rlx_table_t {
    unsigned char *base;
} rlx_table_t;

/** The smallest block that holds a table. */
#define RLX_TABLE_BYTES_MIN (256 * 1024)

/** The most counters in one batch. */
#define RLX_TABLE_BATCH_MAX 64

/** What a table is made with. */
typedef struct rlx_table_options_t {
    /** Threads in all processes that may work on it at once; rounded up. A
     *  hint for the number of descriptors: more threads stay correct. */
    unsigned int workers;
    /** The highest count of a moving-window limit whose log is kept. */
    uint32_t log_max;
} rlx_table_options_t;

/** Figures of a table. */
typedef struct rlx_table_figures_t {
    uint64_t slots;
    /** Slots in use by counters, and by pieces of moving-window logs. */
    uint64_t used;
    uint64_t log_used;
    /** Live counters dropped to make room since the format. */
    uint64_t evictions;
} rlx_table_figures_t;

/**
 * Make an empty table in a block. Nobody else may use the block meanwhile.
 * @param block  64-byte aligned memory, shared by all who will attach
 * @param bytes  its size, at least RLX_TABLE_BYTES_MIN
 * @param secret for placing keys; kept inside
 * @param now    wall clock
 * @return 0, or -1 if the size or the options cannot be
 */
int rlx_table_format(void *block, size_t bytes,
                     const rlx_table_options_t *options,
                     const rlx_secret_t *secret, rlx_usec_t now);

/**
 * Get a handle on a table that was made in this block.
 * @return 0, or -1 if it holds none of this layout and size
 */
int rlx_table_attach(rlx_table_t *table, void *block, size_t bytes);

/**
 * Decide a batch in one atomic step. See rlx_storage_provider_t.decide for
 * the meaning. Constant work per counter (a moving window: plus the charges
 * that left its window since the last call), also for a new key and in a
 * full table.
 * @param n 1 to RLX_TABLE_BATCH_MAX
 */
void rlx_table_decide(const rlx_table_t *table, rlx_charge_e mode,
                      const rlx_counter_t *counters, int n, rlx_usec_t now,
                      rlx_verdict_t *verdicts);

/** Say what rlx_table_decide() would and change nothing. */
void rlx_table_look(const rlx_table_t *table, const rlx_counter_t *counters,
                    int n, rlx_usec_t now, rlx_verdict_t *verdicts);

/**
 * Give back charges that turned out not to be due. One atomic step for each
 * counter, as if its charge had never been: exactly for a moving window, for
 * the others as nearly as docs/strategies.md says, and never more than was
 * charged. A counter that was forgotten or has lost its place meanwhile is
 * left as it is. Constant work per counter (a moving window: plus its charges
 * since). Whoever dies before leaves its charges standing.
 * @param counters   as they were decided, cost included; those that were
 *                   charged. A cost of 0 and only_test give back nothing.
 * @param charged_at the `now` of the decision
 * @param now        wall clock; nothing is given back if that is before
 *                   charged_at
 */
void rlx_table_give_back(const rlx_table_t *table,
                         const rlx_counter_t *counters, int n,
                         rlx_usec_t charged_at, rlx_usec_t now);

/** Forget what one counter was charged. */
void rlx_table_forget(const rlx_table_t *table, const rlx_counter_t *counter);

/** Forget every counter. */
void rlx_table_forget_all(const rlx_table_t *table);

/** Walk the table and count. Reads every slot once; changes nothing. */
void rlx_table_figures(const rlx_table_t *table, rlx_usec_t now,
                       rlx_table_figures_t *figures);

/**
 * Walk the table and check every invariant; for tests. Nobody else may be
 * working on it, though killed processes may have left steps half done:
 * those are completed first.
 * @param why buffer of 256 bytes: what is wrong and where
 * @return 0 if all is well, else -1
 */
int rlx_table_validate(const rlx_table_t *table, char *why);

#endif /* RLX_CORE_TABLE_H */
