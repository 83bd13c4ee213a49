/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The storages of one configuration: from a URI to a provider's instance,
 * one for each different URI and options.
 */

#include "store/store.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "store/deny.h"
#include "store/guard.h"

struct rlx_store_set_t {
    rlx_store_lookup_fn lookup;
    const rlx_storage_env_t *env;
    rlx_store_change_fn change;
    const char *names;
    apr_pool_t *pool;
    /** One entry_t for each different URI and options. */
    apr_array_header_t *entries;
};

typedef struct entry_t {
    /** As written; and with the options, in one string. */
    const char *uri;
    const char *spec;
    rlx_store_t store;
} entry_t;

rlx_store_set_t *rlx_store_set_make(rlx_store_lookup_fn lookup,
                                    const rlx_storage_env_t *env,
                                    rlx_store_change_fn change,
                                    const char *names, apr_pool_t *pconf)
{
    rlx_store_set_t *set = apr_pcalloc(pconf, sizeof(*set));

    set->lookup = lookup;
    set->env = env;
    set->change = change;
    set->names = names;
    set->pool = pconf;
    set->entries = apr_array_make(pconf, 1, sizeof(entry_t *));
    return set;
}

/** The scheme of a URI, in lower case; NULL if it has none. */
static const char *scheme_of(const char *uri, apr_pool_t *p)
{
    const char *end = uri;
    char *scheme;

    while (apr_isalnum(*end) || *end == '+' || *end == '-' || *end == '.') {
        end++;
    }
    if (end == uri || *end != ':') {
        return NULL;
    }
    scheme = apr_pstrmemdup(p, uri, end - uri);
    for (char *c = scheme; *c; c++) {
        *c = apr_tolower(*c);
    }
    return scheme;
}

/** What follows the first colon; all of it, where there is none. */
static const char *after_scheme(const char *uri)
{
    const char *colon = strchr(uri, ':');

    return colon ? colon + 1 : uri;
}

/** What may be shown of what follows a question mark: names, and which
 *  database. */
static const char *shown_query(const char *query, apr_pool_t *p)
{
    const char *text = "";

    while (*query) {
        apr_size_t len = strcspn(query + 1, "&;") + 1;
        apr_size_t name = strcspn(query + 1, "=") + 1;
        int is_secret = name < len && strncasecmp(query + 1, "db=", 3);

        text = apr_pstrcat(p, text, apr_pstrmemdup(p, query, is_secret
                                                             ? name : len),
                           is_secret ? "=***" : "", NULL);
        query += len;
    }
    return text;
}

const char *rlx_store_shown_uri(const char *uri, apr_pool_t *p)
{
    const char *authority = strstr(uri, "://");
    const char *query, *at;

    /* Without the two slashes it is an error, which is shown, too. */
    authority = authority ? authority + 3 : after_scheme(uri);
    /* A password may hold anything but what a careless hand typed, so the
     * last @ before a path counts, or the last of all where a slash stands in
     * the password. */
    at = strrchr(authority, '@');
    query = strchr(at ? at : authority, '?');
    if (!at && !query) {
        return uri;
    }
    if (at) {
        uri = apr_pstrcat(p, apr_pstrmemdup(p, uri, authority - uri), "***",
                          query ? apr_pstrmemdup(p, at, query - at) : at,
                          NULL);
    }
    else {
        uri = apr_pstrmemdup(p, uri, query - uri);
    }
    return query ? apr_pstrcat(p, uri, shown_query(query, p), NULL) : uri;
}

/** URI and options as one string, to tell storages apart. */
static const char *spec_of(const char *uri, const apr_table_t *options,
                           apr_pool_t *p)
{
    const apr_array_header_t *pairs;
    const apr_table_entry_t *pair;
    const char *spec = uri;

    if (!options) {
        return spec;
    }
    pairs = apr_table_elts(options);
    pair = (const apr_table_entry_t *)pairs->elts;
    for (int i = 0; i < pairs->nelts; i++) {
        spec = apr_pstrcat(p, spec, "\n", pair[i].key, "=", pair[i].val, NULL);
    }
    return spec;
}

