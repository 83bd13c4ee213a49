/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The table of counters by several processes: exactness under contention, and
 * processes killed at any instant.
 */

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "table_fixture.h"

#define MB       (1024 * 1024)
#define PROCS    4
#define TRIES    3000
#define COUNTERS RLX_STRATEGIES

/* What the processes tell the parent. */
typedef struct shared_t {
    uint64_t charged[COUNTERS];
    uint64_t wrong;
} shared_t;

static shared_t *shared;

static void count(const rlx_verdict_t *v, int n)
{
    int i;

    for (i = 0; i < n; ++i) {
        if (v[i].charged) {
            __atomic_add_fetch(&shared->charged[i], 1, __ATOMIC_RELAXED);
        }
    }
}

static void add_wrong(int is_wrong)
{
    if (is_wrong) {
        __atomic_add_fetch(&shared->wrong, 1, __ATOMIC_RELAXED);
    }
}

/* Decide a batch TRIES times in each of PROCS processes. */
static void hammer(const rlx_table_t *table, rlx_charge_e mode,
                   const rlx_counter_t *counters, int n)
{
    rlx_verdict_t v[COUNTERS];
    pid_t child[PROCS];
    int i;
    int k;

    memset(shared, 0, sizeof(*shared));
    for (i = 0; i < PROCS; ++i) {
        child[i] = fork();
        if (child[i] == 0) {
            for (k = 0; k < TRIES; ++k) {
                rlx_table_decide(table, mode, counters, n, NOW, v);
                count(v, n);
            }
            _exit(0);
        }
    }
    for (i = 0; i < PROCS; ++i) {
        waitpid(child[i], NULL, 0);
    }
}

static uint32_t used(const rlx_table_t *table, const rlx_counter_t *counter)
{
    rlx_verdict_t v;

    rlx_table_look(table, counter, 1, NOW, &v);
    return counter->limit->count - v.remaining;
}

static void test_one(const rlx_table_t *table, rlx_strategy_e strategy)
{
    rlx_limit_t limit = limit_of(strategy, 5000, HOUR);
    rlx_counter_t counter = counter_of(&limit, (uint64_t)strategy);

    hammer(table, RLX_CHARGE_ATOMIC, &counter, 1);
    ok(shared->charged[0] == 5000 && used(table, &counter) == 5000,
       "%s: %d processes, %d tries, %d let through", strategy_name[strategy],
       PROCS, PROCS * TRIES, (int)shared->charged[0]);
}

static void test_two(const rlx_table_t *table, rlx_strategy_e strategy)
{
    static const char *const mode_name[] = { "atomic", "in order", "all" };
    static const uint64_t wanted[3][2] = { { 1000, 1000 },
                                           { 3000, 1000 },
                                           { 3000, 1000 } };
    rlx_limit_t wide = limit_of(strategy, 3000, HOUR);
    rlx_limit_t narrow = limit_of((rlx_strategy_e)((strategy + 1) % 4), 1000,
                                  HOUR);
    rlx_counter_t counter[2];
    int mode;

    for (mode = 0; mode < 3; ++mode) {
        uint64_t number = 100 + (uint64_t)strategy * 10 + (uint64_t)mode;

        counter[0] = counter_of(&wide, number);
        counter[1] = counter_of(&narrow, number + 1000);
        hammer(table, (rlx_charge_e)mode, counter, 2);
        ok(shared->charged[0] == wanted[mode][0]
               && shared->charged[1] == wanted[mode][1]
               && used(table, &counter[0]) == wanted[mode][0]
               && used(table, &counter[1]) == wanted[mode][1],
           "%s and another, %s: %d and %d", strategy_name[strategy],
           mode_name[mode], (int)shared->charged[0],
           (int)shared->charged[1]);
    }
}

static void test_exact(void)
{
    rlx_table_t table = table_make(MB);
    int i;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        test_one(&table, (rlx_strategy_e)i);
        test_two(&table, (rlx_strategy_e)i);
    }
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

