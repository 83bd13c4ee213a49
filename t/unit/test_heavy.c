/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The most frequent keys: a skewed stream of many more keys than there is
 * room for, against the true counts; words that are cut; threads, whose words
 * are never seen mixed; one that died over them.
 */

#include <pthread.h>
#include <stdlib.h>

/* Its statics too: somebody dies in between. */
#include "../../src/core/heavy.c"
#include "tap.h"

#define NOON    INT64_C(1800000000000000)
#define KEYS    20000
#define THREADS 4

static rlx_heavy_view_t views[RLX_HEAVY_KEYS];

static rlx_heavy_t *make(void)
{
    void *block = aligned_alloc(64, (rlx_heavy_bytes() + 63) / 64 * 64);

    memset(block, 0, rlx_heavy_bytes());
    return block;
}

static uint64_t hash_of(uint64_t i)
{
    i = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    i = (i ^ i >> 33) * UINT64_C(0xff51afd7ed558ccd);
    return i ^ i >> 33;
}

/** Note key i as the module does; its words say who it is. */
static void note(rlx_heavy_t *heavy, uint64_t i, rlx_usec_t now)
{
    rlx_heavy_entry_t *entry = rlx_heavy_note(heavy, hash_of(i), 7, now);
    char key[32], server[32];

    if (entry) {
        snprintf(key, sizeof(key), "key%d", (int)i);
        snprintf(server, sizeof(server), "server%d", (int)i);
        rlx_heavy_describe(entry, hash_of(i), 7, key, server, "1 per 1 hour",
                           i % 2 ? "odd" : NULL);
    }
}

/** The number of a view's key; -1: its words are of two. */
static int number_of(const rlx_heavy_view_t *view)
{
    int i = atoi(view->words.key + 3);
    char server[32];

    snprintf(server, sizeof(server), "server%d", i);
    return strcmp(view->words.server, server)
           || strcmp(view->words.name, i % 2 ? "odd" : "") ? -1 : i;
}

/** How often key i comes: 40,000 / (i + 1), but every one once. */
static uint64_t times(uint64_t i)
{
    return 1 + 40000 / (i + 1);
}

static void test_skewed(void)
{
    rlx_heavy_t *heavy = make();
    int n, in_bounds = 1, whole = 1, found = 0;

    /* In rounds, so that rare keys push at frequent ones all the time. */
    for (uint64_t round = 0; round < times(0); round++) {
        for (uint64_t i = 0; i < KEYS && times(i) > round; i++) {
            note(heavy, i, NOON);
        }
    }
    n = rlx_heavy_read(heavy, views);
    for (int v = 0; v < n; v++) {
        int i = number_of(&views[v]);
        uint64_t true_count = times((uint64_t)i);

        whole &= i >= 0;
        in_bounds &= views[v].count >= true_count
                     && views[v].count - views[v].over <= true_count;
        found += i < 100;
    }
    is_int(n, RLX_HEAVY_KEYS, "as many keys as there is room for");
    ok(whole, "each with its own words");
    ok(in_bounds, "each true count lies within the bounds");
    is_int(found, 100, "the hundred most frequent are there");
    is_int(number_of(&views[0]), 0, "the most frequent first");
    ok(views[0].over < 400, "its number is off by 1 %% at most: %d",
       (int)views[0].over);
    free(heavy);
}

static void test_words(void)
{
    rlx_heavy_t *heavy = make();
    char longest[400];
    rlx_heavy_entry_t *entry = rlx_heavy_note(heavy, 5, 1, NOON);

    is_int(rlx_heavy_read(heavy, views), 0, "without words it is not shown");
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    memcpy(longest + 125, "\xe2\x82\xac", 3);
    rlx_heavy_describe(entry, 5, 1, longest, longest, longest, longest);
    is_int(rlx_heavy_read(heavy, views), 1, "with them it is");
    is_int((int64_t)strlen(views[0].words.key), 125,
           "cut before the character that does not fit");
    is_int((int64_t)strlen(views[0].words.limit), RLX_HEAVY_LIMIT_ROOM - 1,
           "cut where there is no more room");
    ok(!rlx_heavy_note(heavy, 5, 1, NOON + 7), "the same again wants none");
    entry = rlx_heavy_note(heavy, 5, 2, NOON + 9);
    ok(entry, "about another limit they are wanted anew");
    rlx_heavy_describe(entry, 5, 2, "k", "s", "l", NULL);
    is_int(rlx_heavy_read(heavy, views), 1, "there is one key");
    is_str(views[0].words.limit, "l", "the last limit");
    is_str(views[0].words.name, "", "which has no name");
    is_int((int64_t)views[0].count, 3, "noted three times");
    is_int(views[0].last_at - NOON, 9, "the last time");
    rlx_heavy_forget(heavy);
    is_int(rlx_heavy_read(heavy, views), 0, "forgotten");
    free(heavy);
}

