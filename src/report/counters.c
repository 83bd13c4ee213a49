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

#include "apr_strings.h"

#include "core/strategy.h"
#include "http/module_limit.h"
#include "report/conf.h"
#include "report/search.h"
#include "report/seen.h"
#include "report/tree.h"

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

/** What sections set that do not speak of limits: bits 1 << strategy, and
 *  RLX_SEARCH_ bits of keys. */
typedef struct inner_t {
    apr_pool_t *p;
    unsigned int strategies;
    unsigned int keys;
} inner_t;

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
        && path && path[1] == '/' && !strpbrk(path, "*?[")
        /* What httpd takes for another path than is written. */
        && !ap_strstr_c(path, "//") && !ap_strstr_c(path, "/.")) {
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
static void add_place(rlx_search_t *search, const apr_array_header_t *places,
                      const place_t *place)
{
    rlx_search_rules(search, place->section->rules, place->section,
                     place->section, 1);
    if (!place->no_defaults) {
        rlx_search_rules(search, search->sv->defaults, place->section, NULL, 1);
    }
    for (int i = 0; i < places->nelts && !place->no_others
                    && !search->is_closed; i++) {
        const place_t *other = &APR_ARRAY_IDX(places, i, place_t);

        if (other != place && !are_apart(place, other)) {
            rlx_search_rules(search, other->section->rules, place->section,
                             other->section, 0);
        }
    }
}

/*
 * Servers
 */

/** What .htaccess files say: limits count under their own directories. */
static void add_htaccess(rlx_search_t *search)
{
    const apr_array_header_t *files = search->question->htaccess;

    for (int i = 0; files && i < files->nelts; i++) {
        const rlx_seen_view_t *file = &APR_ARRAY_IDX(files, i,
                                                     rlx_seen_view_t);

        for (int k = 0; file->sv == search->sv && k < file->sections->nelts;
             k++) {
            const rlx_section_t *section = APR_ARRAY_IDX(
                file->sections, k, rlx_seen_section_t).section;

            rlx_search_rules(search, section->rules, section, section, 1);
        }
    }
}

/** What other modules charge. */
static void add_modules(rlx_search_t *search)
{
    for (const rlx_ext_limits_t *limits = rlx_module_limits_prepared(); limits;
         limits = limits->next) {
        for (int i = 0; i < limits->n; i++) {
            rlx_search_rule(search, &limits->rules[i], NULL, NULL);
        }
    }
}

/** All that requests to a server may be counted by in one storage. */
static void add_server(rlx_search_t *search, const apr_array_header_t *places,
                       const rlx_store_t *store)
{
    const rlx_server_t *sv = search->sv;

    rlx_search_begin_store(search, store);
    add_modules(search);
    if (store != sv->store && sv->fallback) {
        /* In place of all others. */
        rlx_search_rules(search, sv->fallback, NULL, NULL, 1);
        return;
    }
    rlx_search_rules(search, sv->application, NULL, NULL, 1);
    rlx_search_rules(search, sv->defaults, NULL, NULL, 1);
    for (int i = 0; i < places->nelts; i++) {
        add_place(search, places, &APR_ARRAY_IDX(places, i, place_t));
    }
    add_htaccess(search);
    rlx_search_rules(search, sv->meta, NULL, NULL, 1);
}

static void add_form(rlx_search_t *search, const char *form)
{
    for (int i = 0; i < search->forms_n; i++) {
        if (!strcmp(search->forms[i], form)) {
            return;
        }
    }
    search->forms[search->forms_n++] = form;
}

/** What requests to a server may have in common. */
static void begin_server(rlx_search_t *search, const inner_t *inner,
                         const rlx_server_t *sv)
{
    const rlx_dir_t *base = rlx_dir_of(sv->server->lookup_defaults);
    const char *key = search->question->key;
    const char *cut = rlx_key_address(search->p, key, sv->ipv6_prefix);
    int strategy = base && base->strategy != RLX_UNSET ? base->strategy
                                                       : RLX_FIXED_WINDOW;
    int is_public = !base || !base->key || rlx_key_is_public(base->key->text);

    search->sv = sv;
    search->strategies = inner->strategies | 1u << strategy;
    search->keys = inner->keys | (is_public ? RLX_SEARCH_PUBLIC
                                            : RLX_SEARCH_PRIVATE);
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

/** See what sections set, an rlx_conf_fn. */
static void visit_directive(void *baton, const ap_directive_t *d,
                            server_rec *s)
{
    inner_t *inner = baton;
    const char *args = d->args;

    if (rlx_conf_is(d, "RateLimitStrategy") && is_in_section(d)) {
        const char *name = ap_getword_conf(inner->p, &args);

        for (int i = 0; i < RLX_STRATEGIES; i++) {
            if (!ap_cstr_casecmp(name, rlx_strategies[i]->name)) {
                inner->strategies |= 1u << i;
            }
        }
    }
    else if (rlx_conf_is(d, "RateLimitKey") && is_in_section(d)) {
        inner->keys |= rlx_key_is_public(ap_getword_conf(inner->p, &args))
                       ? RLX_SEARCH_PUBLIC : RLX_SEARCH_PRIVATE;
    }
}

static void search_server(rlx_search_t *search, const inner_t *inner,
                          const rlx_server_t *main_server,
                          const rlx_server_t *sv)
{
    apr_array_header_t *places = apr_array_make(search->p, 16,
                                                sizeof(place_t));

    begin_server(search, inner, sv);
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
    apr_array_header_t *servers = rlx_tree_servers(p, main_server);
    rlx_search_t *search = rlx_search_make(p, question, notes);
    inner_t inner = { p, 0, 0 };

    rlx_conf_walk(main_server, visit_directive, &inner);
    for (int i = 0; i < servers->nelts; i++) {
        search_server(search, &inner, rlx_server_of(main_server),
                      rlx_server_of(APR_ARRAY_IDX(servers, i, server_rec *)));
    }
    rlx_search_flush(search);
    if (question->htaccess_left_out) {
        rlx_search_note(search, apr_psprintf(
            p, "about %d .htaccess files with limits are not kept in mind: "
            "what they count is not looked for",
            question->htaccess_left_out));
    }
    if (rlx_key_is_hashed(question->key)) {
        rlx_search_note(search, "a key that is shown as # and 16 digits is "
                        "shown so because it may be a secret, and cannot be "
                        "turned back: name the key itself");
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
