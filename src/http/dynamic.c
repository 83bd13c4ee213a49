/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Limits that are an expression. What a string means is remembered by each
 * child, in a small table for each directive: entries never change, are put in
 * by compare and swap, and stay until the child ends, so that reading takes no
 * lock. Who makes up strings fills the table and no more memory than that;
 * then they are read anew for each request.
 */

#include "http/dynamic.h"

#include <stdlib.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "http_log.h"

#include "http/dynamic_known.h"
#include "http/htaccess.h"
#include "http/log_tags.h"
#include "http/once.h"
#include "http/parse.h"
#include "http/rule.h"

APLOG_USE_MODULE(ratelimit_ext);

/** How many strings of one directive are remembered. A power of two. */
#define SLOTS 256
/** How many slots one string may be in. */
#define PROBES 8
/** Longer strings are not remembered. */
#define TEXT_MAX 256

/** What one string means: one piece of memory, without pointers into itself,
 *  so it can be copied. The string stands behind the rules. */
typedef struct meaning_t {
    apr_size_t bytes;
    int n;
    rlx_rule_t rules[];
} meaning_t;

struct rlx_dynamic_t {
    const rlx_value_t *value;
    int is_htaccess;
    /** SLOTS of them; NULL: nothing is remembered. */
    const meaning_t **slots;
};

rlx_dynamic_t *rlx_dynamic_make(apr_pool_t *p, const rlx_value_t *value,
                                int is_htaccess)
{
    rlx_dynamic_t *dynamic = apr_palloc(p, sizeof(*dynamic));

    dynamic->value = value;
    dynamic->is_htaccess = is_htaccess;
    dynamic->slots = is_htaccess ? NULL
                     : apr_pcalloc(p, sizeof(void *) * SLOTS);
    return dynamic;
}

const char *rlx_dynamic_text(const rlx_dynamic_t *dynamic)
{
    return dynamic->value->text;
}

static const char *text_of(const meaning_t *meaning)
{
    return (const char *)(meaning->rules + meaning->n);
}

/** FNV-1a. Who finds strings that meet has won a parse for each request. */
static unsigned int hash_of(const char *text)
{
    unsigned int hash = 2166136261u;

    while (*text) {
        hash = (hash ^ (unsigned char)*text++) * 16777619u;
    }
    return hash ^ hash >> 16;
}

/** Look a string up.
 *  @param slot where it might be put in; NULL: nowhere */
static const meaning_t *find(const rlx_dynamic_t *dynamic, const char *text,
                             const meaning_t ***slot)
{
    unsigned int hash = hash_of(text);

    *slot = NULL;
    for (unsigned int i = 0; i < PROBES && dynamic->slots; i++) {
        const meaning_t **here = &dynamic->slots[(hash + i) % SLOTS];
        const meaning_t *there = __atomic_load_n(here, __ATOMIC_ACQUIRE);

        if (!there) {
            *slot = here;
            return NULL;
        }
        if (!strcmp(text_of(there), text)) {
            return there;
        }
    }
    return NULL;
}

/** Put a copy in a slot, unless another thread was faster. */
static void keep(const meaning_t **slot, const meaning_t *meaning)
{
    const meaning_t *empty = NULL;
    meaning_t *copy = malloc(meaning->bytes);

    if (!copy) {
        return;
    }
    memcpy(copy, meaning, meaning->bytes);
    if (!__atomic_compare_exchange_n(slot, &empty, copy, 0, __ATOMIC_RELEASE,
                                     __ATOMIC_RELAXED)) {
        free(copy);
    }
}

/** Say what is wrong with a string, once. */
static void log_bad(request_rec *r, const rlx_rule_t *rule, const char *text,
                    const char *why)
{
    if (rlx_once(rule, text)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, RLXNO(0030)
                      "the limit %s on line %d of %s gives %s, and holds for "
                      "no such request: %s (logged once)",
                      rule->dynamic->value->text, rule->line, rule->file,
                      rlx_shown(r->pool, text), why);
    }
}

/** What stands in a dynamic rule's place. */
static void make_rules(const rlx_rule_t *rule, const rlx_limit_t *limits,
                       int n, rlx_rule_t *rules)
{
    for (int i = 0; i < n; i++) {
        rules[i] = *rule;
        rules[i].dynamic = NULL;
        rules[i].row = n > 1 ? -rule->row : rule->row;
        rlx_rule_set_limit(&rules[i], &limits[i]);
    }
}

