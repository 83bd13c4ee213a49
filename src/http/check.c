/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The configuration as a whole, once it is read: names of servers, their
 * storages, and what no single directive can tell.
 */

#include "http/declared.h"
#include "http/environment.h"
#include "http/failure.h"
#include "http/log_tags.h"
#include "http/resolve.h"

#include "ap_mpm.h"
#include "ap_provider.h"
#include "http_log.h"
#include "apr_hash.h"
#include "apr_lib.h"
#include "apr_strings.h"

APLOG_USE_MODULE(ratelimit_ext);

/** What the main server is called: its host name may be another on each
 *  machine of a cluster, and counters in a shared storage must not care. */
#define MAIN_NAME "_main"

/*
 * Names of servers
 */

/** ServerName as a virtual host's own configuration gives it. httpd fills in
 *  a guess where there is none, and the guess may change from day to day. */
static int has_server_name(const server_rec *s)
{
    const ap_directive_t *d;

    for (d = ap_conftree; d; d = d->next) {
        if (!ap_cstr_casecmp(d->directive, "<VirtualHost") && s->defn_name
            && d->line_num == (int)s->defn_line_number
            && !strcmp(d->filename, s->defn_name)) {
            break;
        }
    }
    for (d = d ? d->first_child : NULL; d; d = d->next) {
        if (!ap_cstr_casecmp(d->directive, "ServerName")) {
            return s->server_hostname != NULL;
        }
    }
    return 0;
}

static const char *host_and_port(apr_pool_t *p, const char *host,
                                 apr_port_t port)
{
    char *lower = ap_strchr_c(host, ':') && host[0] != '['
                  ? apr_pstrcat(p, "[", host, "]", NULL)
                  : apr_pstrdup(p, host);

    for (char *c = lower; *c; c++) {
        *c = (char)apr_tolower(*c);
    }
    return port ? apr_psprintf(p, "%s:%u", lower, port) : lower;
}

/** The address of a virtual host as written. */
static const char *address_of(apr_pool_t *p, const server_rec *s)
{
    return s->addrs ? host_and_port(p, s->addrs->virthost,
                                    s->addrs->host_port)
                    : "*";
}

static const char *base_name(apr_pool_t *p, const server_rec *s)
{
    apr_port_t port = s->port;

    if (!has_server_name(s)) {
        return address_of(p, s);
    }
    if (!port && s->addrs) {
        port = s->addrs->host_port;
    }
    return host_and_port(p, s->server_hostname, port);
}

/** Count one more of a name. */
static int count_name(apr_pool_t *p, apr_hash_t *counts, const char *name)
{
    int *n = apr_hash_get(counts, name, APR_HASH_KEY_STRING);

    if (!n) {
        n = apr_pcalloc(p, sizeof(*n));
        apr_hash_set(counts, name, APR_HASH_KEY_STRING, n);
    }
    return ++*n;
}

/** Virtual hosts (server_rec *) in file order; httpd lists them backwards. */
static apr_array_header_t *in_file_order(apr_pool_t *ptemp, server_rec *main)
{
    apr_array_header_t *list = apr_array_make(ptemp, 16, sizeof(void *));
    server_rec **hosts;

    for (server_rec *s = main->next; s; s = s->next) {
        APR_ARRAY_PUSH(list, server_rec *) = s;
    }
    hosts = (server_rec **)list->elts;
    for (int i = 0, j = list->nelts - 1; i < j; i++, j--) {
        server_rec *swap = hosts[i];

        hosts[i] = hosts[j];
        hosts[j] = swap;
    }
    return list;
}

/** Give a server its name and the id that goes with it. */
static void name_server(apr_pool_t *p, server_rec *s, const char *name)
{
    rlx_server_t *sv = rlx_server_of(s);
    const char *prefix = sv->key_prefix ? sv->key_prefix : "";
    apr_size_t prefix_len = strlen(prefix) + 1;
    apr_size_t len = prefix_len + strlen(name);
    char *text = apr_palloc(p, len + 1);

    sv->name = name;
    memcpy(text, prefix, prefix_len);
    strcpy(text + prefix_len, name);
    sv->id = rlx_id_of(rlx_secret(), RLX_ID_SERVER, text, len);
}

