/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A search for the counters of a key. A limit has one counter for each strategy
 * that may be in force where it counts, for each method if it is per method,
 * and for each form of the key; where names are text, also for whether the key
 * may be shown, which is in the name.
 */

#include "report/search.h"

#include "report/where.h"

#include "apr_strings.h"
#include "http_protocol.h"

#include "http/dynamic.h"
#include "http/rule.h"
#include "http/dynamic_known.h"

/** The most counters of one storage: at hand in memory, and far away. */
#define NEAR_MAX 200000
#define FAR_MAX  20000

/** The same counter once. */
typedef struct seen_t {
    const rlx_store_t *store;
    rlx_id_t id;
    apr_uint64_t is_public;
} seen_t;

void rlx_search_note(rlx_search_t *search, const char *sentence)
{
    if (!apr_hash_get(search->noted, sentence, APR_HASH_KEY_STRING)) {
        apr_hash_set(search->noted, sentence, APR_HASH_KEY_STRING, sentence);
        APR_ARRAY_PUSH(search->notes, const char *) = sentence;
    }
}

static void note_rule(rlx_search_t *search, const rlx_rule_t *rule,
                      const char *what)
{
    rlx_search_note(search, apr_psprintf(search->p, "%s (%s): %s",
                                         rlx_rule_text(rule),
                                         rlx_where(search->p, rule->file,
                                                   rule->line), what));
}

/*
 * Batches
 */

static void close_store(rlx_search_t *search)
{
    APR_ARRAY_PUSH(search->closed, const rlx_store_t *) = search->batch.store;
    search->is_closed = 1;
    search->batch.n = 0;
}

void rlx_search_flush(rlx_search_t *search)
{
    rlx_candidates_t *batch = &search->batch;

    if (batch->n && !search->question->found(search->question->baton, batch)) {
        close_store(search);
    }
    batch->n = 0;
}

void rlx_search_begin_store(rlx_search_t *search, const rlx_store_t *store)
{
    rlx_search_flush(search);
    search->batch.store = store;
    search->is_closed = 0;
    for (int i = 0; i < search->closed->nelts; i++) {
        search->is_closed |= APR_ARRAY_IDX(search->closed, i,
                                           const rlx_store_t *) == store;
    }
}

/** Not 0 the first time that a counter is met. */
static int is_new(rlx_search_t *search, const rlx_counter_t *counter,
                  int is_public)
{
    seen_t seen = { search->batch.store, counter->id,
                    (apr_uint64_t)is_public };

    if (apr_hash_get(search->seen, &seen, sizeof(seen))) {
        return 0;
    }
    apr_hash_set(search->seen, apr_pmemdup(search->p, &seen, sizeof(seen)),
                 sizeof(seen), "");
    return 1;
}

/** Not 0 if a storage has as many as it may be asked for. */
static int is_full(rlx_search_t *search)
{
    const rlx_store_t *store = search->batch.store;
    int most = store->provider->flags & RLX_STORAGE_ALWAYS_ANSWERS ? NEAR_MAX
                                                                   : FAR_MAX;
    int *told = apr_hash_get(search->told, &store, sizeof(store));

    if (!told) {
        told = apr_pcalloc(search->p, sizeof(*told));
        apr_hash_set(search->told, apr_pmemdup(search->p, &store,
                                               sizeof(store)),
                     sizeof(store), told);
    }
    if ((*told)++ < most) {
        return 0;
    }
    rlx_search_note(search, apr_psprintf(
        search->p, "storage %s: the key may have more than %d counters there; "
        "the others are left out", store->shown_uri, most));
    rlx_search_flush(search);
    close_store(search);
    return 1;
}

/*
 * One limit
 */

