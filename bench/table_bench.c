/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What one decision of the table costs, beside two reference designs that
 * know no eviction, no batches and no killed processes:
 *   one CAS   hash, then one 64-bit compare-and-swap of a fixed window in a
 *             table addressed by the hash alone: no key is stored or compared.
 *             2^21 cells of 8 bytes; and the same, spread over as much memory
 *             as the table has
 *   mutexes   the same under one of 256 process-shared mutexes
 * Nanoseconds of CPU per decision and worker, the keyed hash included; medians
 * of interleaved rounds.
 *
 *   cc -O2 -Isrc -Iinclude bench/table_bench.c src/core/[a-z]*.c -lpthread
 *   ./a.out [rounds]
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/table.h"

#define SEC    INT64_C(1000000)
#define NOW    (INT64_C(1700000000) * SEC)
#define KEYS   1000000
#define OPS    400000
#define ROUNDS 7
#define TABLE_BYTES ((size_t)64 << 20)
#define SMALL_BYTES ((size_t)8 << 20)
#define LOGS        20000

static const rlx_secret_t secret = { 1, 2 };
static const rlx_limit_t limits[RLX_STRATEGIES] = {
    { 1000000000, 1000000000, 3600 * SEC, RLX_FIXED_WINDOW, "" },
    { 1, 1, SEC, RLX_MOVING_WINDOW, "" },
    { 1000000000, 1000000000, 3600 * SEC, RLX_SLIDING_WINDOW_COUNTER, "" },
    { 1000000000, 1000000000, 3600 * SEC, RLX_GCRA, "" },
};

/* What the workers share. */
typedef struct shared_t {
    uint64_t ready;
    uint64_t nsec[2];
    uint64_t clock;
} shared_t;

static shared_t *shared;
static rlx_table_t table;
static rlx_table_t small;
static rlx_table_t logs;

static void *map(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return at;
}

