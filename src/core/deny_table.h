/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  deny_table.h
 * @brief What a storage far away last said of counters without room, for a
 *        moment: a table of fixed size in memory that all processes share.
 *
 * It may forget anything at any time, and never tells what is not so: what was
 * dropped, what is past its time, what is torn. No locks; any number of threads
 * and processes may call at once, and one that dies in between leaves nothing
 * behind that others wait for or believe.
 */

#ifndef RLX_CORE_DENY_TABLE_H
#define RLX_CORE_DENY_TABLE_H

#include "ratelimit_limit.h"

/** The least memory that is of use. */
#define RLX_DENY_BYTES_MIN 4096

/** A table, as one process sees it. A value. */
typedef struct rlx_deny_table_t {
    struct rlx_deny_header_t *header;
    uint64_t sets;
    /** No fact is told for longer than this. */
    rlx_usec_t time_max_usec;
} rlx_deny_table_t;

/** What is known of a counter. */
typedef struct rlx_deny_fact_t {
    /** Known up to this time, and not at it. Wall clock, as all times here. */
    rlx_usec_t until;
    /** As in rlx_verdict_t. */
    rlx_usec_t reset_at;
    rlx_usec_t retry_at;
    uint32_t remaining;
    /** The cost that this is about, 0 to RLX_COUNT_MAX. */
    uint32_t cost;
    int has_room;
} rlx_deny_fact_t;

/** The state in which a place of the table was seen. */
typedef uint64_t rlx_deny_ticket_t;

/**
 * Use a block of memory as a table.
 * @param block         zeroed when it is used for the first time; aligned to
 *                      64 bytes
 * @param bytes         RLX_DENY_BYTES_MIN or more, the same for all who use it
 * @param time_max_usec no fact is told for longer than this
 */
rlx_deny_table_t rlx_deny_table(void *block, size_t bytes,
                                rlx_usec_t time_max_usec);

/**
 * What is known of a counter now.
 * @param counter its cost does not matter
 * @param ticket  filled in in any case: for rlx_deny_keep(), later
 * @param fact    filled in if there is one
 * @return not 0 if there is one
 */
int rlx_deny_find(const rlx_deny_table_t *table, const rlx_counter_t *counter,
                  rlx_usec_t now, rlx_deny_ticket_t *ticket,
                  rlx_deny_fact_t *fact);

/**
 * Keep a fact in place of what is known. Kept for nobody if the counter was
 * dropped since the ticket was drawn: the fact may be older than that.
 * @param ticket of rlx_deny_find() before the storage was asked
 * @param now    when it was asked
 * @param fact   until is brought down to now + time_max_usec
 */
void rlx_deny_keep(const rlx_deny_table_t *table, const rlx_counter_t *counter,
                   rlx_deny_ticket_t ticket, rlx_usec_t now,
                   const rlx_deny_fact_t *fact);

/** From here on nobody is told what was known of a counter before, or learned
 *  from an answer to a question that was asked before. */
void rlx_deny_drop(const rlx_deny_table_t *table,
                   const rlx_counter_t *counter);

/** The same for all counters. */
void rlx_deny_drop_all(const rlx_deny_table_t *table);

#endif /* RLX_CORE_DENY_TABLE_H */