/** A counter: everything about it is known. */
static void add(rlx_search_t *search, const rlx_holding_t *holding,
                int strategy, const char *method, const rlx_key_t *key,
                int is_public)
{
    rlx_candidates_t *batch = &search->batch;
    rlx_counter_t *counter = &batch->counters[batch->n];
    int has_text = (batch->store->provider->flags & RLX_STORAGE_WANTS_TEXT)
                   != 0;

    rlx_counter_of_key(search->sv, batch->store, holding, strategy, method,
                       key, counter, search->p);
    if (!is_new(search, counter, has_text && key->is_public)
        || is_full(search)) {
        return;
    }
    batch->of[batch->n].holding = *holding;
    batch->of[batch->n].sv = search->sv;
    batch->of[batch->n].key = key->text;
    batch->of[batch->n].method = method;
    batch->of[batch->n].is_public = is_public;
    if (++batch->n == RLX_STORAGE_BATCH_MAX) {
        rlx_search_flush(search);
    }
}

/** What the keys of a limit may be: KEY_ bits. */
static unsigned int keys_of(const rlx_search_t *search, rlx_rule_e kind,
                            const rlx_options_t *options)
{
    unsigned int bits = 0;

    if (kind == RLX_RULE_MODULE) {
        return RLX_SEARCH_PUBLIC | RLX_SEARCH_PRIVATE;
    }
    if (!options->keys) {
        return search->keys;
    }
    for (int i = 0; i < options->keys->nelts; i++) {
        bits |= rlx_key_is_public(APR_ARRAY_IDX(options->keys, i,
                                                rlx_value_t *)->text)
                ? RLX_SEARCH_PUBLIC : RLX_SEARCH_PRIVATE;
    }
    return bits;
}

static void add_keys(rlx_search_t *search, const rlx_holding_t *holding,
                     int strategy, const char *method)
{
    unsigned int bits = keys_of(search, holding->rule->kind,
                                holding->rule->options);
    int has_text = (search->batch.store->provider->flags
                    & RLX_STORAGE_WANTS_TEXT) != 0;

    for (int i = 0; i < search->forms_n && !search->is_closed; i++) {
        rlx_key_t key;

        if (bits & RLX_SEARCH_PUBLIC) {
            rlx_key_of_text(search->forms[i], 1, &key);
            add(search, holding, strategy, method, &key,
                !(bits & RLX_SEARCH_PRIVATE));
        }
        /* An id is the same either way; a name in a storage is not. */
        if ((bits & RLX_SEARCH_PRIVATE) && !search->is_closed
            && (has_text || !(bits & RLX_SEARCH_PUBLIC))) {
            rlx_key_of_text(search->forms[i], 0, &key);
            add(search, holding, strategy, method, &key, 0);
        }
    }
}

static const char *name_of_method(apr_pool_t *p, int number)
{
    /* To httpd GET and HEAD have one number, and it gives either name. */
    return number == RLX_METHOD_HEAD ? "HEAD"
           : number == M_GET ? "GET" : ap_method_name_of(p, number);
}

static void add_methods(rlx_search_t *search, const rlx_holding_t *holding,
                        int strategy)
{
    const rlx_options_t *options = holding->rule->options;

    if (!options->per_method) {
        add_keys(search, holding, strategy, NULL);
        return;
    }
    if (!options->methods) {
        note_rule(search, holding->rule, "per_method=on: the methods that "
                  "this server knows were looked for, and no others");
    }
    for (int i = 0; i <= RLX_METHOD_HEAD && !search->is_closed; i++) {
        const char *name;

        if (!rlx_rule_has_method(holding->rule, i)) {
            continue;
        }
        name = name_of_method(search->p, i);
        if (name && i != M_INVALID) {
            add_keys(search, holding, strategy, name);
        }
    }
}

static void add_strategies(rlx_search_t *search, const rlx_holding_t *holding)
{
    const rlx_rule_t *rule = holding->rule;

    if (rule->options->strategy != RLX_UNSET || rlx_rule_is_umbrella(rule)
        || rule->kind == RLX_RULE_MODULE) {
        add_methods(search, holding, RLX_UNSET);
        return;
    }
    for (int i = 0; i < RLX_STRATEGIES && !search->is_closed; i++) {
        if (search->strategies & 1u << i) {
            add_methods(search, holding, i);
        }
    }
}

