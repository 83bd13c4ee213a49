/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What administrators ask for: to forget counters, and figures.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_inside.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "store/redis_batch.h"
#include "store/redis_slots.h"

/** Keys that one step of forgetting all looks at. */
#define SCAN_COUNT "1000"
/** How long forgetting all may take; who waits for it is an administrator. */
#define FORGET_ALL_USEC (10 * 1000000)

/** Ask something that is no script. The reply is to be freed. */
static apr_status_t ask(rlx_redis_conn_t *conn, rlx_redis_command_t *command,
                        rlx_usec_t deadline, int type, redisReply **reply,
                        rlx_redis_why_t *why)
{
    apr_status_t status = rlx_redis_ask(conn, command, deadline, reply, why);

    if (status != APR_SUCCESS || (*reply)->type == type) {
        return status;
    }
    status = (*reply)->type == REDIS_REPLY_ERROR
             ? rlx_redis_refused(conn, *reply, why)
             : rlx_redis_nonsense(conn, "of another kind", why);
    freeReplyObject(*reply);
    return status;
}

/** The command that deletes keys. */
static void delete_command(rlx_redis_command_t *command,
                           const rlx_redis_key_t *keys, int n,
                           apr_pool_t *ptemp)
{
    apr_size_t parts = (apr_size_t)n + 1;

    command->n = n + 1;
    command->part = apr_palloc(ptemp, parts * sizeof(*command->part));
    command->len = apr_palloc(ptemp, parts * sizeof(*command->len));
    command->part[0] = "DEL";
    command->len[0] = 3;
    for (int i = 0; i < n; i++) {
        command->part[i + 1] = keys[i].text;
        command->len[i + 1] = keys[i].len;
    }
}

static const char *read_number(const redisReply *reply, void *baton)
{
    return reply->type == REDIS_REPLY_INTEGER ? NULL : "no number";
}

apr_status_t rlx_redis_forget(rlx_storage_t *store,
                              const rlx_counter_t *counters, int n,
                              apr_pool_t *ptemp)
{
    rlx_usec_t deadline = rlx_monotonic_usec() + store->settings.timeout_usec;
    apr_status_t result = APR_SUCCESS;
    rlx_redis_batch_t batch;
    rlx_redis_why_t why, first;

    rlx_redis_batch_init(&batch);
    for (int i = 0; i < n; i++) {
        rlx_redis_batch_add(&batch, &counters[i], i,
                            store->settings.stores_plain, ptemp);
    }
    rlx_redis_batch_group(&batch, rlx_redis_route_has_slots(store->route)
                                  ? RLX_REDIS_SINGLY : RLX_REDIS_WHOLE);
    for (int i = 0; i < batch.groups_n; i++) {
        const rlx_redis_group_t *group = &batch.groups[i];
        rlx_redis_command_t command;
        rlx_redis_call_t call = {
            .command = &command, .slot = group->slot, .deadline = deadline,
            .read = read_number
        };
        apr_status_t status;

        delete_command(&command, &batch.keys[group->from], group->n, ptemp);
        status = rlx_redis_route_run(store->route, &call, &why);
        if (status != APR_SUCCESS && result == APR_SUCCESS) {
            result = status;
            first = why;
        }
    }
    return result == APR_SUCCESS ? result
                                 : rlx_redis_failed(store, result, &first);
}

/*
 * Forgetting all
 */

/** What is to be forgotten. */
typedef struct forgetting_t {
    const rlx_storage_t *store;
    const char *pattern;
    /** When there was time enough. */
    rlx_usec_t end;
    /** Cleared after each step. */
    apr_pool_t *step;
} forgetting_t;

