/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Where figures are kept. Three segments: the tally, which is made anew where
 * the limits of a new configuration do not fit in it; the keys that are
 * refused; and, where there is a dry run, the trials.
 */

#include "http/shared_figures.h"

#include <string.h>

#include "apr_hash.h"
#include "apr_shm.h"
#include "apr_strings.h"

#include "http_log.h"

#include "http/declared.h"
#include "http/log_tags.h"
#include "http/rule.h"

APLOG_USE_MODULE(ratelimit_ext);

/** The name of what is retained. */
#define RETAINED "rlx-figures"

/** What is kept over graceful restarts. */
typedef struct retained_t {
    apr_shm_t *tally_shm;
    rlx_tally_t *tally;
    apr_shm_t *heavy_shm;
    rlx_heavy_t *heavy;
    apr_shm_t *trials_shm;
    rlx_trials_t *trials;
    rlx_usec_t since;
    /** Of RateLimitKeyDisplay, wherever it stands. */
    apr_uint64_t display;
} retained_t;

/** Limits of the configuration that get a row. */
typedef struct rows_t {
    apr_pool_t *p;
    /** rlx_rule_t *, and their names: apr_uint64_t. */
    apr_array_header_t *rules;
    apr_array_header_t *names;
    /** How often something was met, int, by its text. */
    apr_hash_t *alike;
} rows_t;

rlx_shared_figures_t rlx_shared_figures;

/*
 * Names of rows
 */

static apr_uint64_t hash_of(const char *text)
{
    apr_uint64_t hash = rlx_id_of(rlx_secret(), RLX_ID_LIMIT, text,
                                  strlen(text)).word[0];

    return hash ? hash : 1;
}

/** What names a limit within its place. */
static const char *text_of(apr_pool_t *p, const rlx_rule_t *rule)
{
    const rlx_options_t *options = rule->options;
    const char *text = options->name ? options->name
                                     : rlx_rule_text(rule);

    return apr_psprintf(p, "%d\n%s\n%s\n%s", rule->kind,
                        rule->of ? rule->of : "",
                        options->name ? "name" : "text", text);
}

static int count_alike(rows_t *rows, const char *text)
{
    int *n = apr_hash_get(rows->alike, text, APR_HASH_KEY_STRING);

    if (!n) {
        n = apr_pcalloc(rows->p, sizeof(*n));
        apr_hash_set(rows->alike, text, APR_HASH_KEY_STRING, n);
    }
    return (*n)++;
}

/** What a walk over the limits of a server needs. */
typedef struct gathering_t {
    rows_t *rows;
    const rlx_server_t *sv;
} gathering_t;

/** Gather a limit; an rlx_declared_fn. Those that a virtual host has of the
 *  main server are gathered there. */
static int gather(void *baton, rlx_rule_t *rule, const rlx_section_t *section)
{
    const gathering_t *gathering = baton;
    rows_t *rows = gathering->rows;
    const char *text;

    if (rule->owner != gathering->sv) {
        return 0;
    }
    text = apr_psprintf(rows->p, "%s\n%s\n%s", gathering->sv->name,
                        section ? section->name : "", text_of(rows->p, rule));
    APR_ARRAY_PUSH(rows->rules, rlx_rule_t *) = rule;
    APR_ARRAY_PUSH(rows->names, apr_uint64_t) = hash_of(
        apr_psprintf(rows->p, "%s\n%d", text, count_alike(rows, text)));
    return 0;
}

static rows_t *gather_all(apr_pool_t *ptemp, const server_rec *main_server)
{
    rows_t *rows = apr_pcalloc(ptemp, sizeof(*rows));

    rows->p = ptemp;
    rows->rules = apr_array_make(ptemp, 64, sizeof(rlx_rule_t *));
    rows->names = apr_array_make(ptemp, 64, sizeof(apr_uint64_t));
    rows->alike = apr_hash_make(ptemp);
    for (const server_rec *s = main_server; s; s = s->next) {
        gathering_t gathering = { rows, rlx_server_of(s) };

        rlx_declared_each(gathering.sv, gather, &gathering);
    }
    return rows;
}

