/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Every counter that a key may have.
 *
 * A section's own limits count under its endpoint. If they override nothing,
 * so do the defaults and the limits of whatever section a request may meet
 * beside it; which those are, no list of sections tells for certain (a
 * <Location> and the <Directory> that its files are in). So all of them are
 * taken that are not known to be apart. RateLimitStrategy and RateLimitKey may
 * be set by sections that do not speak of limits, and are taken likewise:
 * every one that stands in some section.
 */

#include "report/counters.h"

#include "apr_hash.h"
#include "apr_strings.h"
#include "http_protocol.h"

#include "http/dynamic.h"
#include "http/dynamic_known.h"
#include "http/module_limit.h"
#include "report/conf.h"
#include "report/seen.h"

/** The most counters of one storage: at hand in memory, and far away. */
#define NEAR_MAX 200000
#define FAR_MAX  20000
/** Forms of a key: as written, as an address, cut to the prefix. */
#define FORMS_MAX 3

/** Bits: what keys may be. */
#define KEY_PUBLIC  0x1u
#define KEY_PRIVATE 0x2u

/** A section of a server, or of the main server. */
typedef struct place_t {
    const rlx_section_t *section;
    /** The plain path of the <Location> or <Directory> that it is, or that it
     *  is in, and which of the two; NULL: it may be anywhere. */
    const char *path;
    apr_size_t path_len;
    int is_location;
    /** Not 0: no limits of other places count under this one's endpoint; no
     *  defaults do. */
    int no_others;
    int no_defaults;
} place_t;

/** The same counter once. */
typedef struct seen_t {
    const rlx_store_t *store;
    rlx_id_t id;
    apr_uint64_t is_public;
} seen_t;

/** The search. */
typedef struct search_t {
    apr_pool_t *p;
    const rlx_counters_question_t *question;
    /** Canonical form of question->limit; NULL: it is a name alone. */
    const char *canonical;
    apr_array_header_t *notes;
    apr_hash_t *noted;
    /** Bits 1 << strategy, and KEY_ bits: what stands in sections. */
    unsigned int strategies;
    unsigned int keys;
    apr_hash_t *seen;
    /** The server whose turn it is: its strategies and keys, those of sections
     *  included; forms of the key. */
    const rlx_server_t *sv;
    unsigned int own_strategies;
    unsigned int own_keys;
    const char *forms[FORMS_MAX];
    int forms_n;
    /** Storages that are done with, const rlx_store_t *. */
    apr_array_header_t *closed;
    int is_closed;
    apr_hash_t *told;
    int limits;
    rlx_candidates_t batch;
} search_t;

static void note(search_t *search, const char *sentence)
{
    if (!apr_hash_get(search->noted, sentence, APR_HASH_KEY_STRING)) {
        apr_hash_set(search->noted, sentence, APR_HASH_KEY_STRING, sentence);
        APR_ARRAY_PUSH(search->notes, const char *) = sentence;
    }
}

static void note_rule(search_t *search, const rlx_rule_t *rule,
                      const char *what)
{
    note(search, apr_psprintf(search->p, "%s (%s:%d): %s",
                              rule->dynamic ? rlx_dynamic_text(rule->dynamic)
                                            : rule->limit[0].text,
                              rule->file, rule->line, what));
}

/*
 * Batches
 */

static void close_store(search_t *search)
{
    APR_ARRAY_PUSH(search->closed, const rlx_store_t *) = search->batch.store;
    search->is_closed = 1;
    search->batch.n = 0;
}

static void flush(search_t *search)
{
    rlx_candidates_t *batch = &search->batch;

    if (batch->n && !search->question->found(search->question->baton, batch)) {
        close_store(search);
    }
    batch->n = 0;
}

static void begin_store(search_t *search, const rlx_store_t *store)
{
    flush(search);
    search->batch.store = store;
    search->is_closed = 0;
    for (int i = 0; i < search->closed->nelts; i++) {
        search->is_closed |= APR_ARRAY_IDX(search->closed, i,
                                           const rlx_store_t *) == store;
    }
}

/** Not 0 the first time that a counter is met. */
static int is_new(search_t *search, const rlx_counter_t *counter,
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
static int is_full(search_t *search)
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
    note(search, apr_psprintf(search->p, "storage %s: the key may have more "
                              "than %d counters there; the others are left "
                              "out", store->shown_uri, most));
    flush(search);
    close_store(search);
    return 1;
}

/*
 * One limit
 */

/** A counter: everything about it is known. */
static void add(search_t *search, const rlx_holding_t *holding, int strategy,
                const char *method, const rlx_key_t *key, int is_public)
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
        flush(search);
    }
}

