/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Limits that only try: exact while there are few keys, a fair sample beyond,
 * against the true numbers; windows; threads.
 */

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/trial.h"
#include "tap.h"

#define SECOND  ((rlx_usec_t)1000000)
#define MINUTE  (60 * SECOND)
#define NOON    (INT64_C(1800000000) * SECOND)
#define THREADS 4
#define KEYS    100000

static uint32_t room[RLX_TRIAL_KEYS];

static rlx_trials_t *make(void)
{
    return calloc(1, rlx_trials_bytes());
}

/** As good as random: the finalizer of MurmurHash3. */
static uint64_t hash_of(uint64_t i)
{
    i = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    i = (i ^ i >> 33) * UINT64_C(0xff51afd7ed558ccd);
    i = (i ^ i >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return i ^ i >> 33;
}

static rlx_trial_sums_t sums_of(const rlx_trial_table_t *trial)
{
    rlx_trial_sums_t sums;

    rlx_trial_sum(trial, &sums, room);
    return sums;
}

/** Key i asks i + 1 times, and is refused past 990. */
static void test_few(void)
{
    rlx_trials_t *trials = make();
    rlx_trial_table_t *trial = rlx_trial_find(trials, 7, 1);
    rlx_trial_sums_t sums = sums_of(trial);

    is_int(sums.watched, 0, "empty");
    is_int((int64_t)sums.count_1_percent, 0, "which tells nothing");
    for (uint32_t i = 0; i < 1000; i++) {
        for (uint32_t k = 0; k <= i; k++) {
            rlx_trial_note(trial, hash_of(i), NOON, MINUTE, 1, k >= 990);
        }
    }
    sums = sums_of(trial);
    is_int(sums.watched, 1000, "a thousand keys: each is watched");
    is_int((int64_t)sums.one_in, 1, "and no more are meant");
    is_int(sums.refused, 10, "those that were refused");
    is_int((int64_t)sums.count_1_percent, 990,
           "990 per window refuses the ten above it, 1 %");
    is_int((int64_t)sums.count_01_percent, 999, "999 refuses one, 0.1 %");
    free(trials);
}

static void test_windows(void)
{
    rlx_trials_t *trials = make();
    rlx_trial_table_t *trial = rlx_trial_find(trials, 7, 1);
    rlx_trial_sums_t sums;

    /* 3 and 5 in two windows, then 4 at a price of 2 each. */
    for (int i = 0; i < 8; i++) {
        rlx_trial_note(trial, 99, NOON + (i < 3 ? 0 : MINUTE), MINUTE, 1, 0);
    }
    for (uint64_t i = 0; i < 98; i++) {
        rlx_trial_note(trial, hash_of(i), NOON, MINUTE, 1, 0);
    }
    rlx_trial_note(trial, hash_of(98), NOON, MINUTE, 0, 0);
    sums = sums_of(trial);
    is_int(sums.watched, 100, "a key that costs nothing is a key");
    is_int((int64_t)sums.count_1_percent, 1, "the least that refuses one");
    rlx_trial_note(trial, hash_of(1), NOON, MINUTE, 3, 1);
    sums = sums_of(trial);
    is_int((int64_t)sums.count_1_percent, 4, "the highest but one of 5, 4, 1");
    is_int(sums.refused, 1, "one would have been refused");
    is_int((int64_t)sums.count_01_percent, 0, "too few for 0.1 %");
    is_int(sums.last_at - NOON, 0, "the last request");
    rlx_trial_note(trial, hash_of(1), NOON + MINUTE, MINUTE, UINT32_MAX, 0);
    rlx_trial_note(trial, hash_of(1), NOON + MINUTE, MINUTE, UINT32_MAX, 0);
    sums = sums_of(trial);
    is_int((int64_t)sums.count_1_percent, 5, "what would overflow stays high");
    free(trials);
}

static void test_names(void)
{
    rlx_trials_t *trials = make();
    uint64_t kept[2] = { 65, 5 };
    int found = 0;

    for (uint64_t name = 1; name <= RLX_TRIALS; name++) {
        found += rlx_trial_find(trials, name, 1) != NULL;
    }
    is_int(found, RLX_TRIALS, "so many limits may be tried");
    ok(!rlx_trial_find(trials, 65, 1), "one more may not");
    ok(rlx_trial_find(trials, 5, 0) == rlx_trial_find(trials, 5, 1),
       "one that is tried is found");
    rlx_trial_note(rlx_trial_find(trials, 5, 0), 1, NOON, MINUTE, 1, 0);
    rlx_trial_note(rlx_trial_find(trials, 6, 0), 1, NOON, MINUTE, 1, 0);
    rlx_trials_keep(trials, kept, 2);
    ok(!rlx_trial_find(trials, 6, 0), "what nobody tries any more is ended");
    is_int(sums_of(rlx_trial_find(trials, 5, 0)).watched, 1,
           "and the others go on");
    is_int(sums_of(rlx_trial_find(trials, 6, 1)).watched, 0,
           "what begins again begins with nothing");
    free(trials);
}

/** How often key i of many asks: 1 / sqrt(rank), a long tail. */
static uint32_t asks_of(uint32_t i)
{
    return 1 + (uint32_t)(3000 / sqrt((double)i + 1));
}

/** The part of all keys that a count would refuse. */
static double refused_by(uint64_t count)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < KEYS; i++) {
        n += asks_of(i) > count;
    }
    return (double)n / KEYS;
}

