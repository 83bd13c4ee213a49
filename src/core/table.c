/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The table of counters: its making, what its words hold, and plans.
 * Finding and placing are in table_place.c, deciding in table_decide.c,
 * walks over all of it in table_walk.c. docs/shared-table.md draws it.
 */

#include "core/table.h"

#include <string.h>

#include "core/moving_window.h"
#include "core/table_inside.h"

/* "rlxtab" and the version of the layout. */
#define MAGIC UINT64_C(0x726c787461620002)

#define PAGE_BYTES 4096
#define LINE_BYTES 64
#define SET_BYTES  (RLX_SET_SLOTS * sizeof(rlx_slot_t))

/* The epoch lies so long before the format that a clock may step back. */
#define EPOCH_BEFORE_USEC (INT64_C(365) * 24 * 3600 * 1000000)

/* Descriptors: one per worker and some for the dead, but no more than this
 * share of the block, and at least so many. */
#define SMALLS_SPARE 8
#define SMALLS_MIN   16
#define SMALLS_MAX   8192
#define SMALLS_SHARE 32
#define LARGES_MAX   64
#define LARGES_SHARE 64

static uint64_t round_up(uint64_t x, uint64_t unit)
{
    return (x + unit - 1) / unit * unit;
}

static uint32_t within(uint64_t x, uint64_t least, uint64_t most)
{
    return (uint32_t)(x < least ? least : x > most ? most : x);
}

/* Where everything goes. 0 if it does not fit. */
static int lay_out(rlx_header_t *header, size_t bytes, unsigned int workers)
{
    uint64_t most = bytes / SMALLS_SHARE / rlx_mcas_bytes(1, 0);
    uint64_t end;

    most = most < SMALLS_MAX ? most : SMALLS_MAX;
    header->smalls = within((uint64_t)workers + SMALLS_SPARE, SMALLS_MIN,
                            most < SMALLS_MIN ? SMALLS_MIN : most);
    header->larges = within(bytes / LARGES_SHARE / rlx_mcas_bytes(0, 1), 1,
                            LARGES_MAX);
    header->mcas_at = round_up(sizeof(*header), LINE_BYTES);
    end = header->mcas_at + rlx_mcas_bytes(header->smalls, header->larges);
    header->hot_at = round_up(end, PAGE_BYTES);
    if (bytes < header->hot_at + SET_BYTES + sizeof(rlx_cold_t)) {
        return 0;
    }
    header->sets = (bytes - header->hot_at) / (SET_BYTES + sizeof(rlx_cold_t));
    if (header->sets > RLX_SLOTS_MAX / RLX_SET_SLOTS) {
        header->sets = RLX_SLOTS_MAX / RLX_SET_SLOTS;
    }
    header->cold_at = header->hot_at + header->sets * SET_BYTES;
    return 1;
}

int rlx_table_format(void *block, size_t bytes,
                     const rlx_table_options_t *options,
                     const rlx_secret_t *secret, rlx_usec_t now)
{
    rlx_header_t header;

    memset(&header, 0, sizeof(header));
    if (bytes < RLX_TABLE_BYTES_MIN || (uintptr_t)block % LINE_BYTES != 0
        || options->log_max < 1 || options->log_max > RLX_LOG_MAX
        || !lay_out(&header, bytes, options->workers)) {
        return -1;
    }
    header.magic = MAGIC;
    header.bytes = bytes;
    header.epoch = now - EPOCH_BEFORE_USEC;
    header.log_max = options->log_max;
    header.secret = *secret;
    memset(block, 0, bytes);
    memcpy(block, &header, sizeof(header));
    return 0;
}

int rlx_table_attach(rlx_table_t *table, void *block, size_t bytes)
{
    const rlx_header_t *header = (const rlx_header_t *)block;

    if (bytes < RLX_TABLE_BYTES_MIN || header->magic != MAGIC
        || header->bytes != bytes) {
        return -1;
    }
    table->base = (unsigned char *)block;
    return 0;
}