/** Not 0 if it is the limit that is asked for. */
static int is_asked(const rlx_search_t *search, const rlx_rule_t *rule)
{
    const char *name = rule->options->name;

    return !search->question->limit
           || (name && !strcmp(name, search->question->limit))
           || (search->canonical && !rule->dynamic
               && !strcmp(search->canonical, rule->limit[0].text));
}

static void add_limit(rlx_search_t *search, const rlx_holding_t *holding)
{
    if (!is_asked(search, holding->rule)) {
        return;
    }
    search->limits++;
    if (!rlx_counter_is_findable(holding)) {
        const rlx_options_t *options = holding->rule->options;

        note_rule(search, holding->rule, apr_psprintf(
            search->p, "%s%s depends on the request, so these counters cannot "
            "be found by their key alone",
            options->scope && options->scope->expr ? "scope="
                                                   : "RateLimitEndpoint ",
            options->scope && options->scope->expr
                ? options->scope->text : holding->endpoint->endpoint->text));
        return;
    }
    add_strategies(search, holding);
}

/** A limit that is an expression: what it gave before. */
static void add_dynamic(rlx_search_t *search, const rlx_holding_t *holding)
{
    const rlx_rule_t *rules;
    int at = 0, n = 0;

    search->limits += search->question->limit && holding->rule->options->name
                      && is_asked(search, holding->rule);
    if (!rlx_dynamic_known_is_complete()) {
        note_rule(search, holding->rule, "the limit depends on the request, "
                  "and has given more than could be kept in mind: not all of "
                  "these were looked for");
    }
    while ((rules = rlx_dynamic_known(search->p, holding->rule, &at, &n))
           != NULL) {
        for (int i = 0; i < n; i++) {
            rlx_holding_t one = *holding;

            one.rule = &rules[i];
            add_limit(search, &one);
        }
    }
}

void rlx_search_rule(rlx_search_t *search, const rlx_rule_t *rule,
                     const rlx_section_t *endpoint,
                     const rlx_section_t *declared_in)
{
    rlx_holding_t holding = { rule, endpoint, declared_in };

    if (search->is_closed) {
        return;
    }
    if (rule->dynamic) {
        add_dynamic(search, &holding);
    }
    else {
        add_limit(search, &holding);
    }
    if (rule->options->meta) {
        rlx_search_rules(search, rule->options->meta, endpoint, declared_in, 1);
    }
}

/** @param with_shared 0: without those whose counters lie elsewhere */
void rlx_search_rules(rlx_search_t *search, const apr_array_header_t *rules,
                      const rlx_section_t *endpoint,
                      const rlx_section_t *declared_in, int with_shared)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);

        if (with_shared || rule->kind != RLX_RULE_SHARED) {
            rlx_search_rule(search, rule, endpoint, declared_in);
        }
    }
}

/*
 * Beginning
 */

/** The form that limits have here of whatever somebody wrote. */
static const char *canonical(apr_pool_t *p, const char *text)
{
    rlx_limit_t limits[2];
    char error[RLX_LIMIT_ERROR_MAX];

    return text && rlx_limits_parse(text, limits, 2, error) == 1
           ? apr_pstrdup(p, limits[0].text) : NULL;
}

rlx_search_t *rlx_search_make(apr_pool_t *p,
                              const rlx_counters_question_t *question,
                              apr_array_header_t *notes)
{
    rlx_search_t *search = apr_pcalloc(p, sizeof(*search));

    search->p = p;
    search->question = question;
    search->canonical = canonical(p, question->limit);
    search->notes = notes;
    search->noted = apr_hash_make(p);
    search->seen = apr_hash_make(p);
    search->told = apr_hash_make(p);
    search->closed = apr_array_make(p, 2, sizeof(rlx_store_t *));
    return search;
}