/** Four standard deviations of a sample's part: a true mistake shows. */
static double off_by(double part, uint32_t watched)
{
    return 4 * sqrt(part * (1 - part) / watched);
}

static void test_many(void)
{
    rlx_trials_t *trials = make();
    rlx_trial_table_t *trial = rlx_trial_find(trials, 7, 1);
    rlx_trial_sums_t sums;
    double part, keys;

    for (uint32_t round = 0; round < 3001; round++) {
        for (uint32_t i = 0; i < KEYS && asks_of(i) > round; i++) {
            rlx_trial_note(trial, hash_of(i), NOON + round, MINUTE, 1,
                           round >= 100);
        }
    }
    sums = sums_of(trial);
    keys = (double)sums.watched * (double)sums.one_in;
    ok(sums.watched > 2000 && sums.watched < RLX_TRIAL_KEYS && sums.one_in > 1,
       "100,000 keys: a sample of %u, one in %d", sums.watched,
       (int)sums.one_in);
    ok(fabs(keys - KEYS) < 4 * KEYS / sqrt(sums.watched),
       "how many keys there are: %.0f", keys);
    part = refused_by(100);
    ok(fabs((double)sums.refused / sums.watched - part)
       < off_by(part, sums.watched), "the part that was refused: %u of %u",
       sums.refused, sums.watched);
    part = refused_by(sums.count_1_percent);
    ok(fabs(part - .01) < off_by(.01, sums.watched),
       "%d refuses %.2f %% of all keys", (int)sums.count_1_percent,
       100 * part);
    part = refused_by(sums.count_01_percent);
    ok(fabs(part - .001) < off_by(.001, sums.watched),
       "%d refuses %.3f %%", (int)sums.count_01_percent, 100 * part);
    free(trials);
}

static rlx_trial_table_t *shared;

static void *note(void *arg)
{
    for (uint32_t k = 0; k < 20; k++) {
        for (uint64_t i = 0; i < 20000; i++) {
            rlx_trial_note(shared, hash_of(i), NOON, MINUTE, 1, 0);
        }
    }
    return NULL;
}

static void test_threads(void)
{
    rlx_trials_t *trials = make();
    pthread_t threads[THREADS];
    rlx_trial_sums_t sums;
    double keys;

    shared = rlx_trial_find(trials, 7, 1);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, note, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    sums = sums_of(shared);
    keys = (double)sums.watched * (double)sums.one_in;
    ok(fabs(keys - 20000) < 4 * 20000 / sqrt(sums.watched),
       "threads: %.0f keys", keys);
    ok(sums.count_1_percent <= 20 * THREADS
       && sums.count_1_percent > 19 * THREADS,
       "threads: what each took is off by little: %d of %d",
       (int)sums.count_1_percent, 20 * THREADS);
    free(trials);
}

int main(void)
{
    test_few();
    test_windows();
    test_names();
    test_many();
    test_threads();
    return tap_done();
}