/*
 * Memory
 */

static retained_t *retained(void)
{
    retained_t *kept = ap_retained_data_get(RETAINED);

    return kept ? kept : ap_retained_data_create(RETAINED, sizeof(*kept));
}

/** Get zeroed memory that all children will share; NULL: there is none. */
static void *get_memory(server_rec *s, apr_size_t bytes, apr_shm_t **shm)
{
    apr_status_t status = apr_shm_create(shm, bytes + RLX_TALLY_ALIGN, NULL,
                                         s->process->pool);
    apr_uintptr_t start;

    if (status != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, status, s, RLXNO(0141)
                     "cannot get %lu kB of shared memory for figures about "
                     "requests: some are not kept",
                     (unsigned long)(bytes / 1024));
        *shm = NULL;
        return NULL;
    }
    /* Anonymous memory is zeroed, and not touched before it is used. */
    start = (apr_uintptr_t)apr_shm_baseaddr_get(*shm);
    return (void *)APR_ALIGN(start, (apr_uintptr_t)RLX_TALLY_ALIGN);
}

/** How many names have no row yet. */
static apr_uint32_t count_new(rlx_tally_t *tally, const rows_t *rows)
{
    apr_uint32_t n = 0;

    for (int i = 0; i < rows->names->nelts; i++) {
        n += !rlx_tally_find(tally, APR_ARRAY_IDX(rows->names, i,
                                                  apr_uint64_t), 0);
    }
    return n;
}

static void find_rows(rlx_tally_t *tally, const rows_t *rows)
{
    for (int i = 0; i < rows->names->nelts; i++) {
        APR_ARRAY_IDX(rows->rules, i, rlx_rule_t *)->row = (int)rlx_tally_find(
            tally, APR_ARRAY_IDX(rows->names, i, apr_uint64_t), APR_UINT32_MAX);
    }
}

/** Make a tally that the limits fit in, and carry over what there was.
 *  Children of the old generation count on in the old one, in vain. Without
 *  memory for it the old one stays, and some limits share a row. */
static void make_tally(retained_t *kept, server_rec *s, const rows_t *rows)
{
    apr_uint32_t names = 2 * (apr_uint32_t)rows->names->nelts
                         + RLX_ROWS_HTACCESS;
    rlx_tally_t *tally;
    apr_shm_t *shm;
    void *block = get_memory(s, rlx_tally_bytes(names), &shm);

    if (!block) {
        return;
    }
    tally = rlx_tally_format(block, names);
    if (kept->tally) {
        find_rows(tally, rows);
        rlx_tally_carry(tally, kept->tally);
        apr_shm_destroy(kept->tally_shm);
    }
    else {
        kept->since = apr_time_now();
    }
    kept->tally = tally;
    kept->tally_shm = shm;
}

static void open_tally(retained_t *kept, server_rec *s, const rows_t *rows)
{
    if (!kept->tally
        || rlx_tally_used(kept->tally) + count_new(kept->tally, rows)
           + RLX_ROWS_HTACCESS / 2 > rlx_tally_room(kept->tally)) {
        make_tally(kept, s, rows);
    }
    if (kept->tally) {
        find_rows(kept->tally, rows);
        rlx_shared_figures.most = rlx_tally_used(kept->tally)
                                  + RLX_ROWS_HTACCESS;
    }
}

/** Mix every RateLimitKeyDisplay into a hash. */
static apr_uint64_t display_of(const ap_directive_t *d, apr_uint64_t hash)
{
    for (; d; d = d->next) {
        if (!ap_cstr_casecmp(d->directive, "RateLimitKeyDisplay")) {
            hash = hash * UINT64_C(0x9e3779b97f4a7c15) + hash_of(d->args);
        }
        hash = display_of(d->first_child, hash);
    }
    return hash;
}

