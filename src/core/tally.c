/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Rows of numbers in shared memory. The names are a table with open
 * addressing that is only added to: a name's place in it is its row.
 */

#include "core/tally.h"

#define STRIPES 16

struct rlx_tally_t {
    /** Places for names, a power of two; and how many there may be, three
     *  quarters of them. */
    uint32_t places;
    uint32_t room;
    uint32_t used;
    uint32_t next_stripe;
    uint64_t names[] __attribute__((aligned(RLX_TALLY_ALIGN)));
};

static uint32_t places_for(uint32_t names)
{
    uint32_t places = 64;

    while (places / 4 * 3 < names && places < UINT32_C(1) << 30) {
        places *= 2;
    }
    return places;
}

/** Rows of a stripe: names and reserved ones. */
static size_t rows_of(uint32_t places)
{
    return (size_t)places + RLX_TALLY_RESERVED;
}

static size_t head_bytes(uint32_t places)
{
    size_t bytes = sizeof(rlx_tally_t) + sizeof(uint64_t) * places;

    return (bytes + RLX_TALLY_ALIGN - 1) / RLX_TALLY_ALIGN * RLX_TALLY_ALIGN;
}

size_t rlx_tally_bytes(uint32_t names)
{
    uint32_t places = places_for(names);

    return head_bytes(places)
           + rows_of(places) * sizeof(rlx_tally_row_t) * STRIPES;
}

rlx_tally_t *rlx_tally_format(void *block, uint32_t names)
{
    rlx_tally_t *tally = block;

    tally->places = places_for(names);
    tally->room = tally->places / 4 * 3;
    return tally;
}

static rlx_tally_row_t *stripe_of(const rlx_tally_t *tally, uint32_t n)
{
    char *block = (char *)(uintptr_t)tally;

    return (rlx_tally_row_t *)(block + head_bytes(tally->places))
           + rows_of(tally->places) * n;
}

/** Count one more name, unless there are so many. */
static int is_let_in(rlx_tally_t *tally, uint32_t most)
{
    uint32_t used = __atomic_load_n(&tally->used, __ATOMIC_RELAXED);

    most = most < tally->room ? most : tally->room;
    while (used < most) {
        if (__atomic_compare_exchange_n(&tally->used, &used, used + 1, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            return 1;
        }
    }
    return 0;
}

/** Put a name in the table.
 *  @return not 0: the place is the name's, whoever put it there */
static int put(rlx_tally_t *tally, uint64_t *place, uint64_t name,
               uint32_t most)
{
    uint64_t there = 0;

    if (!is_let_in(tally, most)) {
        return 0;
    }
    if (__atomic_compare_exchange_n(place, &there, name, 0, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED)) {
        return 1;
    }
    __atomic_fetch_sub(&tally->used, 1, __ATOMIC_RELAXED);
    return there == name;
}

uint32_t rlx_tally_find(rlx_tally_t *tally, uint64_t name, uint32_t most)
{
    uint32_t mask = tally->places - 1;

    for (uint32_t i = 0; i < tally->places; i++) {
        uint32_t at = (uint32_t)(name + i) & mask;
        uint64_t there = __atomic_load_n(&tally->names[at], __ATOMIC_RELAXED);

        if (!there && put(tally, &tally->names[at], name, most)) {
            there = name;
        }
        if (there == name) {
            return at + RLX_TALLY_RESERVED;
        }
        if (!there
            && !__atomic_load_n(&tally->names[at], __ATOMIC_RELAXED)) {
            return 0;
        }
    }
    return 0;
}

uint64_t rlx_tally_name(const rlx_tally_t *tally, uint32_t row)
{
    uint32_t at = row - RLX_TALLY_RESERVED;

    return at < tally->places
           ? __atomic_load_n(&tally->names[at], __ATOMIC_RELAXED) : 0;
}

uint32_t rlx_tally_used(const rlx_tally_t *tally)
{
    return __atomic_load_n(&tally->used, __ATOMIC_RELAXED);
}

uint32_t rlx_tally_room(const rlx_tally_t *tally)
{
    return tally->room;
}

rlx_tally_row_t *rlx_tally_take_stripe(rlx_tally_t *tally)
{
    uint32_t n = __atomic_fetch_add(&tally->next_stripe, 1, __ATOMIC_RELAXED);

    return stripe_of(tally, n % STRIPES);
}

void rlx_tally_sum(const rlx_tally_t *tally, uint32_t row, uint64_t *sums)
{
    for (int c = 0; c < RLX_TALLY_COLUMNS; c++) {
        sums[c] = 0;
    }
    if (row >= rows_of(tally->places)) {
        return;
    }
    for (uint32_t n = 0; n < STRIPES; n++) {
        const uint64_t *column = stripe_of(tally, n)[row].column;

        for (int c = 0; c < RLX_TALLY_COLUMNS; c++) {
            sums[c] += __atomic_load_n(&column[c], __ATOMIC_RELAXED);
        }
    }
}

static void carry_row(rlx_tally_t *to, uint32_t to_row,
                      const rlx_tally_t *from, uint32_t from_row)
{
    rlx_tally_row_t *stripe = stripe_of(to, 0);
    uint64_t sums[RLX_TALLY_COLUMNS];

    rlx_tally_sum(from, from_row, sums);
    for (int c = 0; c < RLX_TALLY_COLUMNS; c++) {
        __atomic_fetch_add(&stripe[to_row].column[c], sums[c],
                           __ATOMIC_RELAXED);
    }
}

void rlx_tally_carry(rlx_tally_t *to, const rlx_tally_t *from)
{
    for (uint32_t row = 0; row < RLX_TALLY_RESERVED; row++) {
        carry_row(to, row, from, row);
    }
    for (uint32_t at = 0; at < from->places; at++) {
        uint32_t row = from->names[at]
                       ? rlx_tally_find(to, from->names[at], 0) : 0;

        if (row) {
            carry_row(to, row, from, at + RLX_TALLY_RESERVED);
        }
    }
}
