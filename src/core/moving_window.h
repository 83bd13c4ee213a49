/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  moving_window.h
 * @brief Strategy moving-window: an exact log of charges inside the table.
 *
 * The log is a ring of entries. A counter's own slot, the head, says which
 * part of the ring is live and the sum of its units; the entries lie in
 * pieces, ordinary slots of the same table with four entries each, found by
 * the number of the head's slot and the piece's number.
 */

#ifndef RLX_CORE_MOVING_WINDOW_H
#define RLX_CORE_MOVING_WINDOW_H

#include "core/table_inside.h"

/** The most entries that a log can have. */
#define RLX_LOG_MAX (UINT32_C(1) << 20)

/** What the state of a head holds. All zero: nothing is charged. */
typedef struct rlx_ring_t {
    /** Where the oldest live entry stands, and how many are live. */
    uint32_t tail;
    uint32_t len;
    /** The units of all live entries. */
    uint32_t sum;
    /** The time of the newest one, in units of 1,024 us, rounded up. */
    uint64_t newest;
} rlx_ring_t;

/** A log as one decision sees it. */
typedef struct rlx_log_t {
    uint32_t head;
    rlx_state_t head_key;
    /** The head's state as it was read; what follows was made of it. */
    rlx_word_t state;
    /** Entries that the ring has, a multiple of 4. */
    uint32_t capacity;
    /** What is live at `now`. */
    rlx_ring_t ring;
    /** The time of the decision: never before the newest entry. */
    rlx_usec_t now;
    /** The time of the oldest live entry; 0 if there is none. */
    rlx_usec_t oldest;
    /** The piece read last; a walk reads each four times. */
    uint32_t piece_number;
    rlx_found_t piece;
} rlx_log_t;

/** Unpack the state of a head. */
rlx_ring_t rlx_ring_unpack(rlx_state_t state);

/** The entries that the ring of a limit has. */
uint32_t rlx_moving_capacity(const rlx_limit_t *limit, uint32_t log_max);

/** The count that a limit acts as: no more than the log can hold. */
uint32_t rlx_moving_count(const rlx_limit_t *limit, uint32_t log_max);

/** Not 0 if any charge may be inside of the window still. */
int rlx_moving_is_live(rlx_state_t state, const rlx_limit_t *limit,
                       rlx_usec_t now);

/** See rlx_counter_worth(). Its release is the time when all is gone. */
rlx_worth_t rlx_moving_worth(rlx_state_t state, const rlx_limit_t *limit,
                             uint32_t log_max, rlx_usec_t now);

/**
 * Look at a log: drop the entries that have left the window and find the
 * oldest that has not. Constant work beside the entries dropped. If the clock
 * stepped back, entries in the future are given the time of now, in memory.
 * @param log head, head_key, state and capacity are filled in by the caller
 *            and belong together; an empty state is a log not there yet
 * @return 1, or 0 if the head has changed: read it anew
 */
int rlx_moving_open(const rlx_inside_t *in, const rlx_limit_t *limit,
                    rlx_usec_t now, rlx_log_t *log);

/** Not 0 if the head is still as it was read: then so was all that was read
 *  of the log. An answer that is not proved by a step, which changes the
 *  head, is to be proved by this. */
static inline int rlx_moving_is_same(const rlx_inside_t *in,
                                     const rlx_log_t *log)
{
    return rlx_half_load(&in->hot[log->head].state.lo) == log->state.lo;
}

/** Not 0 if the cost fits. */
int rlx_moving_fits(const rlx_inside_t *in, const rlx_log_t *log,
                    const rlx_limit_t *limit, uint32_t cost);

/** Not 0 if a cost fits the window but not the ring: there may be entries
 *  that were given back and can be dropped. */
int rlx_moving_is_cramped(const rlx_inside_t *in, const rlx_log_t *log,
                          const rlx_limit_t *limit, uint32_t cost);

/**
 * Drop entries that were given back, to make room for a cost. Work as for the
 * charges since the oldest of those that are dropped.
 * @return 0 if there are none; else the log is to be opened anew
 */
int rlx_moving_compact(const rlx_inside_t *in, rlx_log_t *log, uint32_t cost);

/** See rlx_verdict_t.retry_at; on the table's own time.
 *  @return 0 if the head has changed meanwhile */
int rlx_moving_retry_at(const rlx_inside_t *in, rlx_log_t *log,
                        const rlx_limit_t *limit, uint32_t cost,
                        rlx_usec_t *at);

/** What is left and when it resets. */
void rlx_moving_read(const rlx_inside_t *in, const rlx_log_t *log,
                     const rlx_limit_t *limit, rlx_reading_t *reading);

/** The head's state without a charge, but with what was dropped. */
rlx_state_t rlx_moving_idle(const rlx_log_t *log);

/** Charge a cost that fits: the entries go into the plan, the log is brought
 *  up, and the head's state is what rlx_moving_idle() then tells. */
void rlx_moving_charge(const rlx_inside_t *in, rlx_log_t *log, uint32_t cost,
                       rlx_plan_t *plan);

/**
 * Give back what was charged, in a log that was opened: the entries go into
 * the plan, and the head's state is what rlx_moving_idle() then tells. Work
 * as for the charges since.
 * @param cost       above 0; no more than was charged
 * @param charged_at the time of the charge; one that has left the window is
 *                   not given back
 * @return not 0 if there was anything to give back. 0 with a spoilt plan: the
 *         log has changed
 */
int rlx_moving_give_back(const rlx_inside_t *in, rlx_log_t *log,
                         const rlx_limit_t *limit, uint32_t cost,
                         rlx_usec_t charged_at, rlx_plan_t *plan);

/** Whether the ring may have another capacity from now on, when the count of
 *  a named limit was edited: not if an entry would move by it. */
int rlx_moving_may_resize(const rlx_log_t *log, uint32_t capacity);

/** A piece, seen from outside of its log. */
typedef struct rlx_piece_t {
    uint32_t head;
    rlx_word_t head_state;
    rlx_worth_t worth;
} rlx_piece_t;

/** The slot of the head that a piece's key names. */
uint32_t rlx_moving_piece_head(rlx_word_t key);

/** Find what a piece is worth: as much as its head.
 *  @return not 0 if it has live entries; else it may go just so */
int rlx_moving_piece(const rlx_inside_t *in, rlx_word_t key, rlx_usec_t now,
                     rlx_piece_t *piece);

/** Check a whole log, for rlx_table_validate(). NULL if all is well. */
const char *rlx_moving_check(const rlx_inside_t *in, rlx_log_t *log);

#endif /* RLX_CORE_MOVING_WINDOW_H */
