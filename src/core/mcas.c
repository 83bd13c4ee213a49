/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The multi-word compare-and-swap.
 *
 * A step in three phases. (1) UNDECIDED: in the order of their addresses, each
 * word that is still the old one is replaced by a reference to the descriptor;
 * one that is not makes the step FAILED. (2) All replaced: SUCCEEDED, in one
 * compare-and-swap of the descriptor's status; this is the instant at which
 * all words change. (3) Each reference is replaced by the new value or, after
 * a failure, by the old payload. Any thread may do any of it at any time.
 *
 * Since old values do not come back (every value has a new generation, also
 * the one after a failure), a helper that was asleep and carries on where it
 * stopped finds neither the old value nor its reference and does no harm; so
 * the conditional instructions of the paper's RDCSS are not needed. After
 * phase 3 nothing refers to the descriptor, and it may be used anew.
 */

#include "core/mcas.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The status: phase in bits 0-2, the owner's pid in 3-24, sequence above.
 * The pid is in it so that taking a descriptor and signing for it are one. */
enum { FREE, FILLING, UNDECIDED, SUCCEEDED, FAILED };

#define PHASE_MASK UINT64_C(7)
#define PID_SHIFT  3
#define PID_MASK   ((UINT64_C(1) << 22) - 1)
#define SEQ_SHIFT  25
#define SEQ_MASK   ((UINT64_C(1) << (64 - SEQ_SHIFT)) - 1)

/* How many times somebody else's descriptor is passed by before a look
 * whether that somebody still lives. */
#define PASSES_PER_RECLAIM 64

typedef struct entry_t {
    uint64_t at;
    uint64_t old_lo, old_hi;
    uint64_t next_lo, next_hi;
} entry_t;

typedef struct descriptor_t {
    uint64_t status;
    uint64_t count;
    uint64_t tally;
    uint64_t unused;
    entry_t entry[];
} descriptor_t;

#define DESCRIPTOR_BYTES(n) \
    ((sizeof(descriptor_t) + (n) * sizeof(entry_t) + 63) / 64 * 64)
#define SMALL_BYTES DESCRIPTOR_BYTES(RLX_MCAS_SMALL_MAX)
#define LARGE_BYTES DESCRIPTOR_BYTES(RLX_MCAS_STEP_MAX)

static inline unsigned int phase_of(uint64_t status)
{
    return (unsigned int)(status & PHASE_MASK);
}

static inline uint64_t seq_of(uint64_t status)
{
    return status >> SEQ_SHIFT;
}

static inline uint64_t with_phase(uint64_t status, uint64_t phase)
{
    return (status & ~PHASE_MASK) | phase;
}

/* Free, and ready for the next use. */
static inline uint64_t freed(uint64_t status)
{
    return ((seq_of(status) + 1) & SEQ_MASK) << SEQ_SHIFT | FREE;
}

static inline void half_store(uint64_t *half, uint64_t value)
{
    __atomic_store_n(half, value, __ATOMIC_RELEASE);
}

