/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Reserve and give back by several processes, and by such as are killed in
 * the middle of it.
 */

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "table_fixture.h"

#define MB     (1024 * 1024)
#define PROCS  3
#define HOLDS  4
#define TURNS  5000
#define ROUNDS 40

/* How far the clock may come: a process that is not run for a while must not
 * be further behind than a moving window believes clocks to differ (16,384 us,
 * src/core/moving_inside.h), or its charges are not found to be given back.
 * TURNS keep within it as well. */
#define CLOCK_MAX 16000

/* What the processes tell each other. */
typedef struct shared_t {
    /** A bit for each charge that is held now: set after it was made, cleared
     *  before it is given back. All in one word: its value is of one instant. */
    uint64_t held;
    /** The clock: each call has a time of its own. */
    rlx_usec_t clock;
    uint64_t over;
    uint64_t charged;
    uint64_t refused;
    /** Processes that have come as far as to begin. */
    uint64_t ready;
    /** When the charges held were made; read by who gives them back. */
    rlx_usec_t charged_at[PROCS][HOLDS];
} shared_t;

static shared_t *shared;

/* One of the limits under test, and what a charge costs. */
typedef struct trial_t {
    rlx_limit_t limit;
    rlx_counter_t counter;
} trial_t;

static void trial_set(trial_t *trial, rlx_strategy_e strategy, uint32_t cost)
{
    trial->limit = limit_of(strategy, 5 * cost + cost / 2, HOUR);
    trial->counter = counter_of(&trial->limit, (uint64_t)strategy);
    trial->counter.cost = cost;
}

/* gcra gives back only what cannot have been worked off: there, time stands
 * still. */
static rlx_usec_t tick(const trial_t *trial)
{
    return trial->limit.strategy == RLX_GCRA
               ? NOW
               : __atomic_add_fetch(&shared->clock, 1, __ATOMIC_RELAXED);
}

static void take(const rlx_table_t *table, const trial_t *trial, int me,
                 int hold)
{
    uint64_t bit = UINT64_C(1) << (me * HOLDS + hold);
    rlx_usec_t now = tick(trial);
    uint64_t held;

    if (!hit(table, &trial->counter, now)) {
        __atomic_add_fetch(&shared->refused, 1, __ATOMIC_RELAXED);
        return;
    }
    shared->charged_at[me][hold] = now;
    held = __atomic_or_fetch(&shared->held, bit, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&shared->charged, 1, __ATOMIC_RELAXED);
    if ((uint32_t)__builtin_popcountll(held) * trial->counter.cost
        > trial->limit.count) {
        __atomic_add_fetch(&shared->over, 1, __ATOMIC_RELAXED);
    }
}

static void release(const rlx_table_t *table, const trial_t *trial, int me,
                    int hold)
{
    uint64_t bit = UINT64_C(1) << (me * HOLDS + hold);

    __atomic_and_fetch(&shared->held, ~bit, __ATOMIC_SEQ_CST);
    rlx_table_give_back(table, &trial->counter, 1,
                        shared->charged_at[me][hold], tick(trial));
}

static void work(const rlx_table_t *table, const trial_t *trial, int me,
                 unsigned int seed, int turns)
{
    int hold;
    int i;

    for (i = 0; i < turns && shared->clock < NOW + CLOCK_MAX; ++i) {
        hold = rand_r(&seed) % HOLDS;
        if (shared->held >> (me * HOLDS + hold) & 1) {
            release(table, trial, me, hold);
        }
        else {
            take(table, trial, me, hold);
        }
    }
}

static void release_all(const rlx_table_t *table, const trial_t *trial)
{
    int i;

    for (i = 0; i < PROCS * HOLDS; ++i) {
        if (shared->held >> i & 1) {
            release(table, trial, i / HOLDS, i % HOLDS);
        }
    }
}

