/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The multi-word compare-and-swap: alone, among threads, among processes that
 * get killed.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#include "core/mcas.h"

#define SMALLS 8
#define LARGES 2
#define WORDS  64
#define BYTES  (256 * 1024)

/* A block: descriptors, then words. */
typedef struct block_t {
    rlx_mcas_t mcas;
    rlx_word_t *word;
} block_t;

static block_t block_make(void)
{
    block_t b;

    b.mcas.base = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (b.mcas.base == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    b.mcas.at = 0;
    b.mcas.smalls = SMALLS;
    b.mcas.larges = LARGES;
    b.word = (rlx_word_t *)(void *)(b.mcas.base
                                    + rlx_mcas_bytes(SMALLS, LARGES));
    return b;
}

static void block_free(const block_t *b)
{
    munmap(b->mcas.base, BYTES);
}

static uint64_t value(const block_t *b, int i)
{
    return rlx_word_payload(rlx_mcas_read(&b->mcas, &b->word[i])).hi;
}

/* Plan to add to a word. */
static rlx_mcas_change_t add(const block_t *b, int i, int64_t units)
{
    rlx_mcas_change_t change;
    rlx_state_t payload;

    change.at = (uint64_t)((unsigned char *)&b->word[i] - b->mcas.base);
    change.old = rlx_mcas_read(&b->mcas, &b->word[i]);
    payload = rlx_word_payload(change.old);
    payload.hi += (uint64_t)units;
    change.next = rlx_word_next(change.old, payload);
    return change;
}

static void test_alone(void)
{
    block_t b = block_make();
    rlx_mcas_change_t change[RLX_MCAS_STEP_MAX];
    int sum = 0;
    int i;

    change[0] = add(&b, 3, 30);
    change[1] = add(&b, 1, 10);
    change[2] = add(&b, 2, 20);
    ok(rlx_mcas(&b.mcas, change, 3, 5), "three words at once");
    ok(value(&b, 1) == 10 && value(&b, 2) == 20 && value(&b, 3) == 30,
       "all have changed");
    is_int(rlx_mcas_tally(&b.mcas), 5, "the tally is told");

    change[0] = add(&b, 1, 1);
    change[1] = add(&b, 2, 1);
    change[2] = add(&b, 3, 1);
    change[1].old.hi = 7;
    ok(!rlx_mcas(&b.mcas, change, 3, 5), "one is not the old one: refused");
    ok(value(&b, 1) == 10 && value(&b, 2) == 20 && value(&b, 3) == 30,
       "and none has changed");
    is_int(rlx_mcas_tally(&b.mcas), 5, "nor the tally");

    change[0] = add(&b, 1, 1);
    change[1] = add(&b, 1, 2);
    ok(!rlx_mcas(&b.mcas, change, 2, 0), "no word twice");

    for (i = 0; i < WORDS; ++i) {
        change[(i * 37) % WORDS] = add(&b, WORDS - 1 - i, i);
    }
    ok(rlx_mcas(&b.mcas, change, WORDS, 0), "64 words, in no order");
    for (i = 0; i < WORDS; ++i) {
        sum += (int)value(&b, i);
    }
    is_int(sum, 60 + 63 * 64 / 2, "all have changed");
    is_int(rlx_mcas_reclaim(&b.mcas), 0, "no descriptor is in use");
    block_free(&b);
}

static void test_generations(void)
{
    block_t b = block_make();
    rlx_word_t first = b.word[0];
    rlx_mcas_change_t change = add(&b, 0, 0);
    rlx_word_t wrapped = first;
    uint64_t i;

    ok(rlx_mcas(&b.mcas, &change, 1, 0), "a word becomes the same");
    ok(!rlx_word_equal(b.word[0], first), "yet it is another");
    for (i = 0; i < RLX_WORD_GEN_LIMIT; ++i) {
        wrapped = rlx_word_next(wrapped, rlx_word_payload(wrapped));
    }
    ok(rlx_word_equal(wrapped, first), "16,384 generations");
    block_free(&b);
}

/* A reference that leads nowhere: cannot happen, must not hang anybody. */
static void test_stale_ref(void)
{
    block_t b = block_make();

    b.word[0].lo = UINT64_C(12345) << RLX_WORD_LOW_SHIFT | RLX_WORD_REF;
    b.word[0].hi = 2;
    is_int(value(&b, 0), 0, "a reference to a step long gone is given up");
    b.word[1].lo = RLX_WORD_REF;
    b.word[1].hi = UINT64_MAX / 2;
    is_int(value(&b, 1), 0, "one to a descriptor that is none, too");
    block_free(&b);
}

/* --- many at once ------------------------------------------------------ */

/* Moves units between words, 2 to 20 of them in a step: the sum stays. */
static void shuffle(const block_t *b, unsigned int seed, int steps,
                    uint64_t *done)
{
    rlx_mcas_change_t change[20];
    int i;
    int k;
    int n;

    for (i = 0; i < steps; ++i) {
        int first = (int)(rand_r(&seed) % WORDS);

        n = rand_r(&seed) % 8 == 0 ? 20 : 2 + (int)(rand_r(&seed) % 4);
        for (k = 0; k < n; ++k) {
            change[k] = add(b, (first + k * 3) % WORDS, k == 0 ? 1 - n : 1);
        }
        if (rlx_mcas(&b->mcas, change, n, 1)) {
            __atomic_add_fetch(done, 1, __ATOMIC_RELAXED);
        }
    }
}

static uint64_t sum_of(const block_t *b)
{
    uint64_t sum = 0;
    int i;

    for (i = 0; i < WORDS; ++i) {
        sum += value(b, i);
    }
    return sum;
}

typedef struct job_t {
    block_t *block;
    unsigned int seed;
    uint64_t done;
} job_t;

static void *run_job(void *baton)
{
    job_t *job = baton;

    shuffle(job->block, job->seed, 5000, &job->done);
    return NULL;
}

static void test_threads(void)
{
    block_t b = block_make();
    pthread_t thread[4];
    job_t job[4];
    uint64_t done = 0;
    int i;

    for (i = 0; i < 4; ++i) {
        job[i].block = &b;
        job[i].seed = (unsigned int)i + 1;
        job[i].done = 0;
        pthread_create(&thread[i], NULL, run_job, &job[i]);
    }
    for (i = 0; i < 4; ++i) {
        pthread_join(thread[i], NULL);
        done += job[i].done;
        ok(job[i].done > 0, "thread %d got on", i);
    }
    is_int(sum_of(&b), 0, "four threads: the sum is what it was");
    is_int(rlx_mcas_tally(&b.mcas), (int64_t)done, "no step was lost");
    is_int(rlx_mcas_reclaim(&b.mcas), 0, "no descriptor is in use");
    block_free(&b);
}

static void nap_usec(long usec)
{
    struct timespec nap = { 0, usec * 1000 };

    nanosleep(&nap, NULL);
}

/* Children that shuffle until they are killed, one after the other. */
static void test_kill(void)
{
    block_t b = block_make();
    uint64_t *done = (uint64_t *)(void *)(b.mcas.base + BYTES - 64);
    unsigned int seed = 7;
    int torn = 0;
    int leaked = 0;
    int round;
    uint64_t before;
    pid_t child[3];
    int i;

    for (round = 0; round < 150; ++round) {
        for (i = 0; i < 3; ++i) {
            child[i] = fork();
            if (child[i] == 0) {
                shuffle(&b, (unsigned int)(round * 3 + i), INT32_MAX, done);
                _exit(0);
            }
        }
        nap_usec(300 + (long)(rand_r(&seed) % 3000));
        for (i = 0; i < 3; ++i) {
            kill(child[i], SIGKILL);
        }
        for (i = 0; i < 3; ++i) {
            waitpid(child[i], NULL, 0);
        }
        torn += sum_of(&b) != 0;
        leaked += rlx_mcas_reclaim(&b.mcas) != 0;
    }
    is_int(torn, 0, "450 killed processes: no step is torn");
    is_int(leaked, 0, "and no descriptor is lost");
    ok(*done > 1000, "they did get on");
    before = *done;
    shuffle(&b, 1, 100, done);
    is_int(*done - before, 100, "and so does whoever comes after");
    block_free(&b);
}

int main(void)
{
    test_alone();
    test_generations();
    test_stale_ref();
    test_threads();
    test_kill();
    return tap_done();
}