rlx_inside_t rlx_inside(const rlx_table_t *table)
{
    const rlx_header_t *header = rlx_header(table);
    rlx_inside_t in;

    in.hot = (rlx_slot_t *)(void *)(table->base + header->hot_at);
    in.cold = (rlx_cold_t *)(void *)(table->base + header->cold_at);
    in.sets = header->sets;
    in.mcas.base = table->base;
    in.mcas.at = header->mcas_at;
    in.mcas.smalls = header->smalls;
    in.mcas.larges = header->larges;
    in.has_overflowed =
        &((rlx_header_t *)(void *)table->base)->has_overflowed;
    in.log_max = (uint32_t)header->log_max;
    in.secret = header->secret;
    return in;
}

/* --- facts ------------------------------------------------------------- */

#define USEC_PER_SEC  1000000
#define COUNT_MASK    UINT64_C(0x7fffffff)
#define STRATEGY_MASK UINT64_C(3)
#define BURST_SHIFT   2
#define COUNT_SHIFT   33
#define WINDOW_MASK   UINT64_C(0xffffffff)
#define NAMED_SHIFT   32

rlx_state_t rlx_facts_pack(const rlx_limit_t *limit, uint32_t burst,
                           int is_named)
{
    rlx_state_t payload;

    payload.hi = (limit->count & COUNT_MASK) << COUNT_SHIFT
                 | (burst & COUNT_MASK) << BURST_SHIFT
                 | (uint64_t)limit->strategy;
    payload.lo = ((uint64_t)(limit->window_usec / USEC_PER_SEC) & WINDOW_MASK)
                 | (uint64_t)(is_named != 0) << NAMED_SHIFT;
    return payload;
}

void rlx_facts_unpack(rlx_state_t payload, rlx_facts_t *facts)
{
    facts->limit.count = (uint32_t)(payload.hi >> COUNT_SHIFT & COUNT_MASK);
    facts->limit.burst = (uint32_t)(payload.hi >> BURST_SHIFT & COUNT_MASK);
    facts->limit.strategy = (rlx_strategy_e)(payload.hi & STRATEGY_MASK);
    facts->limit.window_usec =
        (rlx_usec_t)(payload.lo & WINDOW_MASK) * USEC_PER_SEC;
    facts->is_named = (int)(payload.lo >> NAMED_SHIFT & 1);
}

/* --- plans ------------------------------------------------------------- */

/* Two keys of one batch may have the same set A: its version changes once. */
static int is_planned(rlx_plan_t *plan, const rlx_mcas_change_t *change)
{
    int i;

    for (i = 0; i < plan->steps; ++i) {
        rlx_mcas_change_t *step = &plan->step[i];

        if (step->at == change->at) {
            if (!rlx_word_equal(step->old, change->old)) {
                plan->spoilt |= RLX_PLAN_STALE;
            }
            step->next.lo |= change->next.lo;
            return 1;
        }
    }
    return 0;
}

void rlx_plan_add(const rlx_inside_t *in, rlx_plan_t *plan, rlx_word_t *word,
                  rlx_word_t old, rlx_state_t payload)
{
    rlx_mcas_change_t change = rlx_change(in, word, old, payload);

    if (!is_planned(plan, &change)) {
        rlx_plan_append(in, plan, word, old, payload);
    }
}

void rlx_plan_pin(rlx_plan_t *plan, uint32_t slot)
{
    if (rlx_plan_has_pin(plan, slot)) {
        return;
    }
    if (plan->pins == plan->pins_max) {
        plan->spoilt |= RLX_PLAN_CROWDED;
        return;
    }
    plan->pin[plan->pins++] = slot;
}

int rlx_plan_has_pin(const rlx_plan_t *plan, uint32_t slot)
{
    int i;

    for (i = 0; i < plan->pins; ++i) {
        if (plan->pin[i] == slot) {
            return 1;
        }
    }
    return 0;
}

int rlx_plan_commit(const rlx_inside_t *in, rlx_plan_t *plan)
{
    if (plan->spoilt) {
        return 0;
    }
    return plan->steps == 0
           || rlx_mcas(&in->mcas, plan->step, plan->steps, plan->evictions);
}