static uint32_t used(const rlx_table_t *table, const trial_t *trial)
{
    rlx_verdict_t v;

    rlx_table_look(table, &trial->counter, 1, tick(trial), &v);
    return trial->limit.count - v.remaining;
}

static void reset(void)
{
    memset(shared, 0, sizeof(*shared));
    shared->clock = NOW;
}

static void start(pid_t *child, const rlx_table_t *table,
                  const trial_t *trial, unsigned int *seed, int turns)
{
    int i;

    for (i = 0; i < PROCS; ++i) {
        unsigned int own = (unsigned int)rand_r(seed);

        child[i] = fork();
        if (child[i] == 0) {
            __atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
            while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST)
                   < PROCS) {
                sched_yield();
            }
            work(table, trial, i, own, turns);
            while (turns > TURNS) {
                pause();
            }
            _exit(0);
        }
    }
}

static void test_quiet(rlx_strategy_e strategy, uint32_t cost)
{
    rlx_table_t table = table_make(MB);
    trial_t trial;
    unsigned int seed = 3;
    pid_t child[PROCS];
    int i;

    trial_set(&trial, strategy, cost);
    reset();
    start(child, &table, &trial, &seed, TURNS);
    for (i = 0; i < PROCS; ++i) {
        waitpid(child[i], NULL, 0);
    }
    is_int(shared->over, 0, strategy_name[strategy]);
    ok(shared->charged > 0 && shared->refused > 0,
       "cost %u: %lu charged, %lu refused", cost,
       (unsigned long)shared->charged, (unsigned long)shared->refused);
    is_int(used(&table, &trial),
           (uint32_t)__builtin_popcountll(shared->held) * cost,
           "what is held is used, no more and no less");
    release_all(&table, &trial);
    is_int(used(&table, &trial), 0, "all given back: nothing is used");
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

/* Of a killed process all that it held stays charged, and at the most one
 * charge more: that which it was about to make or to give back. */
static void test_kill(rlx_strategy_e strategy, uint32_t cost)
{
    rlx_table_t table = table_make(MB);
    trial_t trial;
    struct timespec nap = { 0, 0 };
    unsigned int seed = 17;
    pid_t child[PROCS];
    uint64_t over = 0;
    int wrong = 0;
    int invalid = 0;
    int round;
    int i;

    trial_set(&trial, strategy, cost);
    for (round = 0; round < ROUNDS; ++round) {
        uint32_t units;

        reset();
        start(child, &table, &trial, &seed, 1 << 30);
        nap.tv_nsec = 1000 * (300 + rand_r(&seed) % 3000);
        nanosleep(&nap, NULL);
        for (i = 0; i < PROCS; ++i) {
            kill(child[i], SIGKILL);
        }
        for (i = 0; i < PROCS; ++i) {
            waitpid(child[i], NULL, 0);
        }
        invalid += !is_valid(&table);
        units = used(&table, &trial);
        wrong += units < (uint32_t)__builtin_popcountll(shared->held) * cost
                 || units > trial.limit.count;
        release_all(&table, &trial);
        wrong += used(&table, &trial) > PROCS * cost;
        wrong += used(&table, &trial) % cost != 0;
        invalid += !is_valid(&table);
        over += shared->over;
        rlx_table_forget(&table, &trial.counter);
    }
    is_int(over, 0, strategy_name[strategy]);
    is_int(wrong, 0, "120 killed processes: what they held stands, no more "
                     "than one charge of each besides");
    is_int(invalid, 0, "all invariants hold");
    table_free(&table, MB);
}

int main(void)
{
    int i;

    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return 1;
    }
    for (i = 0; i < RLX_STRATEGIES; ++i) {
        test_quiet((rlx_strategy_e)i, 1);
        test_quiet((rlx_strategy_e)i, 70);
        test_kill((rlx_strategy_e)i, 1);
        test_kill((rlx_strategy_e)i, 70);
    }
    return tap_done();
}
