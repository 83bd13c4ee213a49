/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Lines of .htaccess files that this child has read before: a table that is
 * only added to. What is in it never changes, and is found by everything that
 * a line's meaning depends on: the server, the file's name, the number of the
 * line and its text. So an edited file is a matter of other entries, and no
 * file needs to be looked at. Who edits a lot fills the table and takes no
 * more memory than that; other lines are then read anew for each request.
 */

#include "http/remembered.h"

#include <string.h>

#include <apr_strings.h>

#include "http/parse.h"

/** How many lines are remembered. A power of two. */
#define SLOTS 1024
/** How many slots one line may be in. */
#define PROBES 8
/** Longer lines are not remembered. */
#define TEXT_MAX 512

/** Where a line stands, and what it says. */
typedef struct entry_t {
    apr_uint64_t hash;
    const rlx_server_t *sv;
    const char *file;
    const char *text;
    int number;
    rlx_rule_e kind;
    rlx_line_t line;
} entry_t;

static const entry_t *slots[SLOTS];
/** Where entries live; NULL: nothing is remembered. */
static apr_pool_t *memory;
/** Not 0: a thread adds an entry. */
static int is_taken;

/** Mix a string into a hash, eight bytes at a time. Two strings that meet
 *  cost their owner a comparison. */
static apr_uint64_t mix(apr_uint64_t hash, const char *text, apr_size_t len)
{
    apr_uint64_t word = 0;

    for (; len >= sizeof(word); len -= sizeof(word), text += sizeof(word)) {
        memcpy(&word, text, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    word = 0;
    memcpy(&word, text, len);
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

/** The same for all that a line is found by but its server and kind. */
static apr_uint64_t hash_of(const cmd_parms *cmd, const char *text)
{
    const char *file = cmd->directive->filename;
    apr_uint64_t hash = (apr_uint64_t)cmd->directive->line_num;

    return mix(mix(hash, file, strlen(file)), text, strlen(text));
}

static int is_it(const entry_t *entry, const cmd_parms *cmd, rlx_rule_e kind,
                 const char *text, apr_uint64_t hash)
{
    const ap_directive_t *d = cmd->directive;

    return entry->hash == hash && entry->sv == rlx_server_of(cmd->server)
           && entry->kind == kind && entry->number == d->line_num
           && !strcmp(entry->text, text) && !strcmp(entry->file, d->filename);
}

const rlx_line_t *rlx_remembered_find(const cmd_parms *cmd, rlx_rule_e kind,
                                      const char *text)
{
    apr_uint64_t hash;

    if (!memory || cmd->directive->parent) {
        return NULL;
    }
    hash = hash_of(cmd, text);
    for (unsigned int i = 0; i < PROBES; i++) {
        const entry_t *entry = __atomic_load_n(&slots[(hash + i) % SLOTS],
                                               __ATOMIC_ACQUIRE);

        if (!entry) {
            return NULL;
        }
        if (is_it(entry, cmd, kind, text, hash)) {
            return &entry->line;
        }
    }
    return NULL;
}

/** The first free slot for a hash; NULL: none. */
static const entry_t **free_slot(apr_uint64_t hash)
{
    for (unsigned int i = 0; i < PROBES; i++) {
        const entry_t **slot = &slots[(hash + i) % SLOTS];

        if (!*slot) {
            return slot;
        }
    }
    return NULL;
}

/** Read the line once more, into memory that lasts. */
static const entry_t *make(const cmd_parms *cmd, rlx_rule_e kind,
                           const char *text)
{
    entry_t *entry = apr_pcalloc(memory, sizeof(*entry));
    ap_directive_t directive = *cmd->directive;
    cmd_parms lasting = *cmd;

    directive.filename = apr_pstrdup(memory, directive.filename);
    lasting.pool = lasting.temp_pool = memory;
    lasting.directive = &directive;
    entry->hash = hash_of(cmd, text);
    entry->sv = rlx_server_of(cmd->server);
    entry->file = directive.filename;
    entry->text = apr_pstrdup(memory, text);
    entry->number = directive.line_num;
    entry->kind = kind;
    entry->line.section_name = rlx_section_name(&lasting,
                                                &entry->line.section_id);
    return rlx_line_read(&lasting, kind, entry->text, &entry->line)
           ? NULL : entry;
}

void rlx_remembered_keep(const cmd_parms *cmd, rlx_rule_e kind,
                         const char *text)
{
    if (!memory || cmd->directive->parent || strlen(text) > TEXT_MAX
        || __atomic_exchange_n(&is_taken, 1, __ATOMIC_ACQUIRE)) {
        return;
    }
    if (!rlx_remembered_find(cmd, kind, text)) {
        const entry_t **slot = free_slot(hash_of(cmd, text));
        const entry_t *entry = slot ? make(cmd, kind, text) : NULL;

        if (entry) {
            __atomic_store_n(slot, entry, __ATOMIC_RELEASE);
        }
    }
    __atomic_store_n(&is_taken, 0, __ATOMIC_RELEASE);
}

void rlx_remembered_child_init(apr_pool_t *pchild)
{
    apr_allocator_t *allocator;

    memset(slots, 0, sizeof(slots));
    memory = NULL;
    /* Its own: threads share no pool, and this one is used under is_taken
     * alone. */
    if (apr_allocator_create(&allocator) == APR_SUCCESS
        && apr_pool_create_ex(&memory, pchild, NULL, allocator)
           == APR_SUCCESS) {
        apr_allocator_owner_set(allocator, memory);
        apr_pool_tag(memory, "rlx_remembered");
    }
}
