/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The most frequent keys. Whose an entry is, and the most that its number may
 * be over, change in one step; the number goes on whoever comes. The words
 * are written and read in pieces, each in one step, and the digest tells
 * whether the pieces are of one text, of this key.
 */

#include "core/heavy.h"

#include <stdlib.h>
#include <string.h>

#include "core/word.h"

#define WAYS 8
#define SETS (RLX_HEAVY_KEYS / WAYS)
#define WORDS (sizeof(rlx_heavy_words_t) / sizeof(uint64_t))

struct rlx_heavy_entry_t {
    /** lo: the key's hash, 0: nobody's; hi: how much `count` may be over. */
    rlx_word_t owner;
    uint64_t count;
    /** When it was noted last. */
    uint64_t last_at;
    /** What the words are about, and their digest; 0: they are being written,
     *  or never were. */
    uint64_t about;
    uint64_t digest;
    uint64_t words[WORDS];
};

struct rlx_heavy_t {
    rlx_heavy_entry_t entries[RLX_HEAVY_KEYS];
};

size_t rlx_heavy_bytes(void)
{
    return sizeof(rlx_heavy_t);
}

/** What words are about: a key, and what its caller says of it. */
static uint64_t about_of(uint64_t hash, uint64_t tag)
{
    uint64_t about = hash ^ (tag + 1) * UINT64_C(0xff51afd7ed558ccd);

    return about ? about : 1;
}

/** Not against who means harm: nobody outside chooses in which order processes
 *  write. */
static uint64_t digest_of(const uint64_t *words, uint64_t hash, uint64_t about)
{
    uint64_t digest = hash ^ about * UINT64_C(0xc4ceb9fe1a85ec53);

    for (size_t i = 0; i < WORDS; i++) {
        digest = (digest ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        digest ^= digest >> 29;
    }
    return digest ? digest : 1;
}

static uint64_t load(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *at, uint64_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/** The key's entry, or the one that is least. */
static rlx_heavy_entry_t *find(rlx_heavy_entry_t *set, uint64_t hash)
{
    rlx_heavy_entry_t *least = set;
    uint64_t fewest = UINT64_MAX;

    for (int i = 0; i < WAYS; i++) {
        uint64_t count = load(&set[i].count);

        if (rlx_half_load(&set[i].owner.lo) == hash) {
            return &set[i];
        }
        if (count < fewest) {
            fewest = count;
            least = &set[i];
        }
    }
    return least;
}

/** Make an entry a key's. Not tried twice: who was faster counts as well.
 *  @return not 0: it is */
static int take(rlx_heavy_entry_t *entry, uint64_t hash)
{
    rlx_word_t old = rlx_word_read(&entry->owner);
    rlx_word_t own = { hash, load(&entry->count) };

    return old.lo == hash || rlx_word_cas(&entry->owner, &old, own)
           || old.lo == hash;
}

rlx_heavy_entry_t *rlx_heavy_note(rlx_heavy_t *heavy, uint64_t hash,
                                  uint64_t tag, rlx_usec_t now)
{
    rlx_heavy_entry_t *entry;

    hash = hash ? hash : 1;
    entry = find(&heavy->entries[hash % SETS * WAYS], hash);
    if (rlx_half_load(&entry->owner.lo) != hash && !take(entry, hash)) {
        return NULL;
    }
    __atomic_fetch_add(&entry->count, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->last_at, (uint64_t)now, __ATOMIC_RELAXED);
    return load(&entry->about) == about_of(hash, tag) && load(&entry->digest)
           ? NULL : entry;
}

/** Copy text, cut where a character ends. */
static void put(char *to, size_t room, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    if (len >= room) {
        len = room - 1;
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    if (len) {
        memcpy(to, text, len);
    }
}

void rlx_heavy_describe(rlx_heavy_entry_t *entry, uint64_t hash, uint64_t tag,
                        const char *key, const char *server,
                        const char *limit, const char *name)
{
    union {
        rlx_heavy_words_t words;
        uint64_t pieces[WORDS];
    } text;

    hash = hash ? hash : 1;
    memset(&text, 0, sizeof(text));
    put(text.words.key, sizeof(text.words.key), key);
    put(text.words.server, sizeof(text.words.server), server);
    put(text.words.limit, sizeof(text.words.limit), limit);
    put(text.words.name, sizeof(text.words.name), name);
    store(&entry->digest, 0);
    for (size_t i = 0; i < WORDS; i++) {
        store(&entry->words[i], text.pieces[i]);
    }
    store(&entry->about, about_of(hash, tag));
    store(&entry->digest, digest_of(text.pieces, hash, about_of(hash, tag)));
}

void rlx_heavy_forget(rlx_heavy_t *heavy)
{
    for (int i = 0; i < RLX_HEAVY_KEYS; i++) {
        rlx_heavy_entry_t *entry = &heavy->entries[i];
        rlx_word_t old = rlx_word_read(&entry->owner);
        rlx_word_t nobody = { 0, 0 };

        store(&entry->digest, 0);
        store(&entry->about, 0);
        rlx_word_cas(&entry->owner, &old, nobody);
        store(&entry->count, 0);
        for (size_t k = 0; k < WORDS; k++) {
            store(&entry->words[k], 0);
        }
    }
}

/** Read an entry.
 *  @return 0: there is none, or its words do not fit together */
static int view_of(rlx_heavy_entry_t *entry, rlx_heavy_view_t *view)
{
    uint64_t pieces[WORDS];
    uint64_t digest = load(&entry->digest);
    uint64_t about = load(&entry->about);
    rlx_word_t owner = rlx_word_read(&entry->owner);

    if (!owner.lo || !digest) {
        return 0;
    }
    for (size_t i = 0; i < WORDS; i++) {
        pieces[i] = load(&entry->words[i]);
    }
    view->count = load(&entry->count);
    view->over = owner.hi < view->count ? owner.hi : view->count;
    view->last_at = (rlx_usec_t)load(&entry->last_at);
    memcpy(&view->words, pieces, sizeof(view->words));
    if (digest_of(pieces, owner.lo, about) == digest) {
        return 1;
    }
    /* So that whoever notes the key next writes them anew. */
    __atomic_compare_exchange_n(&entry->digest, &digest, 0, 0,
                                __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    return 0;
}

/** By what is certain: one that has just come has the number of another. */
static int more_first(const void *a, const void *b)
{
    const rlx_heavy_view_t *x = a, *y = b;
    uint64_t x_least = x->count - x->over, y_least = y->count - y->over;

    if (x_least != y_least) {
        return x_least < y_least ? 1 : -1;
    }
    return x->count < y->count ? 1 : x->count > y->count ? -1
           : strcmp(x->words.key, y->words.key);
}

int rlx_heavy_read(rlx_heavy_t *heavy, rlx_heavy_view_t *views)
{
    int n = 0;

    for (int i = 0; i < RLX_HEAVY_KEYS; i++) {
        n += view_of(&heavy->entries[i], &views[n]);
    }
    qsort(views, (size_t)n, sizeof(*views), more_first);
    return n;
}
