/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The list is a table of slots. Who fills or empties one makes its version odd
 * for that time; who finds it odd goes on to the next, and nobody waits. A
 * child that is killed just then leaves a slot that nobody uses any more.
 */

#include "http/seen.h"

#include <string.h>

#include <apr_shm.h>
#include <apr_strings.h>
#include <apr_time.h>

#include "http_log.h"

#include "http/log_tags.h"
#include "http/needs.h"

APLOG_USE_MODULE(ratelimit_ext);

/** How many files there is room for. A power of two. */
#define SLOTS 512
/** How many slots one file may be in. */
#define PROBES 32
/** Longer names are left out. With the zero at the end. */
#define NAME_BYTES 472
/** Bits by which files that are left out are told apart. A power of two. */
#define BITS 4096

#define MEMORY_NAME "rlx-seen"

typedef struct slot_t {
    /** Odd: it is being written to. */
    apr_uint32_t version;
    apr_uint32_t unused;
    /** 0: free. */
    apr_uint64_t hash;
    apr_int64_t seen_at;
    rlx_id_t server;
    char file[NAME_BYTES];
} slot_t;

typedef struct memory_t {
    apr_uint32_t left_out;
    apr_uint32_t bits[BITS / 32];
    slot_t slots[SLOTS];
} memory_t;

/** What is kept over graceful restarts. */
typedef struct segment_t {
    apr_shm_t *shm;
} segment_t;

/** NULL: nothing is noted. */
static memory_t *memory;

void rlx_seen_open(server_rec *main_server)
{
    segment_t *segment = ap_retained_data_get(MEMORY_NAME);
    apr_status_t status;

    memory = NULL;
    if (!segment) {
        segment = ap_retained_data_create(MEMORY_NAME, sizeof(*segment));
    }
    if (!segment->shm && (rlx_needs_of(ap_conftree) & RLX_NEEDS_HTACCESS)) {
        status = apr_shm_create(&segment->shm, sizeof(memory_t), NULL,
                                main_server->process->pool);
        if (status != APR_SUCCESS) {
            segment->shm = NULL;
            ap_log_error(APLOG_MARK, APLOG_WARNING, status, main_server,
                         RLXNO(0148) "no shared memory for the list of "
                         ".htaccess files: limiter-status does not show them");
            return;
        }
        memset(apr_shm_baseaddr_get(segment->shm), 0, sizeof(memory_t));
    }
    if (segment->shm) {
        memory = apr_shm_baseaddr_get(segment->shm);
    }
}

/** FNV-1a, of a file as a server reads it. Never 0. */
static apr_uint64_t hash_of(const rlx_id_t *server, const char *file)
{
    const unsigned char *bytes = (const unsigned char *)server;
    apr_uint64_t hash = UINT64_C(14695981039346656037);

    for (apr_size_t i = 0; i < sizeof(*server); i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    }
    while (*file) {
        hash = (hash ^ (unsigned char)*file++) * UINT64_C(1099511628211);
    }
    hash ^= hash >> 32;
    return hash ? hash : 1;
}

/** Count what is left out, each file once, about. */
static void leave_out(apr_uint64_t hash)
{
    apr_uint32_t bit = (apr_uint32_t)(hash % BITS);
    apr_uint32_t mask = 1u << bit % 32;

    if (!(__atomic_fetch_or(&memory->bits[bit / 32], mask, __ATOMIC_RELAXED)
          & mask)) {
        __atomic_fetch_add(&memory->left_out, 1, __ATOMIC_RELAXED);
    }
}

/** Take a slot to write to.
 *  @return its version before; odd: it cannot be had */
