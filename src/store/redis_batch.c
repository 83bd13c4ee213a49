/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The counters of a call, in groups.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_batch.h"

#include <string.h>

#include "store/redis_slots.h"

static int find_key(const rlx_redis_batch_t *batch, rlx_redis_key_t key)
{
    int i;

    for (i = 0; i < batch->n; i++) {
        if (batch->keys[i].len == key.len
            && !memcmp(batch->keys[i].text, key.text, key.len)) {
            break;
        }
    }
    return i;
}

void rlx_redis_batch_add(rlx_redis_batch_t *batch,
                         const rlx_counter_t *counter, int nth,
                         int stores_plain, apr_pool_t *ptemp)
{
    rlx_redis_key_t key = rlx_redis_key_of(counter, stores_plain, ptemp);
    int i = find_key(batch, key);

    batch->which[nth] = i;
    if (i == batch->n) {
        batch->keys[i] = key;
        batch->counters[i] = counter;
        batch->n++;
    }
}

/** Bring together what shares a slot, the first of them first. */
static void sort(rlx_redis_batch_t *batch, unsigned int *slots)
{
    rlx_redis_batch_t was = *batch;
    unsigned int slot_of[RLX_STORAGE_BATCH_MAX];
    int to_of[RLX_STORAGE_BATCH_MAX], to = 0;

    for (int i = 0; i < was.n; i++) {
        slot_of[i] = slots[i];
        to_of[i] = -1;
    }
    for (int i = 0; i < was.n; i++) {
        for (int j = i; j < was.n && (j > i || to_of[i] < 0); j++) {
            if (to_of[j] < 0 && slot_of[j] == slot_of[i]) {
                to_of[j] = to;
                slots[to] = slot_of[j];
                batch->keys[to] = was.keys[j];
                batch->counters[to++] = was.counters[j];
            }
        }
    }
    for (int i = 0; i < RLX_STORAGE_BATCH_MAX; i++) {
        batch->which[i] = was.which[i] < 0 ? -1 : to_of[was.which[i]];
    }
}

void rlx_redis_batch_group(rlx_redis_batch_t *batch,
                           rlx_redis_grouping_e grouping)
{
    unsigned int slots[RLX_STORAGE_BATCH_MAX] = { 0 };
    rlx_redis_group_t *group = NULL;

    for (int i = 0; i < batch->n && grouping != RLX_REDIS_WHOLE; i++) {
        slots[i] = rlx_redis_slot_of(batch->keys[i].text, batch->keys[i].len);
    }
    if (grouping == RLX_REDIS_BY_SLOT) {
        sort(batch, slots);
    }
    batch->groups_n = 0;
    for (int i = 0; i < batch->n; i++) {
        if (!group || grouping == RLX_REDIS_SINGLY || group->slot != slots[i]) {
            group = &batch->groups[batch->groups_n++];
            group->slot = slots[i];
            group->from = i;
            group->n = 0;
        }
        group->n++;
    }
}

#endif /* RLX_HAVE_HIREDIS */
