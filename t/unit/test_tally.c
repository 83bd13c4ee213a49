/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Rows of numbers: none lost by threads at once, names found again and never
 * twice, what there is no room for told, numbers carried to a larger block.
 */

#include <pthread.h>
#include <stdlib.h>

#include "core/tally.h"
#include "tap.h"

#define THREADS 4
#define TIMES   20000
#define NAMES   40

static rlx_tally_t *make(uint32_t names)
{
    size_t bytes = rlx_tally_bytes(names);
    void *block = aligned_alloc(RLX_TALLY_ALIGN, bytes);

    memset(block, 0, bytes);
    return rlx_tally_format(block, names);
}

static uint64_t name_of(uint32_t i)
{
    return (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t sum_of(const rlx_tally_t *tally, uint32_t row, int column)
{
    uint64_t sums[RLX_TALLY_COLUMNS];

    rlx_tally_sum(tally, row, sums);
    return sums[column];
}

static void test_names(void)
{
    rlx_tally_t *tally = make(48);
    uint32_t rows[64];
    int good = 1;

    is_int(rlx_tally_room(tally), 48, "room for as many as asked for");
    for (uint32_t i = 0; i < 48; i++) {
        rows[i] = rlx_tally_find(tally, name_of(i), UINT32_MAX);
        good &= rows[i] >= RLX_TALLY_RESERVED;
        good &= rlx_tally_name(tally, rows[i]) == name_of(i);
        for (uint32_t k = 0; k < i; k++) {
            good &= rows[k] != rows[i];
        }
    }
    ok(good, "each name has a row of its own");
    is_int(rlx_tally_find(tally, name_of(48), UINT32_MAX), 0,
           "one more has none");
    is_int(rlx_tally_find(tally, name_of(47), 0), rows[47],
           "one that is there is found, whatever is let in");
    is_int(rlx_tally_used(tally), 48, "so many are used");
    is_int((int64_t)rlx_tally_name(tally, 0), 0, "a reserved row has no name");
    is_int((int64_t)rlx_tally_name(tally, 1u << 20), 0, "nor has what is none");
    is_int((int64_t)sum_of(tally, 1u << 20, 0), 0, "whose sum is 0");
    free(tally);
    tally = make(48);
    for (uint32_t i = 0; i < 10; i++) {
        rlx_tally_find(tally, name_of(i), 7);
    }
    is_int(rlx_tally_used(tally), 7, "no more than the caller lets in");
    is_int(rlx_tally_find(tally, name_of(8), 7), 0, "the others have no row");
    free(tally);
}

static void test_carry(void)
{
    rlx_tally_t *old = make(10), *larger = make(1000);
    rlx_tally_row_t *a = rlx_tally_take_stripe(old);
    rlx_tally_row_t *b = rlx_tally_take_stripe(old);
    uint32_t kept = rlx_tally_find(old, name_of(1), UINT32_MAX);
    uint32_t gone = rlx_tally_find(old, name_of(2), UINT32_MAX);

    ok(a != b, "two processes count in two stripes");
    rlx_tally_add(a, kept, 0);
    rlx_tally_add(b, kept, 0);
    rlx_tally_add(b, kept, 4);
    rlx_tally_add(a, gone, 1);
    rlx_tally_add(a, 3, 2);
    rlx_tally_add(b, 3, 2);
    rlx_tally_take_back(b, 3, 2);
    rlx_tally_find(larger, name_of(1), UINT32_MAX);
    rlx_tally_carry(larger, old);
    kept = rlx_tally_find(larger, name_of(1), UINT32_MAX);
    is_int((int64_t)sum_of(larger, kept, 0), 2, "carried: the sum");
    is_int((int64_t)sum_of(larger, kept, 4), 1, "of each column");
    is_int((int64_t)sum_of(larger, 3, 2), 1, "and of reserved rows");
    is_int(rlx_tally_used(larger), 1, "what nobody asks for stays behind");
    free(old);
    free(larger);
}

static rlx_tally_t *shared;

static void *count(void *arg)
{
    rlx_tally_row_t *stripe = rlx_tally_take_stripe(shared);

    for (uint32_t i = 0; i < TIMES; i++) {
        uint32_t row = rlx_tally_find(shared, name_of(i % NAMES), UINT32_MAX);

        rlx_tally_add(stripe, row, i % RLX_TALLY_COLUMNS);
        rlx_tally_add(stripe, 0, 0);
        if (i % 3 == 0) {
            rlx_tally_add(stripe, 0, 1);
            rlx_tally_take_back(stripe, 0, 0);
        }
    }
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];
    uint64_t all = 0;

    shared = make(NAMES);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, count, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (uint32_t i = 0; i < NAMES; i++) {
        uint32_t row = rlx_tally_find(shared, name_of(i), 0);

        for (int c = 0; c < RLX_TALLY_COLUMNS; c++) {
            all += sum_of(shared, row, c);
        }
    }
    is_int((int64_t)all, THREADS * TIMES, "threads: nothing is lost");
    is_int(rlx_tally_used(shared), NAMES, "threads: no name has two rows");
    is_int((int64_t)(sum_of(shared, 0, 0) + sum_of(shared, 0, 1)),
           THREADS * TIMES, "threads: what is taken back and counted "
           "elsewhere neither");
    free(shared);
}

int main(void)
{
    test_names();
    test_carry();
    test_threads();
    return tap_done();
}