static uint64_t clock_nsec(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static inline rlx_id_t id_of(uint64_t number)
{
    return rlx_siphash128(&secret, &number, sizeof(number));
}

static rlx_counter_t counter_of(const rlx_limit_t *limit, uint64_t number)
{
    rlx_counter_t counter;

    memset(&counter, 0, sizeof(counter));
    counter.limit = limit;
    counter.id = id_of(number);
    counter.cost = 1;
    return counter;
}

/* --- the reference designs --------------------------------------------- */

#define DIRECT_SLOTS (1u << 21)
#define WIDTH        (TABLE_BYTES / DIRECT_SLOTS / sizeof(uint64_t))
#define STRIPES      256

static uint64_t *direct;
static pthread_mutex_t *stripe;

/* A fixed window in 64 bits: its start in seconds, and the count. */
static int direct_charge(uint64_t old, uint32_t now_sec, uint64_t *next)
{
    uint32_t start = (uint32_t)(old >> 32);
    uint32_t charged = (uint32_t)old;

    if (start == 0 || now_sec - start >= 3600) {
        start = now_sec;
        charged = 0;
    }
    *next = (uint64_t)start << 32 | (charged + 1);
    return charged < 1000000000;
}

static int one_cas_at(uint64_t *at)
{
    uint64_t old = __atomic_load_n(at, __ATOMIC_ACQUIRE);
    uint64_t next;

    do {
        if (!direct_charge(old, NOW / SEC, &next)) {
            return 0;
        }
    } while (!__atomic_compare_exchange_n(at, &old, next, 0, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));
    return 1;
}

static int one_cas(rlx_id_t id)
{
    return one_cas_at(&direct[id.word[0] & (DIRECT_SLOTS - 1)]);
}

/* The cells as far apart as a table of this size has them. */
static int one_cas_wide(rlx_id_t id)
{
    return one_cas_at(&direct[(id.word[0] & (DIRECT_SLOTS - 1)) * WIDTH]);
}

static int one_mutex(rlx_id_t id)
{
    pthread_mutex_t *mutex = &stripe[id.word[1] % STRIPES];
    uint64_t *at = &direct[id.word[0] & (DIRECT_SLOTS - 1)];
    uint64_t next;
    int fits;

    pthread_mutex_lock(mutex);
    fits = direct_charge(*at, NOW / SEC, &next);
    if (fits) {
        *at = next;
    }
    pthread_mutex_unlock(mutex);
    return fits;
}

static void reference_make(void)
{
    pthread_mutexattr_t attr;
    int i;

    direct = map(DIRECT_SLOTS * WIDTH * sizeof(*direct));
    stripe = map(STRIPES * sizeof(*stripe));
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    for (i = 0; i < STRIPES; ++i) {
        pthread_mutex_init(&stripe[i], &attr);
    }
}

/* --- what is measured -------------------------------------------------- */

/* One decision; `x` is the worker's source of random numbers. */
typedef int work_fn(uint64_t *x);

static int cas_random(uint64_t *x)
{
    return one_cas(id_of(next_random(x) % KEYS));
}

static int cas_hot(uint64_t *x)
{
    return one_cas(id_of(7));
}

static int wide_random(uint64_t *x)
{
    return one_cas_wide(id_of(next_random(x) % KEYS));
}

static int mutex_random(uint64_t *x)
{
    return one_mutex(id_of(next_random(x) % KEYS));
}

static int mutex_hot(uint64_t *x)
{
    return one_mutex(id_of(7));
}

static int decide(const rlx_table_t *t, const rlx_counter_t *counters, int n)
{
    rlx_verdict_t v[3];

    rlx_table_decide(t, RLX_CHARGE_ATOMIC, counters, n, NOW, v);
    return v[0].charged;
}

static inline int table_random(uint64_t *x, rlx_strategy_e strategy)
{
    rlx_counter_t c =
        counter_of(&limits[strategy], next_random(x) % KEYS);

    return decide(&table, &c, 1);
}

static int fixed_random(uint64_t *x)
{
    return table_random(x, RLX_FIXED_WINDOW);
}

static int sliding_random(uint64_t *x)
{
    return table_random(x, RLX_SLIDING_WINDOW_COUNTER);
}

static int gcra_random(uint64_t *x)
{
    return table_random(x, RLX_GCRA);
}

static int fixed_hot(uint64_t *x)
{
    rlx_counter_t c = counter_of(&limits[RLX_FIXED_WINDOW], 7);

    return decide(&table, &c, 1);
}

static int sliding_hot(uint64_t *x)
{
    rlx_counter_t c =
        counter_of(&limits[RLX_SLIDING_WINDOW_COUNTER], KEYS + 1);

    return decide(&table, &c, 1);
}

static int gcra_hot(uint64_t *x)
{
    rlx_counter_t c = counter_of(&limits[RLX_GCRA], KEYS + 2);

    return decide(&table, &c, 1);
}

/* Batches: of one key's counters, which lie anywhere. */
static int batch_of(uint64_t *x, int n, uint64_t keys)
{
    uint64_t number = next_random(x) % keys;
    rlx_counter_t c[3];
    int i;

    for (i = 0; i < n; ++i) {
        c[i] = counter_of(&limits[RLX_FIXED_WINDOW],
                          i == 0 ? number : number ^ (uint64_t)i << 18);
    }
    return decide(&table, c, n);
}

static int two_random(uint64_t *x)
{
    return batch_of(x, 2, KEYS / 4);
}

static int three_random(uint64_t *x)
{
    return batch_of(x, 3, KEYS / 4);
}

static int two_hot(uint64_t *x)
{
    return batch_of(x, 2, 1);
}

static int three_hot(uint64_t *x)
{
    return batch_of(x, 3, 1);
}

/* A clock that goes on, and a window that holds 50 charges then. */
static int moving(uint64_t number, rlx_usec_t keys)
{
    rlx_limit_t limit = { 100, 100, SEC, RLX_MOVING_WINDOW, "" };
    rlx_counter_t c = counter_of(&limit, number);
    rlx_usec_t now = NOW
                     + (rlx_usec_t)__atomic_add_fetch(&shared->clock, 1,
                                                      __ATOMIC_RELAXED)
                           * (SEC / 50) / keys;
    rlx_verdict_t v;

    rlx_table_decide(&logs, RLX_CHARGE_ATOMIC, &c, 1, now, &v);
    return v.charged;
}

static int moving_random(uint64_t *x)
{
    return moving(next_random(x) % LOGS, LOGS);
}

static int moving_hot(uint64_t *x)
{
    return moving(LOGS, 1);
}

/* New keys only, in a table that is full; and old ones in the same. */
static int flood(uint64_t *x)
{
    rlx_counter_t c =
        counter_of(&limits[RLX_FIXED_WINDOW], next_random(x) | 1u << 31);

    return decide(&small, &c, 1);
}

static int flood_three(uint64_t *x)
{
    rlx_counter_t c[3];
    int i;

    for (i = 0; i < 3; ++i) {
        c[i] = counter_of(&limits[RLX_FIXED_WINDOW], next_random(x));
    }
    return decide(&small, c, 3);
}

typedef struct row_t {
    const char *name;
    /* Random and hot; NULL: not measured. */
    work_fn *work[2];
} row_t;

static const row_t rows[] = {
    { "one CAS, 8 bytes a cell", { cas_random, cas_hot } },
    { "one CAS, 32 bytes a cell", { wide_random, NULL } },
    { "256 striped mutexes", { mutex_random, mutex_hot } },
    { "table, fixed-window", { fixed_random, fixed_hot } },
    { "table, sliding-window-counter", { sliding_random, sliding_hot } },
    { "table, gcra", { gcra_random, gcra_hot } },
    { "table, moving-window, 20,000 keys", { moving_random, moving_hot } },
    { "table, 2 counters a batch", { two_random, two_hot } },
    { "table, 3 counters a batch", { three_random, three_hot } },
    { "table, full, a new key", { flood, NULL } },
    { "table, full, 3 new keys a batch", { flood_three, NULL } },
};

#define ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

/* --- measuring --------------------------------------------------------- */

static void work_once(work_fn *work, int workers, int me, uint64_t ops)
{
    uint64_t x = UINT64_C(88172645463325252) + (uint64_t)getpid() * 0x9e3779b9;
    uint64_t start;
    uint64_t i;

    __atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE)
           < (uint64_t)workers) {
    }
    start = clock_nsec();
    for (i = 0; i < ops; ++i) {
        work(&x);
    }
    shared->nsec[me] = clock_nsec() - start;
}

