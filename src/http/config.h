/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  config.h
 * @brief The configuration: what the directives say, per server and per
 *        section, and how sections merge.
 *
 * Everything here is made while a configuration is read (from its pool, or
 * from the request's for .htaccess) and is read-only while requests run.
 */

#ifndef RLX_HTTP_CONFIG_H
#define RLX_HTTP_CONFIG_H

#include "httpd.h"
#include "http_config.h"
#include "ap_expr.h"
#include "apr_tables.h"

#include "core/hash.h"
#include "core/limit.h"
#include "store/store.h"

extern module AP_MODULE_DECLARE_DATA ratelimit_ext_module;

/** A setting that no directive has set. */
#define RLX_UNSET (-1)

/** HEAD among the numbers of methods, where httpd has none for it. Its own
 *  numbers end before that: there are 64 bits, and 26 methods. */
#define RLX_METHOD_HEAD 62

/** RateLimitEngine. Unset means on. */
typedef enum {
    RLX_ENGINE_OFF,
    RLX_ENGINE_ON,
    RLX_ENGINE_DRY_RUN
} rlx_engine_e;

/** RateLimitHeaders: bits. */
#define RLX_HEADERS_OFF  0x0
#define RLX_HEADERS_X    0x1
#define RLX_HEADERS_IETF 0x2

/** RateLimitExempt: bits. */
#define RLX_EXEMPT_APPLICATION 0x01
#define RLX_EXEMPT_DEFAULT     0x02
#define RLX_EXEMPT_META        0x04
#define RLX_EXEMPT_ANCESTORS   0x08
#define RLX_EXEMPT_DESCENDENTS 0x10

/** RateLimitStorageFailure. Unset means fallback. */
typedef enum {
    RLX_FAILURE_FALLBACK,
    RLX_FAILURE_ALLOW,
    RLX_FAILURE_DENY
} rlx_failure_e;

/** A limit's lane: bits. Most limits are in lane 0. */
/** dry_run=on: stands in nobody's way. */
#define RLX_LANE_DRY   0x1u
/** phase=early: decided before access control. */
#define RLX_LANE_EARLY 0x2u

/** What kind of directive a rule comes from. */
typedef enum {
    RLX_RULE_SECTION,
    RLX_RULE_SHARED,
    RLX_RULE_DEFAULT,
    RLX_RULE_APPLICATION,
    RLX_RULE_META,
    RLX_RULE_FALLBACK,
    /** None: another module's own limit, see api.h. */
    RLX_RULE_MODULE
} rlx_rule_e;

/** Text that is fixed, or an expression that gives it for each request. */
typedef struct rlx_value_t {
    /** As written. Never NULL. */
    const char *text;
    /** NULL: `text` is the value. */
    ap_expr_info_t *expr;
} rlx_value_t;

/** A boolean expression: true or false for each request. */
typedef struct rlx_condition_t {
    /** As written. */
    const char *text;
    ap_expr_info_t *expr;
} rlx_condition_t;

/** RateLimitRequestFilter: conditions of which any lets a request pass. Inner
 *  sections add theirs in front. */
typedef struct rlx_filter_t rlx_filter_t;
struct rlx_filter_t {
    const rlx_condition_t *condition;
    const rlx_filter_t *next;
};

typedef struct rlx_server_t rlx_server_t;
/** See manner.h. */
typedef struct rlx_manner_t rlx_manner_t;
/** See htaccess.h. */
typedef struct rlx_htaccess_t rlx_htaccess_t;

/** The options of one limit directive; its limits share them. */
typedef struct rlx_options_t {
    /** key=, in order (rlx_value_t); NULL: RateLimitKey. */
    apr_array_header_t *keys;
    /** methods=, bits 1 << rlx_method_of(r); 0: every method. GET is HEAD's
     *  too, as in <Limit>. */
    apr_int64_t methods;
    /** As shown: "GET,POST"; NULL where methods is 0. */
    const char *methods_text;
    int per_method;
    /** scope=; NULL: none. Never NULL for RateLimitShared. */
    const rlx_value_t *scope;
    /** cost=, 1 unless set or an expression. */
    apr_uint32_t cost;
    /** cost= as an expression; NULL: `cost`. */
    const rlx_value_t *cost_value;
    /** exempt_when=; NULL: never. */
    const rlx_condition_t *exempt_when;
    /** deduct_when=, over the response; NULL: charged when it is decided. */
    const rlx_condition_t *deduct_when;
    /** reserve=: with deduct_when, the cost is taken when it is decided and
     *  given back where the condition turns out false. */
    int reserve;
    /** dry_run=: counts and never refuses. */
    int dry_run;
    /** RLX_LANE_ bits: limits of different lanes are decided apart. */
    unsigned int lane;
    /** status=, or 0: RateLimitStatus. */
    int status;
    /** on_breach=; NULL: RateLimitOnBreach. */
    const char *on_breach;
    /** 1 or 0; what it means stands in DESIGN section 3. */
    int override_defaults;
    /** strategy=, or RLX_UNSET: the one in force for the request. */
    int strategy;
    /** burst=, or 0: the count. Counts for gcra alone. */
    apr_uint32_t burst;
    /** name=; NULL: none. */
    const char *name;
    /** error_message=; NULL: none. */
    const rlx_value_t *error_message;
    /** meta= as written; NULL: none. */
    const char *meta_text;
    /** The rules of meta=, rlx_rule_t *, of kind RLX_RULE_META; NULL: none. */
    apr_array_header_t *meta;
} rlx_options_t;

/** One limit of one directive. */
typedef struct rlx_rule_t {
    rlx_rule_e kind;
    /** The limit under each strategy that it may be used with; where the
     *  directive says strategy=, only that element is meant. */
    rlx_limit_t limit[RLX_STRATEGIES];
    /** The count of all of them in digits. */
    char count_text[sizeof("4294967295")];
    /** The limit's part of a counter's id, likewise: made of canonical text
     *  (or the name and the window), strategy, and burst where it is not the
     *  count. Not of kind, section, methods or anything else. */
    rlx_id_t id[RLX_STRATEGIES];
    /** Not NULL: the limits are an expression. Then this is no limit itself,
     *  limit and id are of no meaning, and dynamic.h tells for a request
     *  which rules stand in its place. */
    struct rlx_dynamic_t *dynamic;
    const rlx_options_t *options;
    /** Not NULL: this is a limit's own meta limit (meta=). What it belongs
     *  to, as text: names its counter; and that directive's kind, and its
     *  options, which stand for the directive. */
    const char *of;
    rlx_rule_e of_kind;
    const rlx_options_t *of_options;
    /** The server whose configuration holds the directive; NULL for another
     *  module's limit. */
    const rlx_server_t *owner;
    /** Where the directive stands; "" for another module's limit. */
    const char *file;
    int line;
    /** Not 0: that is a .htaccess file. */
    int is_htaccess;
    /** Its row in the tally (shared_figures.h); below 0: the same, and other
     *  limits of the same directive have it too. */
    int row;
} rlx_rule_t;

/** Not 0 if a rule has one counter over the server that declares it. */
static inline int rlx_rule_is_umbrella(const rlx_rule_t *rule)
{
    return rule->kind == RLX_RULE_APPLICATION || rule->kind == RLX_RULE_META
           || rule->kind == RLX_RULE_FALLBACK;
}

/** A section that speaks of limits. */
typedef struct rlx_section_t {
    /** Type and argument as written, "Location /api"; of a nested one, what
     *  encloses it first, "Location /api, If %{...}". The endpoint's name. */
    const char *name;
    /** rlx_id_of(RLX_ID_SECTION, name). */
    rlx_id_t id;
    /** RateLimitEndpoint; NULL: `name`. */
    const rlx_value_t *endpoint;
    /** rlx_rule_t *, in the order written; may be empty. */
    apr_array_header_t *rules;
    /** RLX_EXEMPT_ bits, and where the last RateLimitExempt stands; of no
     *  meaning where there is none. */
    unsigned int exempt;
    int exempt_line;
    const char *exempt_file;
    /** Not 0: from a .htaccess file. */
    int is_htaccess;
    /** From a .htaccess file with RateLimitShared: the file's directory, whose
     *  tree keeps shared scopes to itself, and its id. Else NULL. */
    const char *tree_name;
    rlx_id_t tree;
    /** What stands in this section alone, before any merging. */
    struct rlx_dir_t *settings;
    /** The plan for requests that meet no other section; NULL before
     *  check_config and for .htaccess. See resolve.h. */
    const struct rlx_ready_t *ready;
    /** The section's own line in the tree of directives; NULL for .htaccess. */
    const ap_directive_t *directive;
    /** Where the section begins (for .htaccess: its first directive). */
    const char *file;
    int line;
} rlx_section_t;

/** The sections of a request that speak of limits, innermost first. */
typedef struct rlx_chain_t rlx_chain_t;
struct rlx_chain_t {
    const rlx_section_t *section;
    const rlx_chain_t *outer;
};

/** Per-directory configuration. Small: httpd merges it for each request. */
typedef struct rlx_dir_t {
    const rlx_chain_t *chain;
    /** RateLimitKey; NULL: unset, the client's address. */
    const rlx_value_t *key;
    /** rlx_engine_e or RLX_UNSET. */
    int engine;
    /** rlx_strategy_e or RLX_UNSET. */
    int strategy;
    /** rlx_charge_e or RLX_UNSET. */
    int charge;
    /** RateLimitStatus or RLX_UNSET. */
    int status;
    /** RLX_HEADERS_ bits or RLX_UNSET. */
    int headers;
    /** RateLimitRequestFilter, outer sections' too; NULL: none. */
    const rlx_filter_t *filters;
    /** How answers look; NULL: nothing is set. */
    rlx_manner_t *manner;
    /** What .htaccess files may do, and what those that were read want; NULL:
     *  nothing is set, and none was read. */
    rlx_htaccess_t *htaccess;
    /** The section while it is read; NULL: it does not speak of limits, or
     *  this is merged. */
    rlx_section_t *own;
    /** Not 0: there is a limit with phase=early among those of the chain or
     *  of the server. */
    int has_early;
    /** Not 0: nothing is set, known since check_config. What is merged into
     *  it comes out as it is. */
    int is_empty;
    /** What comes out where this is merged into `merged_into`, known since
     *  check_config for a section within its server; NULL: that is not
     *  known. */
    const struct rlx_dir_t *merged_into;
    struct rlx_dir_t *merged;
} rlx_dir_t;

/** Per-server configuration. */
struct rlx_server_t {
    server_rec *server;
    /** "_main"; of a virtual host ServerName and port, or where it has no
     *  ServerName its address and port as written. Of several that would be
     *  called the same, "name@address:port", and "name@address:port#2" where
     *  that is not enough, counted in file order. "" before check_config.
     *  Names the server in scopes. */
    const char *name;
    /** rlx_id_of(RLX_ID_SERVER, key prefix NUL name); all zero before
     *  check_config. */
    rlx_id_t id;
    /** RateLimitKeyPrefix; NULL: unset. */
    const char *key_prefix;
    /** RateLimitIPv6Prefix, 0 to 128, or RLX_UNSET. */
    int ipv6_prefix;
    /** RateLimitStorage as written, its options, and where it stands; NULL:
     *  unset. */
    const char *storage_uri;
    apr_table_t *storage_options;
    const char *storage_file;
    int storage_line;
    /** The storage; NULL before check_config. */
    rlx_store_t *store;
    /** rlx_failure_e or RLX_UNSET. */
    int storage_failure;
    /** Where counting goes on while `store` cannot answer; NULL: nowhere, or
     *  it always answers, or before check_config. */
    rlx_store_t *local;
    /** Every storage of the configuration; in the main server alone, NULL
     *  before check_config. */
    rlx_store_set_t *store_set;
    /** The plan for requests that meet no section; NULL before
     *  check_config. See resolve.h. */
    const struct rlx_ready_t *ready;
    /** Not 0: RateLimitStrategy gcra stands somewhere in this server's
     *  configuration. */
    int has_gcra;
    /** rlx_rule_t *. A virtual host that has any of a kind has its own alone,
     *  else those of the main server. NULL: none. */
    apr_array_header_t *application;
    apr_array_header_t *defaults;
    apr_array_header_t *meta;
    apr_array_header_t *fallback;
    /** Not 0: a limit of meta has phase=early; known since check_config. */
    int has_early_meta;
    /** The meta limits of every request; NULL: they depend on it, or there
     *  are none. */
    const struct rlx_ready_t *meta_ready;
    /** rlx_section_t *: every section declared in this server's
     *  configuration (not .htaccess), in file order. Not inherited. */
    apr_array_header_t *sections;
    /** What the report knows of this configuration, see report/snapshot.h; in
     *  the main server alone, NULL before post_config. */
    const struct rlx_known_t *known;
};

/** Hooks of the configuration vector; see http_config.h. */
void *rlx_server_create(apr_pool_t *p, server_rec *s);
void *rlx_server_merge(apr_pool_t *p, void *base, void *add);
void *rlx_dir_create(apr_pool_t *p, char *path);
void *rlx_dir_merge(apr_pool_t *p, void *base, void *add);

/** Work out beforehand what rlx_dir_merge() makes of a server's own
 *  configuration and each of its sections that speaks of limits: httpd merges
 *  them twice for each request. Once the configuration is complete. */
void rlx_dir_merge_ahead(apr_pool_t *pconf, const rlx_server_t *sv);

/** The directives. Ends with an entry of all NULL. */
extern const command_rec rlx_directives[];

/**
 * Name the servers, find each server's storage, and check what no single
 * directive can. For the check_config hook.
 * @return OK, or an HTTP_ status after one error line that names directive,
 *         file and line
 */
int rlx_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                     server_rec *main_server);