/** The entry of a spec, or of a URI with any options (spec NULL). */
static entry_t *entry_find(const rlx_store_set_t *set, const char *uri,
                           const char *spec)
{
    for (int i = 0; i < set->entries->nelts; i++) {
        entry_t *entry = APR_ARRAY_IDX(set->entries, i, entry_t *);

        if (spec ? !strcmp(entry->spec, spec) : !strcmp(entry->uri, uri)) {
            return entry;
        }
    }
    return NULL;
}

/** Make the instance of a new entry. NULL or a sentence. */
static const char *entry_create(rlx_store_set_t *set, entry_t *entry,
                                const char *uri, const apr_table_t *options)
{
    rlx_store_t *store = &entry->store;
    rlx_deny_settings_t deny = { 0 };
    const char *error = NULL;

    store->shown_uri = rlx_store_shown_uri(uri, set->pool);
    store->scheme = scheme_of(uri, set->pool);
    if (!store->scheme) {
        return apr_psprintf(set->pool, "\"%s\" is not a storage URI; it begins "
                            "with a scheme, as in shm:// (storages here: %s)",
                            store->shown_uri, set->names);
    }
    store->provider = set->lookup(store->scheme);
    if (!store->provider) {
        return apr_psprintf(set->pool, "no storage is called \"%s\"; storages "
                            "here: %s (is the module that brings it loaded?)",
                            store->scheme, set->names);
    }
    if ((store->provider->flags & RLX_STORAGE_ONE_PER_URI)
        && entry_find(set, uri, NULL)) {
        return apr_psprintf(set->pool, "\"%s\" stands elsewhere with other "
                            "options; give one of the two a name of its own, "
                            "as in %s://name", store->shown_uri,
                            store->scheme);
    }
    if (!options) {
        options = apr_table_make(set->pool, 0);
    }
    if (store->provider->flags & RLX_STORAGE_IS_FAR) {
        error = rlx_deny_options(&deny, options, &options, set->pool);
    }
    if (!error) {
        error = store->provider->create(&store->instance, uri, options,
                                        set->env, set->pool);
    }
    if (error) {
        return error;
    }
    if (!(store->provider->flags & RLX_STORAGE_ALWAYS_ANSWERS)) {
        rlx_guard_put(store, entry->spec, set->env, set->change, set->pool);
    }
    if (deny.bytes) {
        rlx_deny_put(store, entry->spec, &deny, set->env, set->pool);
    }
    return NULL;
}

const char *rlx_store_get(rlx_store_set_t *set, rlx_store_t **store,
                          const char *uri, const apr_table_t *options)
{
    entry_t *entry;
    const char *spec = NULL, *error;

    if (uri) {
        spec = spec_of(uri, options, set->pool);
    }
    else {
        uri = RLX_STORE_DEFAULT_URI;
    }
    entry = entry_find(set, uri, spec);
    if (!entry) {
        entry = apr_pcalloc(set->pool, sizeof(*entry));
        entry->uri = uri;
        entry->spec = spec ? spec : uri;
        error = entry_create(set, entry, uri, options);
        if (error) {
            return error;
        }
        APR_ARRAY_PUSH(set->entries, entry_t *) = entry;
    }
    *store = &entry->store;
    return NULL;
}

const char *rlx_store_get_local(rlx_store_set_t *set, rlx_store_t **store)
{
    apr_table_t *options = apr_table_make(set->pool, 1);

    apr_table_setn(options, "size", RLX_STORE_LOCAL_SIZE);
    return rlx_store_get(set, store, RLX_STORE_LOCAL_URI, options);
}

apr_status_t rlx_store_open_all(rlx_store_set_t *set)
{
    for (int i = 0; i < set->entries->nelts; i++) {
        entry_t *entry = APR_ARRAY_IDX(set->entries, i, entry_t *);
        apr_status_t status = entry->store.provider->open(
            entry->store.instance);

        if (status != APR_SUCCESS) {
            return status;
        }
    }
    return APR_SUCCESS;
}

apr_status_t rlx_store_child_init_all(rlx_store_set_t *set,
                                      apr_pool_t *pchild)
{
    apr_status_t result = APR_SUCCESS;

    for (int i = 0; i < set->entries->nelts; i++) {
        entry_t *entry = APR_ARRAY_IDX(set->entries, i, entry_t *);
        apr_status_t status = entry->store.provider->child_init(
            entry->store.instance, pchild);

        if (status != APR_SUCCESS) {
            result = status;
        }
    }
    return result;
}

