/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  mcas.h
 * @brief Changes several words of shared memory in one atomic step, without
 *        a lock: Harris, Fraser and Pratt, "A Practical Multi-word
 *        Compare-and-Swap Operation", 2002.
 *
 * A step is written down in a descriptor in shared memory and then carried
 * out. Whoever meets a word that belongs to a step under way completes that
 * step first, so a process killed anywhere in it holds nobody up. Descriptors
 * are used over and over, told apart by a sequence number (Arbel-Raviv and
 * Brown, "Reuse, Don't Recycle", 2017). docs/shared-table.md has the proof.
 */

#ifndef RLX_CORE_MCAS_H
#define RLX_CORE_MCAS_H

#include <stddef.h>
#include <stdint.h>

#include "core/word.h"

/** The most words in one step. */
#define RLX_MCAS_STEP_MAX 640

/** The most words in a step for which there are plenty of descriptors. */
#define RLX_MCAS_SMALL_MAX 12

/** The descriptors of one block of shared memory. A value; owns nothing. */
typedef struct rlx_mcas_t {
    /** The block. Words are named by their distance from here. */
    unsigned char *base;
    /** Distance of the descriptors; first the small ones, then the large. */
    uint64_t at;
    uint32_t smalls;
    uint32_t larges;
} rlx_mcas_t;

/** One word of a step: at `at`, `old` becomes `next` (rlx_word_next()). */
typedef struct rlx_mcas_change_t {
    uint64_t at;
    rlx_word_t old;
    rlx_word_t next;
} rlx_mcas_change_t;

/** The bytes that so many descriptors take, a multiple of 64. */
size_t rlx_mcas_bytes(uint32_t smalls, uint32_t larges);

/**
 * Carry out a step: all of its changes or, if any word is not the old one
 * any more, none.
 * @param changes in any order (they get sorted), no word twice; every old
 *                and next is a value
 * @param n       1 to RLX_MCAS_STEP_MAX
 * @param tally   added to a sum that rlx_mcas_tally() tells, on success
 * @return not 0 if it was carried out. 0 also for a word given twice.
 */
int rlx_mcas(const rlx_mcas_t *mcas, rlx_mcas_change_t *changes, int n,
             uint32_t tally);

/** Read a word that may belong to a step under way; that is completed. The
 *  result is a value. */
rlx_word_t rlx_mcas_read(const rlx_mcas_t *mcas, rlx_word_t *at);

/** The sum of the tallies of all steps carried out. */
uint64_t rlx_mcas_tally(const rlx_mcas_t *mcas);

/**
 * Complete what dead processes left half done and free their descriptors.
 * May run at any time.
 * @return how many descriptors are in use by the living
 */
uint32_t rlx_mcas_reclaim(const rlx_mcas_t *mcas);

/** Wait a little before the next try: longer from try to try. */
void rlx_mcas_backoff(int tries);

#endif /* RLX_CORE_MCAS_H */
