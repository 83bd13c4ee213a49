/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The words of the table: what a compare-and-swap says of a word that it does
 * not change, and that nobody ever sees the halves of two values.
 */

#include <pthread.h>

#include "tap.h"

#include "core/word.h"

#define THREADS 3
#define ROUNDS  300000

static void test_swap(void)
{
    rlx_word_t word = { 1, 2 };
    rlx_word_t seen = { 1, 2 };
    rlx_word_t other = { UINT64_MAX, UINT64_MAX - 1 };
    rlx_word_t nothing = { 0, 0 };

    ok(rlx_word_cas(&word, &seen, other), "what was expected is replaced");
    ok(rlx_word_equal(word, other), "by both halves");
    is_int((int64_t)seen.lo, 1, "what was expected stays what it was");
    ok(!rlx_word_cas(&word, &seen, nothing), "what is another is not");
    ok(rlx_word_equal(seen, other), "and what is there is told");
    ok(rlx_word_equal(word, other), "and still is");
    seen.lo = 0;
    ok(!rlx_word_cas(&word, &seen, nothing), "the lower half alone differs");
    ok(rlx_word_equal(seen, other), "what is there is told");
    seen.hi = 0;
    ok(!rlx_word_cas(&word, &seen, nothing), "the upper half alone differs");
    ok(rlx_word_equal(seen, other), "what is there is told");
    ok(rlx_word_cas(&word, &seen, nothing), "a word may become 0");
    ok(rlx_word_equal(rlx_word_read(&word), nothing), "and is read as that");
    ok(rlx_word_cas(&word, &nothing, nothing), "0 is replaced by 0");
}

static rlx_word_t shared;
static uint64_t changes, mixed;

/* Both halves hold the same number. */
static int is_mixed(rlx_word_t word)
{
    return rlx_word_payload(word).lo != rlx_word_payload(word).hi;
}

/* Count up, by what was read and by what a failure told in turns. */
static void *change_often(void *unused)
{
    uint64_t done = 0, bad = 0;

    for (int i = 0; i < ROUNDS; i++) {
        rlx_word_t seen = rlx_word_read(&shared);
        rlx_state_t next;

        bad += is_mixed(seen);
        if (i % 2) {
            /* No word has this tag, so nothing is changed. */
            seen.lo |= RLX_WORD_TAG_MASK;
            bad += rlx_word_cas(&shared, &seen, seen) || is_mixed(seen);
        }
        next.hi = rlx_word_payload(seen).hi + 1;
        next.lo = next.hi;
        done += rlx_word_cas(&shared, &seen, rlx_word_next(seen, next)) != 0;
        bad += is_mixed(seen);
    }
    __atomic_fetch_add(&changes, done, __ATOMIC_RELAXED);
    __atomic_fetch_add(&mixed, bad, __ATOMIC_RELAXED);
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, change_often, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    is_int((int64_t)mixed, 0, "threads: no reading is of two values");
    is_int((int64_t)rlx_word_payload(shared).hi, (int64_t)changes,
           "threads: every change counts once");
}

int main(void)
{
    test_swap();
    test_threads();
    return tap_done();
}