static inline int half_cas(uint64_t *half, uint64_t *expected,
                           uint64_t desired)
{
    return __atomic_compare_exchange_n(half, expected, desired, 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline rlx_word_t *word_at(const rlx_mcas_t *mcas, uint64_t at)
{
    return (rlx_word_t *)(void *)(mcas->base + at);
}

static inline descriptor_t *descriptor(const rlx_mcas_t *mcas, uint64_t index)
{
    uint64_t at = index < mcas->smalls
                      ? index * SMALL_BYTES
                      : mcas->smalls * SMALL_BYTES
                            + (index - mcas->smalls) * LARGE_BYTES;

    return (descriptor_t *)(void *)(mcas->base + mcas->at + at);
}

size_t rlx_mcas_bytes(uint32_t smalls, uint32_t larges)
{
    return (size_t)smalls * SMALL_BYTES + (size_t)larges * LARGE_BYTES;
}

/* The process id. getpid() is a system call, so it is kept; a child that was
 * forked with a kept one forgets it. */
static uint64_t kept_pid;
static pthread_once_t pid_once = PTHREAD_ONCE_INIT;

static void forget_pid(void)
{
    __atomic_store_n(&kept_pid, 0, __ATOMIC_RELAXED);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_pid);
}

static uint64_t own_pid(void)
{
    uint64_t pid = __atomic_load_n(&kept_pid, __ATOMIC_RELAXED);

    if (pid == 0) {
        pthread_once(&pid_once, watch_forks);
        pid = (uint64_t)getpid() & PID_MASK;
        __atomic_store_n(&kept_pid, pid, __ATOMIC_RELAXED);
    }
    return pid;
}

static int is_dead(uint64_t pid)
{
    return pid != own_pid() && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* --- carrying out ------------------------------------------------------ */

/* One use of one descriptor. */
typedef struct step_t {
    descriptor_t *d;
    uint64_t index;
    uint64_t seq;
} step_t;

/* What is seldom done is kept apart, so that what is done always has the
 * processor's registers to itself. */
#define APART static __attribute__((noinline))

static void help(const rlx_mcas_t *mcas, step_t step);

static inline step_t step_of(const rlx_mcas_t *mcas, rlx_word_t ref)
{
    step_t step;

    step.index = ref.hi;
    step.seq = ref.lo >> RLX_WORD_LOW_SHIFT;
    step.d = descriptor(mcas, step.index);
    return step;
}

/* The reference that stands in for `old`; of the same generation. */
static inline rlx_word_t ref_to(step_t step, rlx_word_t old)
{
    rlx_word_t ref;

    ref.hi = step.index;
    ref.lo = (step.seq << RLX_WORD_LOW_SHIFT) | (old.lo & RLX_WORD_GEN_MASK)
             | RLX_WORD_REF;
    return ref;
}

/* Read an entry; 0 if the descriptor serves another step by now. Whoever
 * fills it anew changes the status before the entries. */
static inline int entry_read(step_t step, uint64_t i,
                             rlx_mcas_change_t *change)
{
    const entry_t *entry = &step.d->entry[i];

    change->at = rlx_half_load(&entry->at);
    change->old.lo = rlx_half_load(&entry->old_lo);
    change->old.hi = rlx_half_load(&entry->old_hi);
    change->next.lo = rlx_half_load(&entry->next_lo);
    change->next.hi = rlx_half_load(&entry->next_hi);
    return seq_of(rlx_half_load(&step.d->status)) == step.seq;
}

/* Replace one old value by a reference, whatever stands there. 0 if the word
 * is another by now. */
APART int install_anyhow(const rlx_mcas_t *mcas, step_t step,
                          const rlx_mcas_change_t *change)
{
    rlx_word_t *word = word_at(mcas, change->at);
    rlx_word_t ref = ref_to(step, change->old);
    rlx_word_t found = change->old;

    while (!rlx_word_cas(word, &found, ref)) {
        if (rlx_word_equal(found, ref)) {
            return 1;
        }
        if (!rlx_word_is_ref(found)) {
            return 0;
        }
        /* Steps go by addresses, so helping cannot come back to this one. */
        help(mcas, step_of(mcas, found));
        found = change->old;
    }
    return 1;
}

/* The same; inline as far as nobody is in the way. */
static inline int install(const rlx_mcas_t *mcas, step_t step,
                          const rlx_mcas_change_t *change)
{
    rlx_word_t found = change->old;

    return rlx_word_cas(word_at(mcas, change->at), &found,
                        ref_to(step, change->old))
           || install_anyhow(mcas, step, change);
}

/* Phase 1 and 2. */
static void decide(const rlx_mcas_t *mcas, step_t step, uint64_t status,
                   uint64_t n)
{
    uint64_t outcome = SUCCEEDED;
    rlx_mcas_change_t change;
    uint64_t i;

    for (i = 0; i < n && outcome == SUCCEEDED; ++i) {
        if (!entry_read(step, i, &change)) {
            return;
        }
        if (!install(mcas, step, &change)) {
            outcome = FAILED;
        }
    }
    half_cas(&step.d->status, &status, with_phase(status, outcome));
}

/* Phase 3 for one word. After a failure also a word that still is the old
 * one gets a new generation: else a helper that fell asleep in phase 1 might
 * put its reference there when the descriptor serves another step. */
APART void settle_anyhow(const rlx_mcas_t *mcas, step_t step,
                          const rlx_mcas_change_t *change, int succeeded)
{
    rlx_word_t *word = word_at(mcas, change->at);
    rlx_word_t ref = ref_to(step, change->old);
    rlx_word_t target =
        succeeded ? change->next
                  : rlx_word_next(change->old, rlx_word_payload(change->old));
    rlx_word_t found = ref;

    while (!rlx_word_cas(word, &found, target)) {
        if (succeeded || !(rlx_word_equal(found, change->old)
                           || rlx_word_equal(found, ref))) {
            return;
        }
    }
}

/* The same; inline as far as the step succeeded and nobody was quicker. */
static inline void settle(const rlx_mcas_t *mcas, step_t step,
                          const rlx_mcas_change_t *change, int succeeded)
{
    rlx_word_t found = ref_to(step, change->old);

    if (!succeeded
        || !rlx_word_cas(word_at(mcas, change->at), &found, change->next)) {
        settle_anyhow(mcas, step, change, succeeded);
    }
}

/* Complete a step, whoever began it. */
static void help(const rlx_mcas_t *mcas, step_t step)
{
    uint64_t status = rlx_half_load(&step.d->status);
    uint64_t n = rlx_half_load(&step.d->count);
    rlx_mcas_change_t change;
    uint64_t i;

    if (seq_of(status) == step.seq && phase_of(status) == UNDECIDED) {
        decide(mcas, step, status, n);
    }
    status = rlx_half_load(&step.d->status);
    if (seq_of(status) != step.seq || phase_of(status) < SUCCEEDED) {
        return;
    }
    for (i = 0; i < n; ++i) {
        if (!entry_read(step, i, &change)) {
            return;
        }
        settle(mcas, step, &change, phase_of(status) == SUCCEEDED);
    }
}

rlx_word_t rlx_mcas_read(const rlx_mcas_t *mcas, rlx_word_t *at)
{
    rlx_word_t word = rlx_word_read(at);
    rlx_word_t before;

    while (rlx_word_is_ref(word)) {
        before = word;
        if (before.hi < (uint64_t)mcas->smalls + mcas->larges) {
            help(mcas, step_of(mcas, before));
        }
        word = rlx_word_read(at);
        if (rlx_word_equal(word, before)) {
            /* Nothing leads here but a generation that came back during the
             * sleep of a helper (see word.h). The word is given up. */
            static const rlx_state_t nothing = { 0, 0 };

            rlx_word_cas(at, &word, rlx_word_next(before, nothing));
        }
    }
    return word;
}

/* --- descriptors ------------------------------------------------------- */

static void reclaim(const rlx_mcas_t *mcas, uint64_t index, uint64_t status)
{
    step_t step;

    step.d = descriptor(mcas, index);
    step.index = index;
    step.seq = seq_of(status);
    if (phase_of(status) != FILLING) {
        help(mcas, step);
        status = rlx_half_load(&step.d->status);
        if (seq_of(status) != step.seq) {
            return;
        }
    }
    half_cas(&step.d->status, &status, freed(status));
}

uint32_t rlx_mcas_reclaim(const rlx_mcas_t *mcas)
{
    uint64_t all = (uint64_t)mcas->smalls + mcas->larges;
    uint32_t living = 0;
    uint64_t status;
    uint64_t i;

    for (i = 0; i < all; ++i) {
        status = rlx_half_load(&descriptor(mcas, i)->status);
        if (phase_of(status) == FREE) {
            continue;
        }
        if (is_dead((status >> PID_SHIFT) & PID_MASK)) {
            reclaim(mcas, i, status);
        }
        else {
            ++living;
        }
    }
    return living;
}

void rlx_mcas_backoff(int tries)
{
    static const struct timespec nap = { 0, 50 * 1000 };
    int i;

    if (tries < 8) {
        for (i = 0; i < 1 << tries; ++i) {
            rlx_word_relax();
        }
    }
    else if (tries < 64) {
        sched_yield();
    }
    else {
        nanosleep(&nap, NULL);
    }
}

/* Where this thread looks for a descriptor first, and 1: where it found the
 * last one, whose cache lines it has; 0: it has had none. And how many it has
 * passed by. */
typedef struct habit_t {
    uint32_t favourite;
    uint32_t passes;
} habit_t;

static __thread habit_t habit_of_thread;

static uint32_t first_favourite(const habit_t *habit)
{
    /* Different for each thread of each process, more or less. */
    uint64_t spread = (uint64_t)(uintptr_t)habit
                      + own_pid() * UINT64_C(0x9e3779b97f4a7c15);

    spread ^= spread >> 29;
    return (uint32_t)(spread * UINT64_C(0xbf58476d1ce4e5b9) >> 33) + 1;
}

/* Take a descriptor if it is free. Its status then is FILLING. */
static inline int try_take(descriptor_t *d)
{
    uint64_t status = rlx_half_load(&d->status);

    return phase_of(status) == FREE
           && half_cas(&d->status, &status, with_phase(status, FILLING)
                                                | own_pid() << PID_SHIFT);
}

/* A descriptor is another's. Look now and then whether that one still lives. */
static void pass_by(const rlx_mcas_t *mcas, uint64_t index, habit_t *habit)
{
    uint64_t status = rlx_half_load(&descriptor(mcas, index)->status);

    if (++habit->passes % PASSES_PER_RECLAIM == 0 && phase_of(status) != FREE
        && is_dead((status >> PID_SHIFT) & PID_MASK)) {
        reclaim(mcas, index, status);
    }
}

/* Take one of the `all` descriptors from `first` on. Returns its index. */
APART uint64_t take_any(const rlx_mcas_t *mcas, uint64_t first, uint64_t all,
                        habit_t *habit)
{
    uint64_t i;
    int tries;

    if (habit->favourite == 0) {
        habit->favourite = first_favourite(habit);
    }
    for (tries = 0;; ++tries) {
        uint64_t index = (habit->favourite - 1) % all;

        for (i = 0; i < all; ++i) {
            if (try_take(descriptor(mcas, first + index))) {
                habit->favourite = (uint32_t)(index + 1);
                return first + index;
            }
            pass_by(mcas, first + index, habit);
            index = index + 1 < all ? index + 1 : 0;
        }
        rlx_mcas_reclaim(mcas);
        rlx_mcas_backoff(tries);
    }
}

/* Take a descriptor with room for n changes: the one that this thread had
 * last, if it is free, as it mostly is. Returns its index. */
static inline uint64_t take(const rlx_mcas_t *mcas, int n)
{
    uint64_t first = n <= RLX_MCAS_SMALL_MAX ? 0 : mcas->smalls;
    uint64_t all = (uint64_t)mcas->smalls + mcas->larges - first;
    habit_t *habit = &habit_of_thread;
    uint64_t index;

    /* Where it lies takes a call to find out, which compilers take for so
     * cheap that they do it again. */
    __asm__("" : "+r"(habit));
    index = habit->favourite - UINT64_C(1);
    return index < all && try_take(descriptor(mcas, first + index))
               ? first + index : take_any(mcas, first, all, habit);
}

/* Move changes[i] down to its place among those `gap` apart before it. Not 0
 * if the one before it then is of the same word. */
static inline int sift(rlx_mcas_change_t *changes, int i, int gap)
{
    rlx_mcas_change_t change = changes[i];

    for (; i >= gap && changes[i - gap].at > change.at; i -= gap) {
        changes[i] = changes[i - gap];
    }
    changes[i] = change;
    return i >= gap && changes[i - gap].at == change.at;
}

/* Many changes: shell sort but for its last round. */
APART void sort_roughly(rlx_mcas_change_t *changes, int n)
{
    int gap;
    int i;

    for (gap = n / 3; gap > 1; gap /= 3) {
        for (i = gap; i < n; ++i) {
            sift(changes, i, gap);
        }
    }
}

/* By address. 0 if there is one twice. */
static inline int sort(rlx_mcas_change_t *changes, int n)
{
    int i;

    if (n > RLX_MCAS_SMALL_MAX) {
        sort_roughly(changes, n);
    }
    for (i = 1; i < n; ++i) {
        if (changes[i - 1].at >= changes[i].at && sift(changes, i, 1)) {
            return 0;
        }
    }
    return 1;
}

static void fill(step_t step, const rlx_mcas_change_t *changes, int n)
{
    int i;

    for (i = 0; i < n; ++i) {
        entry_t *entry = &step.d->entry[i];

        half_store(&entry->at, changes[i].at);
        half_store(&entry->old_lo, changes[i].old.lo);
        half_store(&entry->old_hi, changes[i].old.hi);
        half_store(&entry->next_lo, changes[i].next.lo);
        half_store(&entry->next_hi, changes[i].next.hi);
    }
    half_store(&step.d->count, (uint64_t)n);
}

/* The owner's own way through all phases: as help(), but it has the changes
 * at hand. Returns the status at the end. */
static uint64_t carry_out(const rlx_mcas_t *mcas, step_t step, uint64_t status,
                          const rlx_mcas_change_t *changes, int n)
{
    uint64_t outcome = SUCCEEDED;
    uint64_t decided;
    int i;

    for (i = 0; i < n && outcome == SUCCEEDED; ++i) {
        if (!install(mcas, step, &changes[i])) {
            outcome = FAILED;
        }
    }
    decided = with_phase(status, outcome);
    if (half_cas(&step.d->status, &status, decided)) {
        status = decided;
    }
    for (i = 0; i < n; ++i) {
        settle(mcas, step, &changes[i], phase_of(status) == SUCCEEDED);
    }
    return status;
}

/* The step of the living is freed by its owner alone, so that the owner
 * always learns the outcome. */
static int run(const rlx_mcas_t *mcas, const rlx_mcas_change_t *changes, int n,
               uint32_t tally)
{
    uint64_t status;
    step_t step;

    step.index = take(mcas, n);
    step.d = descriptor(mcas, step.index);
    status = rlx_half_load(&step.d->status);
    step.seq = seq_of(status);
    fill(step, changes, n);
    status = with_phase(status, UNDECIDED);
    half_store(&step.d->status, status);
    status = carry_out(mcas, step, status, changes, n);
    if (phase_of(status) == SUCCEEDED && tally != 0) {
        half_store(&step.d->tally, rlx_half_load(&step.d->tally) + tally);
    }
    half_store(&step.d->status, freed(status));
    return phase_of(status) == SUCCEEDED;
}

int rlx_mcas(const rlx_mcas_t *mcas, rlx_mcas_change_t *changes, int n,
             uint32_t tally)
{
    rlx_word_t old;

    if (n == 1 && tally == 0) {
        old = changes[0].old;
        return rlx_word_cas(word_at(mcas, changes[0].at), &old,
                            changes[0].next);
    }
    return sort(changes, n) && run(mcas, changes, n, tally);
}

uint64_t rlx_mcas_tally(const rlx_mcas_t *mcas)
{
    uint64_t all = (uint64_t)mcas->smalls + mcas->larges;
    uint64_t sum = 0;
    uint64_t i;

    for (i = 0; i < all; ++i) {
        sum += rlx_half_load(&descriptor(mcas, i)->tally);
    }
    return sum;
}