/** How many of the counters from `from` on go in one step. */
static int step_of(int n, int from)
{
    return n - from < RLX_STORAGE_BATCH_MAX ? n - from : RLX_STORAGE_BATCH_MAX;
}

/** Not 0 if every counter has room. */
static int has_room(const rlx_verdict_t *verdicts, int n)
{
    for (int i = 0; i < n; i++) {
        if (!verdicts[i].has_room) {
            return 0;
        }
    }
    return 1;
}

apr_status_t rlx_store_look_many(const rlx_store_t *store,
                                 const rlx_counter_t *counters, int n,
                                 rlx_usec_t now, rlx_verdict_t *verdicts,
                                 apr_pool_t *ptemp)
{
    apr_status_t status = APR_SUCCESS;

    for (int from = 0; from < n && status == APR_SUCCESS;
         from += RLX_STORAGE_BATCH_MAX) {
        status = store->provider->look(store->instance, counters + from,
                                       step_of(n, from), now, verdicts + from,
                                       ptemp);
    }
    return status;
}

/** The steps that were decided before one failed have charged nothing either,
 *  as far as the storage still listens. */
static void undo_steps(const rlx_store_t *store, const rlx_counter_t *counters,
                       int n, rlx_usec_t now, const rlx_verdict_t *verdicts,
                       apr_pool_t *ptemp)
{
    for (int i = 0; i < n; i++) {
        if (verdicts[i].charged) {
            store->provider->give_back(store->instance, &counters[i], 1, now,
                                       now, ptemp);
        }
    }
}

apr_status_t rlx_store_decide_many(const rlx_store_t *store, rlx_charge_e mode,
                                   const rlx_counter_t *counters, int n,
                                   rlx_usec_t now, rlx_verdict_t *verdicts,
                                   apr_pool_t *ptemp)
{
    apr_status_t status = APR_SUCCESS;

    /* A refusal by the last of them must not leave charges with the first. */
    if (mode == RLX_CHARGE_ATOMIC) {
        status = rlx_store_look_many(store, counters, n, now, verdicts, ptemp);
        if (status != APR_SUCCESS || !has_room(verdicts, n)) {
            return status;
        }
    }
    for (int from = 0; from < n; from += RLX_STORAGE_BATCH_MAX) {
        int step = step_of(n, from);

        status = store->provider->decide(store->instance, mode,
                                         counters + from, step, now,
                                         verdicts + from, ptemp);
        if (status != APR_SUCCESS) {
            undo_steps(store, counters, from, now, verdicts, ptemp);
            return status;
        }
        /* What stands behind a refusal is charged nothing. */
        if (mode == RLX_CHARGE_IN_ORDER && !has_room(verdicts + from, step)) {
            from += step;
            return rlx_store_look_many(store, counters + from, n - from, now,
                                       verdicts + from, ptemp);
        }
    }
    return APR_SUCCESS;
}

apr_status_t rlx_store_give_back_many(const rlx_store_t *store,
                                      const rlx_counter_t *counters, int n,
                                      rlx_usec_t charged_at, rlx_usec_t now,
                                      apr_pool_t *ptemp)
{
    apr_status_t result = APR_SUCCESS;

    for (int from = 0; from < n; from += RLX_STORAGE_BATCH_MAX) {
        apr_status_t status = store->provider->give_back(
            store->instance, counters + from, step_of(n, from), charged_at,
            now, ptemp);

        result = result == APR_SUCCESS ? status : result;
    }
    return result;
}

int rlx_store_parse_size(const char *text, apr_uint64_t *bytes)
{
    apr_uint64_t value = 0;
    int shift = 0;

    if (!apr_isdigit(*text)) {
        return 0;
    }
    for (; apr_isdigit(*text); text++) {
        if (value > (APR_UINT64_MAX >> 40)) {
            return 0;
        }
        value = value * 10 + (apr_uint64_t)(*text - '0');
    }
    switch (apr_toupper(*text)) {
    case 'G':
        shift += 10;
        /* fall through */
    case 'M':
        shift += 10;
        /* fall through */
    case 'K':
        shift += 10;
        text++;
        break;
    default:
        break;
    }
    if (*text || value > (APR_UINT64_MAX >> shift)) {
        return 0;
    }
    *bytes = value << shift;
    return 1;
}