/** Delete keys that are found on one server. */
static apr_status_t delete_keys(rlx_redis_conn_t *conn,
                                const rlx_redis_key_t *keys, int n,
                                rlx_usec_t deadline, rlx_redis_why_t *why,
                                apr_pool_t *ptemp)
{
    rlx_redis_command_t command;
    redisReply *reply;
    apr_status_t status;

    delete_command(&command, keys, n, ptemp);
    status = ask(conn, &command, deadline, REDIS_REPLY_INTEGER, &reply, why);
    if (status == APR_SUCCESS) {
        freeReplyObject(reply);
    }
    return status;
}

static int compare_slots(const void *a, const void *b)
{
    const rlx_redis_key_t *x = a, *y = b;

    return (int)rlx_redis_slot_of(x->text, x->len)
           - (int)rlx_redis_slot_of(y->text, y->len);
}

/** The same in a cluster, which takes keys of one slot at a time. */
static apr_status_t delete_by_slot(rlx_redis_conn_t *conn,
                                   rlx_redis_key_t *keys, int n,
                                   rlx_usec_t deadline, rlx_redis_why_t *why,
                                   apr_pool_t *ptemp)
{
    apr_status_t status = APR_SUCCESS;
    int from = 0, end;

    qsort(keys, (size_t)n, sizeof(*keys), compare_slots);
    for (; from < n && status == APR_SUCCESS; from = end) {
        for (end = from + 1;
             end < n && !compare_slots(&keys[from], &keys[end]); end++) {
        }
        status = delete_keys(conn, keys + from, end - from, deadline, why,
                             ptemp);
    }
    return status;
}

/** Delete what a step of SCAN found. */
static apr_status_t delete_found(const forgetting_t *f, rlx_redis_conn_t *conn,
                                 const redisReply *found, rlx_usec_t deadline,
                                 rlx_redis_why_t *why)
{
    int n = (int)found->elements;
    rlx_redis_key_t *keys;

    if (!n) {
        return APR_SUCCESS;
    }
    keys = apr_palloc(f->step, found->elements * sizeof(*keys));
    for (int i = 0; i < n; i++) {
        if (found->element[i]->type != REDIS_REPLY_STRING) {
            return rlx_redis_nonsense(conn, "a key is no text", why);
        }
        keys[i].text = found->element[i]->str;
        keys[i].len = found->element[i]->len;
    }
    return rlx_redis_route_has_slots(f->store->route)
           ? delete_by_slot(conn, keys, n, f->end, why, f->step)
           : delete_keys(conn, keys, n, deadline, why, f->step);
}

/** One step of SCAN. The cursor is brought on; "0" is the end. */
static apr_status_t forget_some(const forgetting_t *f, rlx_redis_conn_t *conn,
                                char cursor[24], rlx_usec_t deadline,
                                rlx_redis_why_t *why)
{
    const char *part[] = { "SCAN", cursor, "MATCH", f->pattern, "COUNT",
                           SCAN_COUNT };
    size_t len[] = { 4, strlen(cursor), 5, strlen(f->pattern), 5,
                     strlen(SCAN_COUNT) };
    rlx_redis_command_t command = { 6, part, len };
    redisReply *reply;
    apr_status_t status = ask(conn, &command, deadline, REDIS_REPLY_ARRAY,
                              &reply, why);

    if (status != APR_SUCCESS) {
        return status;
    }
    if (reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_STRING
        || reply->element[0]->len > 20
        || reply->element[1]->type != REDIS_REPLY_ARRAY) {
        status = rlx_redis_nonsense(conn, "no cursor and keys", why);
    }
    else {
        apr_cpystrn(cursor, reply->element[0]->str, 24);
        status = delete_found(f, conn, reply->element[1], deadline, why);
    }
    freeReplyObject(reply);
    return status;
}

