/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  trial.h
 * @brief Limits that only try: how many keys they saw, how many they would
 *        have refused, and which counts would have refused few.
 *
 * For each of up to RLX_TRIALS limits a table of 8,192 keys: how much each took
 * in the window that runs, and the most in any. Windows are aligned: they
 * begin at multiples of their length, whatever the limit's strategy.
 *
 * When the table is full, the half of the keys whose hash ends in one more 1 is
 * let go, and no longer watched: distinct sampling (Gibbons, "Distinct Sampling
 * for Highly-Accurate Answers to Distinct Values Queries and Event Reports",
 * 2001; after Wegman). So those that are watched, more than 2,000 of them
 * then, are a fair sample of all keys, each of them watched since it was first
 * seen. Of m keys watched, the part p that a count refuses is off by about
 * sqrt(p (1 - p) / m): for 1 % of 2,000 by 0.22 %.
 *
 * Any number of threads and processes may call at once; none waits, one that
 * dies in between leaves nothing stuck, and a few requests that meet in one
 * place may go unnoticed.
 */

#ifndef RLX_CORE_TRIAL_H
#define RLX_CORE_TRIAL_H

#include <stddef.h>

#include "ratelimit_limit.h"

/** Limits that can be tried at once. */
#define RLX_TRIALS 64

/** All trials, in shared memory. Pages that no limit uses take no memory. */
typedef struct rlx_trials_t rlx_trials_t;
/** The trial of one limit. */
typedef struct rlx_trial_table_t rlx_trial_table_t;

/** What is known of a trial. */
typedef struct rlx_trial_sums_t {
    /** Keys that are watched; of all keys, one in `one_in`. 1: these are
     *  all. */
    uint32_t watched;
    uint64_t one_in;
    /** Those of them that would have been refused at least once. */
    uint32_t refused;
    /** The lowest counts, 1 at least, that would have refused no more than 1 %,
     *  and no more than 0.1 %, of them at some time; 0: there are too few to
     *  tell, less than 100 and less than 1,000. */
    uint64_t count_1_percent;
    uint64_t count_01_percent;
    /** When a request was noted last; 0: none was. */
    rlx_usec_t last_at;
} rlx_trial_sums_t;

/** Bytes of all trials: zeroed memory is an empty rlx_trials_t. Aligned to 8
 *  bytes. */
size_t rlx_trials_bytes(void);

/**
 * Find the trial of a limit.
 * @param name of the limit, not 0
 * @param make not 0: begin it if there is none
 * @return NULL: there is none, or no room
 */
rlx_trial_table_t *rlx_trial_find(rlx_trials_t *trials, uint64_t name,
                                  int make);

/** End the trials of all limits but some. Who notes something for one of them
 *  meanwhile may do so for another.
 *  @param names of the others, n of them */
void rlx_trials_keep(rlx_trials_t *trials, const uint64_t *names, int n);

/**
 * Note a request.
 * @param hash        of the key: as good as random
 * @param window_usec the limit's length
 * @param cost        0: the key is noted alone
 * @param is_refused  not 0: there was no room for it
 */
void rlx_trial_note(rlx_trial_table_t *trial, uint64_t hash, rlx_usec_t now,
                    rlx_usec_t window_usec, uint32_t cost, int is_refused);

/**
 * Add it up.
 * @param room RLX_TRIAL_KEYS numbers to work with
 */
#define RLX_TRIAL_KEYS 8192
void rlx_trial_sum(const rlx_trial_table_t *trial, rlx_trial_sums_t *sums,
                   uint32_t *room);

#endif /* RLX_CORE_TRIAL_H */
