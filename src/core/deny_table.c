/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The table is an array of sets, two cache lines each:
 *
 *     drops | entry | entry | entry          8 + 3 * 40 bytes
 *
 *     entry:  check | until | reset_at | retry_at | remaining, room, cost
 *
 * A counter's id picks its set. The check is a digest of what makes the entry
 * worth believing: whose it is, all that it says, and how often its set and
 * the whole table had been dropped when the storage was asked. So
 *
 *   - an entry that two wrote at once, or that a killed child left half
 *     written, fits nobody's check;
 *   - to drop a counter is to count one drop more. Its neighbours go with it,
 *     which costs a question each; and who is slow and only now writes what
 *     he learned before the drop writes what nobody believes.
 *
 * Ids are keyed hashes: nobody outside can aim at a set, and two counters have
 * the same check with the probability of chance, 2^-64. The count goes into
 * it too, for the id of a named limit does not change when that is edited.
 */

#include "core/deny_table.h"

#include "core/wide.h"

#define WAYS 3

/** Bits of rlx_entry_t.figures: remaining and cost have 31 each. */
#define ROOM_BIT   (UINT64_C(1) << 31)
#define COST_SHIFT 32

/** Odd, with no pattern in its bits. */
#define FACTOR UINT64_C(0x9e3779b97f4a7c15)

typedef struct rlx_entry_t {
    uint64_t check;
    uint64_t until;
    uint64_t reset_at;
    uint64_t retry_at;
    uint64_t figures;
} rlx_entry_t;

typedef struct rlx_set_t {
    uint64_t drops;
    rlx_entry_t entry[WAYS];
} rlx_set_t;

/** What stands at the beginning; sets follow. */
struct rlx_deny_header_t {
    uint64_t drops;
    uint64_t unused[sizeof(rlx_set_t) / sizeof(uint64_t) - 1];
    rlx_set_t set[];
};

