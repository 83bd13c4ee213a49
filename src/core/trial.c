/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Limits that only try. A key is found within a short way from its home; a
 * place whose key is not watched any more is as good as an empty one, so to
 * let half of the keys go is to count up one number.
 */

#include "core/trial.h"

#include <stdlib.h>
#include <string.h>

/** How far from home a key may be. */
#define WAY   32
/** How often a word that others change is tried. */
#define TRIES 8
/** Where the level stops: one key in 2^40. */
#define LEVEL_MAX 40

/** One key. */
typedef struct place_t {
    /** 0: nobody's. */
    uint64_t hash;
    /** The number of the window in the upper half, what was taken in it in
     *  the lower. */
    uint64_t window;
    /** The most that was taken in any, times two, and one more if it would
     *  have been refused. */
    uint64_t most;
} place_t;

struct rlx_trial_table_t {
    /** Keys are watched whose hash ends in so many zeros. */
    uint64_t level;
    /** When a request was noted last. */
    uint64_t last_at;
    place_t places[RLX_TRIAL_KEYS];
};

struct rlx_trials_t {
    /** The limits of the tables, 0: none. Beside them, so that to look for one
     *  touches no table. */
    uint64_t names[RLX_TRIALS];
    rlx_trial_table_t tables[RLX_TRIALS];
};

size_t rlx_trials_bytes(void)
{
    return sizeof(rlx_trials_t);
}

rlx_trial_table_t *rlx_trial_find(rlx_trials_t *trials, uint64_t name,
                                  int make)
{
    for (unsigned int i = 0; i < RLX_TRIALS; i++) {
        unsigned int at = (unsigned int)(name + i) % RLX_TRIALS;
        uint64_t there = __atomic_load_n(&trials->names[at],
                                         __ATOMIC_ACQUIRE);

        if (!there && !make) {
            continue;
        }
        if (!there
            && __atomic_compare_exchange_n(&trials->names[at], &there, name,
                                           0, __ATOMIC_ACQ_REL,
                                           __ATOMIC_ACQUIRE)) {
            there = name;
        }
        if (there == name) {
            return &trials->tables[at];
        }
    }
    return NULL;
}

static void empty(rlx_trial_table_t *trial)
{
    __atomic_store_n(&trial->level, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&trial->last_at, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < RLX_TRIAL_KEYS; i++) {
        place_t *place = &trial->places[i];

        if (__atomic_load_n(&place->hash, __ATOMIC_RELAXED)) {
            __atomic_store_n(&place->window, 0, __ATOMIC_RELAXED);
            __atomic_store_n(&place->most, 0, __ATOMIC_RELAXED);
            __atomic_store_n(&place->hash, 0, __ATOMIC_RELEASE);
        }
    }
}

void rlx_trials_keep(rlx_trials_t *trials, const uint64_t *names, int n)
{
    for (int i = 0; i < RLX_TRIALS; i++) {
        uint64_t name = __atomic_load_n(&trials->names[i], __ATOMIC_RELAXED);
        int k = 0;

        while (k < n && names[k] != name) {
            k++;
        }
        if (name && k == n) {
            empty(&trials->tables[i]);
            __atomic_store_n(&trials->names[i], 0, __ATOMIC_RELEASE);
        }
    }
}

/** Not 0 if a key is watched. */
static int is_watched(uint64_t hash, uint64_t level)
{
    return !(hash & ((UINT64_C(1) << level) - 1));
}

/** Take a place for a key.
 *  @param there what stands in it, which is not watched */
