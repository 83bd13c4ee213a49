/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  snapshot.h
 * @brief All that is reported, as of one instant: every renderer walks the
 *        same.
 */

#ifndef RLX_REPORT_SNAPSHOT_H
#define RLX_REPORT_SNAPSHOT_H

#include "report/conf.h"
#include "report/listed.h"
#include "report/warnings.h"

/** The module's version. */
#define RLX_VERSION "1.0.0-dev"

/** A storage. */
typedef struct rlx_storage_view_t {
    const rlx_store_t *store;
    /** Secrets masked. */
    const char *uri;
    /** The scheme. */
    const char *kind;
    /** Names of the servers that count there, const char *. */
    apr_array_header_t *servers;
    /** Not 0: `figures` are there, and `status` says whether they could be
     *  had. */
    int was_asked;
    apr_status_t status;
    rlx_storage_figures_t figures;
    /** Seconds until it is asked again; 0: it is not known not to answer. */
    apr_int64_t retry_sec;
    /** Not 0: it answers. */
    int is_up;
    /** Since when it answers, or does not, wall clock; 0: unknown. What always
     *  answers does since counting began. */
    rlx_usec_t since;
    /** Not 0: `health` says how calls went. */
    int has_health;
    rlx_health_t health;
} rlx_storage_view_t;

/** What of a report does not change while a configuration is in force. Threads
 *  share it: nobody changes anything in it. */
typedef struct rlx_known_t {
    /** rlx_setting_t */
    apr_array_header_t *settings;
    /** rlx_tree_t *: the main server, virtual hosts in file order. */
    apr_array_header_t *trees;
    /** rlx_listed_t: every limit, each once. */
    apr_array_header_t *limits;
    /** rlx_warning_t */
    apr_array_header_t *warnings;
} rlx_known_t;

/**
 * Work it out. After check_config.
 * @param p for all of it
 */
const rlx_known_t *rlx_known_make(apr_pool_t *p, server_rec *main_server);

/** What is reported. */
typedef struct rlx_snapshot_t {
    apr_pool_t *p;
    server_rec *main_server;
    /** Wall clock. */
    rlx_usec_t now;
    /** As in rlx_known_t, and as unchangeable. */
    const apr_array_header_t *settings;
    const apr_array_header_t *trees;
    const apr_array_header_t *limits;
    const apr_array_header_t *warnings;
    /** rlx_storage_view_t, that of the main server first. */
    apr_array_header_t *storages;
    /** rlx_seen_view_t (report/seen.h): .htaccess files that were seen to speak
     *  of limits, by server and name; NULL: nobody looked. And how many more
     *  there were, about, that there is no room for. */
    apr_array_header_t *htaccess;
    int htaccess_left_out;
    /** Not 0: requests are served: figures (http/figures.h) and storages have
     *  something to say. */
    int is_served;
    /** The answers to ?path= and ?key=; NULL: not asked. */
    const struct rlx_path_view_t *path;
    const struct rlx_key_view_t *key;
    /** What was asked for, decoded; NULL: nothing could be. */
    const apr_table_t *args;
    /** Of the page: not 0 where it may clear counters; seconds after which it
     *  asks for itself again, 0: never; what its Content-Security-Policy
     *  calls its own styles and scripts; a sentence about what was done just
     *  now, NULL: nothing was. */
    int may_clear;
    int refresh_sec;
    const char *nonce;
    const char *notice;
} rlx_snapshot_t;

/**
 * Look at everything.
 * @param p         for all of it
 * @param is_served not 0: requests are served, and storages may be asked
 */
rlx_snapshot_t *rlx_snapshot_make(apr_pool_t *p, server_rec *main_server,
                                  int is_served);

#endif /* RLX_REPORT_SNAPSHOT_H */