static void name_servers(apr_pool_t *p, apr_pool_t *ptemp, server_rec *main)
{
    apr_array_header_t *hosts = in_file_order(ptemp, main);
    apr_hash_t *plain = apr_hash_make(ptemp);
    apr_hash_t *full = apr_hash_make(ptemp);

    name_server(p, main, MAIN_NAME);
    count_name(ptemp, full, MAIN_NAME);
    for (int i = 0; i < hosts->nelts; i++) {
        const server_rec *s = APR_ARRAY_IDX(hosts, i, server_rec *);

        count_name(ptemp, plain, base_name(ptemp, s));
    }
    for (int i = 0; i < hosts->nelts; i++) {
        server_rec *s = APR_ARRAY_IDX(hosts, i, server_rec *);
        const char *name = base_name(p, s);
        const int *alike = apr_hash_get(plain, name, APR_HASH_KEY_STRING);
        int ordinal;

        if (*alike > 1) {
            name = apr_pstrcat(p, name, "@", address_of(ptemp, s), NULL);
        }
        ordinal = count_name(ptemp, full, name);
        name_server(p, s, ordinal > 1 ? apr_psprintf(p, "%s#%d", name, ordinal)
                                      : name);
    }
}

/*
 * Storages
 */

static void log_line(void *baton, rlx_log_level_e level, apr_status_t status,
                     const char *message)
{
    static const int levels[] = {
        [RLX_LOG_ERR] = APLOG_ERR,
        [RLX_LOG_WARNING] = APLOG_WARNING,
        [RLX_LOG_NOTICE] = APLOG_NOTICE,
        [RLX_LOG_INFO] = APLOG_INFO,
        [RLX_LOG_DEBUG] = APLOG_DEBUG
    };

    ap_log_error(APLOG_MARK, levels[level], status, (const server_rec *)baton,
                 RLXNO(0021) "%s", message);
}

static void *retain(const char *name, apr_size_t bytes)
{
    void *memory = ap_retained_data_get(name);

    return memory ? memory : ap_retained_data_create(name, bytes);
}

static const rlx_storage_provider_t *look_up(const char *scheme)
{
    return ap_lookup_provider(RLX_STORAGE_GROUP, scheme, RLX_STORAGE_VERSION);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const ap_list_provider_names_t *)a)->provider_name,
                  ((const ap_list_provider_names_t *)b)->provider_name);
}

/** The schemes that there are: "redis, shm". */
static const char *scheme_names(apr_pool_t *p, apr_pool_t *ptemp)
{
    const apr_array_header_t *list = ap_list_provider_names(
        ptemp, RLX_STORAGE_GROUP, RLX_STORAGE_VERSION);
    const char *text = NULL;

    qsort(list->elts, (size_t)list->nelts, sizeof(ap_list_provider_names_t),
          compare_names);
    for (int i = 0; i < list->nelts; i++) {
        const char *name = APR_ARRAY_IDX(list, i, ap_list_provider_names_t)
                               .provider_name;

        text = text ? apr_pstrcat(p, text, ", ", name, NULL) : name;
    }
    return text ? text : "none";
}

/** How many threads of all children may ask a storage at once. Children of
 *  two generations run beside each other after a graceful restart. */
static unsigned int workers_at_once(void)
{
    int daemons = 0, threads = 0;

    if (ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &daemons) != APR_SUCCESS
        || ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS) {
        return 0;
    }
    return 2u * (unsigned int)daemons
           * (unsigned int)(threads > 0 ? threads : 1);
}

static rlx_store_set_t *make_store_set(apr_pool_t *pconf, apr_pool_t *ptemp,
                                       server_rec *main)
{
    rlx_storage_env_t *env = apr_pcalloc(pconf, sizeof(*env));

    env->log = log_line;
    env->baton = main;
    env->process_pool = main->process->pool;
    env->retain = retain;
    env->workers = workers_at_once();
    return rlx_store_set_make(look_up, env, rlx_failure_log_change,
                              scheme_names(pconf, ptemp), pconf);
}

