/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The directives as they were read, and the settings among them.
 */

#include "report/conf.h"

#include "report/where.h"

#include "apr_hash.h"
#include "apr_lib.h"
#include "apr_strings.h"

/** The settings, and what holds where one is not set. */
static const struct {
    const char *directive;
    const char *usual;
    /** Not 0: it may stand several times, and adds up. */
    int adds_up;
} settings[] = {
    { "RateLimitEngine", "On", 0 },
    { "RateLimitStorage", "shm://", 0 },
    { "RateLimitStorageFailure", "fallback", 0 },
    { "RateLimitKeyPrefix", "(none)", 0 },
    { "RateLimitIPv6Prefix", "64", 0 },
    { "RateLimitStrategy", "fixed-window", 0 },
    { "RateLimitKey", "%{RATELIMIT_CLIENT}", 0 },
    { "RateLimitKeyDisplay", "auto", 0 },
    { "RateLimitRequestFilter", "(none)", 1 },
    { "RateLimitCharge", "atomic", 0 },
    { "RateLimitStatus", "429", 0 },
    { "RateLimitHeaders", "Off", 0 },
    { "RateLimitHeaderName", "(none)", 1 },
    { "RateLimitRetryAfter", "delta-seconds", 0 },
    { "RateLimitErrorBody", "auto", 0 },
    { "RateLimitOnBreach", "(none)", 0 },
    { "RateLimitAllowOverride", "Add", 0 },
    { "RateLimitEndpoint", NULL, 0 },
    { "RateLimitStatusControl", NULL, 0 }
};

#define SETTINGS ((int)(sizeof(settings) / sizeof(settings[0])))

int rlx_conf_is(const ap_directive_t *d, const char *directive)
{
    return !ap_cstr_casecmp(d->directive, directive);
}

int rlx_conf_begins(const ap_directive_t *d, const char *with)
{
    return !ap_cstr_casecmpn(d->directive, with, strlen(with));
}

char *rlx_conf_word(apr_pool_t *p, const ap_directive_t *d)
{
    const char *args = d->args;

    if (d->directive[0] == '<') {
        args = ap_getword(p, &args, '>');
    }
    return ap_getword_conf(p, &args);
}

const ap_directive_t *rlx_conf_section(const ap_directive_t *d)
{
    return d->parent && !rlx_conf_is(d->parent, "<VirtualHost") ? d->parent
                                                                : NULL;
}

int rlx_conf_is_within(const char *directory, const char *path)
{
    apr_size_t len = strlen(path);

    while (len && path[len - 1] == '/') {
        len--;
    }
    return !strncmp(directory, path, len)
           && (!directory[len] || directory[len] == '/');
}

/** The server that a <VirtualHost> made. */
static server_rec *server_of(server_rec *main_server, const ap_directive_t *d)
{
    for (server_rec *s = main_server->next; s; s = s->next) {
        if (s->defn_name && d->line_num == (int)s->defn_line_number
            && !strcmp(d->filename, s->defn_name)) {
            return s;
        }
    }
    return main_server;
}

static void walk(const ap_directive_t *d, server_rec *main_server,
                 server_rec *s, rlx_conf_fn visit, void *baton)
{
    for (; d; d = d->next) {
        server_rec *within = rlx_conf_is(d, "<VirtualHost")
                             ? server_of(main_server, d) : s;

        visit(baton, d, within);
        walk(d->first_child, main_server, within, visit, baton);
    }
}

void rlx_conf_walk(server_rec *main_server, rlx_conf_fn visit, void *baton)
{
    walk(ap_conftree, main_server, main_server, visit, baton);
}

/** Not 0 for options whose names sound like secrets, or whose values could be
 *  anything, and which are none. */
static int is_known(const char *name)
{
    static const char *const known[] = {
        "client_name", "deny_cache", "persist", "store_keys", "tls_key"
    };

    for (apr_size_t i = 0; i < sizeof(known) / sizeof(char *); i++) {
        if (!ap_cstr_casecmp(name, known[i])) {
            return 1;
        }
    }
    return 0;
}

/** Not 0 if an option's value tells nobody a secret, whatever it is called. */
static int is_harmless(const char *name, const char *value)
{
    static const char *const secret[] = {
        "pass", "secret", "token", "key", "auth", "user", "cred"
    };

    if (is_known(name)) {
        return 1;
    }
    for (apr_size_t i = 0; i < sizeof(secret) / sizeof(char *); i++) {
        if (ap_strcasestr(name, secret[i])) {
            return 0;
        }
    }
    if (*value == '/' || !ap_cstr_casecmp(value, "on")
        || !ap_cstr_casecmp(value, "off")) {
        return 1;
    }
    /* A size, a number, a time. */
    for (int i = 0; value[i]; i++) {
        if (!apr_isdigit(value[i]) && (i == 0 || !apr_isalpha(value[i])
                                       || strlen(value + i) > 2)) {
            return 0;
        }
    }
    return 1;
}

