/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  table_fixture.h
 * @brief What the tests of the table share: a table in shared memory, limits
 *        and counters by number, and the check of its invariants.
 */

#ifndef RLX_UNIT_TABLE_FIXTURE_H
#define RLX_UNIT_TABLE_FIXTURE_H

#include <stdlib.h>
#include <sys/mman.h>

#include "limit_fixture.h"
#include "tap.h"

#include "core/strategy.h"
#include "core/table.h"

#define SEC INT64_C(1000000)
#define HOUR (3600 * SEC)
#define NOW  (INT64_C(1700000000) * SEC)

static const rlx_secret_t secret = { 0x0123456789abcdef, 0xfedcba9876543210 };

/** A table of so many bytes, for several processes. */
static inline rlx_table_t table_make(size_t bytes)
{
    static const rlx_table_options_t options = { 8, 10000 };
    rlx_table_t table = { NULL };
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (block == MAP_FAILED
        || rlx_table_format(block, bytes, &options, &secret, NOW) != 0
        || rlx_table_attach(&table, block, bytes) != 0) {
        perror("table_make");
        exit(1);
    }
    return table;
}

static inline void table_free(const rlx_table_t *table, size_t bytes)
{
    munmap(table->base, bytes);
}

/** The counter number so-and-so, of cost 1. */
static inline rlx_counter_t counter_of(const rlx_limit_t *limit,
                                       uint64_t number)
{
    rlx_counter_t counter = { limit, { { 0, 0 } }, NULL, 0, NULL, 0, 0, 0, 1 };

    counter.id = rlx_siphash128(&secret, &number, sizeof(number));
    return counter;
}

/** One request of one counter. Not 0 if it was charged. */
static inline int hit(const rlx_table_t *table, const rlx_counter_t *counter,
                      rlx_usec_t now)
{
    rlx_verdict_t verdict;

    rlx_table_decide(table, RLX_CHARGE_ATOMIC, counter, 1, now, &verdict);
    return verdict.charged;
}

/** Not 0 if all invariants hold; says what does not. */
static inline int is_valid(const rlx_table_t *table)
{
    char why[256];

    if (rlx_table_validate(table, why) != 0) {
        diag("%s", why);
        return 0;
    }
    return 1;
}

static const char *const strategy_name[RLX_STRATEGIES] = {
    "fixed-window", "moving-window", "sliding-window-counter", "gcra"
};

#endif /* RLX_UNIT_TABLE_FIXTURE_H */