/** Somebody dies after each piece that he has written. */
static void test_death(void)
{
    rlx_heavy_t *heavy = make();
    rlx_heavy_entry_t *entry;
    int shown = 0;

    note(heavy, 1, NOON);
    entry = find(&heavy->entries[hash_of(1) % SETS * WAYS], hash_of(1));
    for (size_t i = 0; i < WORDS; i++) {
        /* Another process writes over it, and both believe to be done. */
        entry->words[i] ^= UINT64_C(0x4141);
        shown += rlx_heavy_read(heavy, views);
        note(heavy, 1, NOON);
        shown -= rlx_heavy_read(heavy, views) == 1 ? 0 : 100;
    }
    is_int(shown, 0, "mixed words are not shown, and come back whole");
    entry->digest = 0;
    is_int(rlx_heavy_read(heavy, views), 0, "unfinished ones neither");
    note(heavy, 1, NOON);
    is_int(rlx_heavy_read(heavy, views), 1, "whoever comes next writes them");
    /* He had taken the place of another, whose words are still there. */
    entry->owner.lo = 1;
    is_int(rlx_heavy_read(heavy, views), 0, "another's words neither");
    rlx_heavy_forget(heavy);
    is_int(rlx_heavy_read(heavy, views), 0, "forgotten");
    note(heavy, 1, NOON);
    is_int(rlx_heavy_read(heavy, views), 1, "and there again");
    free(heavy);
}

static rlx_heavy_t *shared;

static void *note_many(void *arg)
{
    for (uint64_t k = 0; k < 60000; k++) {
        /* Ten keys of one set, which has room for eight, and a busy one. */
        uint64_t i = k % 4 ? 0 : k / 4 % 10;
        rlx_heavy_entry_t *entry;
        uint64_t hash = i * SETS + SETS;
        char text[RLX_HEAVY_KEY_ROOM];

        entry = rlx_heavy_note(shared, hash, i + 1, NOON);
        if (entry) {
            memset(text, (int)('0' + i), sizeof(text) - 1);
            text[sizeof(text) - 1] = '\0';
            rlx_heavy_describe(entry, hash, i + 1, text, text, text, text);
        }
    }
    return NULL;
}

static int is_one_text(const rlx_heavy_words_t *words)
{
    char c = words->key[0];

    return strspn(words->key, (char[]){ c, 0 }) == strlen(words->key)
           && words->server[0] == c && words->limit[0] == c
           && strspn(words->name, (char[]){ c, 0 }) == strlen(words->name);
}

static void test_threads(void)
{
    pthread_t threads[THREADS];
    int whole = 1, n;

    shared = make();
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, note_many, NULL);
    }
    for (int k = 0; k < 2000; k++) {
        n = rlx_heavy_read(shared, views);
        for (int v = 0; v < n; v++) {
            whole &= is_one_text(&views[v].words);
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ok(whole, "threads: words are never seen mixed");
    rlx_heavy_read(shared, views);
    ok(views[0].words.key[0] == '0', "threads: the most frequent is first");
    ok(views[0].count - views[0].over > THREADS * 60000 / 2,
       "threads: little is lost: %d of %d",
       (int)(views[0].count - views[0].over), THREADS * 46500);
    free(shared);
}

int main(void)
{
    test_skewed();
    test_words();
    test_death();
    test_threads();
    return tap_done();
}
