/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  figures.h
 * @brief What became of requests since the start, over all children and
 *        graceful restarts.
 *
 * Noted without a lock, in memory that the children share: a number that is
 * read while others are noted may be one behind another. All functions are safe in any thread.
 */

#ifndef RLX_HTTP_FIGURES_H
#define RLX_HTTP_FIGURES_H

#include "http/request.h"

/** How many keys rlx_figures_top_refused() gives at most. */
#define RLX_FIGURES_TOP 50

/** What became of requests. Each has one fate. */
typedef struct rlx_fates_t {
    /** Those that limits were looked at for, or would have been but for an
     *  exemption. Of one limit: the requests that it was looked at for, or
     *  would have been but for its exempt_when=. The sum of the others. */
    apr_uint64_t seen;
    /** By rlx_fate_e. RLX_FATE_DRY_RUN: there was no room, and they passed:
     *  dry_run= and DryRun. RLX_FATE_ERROR: the storage could not answer,
     *  whatever they got then: also where they were refused by what was
     *  counted in its place. Of a limit of RateLimitFallback: its own
     *  fates. */
    apr_uint64_t of[RLX_FATES];
} rlx_fates_t;

/** What a fate is called. All are names that programs know, but for the
 *  words. */
typedef struct rlx_fate_names_t {
    /** Of a member of the JSON form. */
    const char *member;
    /** Of a result among metrics; NULL: it is none. */
    const char *result;
    /** Of a line of mod_status?auto, behind RateLimit. */
    const char *line;
    /** In the text form, and on the page of mod_status. */
    const char *words;
} rlx_fate_names_t;

/** The names, by rlx_fate_e; and of rlx_fates_t.seen. */
extern const rlx_fate_names_t rlx_fate_names[RLX_FATES];
extern const rlx_fate_names_t rlx_fate_seen;

/** What a limit that only tries would do. */
typedef struct rlx_trial_t {
    /** Different keys that it was looked at for, and those that it would
     *  have refused at least once. */
    apr_uint64_t keys;
    apr_uint64_t keys_refused;
    /** Not 0: every key was watched; else a fair sample, and the two are
     *  estimates. */
    int is_exact;
    /** Keys that were watched. */
    apr_uint32_t sample;
    /** The lowest count that would have refused no more than 1 % of the keys,
     *  and no more than 0.1 %, at some time. 0: fewer than 100 keys, and fewer
     *  than 1,000. */
    apr_uint64_t count_1_percent;
    apr_uint64_t count_01_percent;
    /** When a request was tried last, wall clock. */
    rlx_usec_t last_at;
} rlx_trial_t;

/** Keys that are longer are cut to this many bytes, or to as few less as make
 *  whole characters. */
#define RLX_FIGURES_KEY_MAX 127

/** A key that was often refused. */
typedef struct rlx_refused_key_t {
    /** As RateLimitKeyDisplay says that it is shown. Escape it. */
    const char *key;
    /** The server's name. */
    const char *server;
    /** The limit that refused it last: canonical text, and its name or NULL. */
    const char *limit;
    const char *name;
    /** Refusals: at least refused - over, at most refused. */
    apr_uint64_t refused;
    apr_uint64_t over;
    /** When it was refused last, wall clock. */
    rlx_usec_t last_at;
} rlx_refused_key_t;

/** When counting began, wall clock; 0: nothing is counted here. */
rlx_usec_t rlx_figures_since(void);

/** What became of all requests. */
void rlx_figures_totals(rlx_fates_t *fates);

/** What became of the requests that a limit was looked at for.
 *  @return 0 if nothing is known of it; `fates` is all 0 then */
int rlx_figures_of(const rlx_rule_t *rule, rlx_fates_t *fates);

/** What became of the requests that limits without figures of their own were
 *  looked at for, each of them: those of other modules (api.h), and the others,
 *  which are limits of .htaccess files that there was no room for. */
void rlx_figures_of_modules(rlx_fates_t *fates);
void rlx_figures_of_others(rlx_fates_t *fates);

/** What is known of a limit that only tries, or is tried by DryRun.
 *  @return 0 if nothing is */
int rlx_figures_trial(const rlx_rule_t *rule, rlx_trial_t *trial);

/** The keys that were refused most, by refused - over the most first:
 *  rlx_refused_key_t. */
apr_array_header_t *rlx_figures_top_refused(apr_pool_t *p);

#endif /* RLX_HTTP_FIGURES_H */
