/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Where keys lie in the table: finding them, and choosing the slot that a new
 * one takes. A key has two sets to choose from, the power of two choices
 * (Azar, Broder, Karlin and Upfal, "Balanced Allocations", 1999), so that
 * keys at their limits spread evenly and each finds a place as long as they
 * fill no more than half of the table.
 */

#include "core/moving_window.h"
#include "core/table_inside.h"

/* The payload of a set's version: in hi the number of insertions of keys
 * whose set A it is, in lo whether any of them went to C or D. */
#define OVERFLOWED UINT64_C(1)

/* So many empty slots in set A, and set B is not looked at. */
#define EMPTY_PLENTY 3

/* The worth of an expired counter: anything empty comes before it. */
#define WORTH_EXPIRED UINT64_C(1)

#define WORTH_TIME_BITS   50
#define WORTH_SHARE_BITS  12
#define WORTH_TIME_MASK   ((UINT64_C(1) << WORTH_TIME_BITS) - 1)

/* --- finding ----------------------------------------------------------- */

/* As rlx_find_in_set(), with all steps under way completed first. */
static int find_surely(const rlx_inside_t *in, const rlx_place_t *place,
                       uint32_t set, rlx_found_t *found)
{
    uint32_t slot = set * RLX_SET_SLOTS;
    uint32_t i;

    for (i = 0; i < RLX_SET_SLOTS; ++i) {
        found->slot = slot + i;
        found->key = rlx_inside_read(in, &in->hot[slot + i].key);
        if (rlx_key_is(found->key, place)) {
            return 1;
        }
    }
    return 0;
}

/* The cold parts of A and B: whoever comes here will most likely insert. */
static void prefetch_cold(const rlx_inside_t *in, uint32_t set)
{
    const char *at = (const char *)&in->cold[set];
    size_t i;

    for (i = 0; i < sizeof(rlx_cold_t); i += 64) {
        __builtin_prefetch(at + i, 1);
    }
}

int rlx_find(const rlx_inside_t *in, const rlx_place_t *place,
             rlx_word_t *version, rlx_found_t *found)
{
    uint32_t a = rlx_place_set(in->sets, place, 0);
    int sets = RLX_SETS_USUAL;
    int i;

    prefetch_cold(in, a);
    prefetch_cold(in, rlx_place_set(in->sets, place, 1));
    *version = rlx_inside_read(in, &in->cold[a].version);
    if (rlx_word_payload(*version).lo & OVERFLOWED) {
        sets = RLX_SETS_ALL;
    }
    for (i = 0; i < sets; ++i) {
        if (find_surely(in, place, rlx_place_set(in->sets, place, i), found)) {
            return 1;
        }
    }
    return 0;
}

/* --- worth ------------------------------------------------------------- */

/* How much of its life a counter has before it, in 2^-LIFE_BITS. Of counters
 * that are as far from their limits, the one that is nearest to being
 * forgotten anyway gives way; never one that has only just come, whatever
 * its window. */
#define LIFE_BITS 40

static uint64_t life_left(rlx_usec_t left, rlx_usec_t life)
{
    int shift;

    if (left >= life) {
        return UINT64_C(1) << LIFE_BITS;
    }
    shift = __builtin_clzll((uint64_t)life) - 1;
    shift = shift < LIFE_BITS ? shift : LIFE_BITS;
    return left <= 0 ? 0
                     : (((uint64_t)left << shift) / (uint64_t)life)
                           << (LIFE_BITS - shift);
}

rlx_worth_t rlx_worth(uint32_t used, uint32_t most, rlx_usec_t release,
                      rlx_usec_t life, rlx_usec_t now)
{
    uint64_t share;

    if (used >= most) {
        return RLX_WORTH_AT_LIMIT
               | (release > (rlx_usec_t)WORTH_TIME_MASK ? WORTH_TIME_MASK
                                                        : (uint64_t)release);
    }
    share = (uint64_t)used * ((1 << WORTH_SHARE_BITS) - 1) / most;
    return RLX_WORTH_LIVE | share << WORTH_TIME_BITS
           | life_left(release - now, life);
}

int rlx_counter_is_live(const rlx_inside_t *in, rlx_state_t state,
                        const rlx_facts_t *facts, rlx_usec_t now)
{
    const rlx_limit_t *limit = &facts->limit;

    if (limit->strategy == RLX_MOVING_WINDOW) {
        return rlx_moving_is_live(state, limit, now);
    }
    return rlx_strategies[limit->strategy]->used(state, limit, now) != 0;
}

/* What gcra's window is for the others: a unit lasts as long as it takes to
 * come back; if it was charged just now, its release is so far away. */
