/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  tally.h
 * @brief Rows of numbers that many processes count up, in one block of shared
 *        memory, without a lock.
 *
 *     header | names of the rows | stripe 0 | stripe 1 | ... | stripe 15
 *
 * A stripe has every row, each on a cache line of its own. A process counts
 * in one stripe, so that processes seldom ask for each other's lines, and a
 * number is the sum over all stripes.
 *
 * A row is found by a name of 64 bits, and then counted by its place. Names
 * are never taken out: who runs out of places makes a larger block and carries
 * the numbers over. Rows 0 to RLX_TALLY_RESERVED - 1 have no name: they are
 * the caller's for what has no row of its own.
 *
 * All functions but rlx_tally_format() and rlx_tally_carry() may be called by
 * any number of threads and processes at once; none waits, and one that dies
 * in between leaves nothing stuck.
 */

#ifndef RLX_CORE_TALLY_H
#define RLX_CORE_TALLY_H

#include <stddef.h>
#include <stdint.h>

/** Numbers of a row. One more would fit a cache line, and three beside. */
#define RLX_TALLY_COLUMNS  5
/** Rows without a name. */
#define RLX_TALLY_RESERVED 4
/** What a block is aligned to. */
#define RLX_TALLY_ALIGN    64

/** A row of one stripe. */
typedef struct rlx_tally_row_t {
    uint64_t column[RLX_TALLY_COLUMNS];
} __attribute__((aligned(64))) rlx_tally_row_t;

/** The head of a block. */
typedef struct rlx_tally_t rlx_tally_t;

/** Bytes of a block with room for so many names at least. */
size_t rlx_tally_bytes(uint32_t names);

/**
 * Make an empty tally.
 * @param block aligned to RLX_TALLY_ALIGN, rlx_tally_bytes(names) of zeroed
 *              memory
 * @return the block
 */
rlx_tally_t *rlx_tally_format(void *block, uint32_t names);

/**
 * Find the row of a name, or give it one.
 * @param name not 0
 * @param most no new row is given where so many names have one already
 * @return its place, at least RLX_TALLY_RESERVED; 0: there is no room
 */
uint32_t rlx_tally_find(rlx_tally_t *tally, uint64_t name, uint32_t most);

/** The name of a row; 0: it has none. */
uint64_t rlx_tally_name(const rlx_tally_t *tally, uint32_t row);

/** How many names have a row, and how many may have. */
uint32_t rlx_tally_used(const rlx_tally_t *tally);
uint32_t rlx_tally_room(const rlx_tally_t *tally);

/** Take a stripe: for a process, once. Where there are more processes than
 *  stripes they share.
 *  @return its first row, to be counted with rlx_tally_add() */
rlx_tally_row_t *rlx_tally_take_stripe(rlx_tally_t *tally);

/** Count. A handful of instructions.
 *  @param stripe of rlx_tally_take_stripe()
 *  @param row    a reserved one, or of rlx_tally_find() */
static inline void rlx_tally_add(rlx_tally_row_t *stripe, uint32_t row,
                                 unsigned int column)
{
    __atomic_fetch_add(&stripe[row].column[column], 1, __ATOMIC_RELAXED);
}

/** Take back what the same process counted. */
static inline void rlx_tally_take_back(rlx_tally_row_t *stripe, uint32_t row,
                                       unsigned int column)
{
    __atomic_fetch_sub(&stripe[row].column[column], 1, __ATOMIC_RELAXED);
}

/** Add up a row over all stripes. Numbers that are counted meanwhile may be
 *  in it or not.
 *  @param sums RLX_TALLY_COLUMNS of them */
void rlx_tally_sum(const rlx_tally_t *tally, uint32_t row, uint64_t *sums);

/** Carry the numbers of the reserved rows over to another tally, and those of
 *  the names that it knows. While nobody else counts there. */
void rlx_tally_carry(rlx_tally_t *to, const rlx_tally_t *from);

#endif /* RLX_CORE_TALLY_H */