rlx_deny_table_t rlx_deny_table(void *block, size_t bytes,
                                rlx_usec_t time_max_usec)
{
    rlx_deny_table_t table;

    table.header = block;
    table.sets = (bytes - sizeof(*table.header)) / sizeof(rlx_set_t);
    table.time_max_usec = time_max_usec;
    return table;
}

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void put(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static rlx_set_t *set_of(const rlx_deny_table_t *table,
                         const rlx_counter_t *counter)
{
    return &table->header->set[
        (uint64_t)(rlx_wide_mul(counter->id.word[0], table->sets) >> 64)];
}

/** How often what is in a set has been dropped: with it, and with all. */
static rlx_deny_ticket_t drops_of(const rlx_deny_table_t *table,
                                  const rlx_set_t *set)
{
    return __atomic_load_n(&table->header->drops, __ATOMIC_ACQUIRE) << 40
           ^ __atomic_load_n(&set->drops, __ATOMIC_ACQUIRE);
}

static uint64_t mix(uint64_t digest, uint64_t word)
{
    digest = (digest ^ word) * FACTOR;
    return digest ^ digest >> 32;
}

/** What the checks of a counter's entries begin with. */
static uint64_t seed_of(const rlx_counter_t *counter, rlx_deny_ticket_t drops)
{
    uint64_t digest = mix(counter->id.word[0], counter->id.word[1]);

    digest = mix(digest, (uint64_t)counter->limit->count << 32
                         | counter->limit->burst);
    return mix(digest, drops);
}

static uint64_t check_of(uint64_t seed, const rlx_entry_t *entry)
{
    return mix(mix(mix(mix(seed, entry->until), entry->reset_at),
                   entry->retry_at), entry->figures);
}

/** Not 0 if an entry says what holds now: one that is too far off is from
 *  before the clock stepped back. */
static int is_current(const rlx_deny_table_t *table, uint64_t until,
                      rlx_usec_t now)
{
    return (rlx_usec_t)until > now
           && (rlx_usec_t)until - now <= table->time_max_usec;
}

/** Copy an entry. 0 if it is not this counter's, or says nothing now. */
static int read_entry(const rlx_deny_table_t *table, const rlx_entry_t *from,
                      uint64_t seed, rlx_usec_t now, rlx_entry_t *entry)
{
    entry->until = load(&from->until);
    if (!is_current(table, entry->until, now)) {
        return 0;
    }
    entry->reset_at = load(&from->reset_at);
    entry->retry_at = load(&from->retry_at);
    entry->figures = load(&from->figures);
    return load(&from->check) == check_of(seed, entry);
}

int rlx_deny_find(const rlx_deny_table_t *table, const rlx_counter_t *counter,
                  rlx_usec_t now, rlx_deny_ticket_t *ticket,
                  rlx_deny_fact_t *fact)
{
    const rlx_set_t *set = set_of(table, counter);
    uint64_t seed;

    *ticket = drops_of(table, set);
    seed = seed_of(counter, *ticket);
    for (int i = 0; i < WAYS; i++) {
        rlx_entry_t entry;

        if (read_entry(table, &set->entry[i], seed, now, &entry)) {
            fact->until = (rlx_usec_t)entry.until;
            fact->reset_at = (rlx_usec_t)entry.reset_at;
            fact->retry_at = (rlx_usec_t)entry.retry_at;
            fact->remaining = (uint32_t)(entry.figures & (ROOM_BIT - 1));
            fact->cost = (uint32_t)(entry.figures >> COST_SHIFT);
            fact->has_room = (entry.figures & ROOM_BIT) != 0;
            return 1;
        }
    }
    return 0;
}

/** Where to write: the counter's own entry, or one that says nothing, or the
 *  one that says something for the shortest time. */
static rlx_entry_t *place_for(const rlx_deny_table_t *table, rlx_set_t *set,
                              uint64_t seed, rlx_usec_t now)
{
    rlx_entry_t *place = NULL, entry;
    uint64_t soonest = UINT64_MAX;

    for (int i = 0; i < WAYS; i++) {
        uint64_t until = load(&set->entry[i].until);

        if (read_entry(table, &set->entry[i], seed, now, &entry)) {
            return &set->entry[i];
        }
        if (!is_current(table, until, now)) {
            until = 0;
        }
        if (until < soonest) {
            soonest = until;
            place = &set->entry[i];
        }
    }
    return place;
}

void rlx_deny_keep(const rlx_deny_table_t *table, const rlx_counter_t *counter,
                   rlx_deny_ticket_t ticket, rlx_usec_t now,
                   const rlx_deny_fact_t *fact)
{
    rlx_set_t *set = set_of(table, counter);
    uint64_t seed = seed_of(counter, ticket);
    rlx_usec_t latest = now + table->time_max_usec;
    rlx_entry_t entry, *place;

    if (fact->until <= now || drops_of(table, set) != ticket) {
        return;
    }
    entry.until = (uint64_t)(fact->until < latest ? fact->until : latest);
    entry.reset_at = (uint64_t)fact->reset_at;
    entry.retry_at = (uint64_t)fact->retry_at;
    entry.figures = (uint64_t)fact->cost << COST_SHIFT
                    | (fact->has_room ? ROOM_BIT : 0) | fact->remaining;
    place = place_for(table, set, seed, now);
    put(&place->until, entry.until);
    put(&place->reset_at, entry.reset_at);
    put(&place->retry_at, entry.retry_at);
    put(&place->figures, entry.figures);
    put(&place->check, check_of(seed, &entry));
}

void rlx_deny_drop(const rlx_deny_table_t *table,
                   const rlx_counter_t *counter)
{
    __atomic_fetch_add(&set_of(table, counter)->drops, 1, __ATOMIC_ACQ_REL);
}

void rlx_deny_drop_all(const rlx_deny_table_t *table)
{
    __atomic_fetch_add(&table->header->drops, 1, __ATOMIC_ACQ_REL);
}