static rlx_usec_t gcra_life(const rlx_limit_t *limit, uint32_t used)
{
    rlx_usec_t each = limit->count ? limit->window_usec / limit->count : 0;

    return each < RLX_REL_MAX / used ? each * used : RLX_REL_MAX;
}

rlx_worth_t rlx_counter_worth(const rlx_inside_t *in, rlx_state_t state,
                              const rlx_facts_t *facts, rlx_usec_t now)
{
    const rlx_limit_t *limit = &facts->limit;
    const rlx_strategy_t *strategy = rlx_strategies[limit->strategy];
    rlx_reading_t reading;
    uint32_t used;

    if (rlx_state_is_zero(state)) {
        return WORTH_EXPIRED;
    }
    if (limit->strategy == RLX_MOVING_WINDOW) {
        return rlx_moving_is_live(state, limit, now)
                   ? rlx_moving_worth(state, limit, in->log_max, now)
                   : WORTH_EXPIRED;
    }
    used = strategy->used(state, limit, now);
    if (used == 0) {
        return WORTH_EXPIRED;
    }
    strategy->read(state, limit, now, &reading);
    if (limit->strategy == RLX_GCRA) {
        return rlx_worth(used, limit->burst, reading.reset_at,
                         gcra_life(limit, used), now);
    }
    return rlx_worth(used, limit->count, reading.reset_at, limit->window_usec,
                     now);
}

/* --- making room ------------------------------------------------------- */

/* A slot that takes another key gets another state: unchanged around the
 * reading of the other words, all three belong together. */
void rlx_room_read(const rlx_inside_t *in, uint32_t slot, rlx_room_t *room)
{
    room->slot = slot;
    do {
        room->state = rlx_inside_read(in, &in->hot[slot].state);
        room->meta = rlx_inside_read(in, rlx_slot_meta(in, slot));
        room->key = rlx_inside_read(in, &in->hot[slot].key);
    } while (rlx_half_load(&in->hot[slot].state.lo) != room->state.lo);
}

/* A slot that might give way. */
typedef struct candidate_t {
    rlx_room_t room;
    rlx_worth_t worth;
    /* A live piece of a log cannot go without its head's state. */
    uint32_t head;
    rlx_word_t head_state;
} candidate_t;

/* What a set has to offer. */
typedef struct survey_t {
    candidate_t best;
    int occupied;
    int at_limit;
} survey_t;

static void assess(const rlx_inside_t *in, uint32_t slot, rlx_usec_t now,
                   candidate_t *c)
{
    rlx_facts_t facts;

    c->head = RLX_SLOT_NONE;
    rlx_room_read(in, slot, &c->room);
    if (rlx_key_is_empty(c->room.key)) {
        c->worth = RLX_WORTH_NOTHING;
    }
    else if (rlx_key_is_piece(c->room.key)) {
        rlx_piece_t piece;

        c->worth = WORTH_EXPIRED;
        if (rlx_moving_piece(in, c->room.key, now, &piece)) {
            c->head = piece.head;
            c->head_state = piece.head_state;
            c->worth = piece.worth;
        }
    }
    else {
        rlx_facts_unpack(rlx_word_payload(c->room.meta), &facts);
        c->worth = rlx_counter_worth(in, rlx_word_payload(c->room.state),
                                     &facts, now);
    }
}

/* Not 0 if the plan relies on the slot, or on what depends on it. */
static int is_pinned(const rlx_plan_t *plan, uint32_t slot, rlx_word_t key)
{
    return rlx_plan_has_pin(plan, slot)
           || (rlx_key_is_piece(key)
               && rlx_plan_has_pin(plan, rlx_moving_piece_head(key)));
}

static void survey(const rlx_inside_t *in, const rlx_place_t *place, int which,
                   rlx_usec_t now, const rlx_plan_t *plan, survey_t *s)
{
    uint32_t set = rlx_place_set(in->sets, place, which) * RLX_SET_SLOTS;
    uint32_t first = rlx_place_first(place);
    candidate_t c;
    uint32_t i;

    s->best.room.slot = RLX_SLOT_NONE;
    s->best.worth = UINT64_MAX;
    s->occupied = 0;
    s->at_limit = 0;
    for (i = 0; i < RLX_SET_SLOTS; ++i) {
        assess(in, set + ((first + i) & (RLX_SET_SLOTS - 1)), now, &c);
        s->occupied += c.worth >= RLX_WORTH_LIVE;
        s->at_limit += c.worth >= RLX_WORTH_AT_LIMIT;
        if (c.worth < s->best.worth
            && !is_pinned(plan, c.room.slot, c.room.key)) {
            s->best = c;
        }
    }
}

/* 0: a slot that is free or as good as that. 1: one of a counter that has
 * room left. 2: all are at their limits. */