const char *rlx_conf_masked(apr_pool_t *p, const char *args)
{
    const char *uri = ap_getword_conf(p, &args);
    const char *text = rlx_store_shown_uri(uri, p);

    while (*args) {
        const char *value = ap_getword_conf(p, &args);
        const char *name = ap_getword(p, &value, '=');

        if (*name) {
            text = apr_pstrcat(p, text, " ", name, "=",
                               is_harmless(name, value) ? value : "***", NULL);
        }
    }
    return text;
}

/** What a list of settings is made of. */
typedef struct listing_t {
    apr_pool_t *p;
    server_rec *main_server;
    /** rlx_setting_t: found in the configuration. */
    apr_array_header_t *found;
    /** Where a setting stands in it, by server, section and directive. */
    apr_hash_t *known;
} listing_t;

/** Names of the sections around a line; NULL: there are none. */
static const char *section_around(apr_pool_t *p, const ap_directive_t *d)
{
    const char *name = NULL;

    for (d = d->parent; d; d = d->parent) {
        if (!rlx_conf_is(d, "<VirtualHost")) {
            const char *text = rlx_section_text(d, p);

            name = name ? apr_pstrcat(p, text, ", ", name, NULL) : text;
        }
    }
    return name;
}

static void take(void *baton, const ap_directive_t *d, server_rec *s)
{
    listing_t *listing = baton;
    apr_pool_t *p = listing->p;
    rlx_setting_t setting;
    const char *place;
    int which = 0, *at;

    while (which < SETTINGS && !rlx_conf_is(d, settings[which].directive)) {
        which++;
    }
    if (which == SETTINGS) {
        return;
    }
    setting.directive = settings[which].directive;
    setting.value = rlx_conf_is(d, "RateLimitStorage")
                    ? rlx_conf_masked(p, d->args) : d->args;
    setting.server = rlx_server_of(s)->name;
    setting.section = section_around(p, d);
    setting.declared_at = rlx_where(p, d->filename, d->line_num);
    /* Two sections with one name are two places. */
    place = apr_psprintf(p, "%pp %pp %s", (void *)s, (void *)d->parent,
                         setting.directive);
    at = apr_hash_get(listing->known, place, APR_HASH_KEY_STRING);
    if (at && !settings[which].adds_up) {
        APR_ARRAY_IDX(listing->found, *at, rlx_setting_t) = setting;
        return;
    }
    at = apr_palloc(p, sizeof(*at));
    *at = listing->found->nelts;
    apr_hash_set(listing->known, place, APR_HASH_KEY_STRING, at);
    APR_ARRAY_PUSH(listing->found, rlx_setting_t) = setting;
}

/** Not 0 if it was found outside of sections in the main server. */
static int is_main(const rlx_setting_t *setting, const char *server)
{
    return !setting->section && !strcmp(setting->server, server);
}

/** Those of the main server in the manual's order, or what holds. */
static void list_main(listing_t *listing, const char *server,
                      apr_array_header_t *list)
{
    for (int i = 0; i < SETTINGS; i++) {
        int is_set = 0;

        for (int j = 0; j < listing->found->nelts; j++) {
            const rlx_setting_t *setting = &APR_ARRAY_IDX(listing->found, j,
                                                          rlx_setting_t);

            if (is_main(setting, server)
                && !strcmp(setting->directive, settings[i].directive)) {
                APR_ARRAY_PUSH(list, rlx_setting_t) = *setting;
                is_set = 1;
            }
        }
        if (!is_set && settings[i].usual) {
            rlx_setting_t *usual = apr_array_push(list);

            memset(usual, 0, sizeof(*usual));
            usual->directive = settings[i].directive;
            usual->value = settings[i].usual;
            usual->server = server;
        }
    }
}

apr_array_header_t *rlx_conf_settings(apr_pool_t *p, server_rec *main_server)
{
    const char *server = rlx_server_of(main_server)->name;
    apr_array_header_t *list = apr_array_make(p, 32, sizeof(rlx_setting_t));
    listing_t listing = { p, main_server, NULL, apr_hash_make(p) };

    listing.found = apr_array_make(p, 32, sizeof(rlx_setting_t));
    rlx_conf_walk(main_server, take, &listing);
    list_main(&listing, server, list);
    for (int i = 0; i < listing.found->nelts; i++) {
        const rlx_setting_t *setting = &APR_ARRAY_IDX(listing.found, i,
                                                      rlx_setting_t);

        if (!is_main(setting, server)) {
            APR_ARRAY_PUSH(list, rlx_setting_t) = *setting;
        }
    }
    return list;
}