/** What the keys of a limit may be: KEY_ bits. */
static unsigned int keys_of(const search_t *search, rlx_rule_e kind,
                            const rlx_options_t *options)
{
    unsigned int bits = 0;

    if (kind == RLX_RULE_MODULE) {
        return KEY_PUBLIC | KEY_PRIVATE;
    }
    if (!options->keys) {
        return search->own_keys;
    }
    for (int i = 0; i < options->keys->nelts; i++) {
        bits |= rlx_key_is_public(APR_ARRAY_IDX(options->keys, i,
                                                rlx_value_t *)->text)
                ? KEY_PUBLIC : KEY_PRIVATE;
    }
    return bits;
}

static void add_keys(search_t *search, const rlx_holding_t *holding,
                     int strategy, const char *method)
{
    unsigned int bits = keys_of(search, holding->rule->kind,
                                holding->rule->options);
    int has_text = (search->batch.store->provider->flags
                    & RLX_STORAGE_WANTS_TEXT) != 0;

    for (int i = 0; i < search->forms_n && !search->is_closed; i++) {
        rlx_key_t key;

        if (bits & KEY_PUBLIC) {
            rlx_key_of_text(search->forms[i], 1, &key);
            add(search, holding, strategy, method, &key,
                !(bits & KEY_PRIVATE));
        }
        /* An id is the same either way; a name in a storage is not. */
        if ((bits & KEY_PRIVATE) && !search->is_closed
            && (has_text || !(bits & KEY_PUBLIC))) {
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

static void add_methods(search_t *search, const rlx_holding_t *holding,
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

static void add_strategies(search_t *search, const rlx_holding_t *holding)
{
    const rlx_rule_t *rule = holding->rule;

    if (rule->options->strategy != RLX_UNSET || rlx_rule_is_umbrella(rule)
        || rule->kind == RLX_RULE_MODULE) {
        add_methods(search, holding, RLX_UNSET);
        return;
    }
    for (int i = 0; i < RLX_STRATEGIES && !search->is_closed; i++) {
        if (search->own_strategies & 1u << i) {
            add_methods(search, holding, i);
        }
    }
}

/** Not 0 if it is the limit that is asked for. */
static int is_asked(const search_t *search, const rlx_rule_t *rule)
{
    const char *name = rule->options->name;

    return !search->question->limit
           || (name && !strcmp(name, search->question->limit))
           || (search->canonical && !rule->dynamic
               && !strcmp(search->canonical, rule->limit[0].text));
}

static void add_limit(search_t *search, const rlx_holding_t *holding)
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
static void add_dynamic(search_t *search, const rlx_holding_t *holding)
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

static void add_rules(search_t *search, const apr_array_header_t *rules,
                      const rlx_section_t *endpoint,
                      const rlx_section_t *declared_in, int with_shared);

static void add_rule(search_t *search, const rlx_rule_t *rule,
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
        add_rules(search, rule->options->meta, endpoint, declared_in, 1);
    }
}

/** @param with_shared 0: without those whose counters lie elsewhere */
static void add_rules(search_t *search, const apr_array_header_t *rules,
                      const rlx_section_t *endpoint,
                      const rlx_section_t *declared_in, int with_shared)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(rules, i, rlx_rule_t *);

        if (with_shared || rule->kind != RLX_RULE_SHARED) {
            add_rule(search, rule, endpoint, declared_in);
        }
    }
}

/*
 * Sections
 */

/** The outermost section of the configuration that a section is in. */
static const ap_directive_t *outermost(const ap_directive_t *d)
{
    while (d->parent && !rlx_conf_is(d->parent, "<VirtualHost")) {
        d = d->parent;
    }
    return d;
}

static void find_path(place_t *place, apr_pool_t *p)
{
    const ap_directive_t *d = outermost(place->section->directive);
    const char *text = rlx_section_text(d, p);
    const char *path = ap_strchr_c(text, ' ');

    place->is_location = rlx_conf_is(d, "<Location");
    if ((place->is_location || rlx_conf_is(d, "<Directory"))
        && path && path[1] == '/' && !strpbrk(path, "*?[")) {
        place->path = path + 1;
        place->path_len = strlen(place->path);
    }
}

/** See what a section's own limits leave of others. */
static void find_reach(place_t *place)
{
    const rlx_section_t *section = place->section;

    place->no_others = (section->exempt & RLX_EXEMPT_ANCESTORS) != 0;
    place->no_defaults = (section->exempt & RLX_EXEMPT_DEFAULT) != 0;
    for (int i = 0; i < section->rules->nelts; i++) {
        const rlx_rule_t *rule = APR_ARRAY_IDX(section->rules, i,
                                               rlx_rule_t *);

        if (rule->options->override_defaults && !rule->options->methods
            && !rule->dynamic) {
            place->no_others = place->no_defaults = 1;
        }
    }
}

static void take_places(apr_array_header_t *places, const rlx_server_t *sv)
{
    for (int i = 0; sv->sections && i < sv->sections->nelts; i++) {
        place_t *place = apr_array_push(places);

        memset(place, 0, sizeof(*place));
        place->section = APR_ARRAY_IDX(sv->sections, i, rlx_section_t *);
        find_path(place, places->pool);
        find_reach(place);
    }
}

/** Not 0 if no request meets both: their paths are fixed, and neither is below
 *  the other. */
static int are_apart(const place_t *a, const place_t *b)
{
    apr_size_t len = a->path_len < b->path_len ? a->path_len : b->path_len;

    return a->path && b->path && a->is_location == b->is_location
           && memcmp(a->path, b->path, len) != 0;
}

/** What counts under the endpoint of a section. */
static void add_place(search_t *search, const apr_array_header_t *places,
                      const place_t *place)
{
    add_rules(search, place->section->rules, place->section, place->section,
              1);
    if (!place->no_defaults) {
        add_rules(search, search->sv->defaults, place->section, NULL, 1);
    }
    for (int i = 0; i < places->nelts && !place->no_others
                    && !search->is_closed; i++) {
        const place_t *other = &APR_ARRAY_IDX(places, i, place_t);

        if (other != place && !are_apart(place, other)) {
            add_rules(search, other->section->rules, place->section,
                      other->section, 0);
        }
    }
}

/*
 * Servers
 */

/** What .htaccess files say: limits count under their own directories. */
static void add_htaccess(search_t *search)
{
    const apr_array_header_t *files = search->question->htaccess;

    for (int i = 0; files && i < files->nelts; i++) {
        const rlx_seen_view_t *file = &APR_ARRAY_IDX(files, i,
                                                     rlx_seen_view_t);

        for (int k = 0; file->sv == search->sv && k < file->sections->nelts;
             k++) {
            const rlx_section_t *section = APR_ARRAY_IDX(
                file->sections, k, rlx_seen_section_t).section;

            add_rules(search, section->rules, section, section, 1);
        }
    }
}

/** What other modules charge. */
static void add_modules(search_t *search)
{
    for (const rlx_ext_limits_t *limits = rlx_module_limits_prepared(); limits;
         limits = limits->next) {
        for (int i = 0; i < limits->n; i++) {
            add_rule(search, &limits->rules[i], NULL, NULL);
        }
    }
}

/** All that requests to a server may be counted by in one storage. */
static void add_server(search_t *search, const apr_array_header_t *places,
                       const rlx_store_t *store)
{
    const rlx_server_t *sv = search->sv;

    begin_store(search, store);
    add_modules(search);
    if (store != sv->store && sv->fallback) {
        /* In place of all others. */
        add_rules(search, sv->fallback, NULL, NULL, 1);
        return;
    }
    add_rules(search, sv->application, NULL, NULL, 1);
    add_rules(search, sv->defaults, NULL, NULL, 1);
    for (int i = 0; i < places->nelts; i++) {
        add_place(search, places, &APR_ARRAY_IDX(places, i, place_t));
    }
    add_htaccess(search);
    add_rules(search, sv->meta, NULL, NULL, 1);
}

static void add_form(search_t *search, const char *form)
{
    for (int i = 0; i < search->forms_n; i++) {
        if (!strcmp(search->forms[i], form)) {
            return;
        }
    }
    search->forms[search->forms_n++] = form;
}

/** What requests to a server may have in common. */
static void begin_server(search_t *search, const rlx_server_t *sv)
{
    const rlx_dir_t *base = rlx_dir_of(sv->server->lookup_defaults);
    const char *key = search->question->key;
    const char *cut = rlx_key_address(search->p, key, sv->ipv6_prefix);

    search->sv = sv;
    search->own_strategies = search->strategies
                             | 1u << (base && base->strategy != RLX_UNSET
                                      ? base->strategy : RLX_FIXED_WINDOW);
    search->own_keys = search->keys
                       | (!base || !base->key
                          || rlx_key_is_public(base->key->text)
                          ? KEY_PUBLIC : KEY_PRIVATE);
    search->forms_n = 0;
    if (cut) {
        add_form(search, cut);
        add_form(search, rlx_key_address(search->p, key, 128));
    }
    add_form(search, key);
}

/** Not 0 if a directive stands in a section. */
static int is_in_section(const ap_directive_t *d)
{
    return d->parent && !rlx_conf_is(d->parent, "<VirtualHost");
}

/** Note what sections say that do not speak of limits, an rlx_conf_fn. */
static void visit_directive(void *baton, const ap_directive_t *d,
                            server_rec *s)
{
    static const char *const names[RLX_STRATEGIES] = {
        [RLX_FIXED_WINDOW] = "fixed-window",
        [RLX_MOVING_WINDOW] = "moving-window",
        [RLX_SLIDING_WINDOW_COUNTER] = "sliding-window-counter",
        [RLX_GCRA] = "gcra"
    };
    search_t *search = baton;
    const char *args = d->args;

    if (rlx_conf_is(d, "RateLimitStrategy") && is_in_section(d)) {
        const char *name = ap_getword_conf(search->p, &args);

        for (int i = 0; i < RLX_STRATEGIES; i++) {
            search->strategies |= !ap_cstr_casecmp(name, names[i]) ? 1u << i
                                                                   : 0;
        }
    }
    else if (rlx_conf_is(d, "RateLimitKey") && is_in_section(d)) {
        search->keys |= rlx_key_is_public(ap_getword_conf(search->p, &args))
                        ? KEY_PUBLIC : KEY_PRIVATE;
    }
}

/** The form that limits have here of whatever somebody wrote. */
static const char *canonical(apr_pool_t *p, const char *text)
{
    rlx_limit_t limits[2];
    char error[RLX_LIMIT_ERROR_MAX];

    return text && rlx_limits_parse(text, limits, 2, error) == 1
           ? apr_pstrdup(p, limits[0].text) : NULL;
}

/** Not 0 if a key looks as keys are shown that are not to be shown. */
static int is_hashed(const char *key)
{
    return key[0] == '#' && strlen(key) == 17
           && strspn(key + 1, "0123456789abcdef") == 16;
}

apr_array_header_t *rlx_counters_servers(apr_pool_t *p,
                                         server_rec *main_server)
{
    apr_array_header_t *servers;
    int n = 1;

    for (server_rec *s = main_server->next; s; s = s->next) {
        n++;
    }
    servers = apr_array_make(p, n, sizeof(server_rec *));
    servers->nelts = n;
    APR_ARRAY_IDX(servers, 0, server_rec *) = main_server;
    /* httpd lists virtual hosts backwards. */
    for (server_rec *s = main_server->next; s; s = s->next) {
        APR_ARRAY_IDX(servers, --n, server_rec *) = s;
    }
    return servers;
}

static void search_server(search_t *search, const rlx_server_t *main_server,
                          const rlx_server_t *sv)
{
    apr_array_header_t *places = apr_array_make(search->p, 16,
                                                sizeof(place_t));

    begin_server(search, sv);
    take_places(places, main_server);
    if (sv != main_server) {
        take_places(places, sv);
    }
    add_server(search, places, sv->store);
    if (sv->local) {
        add_server(search, places, sv->local);
    }
}

int rlx_counters_find(apr_pool_t *p, server_rec *main_server,
                      const rlx_counters_question_t *question,
                      apr_array_header_t *notes)
{
    apr_array_header_t *servers = rlx_counters_servers(p, main_server);
    search_t *search = apr_pcalloc(p, sizeof(*search));

    search->p = p;
    search->question = question;
    search->canonical = canonical(p, question->limit);
    search->notes = notes;
    search->noted = apr_hash_make(p);
    search->seen = apr_hash_make(p);
    search->told = apr_hash_make(p);
    search->closed = apr_array_make(p, 2, sizeof(rlx_store_t *));
    rlx_conf_walk(main_server, visit_directive, search);
    for (int i = 0; i < servers->nelts; i++) {
        search_server(search, rlx_server_of(main_server),
                      rlx_server_of(APR_ARRAY_IDX(servers, i, server_rec *)));
    }
    flush(search);
    if (question->htaccess_left_out) {
        note(search, apr_psprintf(p, "about %d .htaccess files with limits are "
                                  "not kept in mind: what they count is not "
                                  "looked for",
                                  question->htaccess_left_out));
    }
    if (is_hashed(question->key)) {
        note(search, "a key that is shown as # and 16 digits is shown so "
             "because it may be a secret, and cannot be turned back: name the "
             "key itself");
    }
    return search->limits;
}

/*
 * Names
 */

const rlx_server_t *rlx_candidate_server(const rlx_candidate_t *candidate)
{
    const rlx_rule_t *rule = candidate->holding.rule;

    return rlx_rule_is_umbrella(rule) || rule->kind == RLX_RULE_SHARED
           ? rule->owner : candidate->sv;
}

const char *rlx_candidate_scope(const rlx_candidate_t *candidate)
{
    const rlx_rule_t *rule = candidate->holding.rule;
    const rlx_section_t *section = candidate->holding.endpoint;

    if (rlx_rule_is_umbrella(rule)) {
        return rule->of ? rule->of : rule->owner->name;
    }
    if (rule->kind == RLX_RULE_SHARED || rule->kind == RLX_RULE_MODULE) {
        return rule->options->scope->text;
    }
    return !section ? candidate->sv->name
           : section->endpoint ? section->endpoint->text : section->name;
}