static inline int grade(const survey_t *s)
{
    return s->best.worth < RLX_WORTH_LIVE
               ? 0
               : s->best.worth < RLX_WORTH_AT_LIMIT ? 1 : 2;
}

static int is_better(const survey_t *a, const survey_t *b)
{
    if (grade(a) != grade(b)) {
        return grade(a) < grade(b);
    }
    if (grade(a) < 2 && a->at_limit != b->at_limit) {
        return a->at_limit < b->at_limit;
    }
    if (grade(a) == 0 && a->occupied != b->occupied) {
        return a->occupied < b->occupied;
    }
    return a->best.worth < b->best.worth;
}

/* An empty slot of set A, if there are plenty. */
static int find_empty(const rlx_inside_t *in, const rlx_place_t *place,
                      const rlx_plan_t *plan, rlx_room_t *room)
{
    uint32_t set = rlx_place_set(in->sets, place, 0) * RLX_SET_SLOTS;
    uint32_t first = rlx_place_first(place);
    int empty = 0;
    uint32_t i;

    room->slot = RLX_SLOT_NONE;
    for (i = 0; i < RLX_SET_SLOTS; ++i) {
        uint32_t slot = set + ((first + i) & (RLX_SET_SLOTS - 1));
        rlx_word_t key = rlx_inside_read(in, &in->hot[slot].key);

        if (rlx_key_is_empty(key) && !rlx_plan_has_pin(plan, slot)) {
            ++empty;
            if (room->slot == RLX_SLOT_NONE) {
                room->slot = slot;
                room->key = key;
            }
        }
    }
    if (empty < EMPTY_PLENTY) {
        return 0;
    }
    /* If the key changes meanwhile, the step will fail by it. */
    room->state = rlx_inside_read(in, &in->hot[room->slot].state);
    room->meta = rlx_inside_read(in, rlx_slot_meta(in, room->slot));
    return 1;
}

/* The best slot of all candidates; which set it is in goes to `which`. */
static candidate_t choose(const rlx_inside_t *in, const rlx_place_t *place,
                          rlx_usec_t now, const rlx_plan_t *plan, int *which)
{
    survey_t best;
    survey_t other;
    int i;

    *which = 0;
    survey(in, place, 0, now, plan, &best);
    for (i = 1; i < RLX_SETS_ALL; ++i) {
        if (i == RLX_SETS_USUAL && grade(&best) < 2) {
            break;
        }
        survey(in, place, i, now, plan, &other);
        if (is_better(&other, &best)) {
            best = other;
            *which = i;
        }
    }
    return best.best;
}

static void plan_version(const rlx_inside_t *in, const rlx_place_t *place,
                         rlx_word_t version, int overflows, rlx_plan_t *plan)
{
    uint32_t a = rlx_place_set(in->sets, place, 0);
    rlx_state_t next = rlx_word_payload(version);

    ++next.hi;
    if (overflows) {
        next.lo |= OVERFLOWED;
        /* Before the key is there, so that nobody overlooks it. */
        __atomic_store_n(in->has_overflowed, 1, __ATOMIC_SEQ_CST);
    }
    rlx_plan_add(in, plan, &in->cold[a].version, version, next);
}

int rlx_room_make(const rlx_inside_t *in, const rlx_place_t *place,
                  rlx_word_t version, rlx_usec_t now, rlx_plan_t *plan,
                  rlx_room_t *room)
{
    static const rlx_state_t nothing = { 0, 0 };
    candidate_t chosen;
    int which = 0;

    if (!find_empty(in, place, plan, room)) {
        chosen = choose(in, place, now, plan, &which);
        if (chosen.room.slot == RLX_SLOT_NONE) {
            plan->spoilt |= RLX_PLAN_CROWDED;
            return 0;
        }
        *room = chosen.room;
        if (chosen.head != RLX_SLOT_NONE) {
            rlx_plan_pin(plan, chosen.head);
            rlx_plan_add(in, plan, &in->hot[chosen.head].state,
                         chosen.head_state, nothing);
        }
        plan->evictions += chosen.worth >= RLX_WORTH_LIVE;
    }
    rlx_plan_pin(plan, room->slot);
    plan_version(in, place, version, which >= RLX_SETS_USUAL, plan);
    return 1;
}

void rlx_room_fill(const rlx_inside_t *in, const rlx_place_t *place,
                   const rlx_room_t *room, rlx_state_t state,
                   rlx_state_t meta, rlx_plan_t *plan)
{
    rlx_slot_t *slot = rlx_slot(in, room->slot);

    rlx_plan_append(in, plan, &slot->key, room->key, place->key);
    rlx_plan_append(in, plan, &slot->state, room->state, state);
    rlx_plan_append(in, plan, rlx_slot_meta(in, room->slot), room->meta,
                    meta);
}
