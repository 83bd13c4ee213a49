/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  heavy.h
 * @brief The most frequent keys of a stream, in bounded memory that many
 *        processes share.
 *
 * SpaceSaving (Metwally, Agrawal and El Abbadi, "Efficient Computation of
 * Frequent and Top-k Elements in Data Streams", 2005): a key that is there is
 * counted; another takes the place of the least one and goes on from its
 * number, which it keeps as the most that it may be over. So no number is
 * too low, and who is more frequent than the least is there. Here each of 128
 * sets of eight keys is such a summary of the keys that belong to it.
 *
 * Any number of threads and processes may call at once. None waits: where
 * two meet in one entry a number may be off by them, and the words about the
 * key may come out mixed. Those have a digest, and are not shown unless they
 * fit together; the next time that the key is noted they are written anew,
 * also where somebody died over them.
 */

#ifndef RLX_CORE_HEAVY_H
#define RLX_CORE_HEAVY_H

#include <stddef.h>
#include <stdint.h>

#include "ratelimit_limit.h"

/** Keys that are kept. */
#define RLX_HEAVY_KEYS 1024

/** Bytes of the words about a key, with the NUL; what is longer is cut where
 *  a character of UTF-8 ends. */
#define RLX_HEAVY_KEY_ROOM    128
#define RLX_HEAVY_SERVER_ROOM 128
#define RLX_HEAVY_LIMIT_ROOM  48
#define RLX_HEAVY_NAME_ROOM   136

/** All keys, in shared memory. */
typedef struct rlx_heavy_t rlx_heavy_t;
/** A key's place. */
typedef struct rlx_heavy_entry_t rlx_heavy_entry_t;

/** The words about a key. */
typedef struct rlx_heavy_words_t {
    char key[RLX_HEAVY_KEY_ROOM];
    char server[RLX_HEAVY_SERVER_ROOM];
    char limit[RLX_HEAVY_LIMIT_ROOM];
    /** "": none. */
    char name[RLX_HEAVY_NAME_ROOM];
} rlx_heavy_words_t;

/** A key as it is read. */
typedef struct rlx_heavy_view_t {
    /** At least count - over times, at most count. */
    uint64_t count;
    uint64_t over;
    rlx_usec_t last_at;
    rlx_heavy_words_t words;
} rlx_heavy_view_t;

/** Bytes of it: zeroed memory is an empty one. Aligned to 16 bytes. */
size_t rlx_heavy_bytes(void);

/**
 * Count a key.
 * @param hash of the key: as good as random
 * @param tag  of the words about it: other words have another tag
 * @return its place, if words are wanted there: rlx_heavy_describe(); NULL:
 *         they are there, or there is no place for the key just now
 */
rlx_heavy_entry_t *rlx_heavy_note(rlx_heavy_t *heavy, uint64_t hash,
                                  uint64_t tag, rlx_usec_t now);

/** Put words where they are wanted; hash and tag as before. Any may be
 *  longer than there is room, or NULL: "". */
void rlx_heavy_describe(rlx_heavy_entry_t *entry, uint64_t hash, uint64_t tag,
                        const char *key, const char *server,
                        const char *limit, const char *name);

/** Forget every key. */
void rlx_heavy_forget(rlx_heavy_t *heavy);

/**
 * Read the keys.
 * @param views room for RLX_HEAVY_KEYS
 * @return how many: by count - over, the most frequent first
 */
int rlx_heavy_read(rlx_heavy_t *heavy, rlx_heavy_view_t *views);

#endif /* RLX_CORE_HEAVY_H */