static int find_storage(rlx_store_set_t *set, server_rec *s)
{
    rlx_server_t *sv = rlx_server_of(s);
    const char *error = rlx_store_get(set, &sv->store, sv->storage_uri,
                                      sv->storage_options);

    if (!error) {
        return OK;
    }
    if (!sv->storage_uri) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, s,
                     RLXNO(0022) "RateLimitStorage (not set): %s", error);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, s,
                     RLXNO(0023) "RateLimitStorage on line %d of %s: %s",
                     sv->storage_line, sv->storage_file, error);
    }
    return HTTP_INTERNAL_SERVER_ERROR;
}

/** Where a server goes on counting while its storage cannot answer. */
static int find_local(rlx_store_set_t *set, server_rec *s)
{
    rlx_server_t *sv = rlx_server_of(s);
    const char *error;

    if (!rlx_store_may_fail(sv->store)
        || (sv->storage_failure != RLX_UNSET
            && sv->storage_failure != RLX_FAILURE_FALLBACK)) {
        return OK;
    }
    error = rlx_store_get_local(set, &sv->local);
    if (!error) {
        return OK;
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, s, RLXNO(0050)
                 "RateLimitStorageFailure fallback: %s", error);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/** Those that are written first: where none is, the default storage is meant,
 *  with the options that it has elsewhere. */
static int find_storages(rlx_store_set_t *set, server_rec *main)
{
    for (int written = 1; written >= 0; written--) {
        for (server_rec *s = main; s; s = s->next) {
            int status = (rlx_server_of(s)->storage_uri != NULL) == written
                         ? find_storage(set, s) : OK;

            if (status != OK) {
                return status;
            }
        }
    }
    for (server_rec *s = main; s; s = s->next) {
        int status = find_local(set, s);

        if (status != OK) {
            return status;
        }
    }
    return OK;
}

/*
 * What no single directive can tell
 */

/** The directive that makes a kind of rule. */
static const char *const directive_names[] = {
    [RLX_RULE_SECTION] = "RateLimit",
    [RLX_RULE_SHARED] = "RateLimitShared",
    [RLX_RULE_DEFAULT] = "RateLimitDefault",
    [RLX_RULE_APPLICATION] = "RateLimitApplication",
    [RLX_RULE_META] = "RateLimitMeta",
    [RLX_RULE_FALLBACK] = "RateLimitFallback"
};

/** The directive that a rule comes of, and the option. */
static const char *source_of(const rlx_rule_t *rule, apr_pool_t *p)
{
    return rule->of ? apr_pstrcat(p, directive_names[rule->of_kind],
                                  " (meta=)", NULL)
                    : directive_names[rule->kind];
}

/** Not 0 if a rule may come to be counted by a strategy. */
static int may_use(const rlx_rule_t *rule, const rlx_dir_t *settings,
                   const rlx_server_t *sv, rlx_strategy_e strategy)
{
    const rlx_dir_t *base = rlx_dir_of(sv->server->lookup_defaults);

    if (rule->options->strategy != RLX_UNSET) {
        return rule->options->strategy == (int)strategy;
    }
    if (settings && settings->strategy != RLX_UNSET) {
        return settings->strategy == (int)strategy;
    }
    return base && base->strategy == (int)strategy;
}

/** The storage may be unable to keep a limit. */
static int check_kept(const rlx_server_t *sv, const rlx_rule_t *rule,
                      const rlx_dir_t *settings, apr_pool_t *ptemp)
{
    /* Where there is no table for them to be counted in, they never are. */
    const rlx_store_t *store = rule->kind == RLX_RULE_FALLBACK && sv->local
                               ? sv->local : sv->store;

    for (int s = 0; !rule->dynamic && s < RLX_STRATEGIES; s++) {
        const char *why = !may_use(rule, settings, sv, (rlx_strategy_e)s)
                          ? NULL
                          : store->provider->refuses(store->instance,
                                                     &rule->limit[s], ptemp);

        if (why) {
            ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0,
                         sv->server, RLXNO(0025) "%s on line %d of %s: %s",
                         source_of(rule, ptemp), rule->line, rule->file, why);
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

/** A rule with burst= and without strategy= needs a strategy gcra that comes
 *  from somewhere. Which one is in force is known for each request alone, so
 *  only what can never be is refused. */
static int check_burst(const rlx_server_t *sv, const rlx_rule_t *rule,
                       const rlx_dir_t *settings)
{
    int has_gcra = settings && settings->strategy != RLX_UNSET
                   ? settings->strategy == RLX_GCRA : sv->has_gcra;

    if (!rule->options->burst || rule->options->strategy != RLX_UNSET
        || has_gcra) {
        return OK;
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, sv->server,
                 RLXNO(0024) "%s on line %d of %s: burst=%u counts for the "
                 "strategy gcra alone; it needs strategy=gcra beside it, or "
                 "RateLimitStrategy gcra", directive_names[rule->kind],
                 rule->line, rule->file, rule->options->burst);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/** What a look at a server's limits needs. */
typedef struct checking_t {
    const rlx_server_t *sv;
    apr_pool_t *ptemp;
} checking_t;

/** Check a limit; an rlx_declared_fn. */
static int check_rule(void *baton, rlx_rule_t *rule,
                      const rlx_section_t *section)
{
    const checking_t *checking = baton;
    const rlx_dir_t *settings = section && !rule->of ? section->settings
                                                     : NULL;
    int status = check_burst(checking->sv, rule, settings);

    return status == OK ? check_kept(checking->sv, rule, settings,
                                     checking->ptemp) : status;
}

static int check_server(const rlx_server_t *sv, apr_pool_t *ptemp)
{
    checking_t checking = { sv, ptemp };

    return rlx_declared_each(sv, check_rule, &checking);
}

/** A virtual host without any directive of ours is given the main server's
 *  configuration by httpd; it needs a name of its own. */
static void part_from_main(apr_pool_t *p, server_rec *s,
                           const rlx_server_t *main)
{
    rlx_server_t *sv;

    if (rlx_server_of(s) != main) {
        return;
    }
    sv = rlx_server_merge(p, (void *)main, rlx_server_create(p, s));
    ap_set_module_config(s->module_config, &ratelimit_ext_module, sv);
}

/** Mark a server's settings outside of sections where there are none. */
static void mark_empty(server_rec *s)
{
    rlx_dir_t *dir = ap_get_module_config(s->lookup_defaults,
                                          &ratelimit_ext_module);

    if (dir) {
        dir->is_empty = !dir->chain && !dir->key && dir->engine == RLX_UNSET
                        && dir->strategy == RLX_UNSET
                        && dir->charge == RLX_UNSET
                        && dir->status == RLX_UNSET
                        && dir->headers == RLX_UNSET && !dir->filters
                        && !dir->manner && !dir->has_early && !dir->htaccess;
    }
}

int rlx_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                     server_rec *main_server)
{
    rlx_server_t *main = rlx_server_of(main_server);
    int status;

    for (server_rec *s = main_server->next; s; s = s->next) {
        part_from_main(pconf, s, main);
        /* Sections of the main server hold in virtual hosts too. */
        main->has_gcra |= rlx_server_of(s)->has_gcra;
    }
    rlx_environment_prepare();
    name_servers(pconf, ptemp, main_server);
    main->store_set = make_store_set(pconf, ptemp, main_server);
    status = find_storages(main->store_set, main_server);
    for (server_rec *s = main_server; status == OK && s; s = s->next) {
        status = check_server(rlx_server_of(s), ptemp);
        mark_empty(s);
        rlx_dir_merge_ahead(pconf, rlx_server_of(s));
        rlx_resolve_prepare(pconf, rlx_server_of(s));
    }
    return status;
}