/** A key is kept as it was to be shown. Where that changes nothing is kept. */
static void open_heavy(retained_t *kept, server_rec *s)
{
    apr_uint64_t display = display_of(ap_conftree, 0);

    if (!kept->heavy) {
        kept->heavy = get_memory(s, rlx_heavy_bytes(), &kept->heavy_shm);
    }
    else if (kept->display != display) {
        rlx_heavy_forget(kept->heavy);
    }
    kept->display = display;
}

/** Not 0 if RateLimitEngine is DryRun anywhere. */
static int has_dry_engine(const ap_directive_t *d)
{
    for (; d; d = d->next) {
        if ((!ap_cstr_casecmp(d->directive, "RateLimitEngine")
             && ap_strcasestr(d->args, "DryRun"))
            || has_dry_engine(d->first_child)) {
            return 1;
        }
    }
    return 0;
}

/** The names of the limits that only try, or may come to: apr_uint64_t. */
static apr_array_header_t *names_of_dry(const rows_t *rows)
{
    apr_array_header_t *names = apr_array_make(rows->p, 8,
                                               sizeof(apr_uint64_t));
    int is_any = has_dry_engine(ap_conftree);

    for (int i = 0; i < rows->rules->nelts; i++) {
        if (is_any || APR_ARRAY_IDX(rows->rules, i, rlx_rule_t *)
                          ->options->dry_run) {
            APR_ARRAY_PUSH(names, apr_uint64_t)
                = APR_ARRAY_IDX(rows->names, i, apr_uint64_t);
        }
    }
    return names;
}

/** A limit that is enforced now is tried no longer. */
static void open_trials(retained_t *kept, server_rec *s, const rows_t *rows)
{
    const apr_array_header_t *names = names_of_dry(rows);

    if (kept->trials) {
        rlx_trials_keep(kept->trials, (const apr_uint64_t *)names->elts,
                        names->nelts);
    }
    else if (names->nelts) {
        kept->trials = get_memory(s, rlx_trials_bytes(), &kept->trials_shm);
    }
}

void rlx_shared_figures_open(apr_pool_t *pconf, apr_pool_t *ptemp,
                             server_rec *main_server)
{
    retained_t *kept = retained();
    rows_t *rows = gather_all(ptemp, main_server);

    open_tally(kept, main_server, rows);
    open_heavy(kept, main_server);
    open_trials(kept, main_server, rows);
    rlx_shared_figures.tally = kept->tally;
    rlx_shared_figures.stripe = NULL;
    rlx_shared_figures.heavy = kept->heavy;
    rlx_shared_figures.trials = kept->tally ? kept->trials : NULL;
    rlx_shared_figures.since = kept->since;
}

void rlx_shared_figures_child_init(void)
{
    if (rlx_shared_figures.tally) {
        rlx_shared_figures.stripe = rlx_tally_take_stripe(
            rlx_shared_figures.tally);
    }
}

void rlx_shared_figures_find_row(const cmd_parms *cmd, rlx_rule_t *rule)
{
    const rlx_server_t *sv = rlx_server_of(cmd->server);
    const char *text;

    if (rlx_shared_figures.tally) {
        text = apr_psprintf(cmd->temp_pool, "%s\n%s:%d\n%s", sv->name,
                            rule->file, rule->line,
                            text_of(cmd->temp_pool, rule));
        rule->row = (int)rlx_tally_find(rlx_shared_figures.tally,
                                        hash_of(text),
                                        rlx_shared_figures.most);
    }
}

rlx_trial_table_t *rlx_shared_figures_trial(const rlx_rule_t *rule, int make)
{
    apr_uint64_t name;

    if (!rlx_shared_figures.trials) {
        return NULL;
    }
    name = rlx_tally_name(rlx_shared_figures.tally, rlx_row_of(rule));
    return name ? rlx_trial_find(rlx_shared_figures.trials, name, make) : NULL;
}
