/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Fuzz target: any sequence of calls to a table, the smallest there is, of
 * which all keys but a few sets' worth are taken: charging, looking, giving
 * back, forgetting, with limits of all strategies, while the clock goes back
 * and forth. What is told is within the limits, and all invariants hold.
 */

#include "fuzz.h"

#include "core/table.h"

#define SEC INT64_C(1000000)
#define NOW (INT64_C(1700000000) * SEC)

#define LIMITS  8
#define KEYS    16
#define BATCH   4

static const rlx_secret_t secret = { 1, 2 };

static const rlx_limit_t limits[LIMITS] = {
    { 5, 5, 60 * SEC, RLX_FIXED_WINDOW, "" },
    { 9, 9, 60 * SEC, RLX_MOVING_WINDOW, "" },
    { 5, 5, 60 * SEC, RLX_SLIDING_WINDOW_COUNTER, "" },
    { 5, 3, 60 * SEC, RLX_GCRA, "" },
    { 300, 300, 10 * SEC, RLX_MOVING_WINDOW, "" },
    { RLX_COUNT_MAX, RLX_COUNT_MAX, 3600 * SEC, RLX_MOVING_WINDOW, "" },
    { RLX_COUNT_MAX, RLX_COUNT_MAX, 3600 * SEC, RLX_GCRA, "" },
    { 0, 0, SEC, RLX_FIXED_WINDOW, "" },
};

/* Keys of a kind lie in the same sets: ids with the same bits in front. */
static rlx_counter_t counter_of(input_t *in)
{
    uint64_t which = take(in, 1);
    uint64_t key = take(in, 1) % KEYS;
    rlx_counter_t counter = { 0 };

    counter.limit = &limits[which % LIMITS];
    counter.is_named = which / LIMITS % 4 == 1;
    counter.only_test = which / LIMITS % 4 == 2;
    counter.id.word[0] = (which % LIMITS << 8 | key) * 7 + counter.is_named;
    counter.id.word[1] = key << 32 | which % LIMITS;
    counter.cost = (uint32_t)(which & 0x80 ? take(in, 2) : take(in, 1) % 8);
    return counter;
}

/* One call. */
static void call(const rlx_table_t *table, input_t *in, rlx_usec_t now)
{
    uint64_t what = take(in, 1);
    int n = (int)(1 + what / 8 % BATCH);
    rlx_verdict_t verdicts[BATCH];
    rlx_counter_t counters[BATCH];
    rlx_usec_t before = now - (rlx_usec_t)take(in, 1) * SEC / 4;
    int i;

    for (i = 0; i < n; ++i) {
        counters[i] = counter_of(in);
    }
    switch (what % 8) {
    default:
        rlx_table_decide(table, (rlx_charge_e)(what % 8), counters, n, now,
                         verdicts);
        break;
    case 3:
        rlx_table_look(table, counters, n, now, verdicts);
        break;
    case 4:
        rlx_table_give_back(table, counters, n, before, now);
        return;
    case 5:
        rlx_table_forget(table, &counters[0]);
        return;
    case 6:
        rlx_table_forget_all(table);
        return;
    case 7:
        rlx_table_decide(table, RLX_CHARGE_ATOMIC, counters, 1, now, verdicts);
        n = 1;
        break;
    }
    for (i = 0; i < n; ++i) {
        must(verdicts[i].decided_at == now, "decided now");
        must_be_verdict(&verdicts[i], counters[i].limit, now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const rlx_table_options_t options = { 1, 1000 };
    static unsigned char block[RLX_TABLE_BYTES_MIN]
        __attribute__((aligned(64)));
    input_t in = { data, size };
    rlx_usec_t now = NOW;
    rlx_table_t table;
    char why[256];

    must(rlx_table_format(block, sizeof(block), &options, &secret, NOW) == 0
             && rlx_table_attach(&table, block, sizeof(block)) == 0,
         "a table");
    while (in.left) {
        /* Mostly a little on, at times far on or back. */
        int64_t step = (int8_t)take(&in, 1);

        now += step >= 0 ? step * SEC / 16 : (step + 64) * SEC * 4;
        call(&table, &in, now);
    }
    must(rlx_table_validate(&table, why) == 0, why);
    return 0;
}