/* Nanoseconds per decision and worker. */
static double measure(work_fn *work, int workers, uint64_t ops)
{
    double sum = 0;
    int i;

    shared->ready = 0;
    for (i = 0; i < workers; ++i) {
        if (fork() == 0) {
            work_once(work, workers, i, ops);
            _exit(0);
        }
    }
    for (i = 0; i < workers; ++i) {
        wait(NULL);
    }
    for (i = 0; i < workers; ++i) {
        sum += (double)shared->nsec[i] / (double)ops;
    }
    return sum / workers;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static rlx_table_t table_make(size_t bytes)
{
    static const rlx_table_options_t options = { 8, 10000 };
    rlx_table_t t = { NULL };
    void *block = map(bytes);

    if (rlx_table_format(block, bytes, &options, &secret, NOW) != 0
        || rlx_table_attach(&t, block, bytes) != 0) {
        fprintf(stderr, "no table\n");
        exit(1);
    }
    return t;
}

static void fill(void)
{
    uint64_t i;

    for (i = 0; i < KEYS; ++i) {
        rlx_counter_t c = counter_of(&limits[RLX_FIXED_WINDOW], i);

        decide(&table, &c, 1);
        one_cas(id_of(i));
        one_cas_wide(id_of(i));
        if (i < KEYS / 2) {
            flood(&(uint64_t){ i * i + 1 });
        }
    }
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
    static double nsec[ROWS][4][64];
    int round;
    int r;
    int k;

    rounds = rounds < 1 ? 1 : rounds > 64 ? 64 : rounds;
    shared = map(sizeof(*shared));
    table = table_make(TABLE_BYTES);
    small = table_make(SMALL_BYTES);
    logs = table_make(TABLE_BYTES);
    reference_make();
    fill();
    for (round = 0; round < rounds; ++round) {
        for (r = 0; r < ROWS; ++r) {
            for (k = 0; k < 4; ++k) {
                if (rows[r].work[k / 2]) {
                    nsec[r][k][round] =
                        measure(rows[r].work[k / 2], 1 + k % 2, OPS);
                }
            }
        }
    }
    printf("ns per decision and worker       %26s %19s\n",
           "1,000,000 random keys", "one hot key");
    printf("%-36s %11s %11s %9s %9s\n", "", "1 worker", "2", "1 worker", "2");
    for (r = 0; r < ROWS; ++r) {
        printf("%-36s", rows[r].name);
        for (k = 0; k < 4; ++k) {
            qsort(nsec[r][k], (size_t)rounds, sizeof(double), compare);
            if (rows[r].work[k / 2]) {
                printf(" %*.0f", k < 2 ? 11 : 9, nsec[r][k][rounds / 2]);
            }
        }
        printf("\n");
    }
    return 0;
}