/* Several processes insert the same new keys: each goes in once. */
static void test_same_new_keys(void)
{
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit = limit_of(RLX_FIXED_WINDOW, 3, HOUR);
    rlx_table_figures_t figures;
    pid_t child[PROCS];
    uint64_t number;
    int i;

    memset(shared, 0, sizeof(*shared));
    for (i = 0; i < PROCS; ++i) {
        child[i] = fork();
        if (child[i] == 0) {
            for (number = 0; number < 5000; ++number) {
                rlx_counter_t counter = counter_of(&limit, number);
                rlx_verdict_t v;

                rlx_table_decide(&table, RLX_CHARGE_ATOMIC, &counter, 1, NOW,
                                 &v);
                count(&v, 1);
            }
            _exit(0);
        }
    }
    for (i = 0; i < PROCS; ++i) {
        waitpid(child[i], NULL, 0);
    }
    rlx_table_figures(&table, NOW, &figures);
    is_int(shared->charged[0], 15000, "5,000 new keys by four: exact");
    is_int(figures.used, 5000, "each has one slot");
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

/* --- kill -------------------------------------------------------------- */

static void nap_usec(long usec)
{
    struct timespec nap = { 0, usec * 1000 };

    nanosleep(&nap, NULL);
}

typedef void work_fn(const rlx_table_t *table, unsigned int seed);

/* Let some processes work and kill them at a random instant. */
static void kill_round(const rlx_table_t *table, work_fn *work,
                       unsigned int *seed)
{
    pid_t child[3];
    int i;

    for (i = 0; i < 3; ++i) {
        unsigned int own = (unsigned int)rand_r(seed);

        child[i] = fork();
        if (child[i] == 0) {
            work(table, own);
            _exit(0);
        }
    }
    nap_usec(500 + (long)(rand_r(seed) % 3000));
    for (i = 0; i < 3; ++i) {
        kill(child[i], SIGKILL);
    }
    for (i = 0; i < 3; ++i) {
        waitpid(child[i], NULL, 0);
    }
}

#define GROUP_COUNT 9000

static rlx_limit_t group_limit[COUNTERS];
static rlx_counter_t group[COUNTERS];
static rlx_limit_t flood_limit;

static void group_make(void)
{
    int i;

    flood_limit = limit_of(RLX_FIXED_WINDOW, 100, HOUR);
    for (i = 0; i < COUNTERS; ++i) {
        group_limit[i] = limit_of((rlx_strategy_e)i, GROUP_COUNT, HOUR);
        group[i] = counter_of(&group_limit[i], (uint64_t)i);
    }
}

/* Charge all of the group at once, and a key that is mostly new. */
static void work_on_group(const rlx_table_t *table, unsigned int seed)
{
    rlx_counter_t batch[COUNTERS + 1];
    rlx_verdict_t v[COUNTERS + 1];
    int i;

    memcpy(batch, group, sizeof(group));
    for (;;) {
        uint32_t cost = rand_r(&seed) % 64 == 0 ? 70 : 1;

        batch[COUNTERS] =
            counter_of(&flood_limit, 1000 + (uint64_t)rand_r(&seed) % 8000);
        for (i = 0; i < COUNTERS; ++i) {
            batch[i].cost = cost;
        }
        rlx_table_decide(table, RLX_CHARGE_ATOMIC, batch, COUNTERS + 1, NOW,
                         v);
        if (v[0].charged) {
            __atomic_add_fetch(&shared->charged[0], cost, __ATOMIC_RELAXED);
        }
        add_wrong(!v[0].charged != !v[1].charged
                  || !v[0].charged != !v[2].charged
                  || !v[0].charged != !v[3].charged);
    }
}

static void test_kill_group(void)
{
    rlx_table_t table = table_make(4 * MB);
    unsigned int seed = 99;
    int torn = 0;
    int lost = 0;
    int invalid = 0;
    int round;
    int i;

    memset(shared, 0, sizeof(*shared));
    for (round = 0; round < 200; ++round) {
        uint32_t units[COUNTERS];
        uint64_t known;

        kill_round(&table, work_on_group, &seed);
        /* First, for it completes what was left half done: four looks are
         * not one. */
        invalid += !is_valid(&table);
        known = shared->charged[0];
        for (i = 0; i < COUNTERS; ++i) {
            units[i] = used(&table, &group[i]);
            torn += units[i] != units[0];
        }
        /* Charged but killed before it could say so: 70 at most by each. */
        lost += units[0] < known || units[0] > known + 210;
        for (i = 0; i < COUNTERS; ++i) {
            rlx_table_forget(&table, &group[i]);
        }
        shared->charged[0] = 0;
    }
    is_int(torn, 0, "600 killed processes: no batch is charged in part");
    is_int(lost, 0, "what was charged is charged, and no more");
    is_int(shared->wrong, 0, "nor was any batch answered in part");
    is_int(invalid, 0, "all invariants hold, no descriptor is lost");
    table_free(&table, 4 * MB);
}

/* Batches of three keys, mostly new ones, in a full table. All processes take
 * them from the same 20,000, so that they often insert the same. */
static void work_on_flood(const rlx_table_t *table, unsigned int seed)
{
    rlx_counter_t batch[3];
    rlx_verdict_t v[3];

    for (;;) {
        int i;

        for (i = 0; i < 3; ++i) {
            uint64_t number = 1000 + (uint64_t)rand_r(&seed) % 20000;

            batch[i] = counter_of(&group_limit[number % COUNTERS], number);
        }
        rlx_table_decide(table, RLX_CHARGE_ATOMIC, batch, 3, NOW, v);
        add_wrong(!v[0].charged || !v[1].charged || !v[2].charged);
    }
}

static void test_kill_flood(void)
{
    rlx_table_t table = table_make(RLX_TABLE_BYTES_MIN);
    rlx_limit_t limit[COUNTERS];
    rlx_counter_t blocked[COUNTERS];
    unsigned int seed = 5;
    int invalid = 0;
    int freed = 0;
    int round;
    int i;

    memset(shared, 0, sizeof(*shared));
    for (i = 0; i < COUNTERS; ++i) {
        limit[i] = limit_of((rlx_strategy_e)i, 70, HOUR);
        blocked[i] = counter_of(&limit[i], 500 + (uint64_t)i);
        while (hit(&table, &blocked[i], NOW)) {
        }
    }
    for (round = 0; round < 150; ++round) {
        kill_round(&table, work_on_flood, &seed);
        for (i = 0; i < COUNTERS; ++i) {
            freed += hit(&table, &blocked[i], NOW);
        }
        invalid += !is_valid(&table);
    }
    is_int(freed, 0, "450 killed processes in a flood: the blocked stay so");
    is_int(shared->wrong, 0, "new keys were let through");
    is_int(invalid, 0, "all invariants hold, no descriptor is lost");
    table_free(&table, RLX_TABLE_BYTES_MIN);
}

int main(void)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return 1;
    }
    group_make();
    test_exact();
    test_same_new_keys();
    test_kill_group();
    test_kill_flood();
    return tap_done();
}