/** Read a string. */
static const meaning_t *parse(request_rec *r, const rlx_rule_t *rule,
                              const char *text)
{
    rlx_limit_t limits[RLX_LIMITS_PER_STRING];
    char error[RLX_LIMIT_ERROR_MAX];
    int n = rlx_limits_parse(text, limits, RLX_LIMITS_PER_STRING, error);
    meaning_t *meaning;
    apr_size_t bytes;

    if (n < 1) {
        log_bad(r, rule, text, error);
        return NULL;
    }
    if (n > RLX_HTACCESS_DYNAMIC && rule->dynamic->is_htaccess) {
        log_bad(r, rule, text, apr_psprintf(r->pool, "in .htaccess it may "
                                            "give up to %d limits",
                                            RLX_HTACCESS_DYNAMIC));
        return NULL;
    }
    if (n > 1 && rule->options->name) {
        log_bad(r, rule, text, "name= belongs to one limit, and there are "
                "several");
        return NULL;
    }
    bytes = sizeof(*meaning) + sizeof(rlx_rule_t) * (apr_size_t)n
            + strlen(text) + 1;
    meaning = apr_palloc(r->pool, bytes);
    meaning->bytes = bytes;
    meaning->n = n;
    make_rules(rule, limits, n, meaning->rules);
    strcpy((char *)(meaning->rules + n), text);
    return meaning;
}

/** Not 0 if the storage keeps all of the limits. */
static int is_kept(request_rec *r, const rlx_rule_t *rule,
                   const meaning_t *meaning)
{
    const rlx_server_t *sv = rlx_server_of(r->server);
    const rlx_store_t *store = rule->kind == RLX_RULE_FALLBACK ? sv->local
                                                               : sv->store;
    int strategy = rule->options->strategy;

    /* One that the settings give counts what it can, see counter.c. */
    for (int i = 0; i < meaning->n && strategy != RLX_UNSET; i++) {
        const rlx_limit_t *limit = &meaning->rules[i].limit[strategy];
        const char *why = rule->dynamic->is_htaccess
                          ? rlx_htaccess_refuses(limit, r->pool) : NULL;

        if (!why) {
            why = store->provider->refuses(store->instance, limit, r->pool);
        }
        if (why) {
            log_bad(r, rule, text_of(meaning), why);
            return 0;
        }
    }
    return 1;
}

const rlx_rule_t *rlx_dynamic_rules(request_rec *r, const rlx_rule_t *rule,
                                    int *n)
{
    const char *text = rlx_value_of(r, rule->dynamic->value);
    const meaning_t *meaning;
    const meaning_t **slot;

    *n = 0;
    while (apr_isspace(*text)) {
        text++;
    }
    if (!*text) {
        return NULL;
    }
    meaning = find(rule->dynamic, text, &slot);
    if (!meaning) {
        meaning = parse(r, rule, text);
        if (meaning && slot && strlen(text) <= TEXT_MAX) {
            keep(slot, meaning);
            rlx_dynamic_known_add(rule->dynamic->value->text, text);
        }
        else if (meaning && !rule->dynamic->is_htaccess) {
            rlx_dynamic_known_lose();
        }
    }
    if (!meaning || !is_kept(r, rule, meaning)) {
        return NULL;
    }
    *n = meaning->n;
    return meaning->rules;
}

const rlx_rule_t *rlx_dynamic_known(apr_pool_t *p, const rlx_rule_t *rule,
                                    int *at, int *n)
{
    const char *text;

    while ((text = rlx_dynamic_known_next(rule->dynamic->value->text, at))
           != NULL) {
        rlx_limit_t limits[RLX_LIMITS_PER_STRING];
        char error[RLX_LIMIT_ERROR_MAX];
        rlx_rule_t *rules;

        *n = rlx_limits_parse(text, limits, RLX_LIMITS_PER_STRING, error);
        if (*n < 1 || (*n > 1 && rule->options->name)) {
            continue;
        }
        rules = apr_palloc(p, sizeof(*rules) * (apr_size_t)*n);
        make_rules(rule, limits, *n, rules);
        return rules;
    }
    return NULL;
}