static place_t *take(place_t *place, uint64_t there, uint64_t hash)
{
    if (!__atomic_compare_exchange_n(&place->hash, &there, hash, 0,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        return there == hash ? place : NULL;
    }
    __atomic_store_n(&place->window, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&place->most, 0, __ATOMIC_RELAXED);
    return place;
}

/** The place of a key that is watched; NULL: the way is full, or somebody else
 *  was faster. */
static place_t *find(rlx_trial_table_t *trial, uint64_t hash, uint64_t level,
                     int *is_full)
{
    /* The last bits say who is watched, so others say where. */
    uint64_t home = hash >> 44;
    place_t *free_place = NULL;
    uint64_t was = 0;

    for (unsigned int i = 0; i < WAY; i++) {
        place_t *place = &trial->places[(home + i) % RLX_TRIAL_KEYS];
        uint64_t there = __atomic_load_n(&place->hash, __ATOMIC_ACQUIRE);

        if (there == hash) {
            return place;
        }
        if (!free_place && (!there || !is_watched(there, level))) {
            free_place = place;
            was = there;
        }
    }
    *is_full = !free_place;
    return free_place ? take(free_place, was, hash) : NULL;
}

/** Add to what was taken in a window.
 *  @return what that makes */
static uint32_t add(place_t *place, uint32_t window, uint32_t cost)
{
    uint64_t old = __atomic_load_n(&place->window, __ATOMIC_RELAXED);
    uint32_t taken = 0;

    for (int i = 0; i < TRIES; i++) {
        uint32_t before = old >> 32 == window ? (uint32_t)old : 0;

        taken = cost > UINT32_MAX - before ? UINT32_MAX : before + cost;
        if (__atomic_compare_exchange_n(&place->window, &old,
                                        (uint64_t)window << 32 | taken, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            break;
        }
    }
    return taken;
}

static void raise_most(place_t *place, uint32_t taken, int is_refused)
{
    uint64_t old = __atomic_load_n(&place->most, __ATOMIC_RELAXED);

    for (int i = 0; i < TRIES; i++) {
        uint64_t most = old >> 1 > taken ? old >> 1 : taken;
        uint64_t next = most << 1 | (old & 1) | (is_refused != 0);

        if (next == old
            || __atomic_compare_exchange_n(&place->most, &old, next, 0,
                                           __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED)) {
            return;
        }
    }
}

void rlx_trial_note(rlx_trial_table_t *trial, uint64_t hash, rlx_usec_t now,
                    rlx_usec_t window_usec, uint32_t cost, int is_refused)
{
    uint64_t level = __atomic_load_n(&trial->level, __ATOMIC_RELAXED);
    place_t *place = NULL;
    int is_full = 1;

    __atomic_store_n(&trial->last_at, (uint64_t)now, __ATOMIC_RELAXED);
    hash = hash ? hash : 1;
    while (is_full && is_watched(hash, level)) {
        place = find(trial, hash, level, &is_full);
        if (place || !is_full || level >= LEVEL_MAX) {
            break;
        }
        /* Whoever does it does it for all. */
        if (__atomic_compare_exchange_n(&trial->level, &level, level + 1, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            level++;
        }
    }
    if (place) {
        raise_most(place, add(place, (uint32_t)(now / window_usec), cost),
                   is_refused);
    }
}

static int descending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

/** The lowest count that leaves no more than so many keys above it. */
static uint64_t count_for(const uint32_t *most, uint32_t keys)
{
    return most[keys] ? most[keys] : 1;
}

void rlx_trial_sum(const rlx_trial_table_t *trial, rlx_trial_sums_t *sums,
                   uint32_t *room)
{
    uint64_t level = __atomic_load_n(&trial->level, __ATOMIC_RELAXED);
    uint32_t n = 0;

    memset(sums, 0, sizeof(*sums));
    sums->one_in = UINT64_C(1) << level;
    sums->last_at = (rlx_usec_t)__atomic_load_n(&trial->last_at,
                                                __ATOMIC_RELAXED);
    for (int i = 0; i < RLX_TRIAL_KEYS; i++) {
        const place_t *place = &trial->places[i];
        uint64_t hash = __atomic_load_n(&place->hash, __ATOMIC_ACQUIRE);

        if (hash && is_watched(hash, level)) {
            uint64_t most = __atomic_load_n(&place->most, __ATOMIC_RELAXED);

            room[n++] = (uint32_t)(most >> 1);
            sums->refused += (uint32_t)(most & 1);
        }
    }
    sums->watched = n;
    qsort(room, n, sizeof(*room), descending);
    sums->count_1_percent = n >= 100 ? count_for(room, n / 100) : 0;
    sums->count_01_percent = n >= 1000 ? count_for(room, n / 1000) : 0;
}