static apr_uint32_t take(slot_t *slot)
{
    apr_uint32_t version = __atomic_load_n(&slot->version, __ATOMIC_ACQUIRE);

    if (!(version & 1)
        && !__atomic_compare_exchange_n(&slot->version, &version, version + 1,
                                        0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
        return 1;
    }
    return version;
}

/** Put a file in a slot if it is still free. */
static int fill(slot_t *slot, apr_uint64_t hash, const rlx_id_t *server,
                const char *file, apr_int64_t now)
{
    apr_uint32_t version = take(slot);
    int is_free;

    if (version & 1) {
        return 0;
    }
    is_free = !slot->hash;
    if (is_free) {
        slot->server = *server;
        slot->seen_at = now;
        apr_cpystrn(slot->file, file, NAME_BYTES);
        __atomic_store_n(&slot->hash, hash, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&slot->version, version + 2, __ATOMIC_RELEASE);
    return is_free;
}

void rlx_seen_note(const cmd_parms *cmd)
{
    const rlx_server_t *sv = rlx_server_of(cmd->server);
    const char *file = cmd->directive->filename;
    apr_int64_t now = apr_time_now();
    apr_uint64_t hash;

    if (!memory) {
        return;
    }
    hash = hash_of(&sv->id, file);
    for (unsigned int i = 0; i < PROBES; i++) {
        slot_t *slot = &memory->slots[(hash + i) % SLOTS];

        if (__atomic_load_n(&slot->hash, __ATOMIC_ACQUIRE) == hash
            && !strcmp(slot->file, file)) {
            __atomic_store_n(&slot->seen_at, now, __ATOMIC_RELAXED);
            return;
        }
    }
    for (unsigned int i = 0; i < PROBES && strlen(file) < NAME_BYTES; i++) {
        if (fill(&memory->slots[(hash + i) % SLOTS], hash, &sv->id, file,
                 now)) {
            return;
        }
    }
    leave_out(hash);
}

/** Read a slot as it is at one instant. */
static int copy_slot(int i, slot_t *copy)
{
    slot_t *slot = &memory->slots[i];
    apr_uint32_t version = __atomic_load_n(&slot->version, __ATOMIC_ACQUIRE);

    *copy = *slot;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    copy->file[NAME_BYTES - 1] = '\0';
    return !(version & 1) && copy->hash
           && __atomic_load_n(&slot->version, __ATOMIC_RELAXED) == version;
}

static const rlx_server_t *server_by_id(const server_rec *s, rlx_id_t id)
{
    while (s && !rlx_id_equal(rlx_server_of(s)->id, id)) {
        s = s->next;
    }
    return s ? rlx_server_of(s) : NULL;
}

/** Two children may have noted a file at the same time. */
static int is_listed(const apr_array_header_t *list, const rlx_server_t *sv,
                     const char *file)
{
    for (int i = 0; i < list->nelts; i++) {
        const rlx_seen_t *seen = &APR_ARRAY_IDX(list, i, rlx_seen_t);

        if (seen->sv == sv && !strcmp(seen->file, file)) {
            return 1;
        }
    }
    return 0;
}

apr_array_header_t *rlx_seen_list(apr_pool_t *p, server_rec *main_server)
{
    apr_array_header_t *list = apr_array_make(p, 8, sizeof(rlx_seen_t));
    slot_t copy;

    for (int i = 0; memory && i < SLOTS; i++) {
        const rlx_server_t *sv;
        rlx_seen_t *seen;

        if (!copy_slot(i, &copy)) {
            continue;
        }
        sv = server_by_id(main_server, copy.server);
        if (!sv || is_listed(list, sv, copy.file)) {
            /* A server of an older configuration, or a second note. */
            rlx_seen_t old = { sv, copy.file, 0, i };

            rlx_seen_forget(&old);
            continue;
        }
        seen = apr_array_push(list);
        seen->sv = sv;
        seen->file = apr_pstrdup(p, copy.file);
        seen->seen_at = copy.seen_at;
        seen->slot = i;
    }
    return list;
}

int rlx_seen_left_out(void)
{
    return memory ? (int)__atomic_load_n(&memory->left_out, __ATOMIC_RELAXED)
                  : 0;
}

void rlx_seen_forget(const rlx_seen_t *seen)
{
    slot_t *slot = &memory->slots[seen->slot];
    apr_uint32_t version = take(slot);

    if (version & 1) {
        return;
    }
    if (!strcmp(slot->file, seen->file)) {
        __atomic_store_n(&slot->hash, 0, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&slot->version, version + 2, __ATOMIC_RELEASE);
}