/** A URL with *** for what stands before its host's @: a password is nobody's
 *  business. Anything else stays.
 *  @param p   for the text
 *  @param url or a pattern of URLs
 *  @return it, or the URL itself where there is none */
const char *rlx_shown_url(apr_pool_t *p, const char *url);

/** What a section is called by itself: "Location /api" of <Location "/api">.
 *  Without passwords of a <Proxy>.
 *  @param d its line; another directive gives the directive and its words
 *  @param p for the text */
const char *rlx_section_text(const ap_directive_t *d, apr_pool_t *p);

/** This server's configuration. Never NULL. */
static inline rlx_server_t *rlx_server_of(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &ratelimit_ext_module);
}

/** A per-directory configuration; NULL where no directive of ours stands in
 *  any section of it. */
static inline const rlx_dir_t *rlx_dir_of(const ap_conf_vector_t *vector)
{
    return ap_get_module_config(vector, &ratelimit_ext_module);
}

/** The secret that keys every id of this server. Made once per start of the
 *  parent, kept over graceful restarts. Never NULL. */
const rlx_secret_t *rlx_secret(void);

/**
 * Evaluate a value for a request.
 * @return the text, "" if it is empty or the expression failed (which is
 *         logged at debug); from r->pool or the configuration
 */
const char *rlx_value_of(request_rec *r, const rlx_value_t *value);

/** Evaluate a condition for a request. One that fails is false, which is
 *  logged at debug. */
int rlx_condition_holds(request_rec *r, const rlx_condition_t *condition);

#endif /* RLX_HTTP_CONFIG_H */