/** Forget all that one server has. */
static apr_status_t forget_there(rlx_redis_conn_t *conn, void *baton,
                                 rlx_redis_why_t *why)
{
    const forgetting_t *f = baton;
    char cursor[24] = "0";
    apr_status_t status;

    do {
        /* Each step has the time of a call. */
        status = forget_some(f, conn, cursor,
                             rlx_monotonic_usec()
                             + 2 * f->store->settings.timeout_usec, why);
        apr_pool_clear(f->step);
        if (status == APR_SUCCESS && rlx_monotonic_usec() > f->end) {
            rlx_redis_why(why, "it has more keys than could be gone through "
                          "in %d seconds", FORGET_ALL_USEC / 1000000);
            status = APR_TIMEUP;
        }
    } while (status == APR_SUCCESS && strcmp(cursor, "0"));
    return status;
}

apr_status_t rlx_redis_forget_all(rlx_storage_t *store, const char *prefix,
                                  size_t len, apr_pool_t *ptemp)
{
    forgetting_t f = { store, rlx_redis_key_pattern(prefix, len, ptemp),
                       rlx_monotonic_usec() + FORGET_ALL_USEC };
    rlx_redis_why_t why;
    apr_status_t status;

    apr_pool_create(&f.step, ptemp);
    status = rlx_redis_route_visit(store->route, store->settings.timeout_usec,
                                   forget_there, &f, &why);
    apr_pool_destroy(f.step);
    return status == APR_SUCCESS ? status
                                 : rlx_redis_failed(store, status, &why);
}

/*
 * Figures
 */

/** The number after a name in the text of INFO; 0 if it is not there. */
static apr_uint64_t info_number(const redisReply *info, const char *name)
{
    const char *at = strstr(info->str, name);

    return at ? (apr_uint64_t)apr_strtoi64(at + strlen(name), NULL, 10) : 0;
}

/** Figures of several servers. */
typedef struct counting_t {
    const rlx_storage_t *store;
    rlx_storage_figures_t *figures;
    int servers;
} counting_t;

/** Add those of one server. */
static apr_status_t count_there(rlx_redis_conn_t *conn, void *baton,
                                rlx_redis_why_t *why)
{
    counting_t *counting = baton;
    rlx_usec_t deadline = rlx_monotonic_usec()
                          + counting->store->settings.timeout_usec;
    const char *info_part[] = { "INFO" };
    size_t info_len[] = { 4 };
    rlx_redis_command_t info = { 1, info_part, info_len };
    const char *size_part[] = { "DBSIZE" };
    size_t size_len[] = { 6 };
    rlx_redis_command_t size = { 1, size_part, size_len };
    redisReply *reply;
    apr_status_t status = ask(conn, &size, deadline, REDIS_REPLY_INTEGER,
                              &reply, why);

    if (status != APR_SUCCESS) {
        return status;
    }
    counting->figures->keys_used += (apr_uint64_t)reply->integer;
    freeReplyObject(reply);
    status = ask(conn, &info, deadline, REDIS_REPLY_STRING, &reply, why);
    if (status == APR_SUCCESS) {
        counting->figures->size_bytes += info_number(reply, "\nused_memory:");
        counting->figures->evictions += info_number(reply, "\nevicted_keys:");
        counting->servers++;
        freeReplyObject(reply);
    }
    return status;
}

apr_status_t rlx_redis_figures(rlx_storage_t *store, rlx_usec_t now,
                               rlx_storage_figures_t *figures,
                               apr_pool_t *ptemp)
{
    counting_t counting = { store, figures, 0 };
    rlx_redis_why_t why;
    apr_status_t status;

    memset(figures, 0, sizeof(*figures));
    status = rlx_redis_route_visit(store->route, store->settings.timeout_usec,
                                   count_there, &counting, &why);
    figures->healthy = status == APR_SUCCESS;
    figures->state = !figures->healthy ? apr_pstrdup(ptemp, why.text)
        : rlx_redis_route_has_slots(store->route)
          ? apr_psprintf(ptemp, "in %d servers of a Redis Cluster",
                         counting.servers)
          : "in Redis";
    return APR_SUCCESS;
}

#endif /* RLX_HAVE_HIREDIS */
