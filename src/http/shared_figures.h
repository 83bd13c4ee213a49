/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  shared_figures.h
 * @brief Where figures are kept: shared memory of the process pool, found again
 *        over graceful restarts, and the rows of limits in it.
 *
 * A limit has its row by what it is and where it stands: server, section,
 * kind, text or name=, and which of those that are alike. So its numbers
 * survive a graceful restart, also of a configuration that was edited
 * elsewhere.
 */

#ifndef RLX_HTTP_SHARED_FIGURES_H
#define RLX_HTTP_SHARED_FIGURES_H

#include "core/heavy.h"
#include "core/tally.h"
#include "core/trial.h"
#include "http/config.h"

/** Rows without a name. What has no row of its own; all requests; limits of
 *  other modules. */
#define RLX_ROW_OTHERS  0
#define RLX_ROW_TOTALS  1
#define RLX_ROW_MODULES 2

/** Limits of .htaccess files that get a row of their own; the others share
 *  RLX_ROW_OTHERS. */
#define RLX_ROWS_HTACCESS 512

/** The memory, as this process sees it. Set before there are threads. */
typedef struct rlx_shared_figures_t {
    /** NULL: nothing is counted. */
    rlx_tally_t *tally;
    /** The process's stripe of it; NULL: nothing is counted. */
    rlx_tally_row_t *stripe;
    /** NULL: no key is kept. */
    rlx_heavy_t *heavy;
    /** NULL: nothing in the configuration is a dry run. */
    rlx_trials_t *trials;
    /** Names that may have a row. */
    apr_uint32_t most;
    /** When counting began, wall clock. */
    rlx_usec_t since;
} rlx_shared_figures_t;

extern rlx_shared_figures_t rlx_shared_figures;

/** Find the memory, or make it, and give each limit of the configuration its
 *  row. In the parent, in post_config. Where there is no memory that is
 *  logged, and nothing is counted. */
void rlx_shared_figures_open(apr_pool_t *pconf, apr_pool_t *ptemp,
                             server_rec *main_server);

/** Take a stripe. In a child, in child_init. */
void rlx_shared_figures_child_init(void);

/** Give a limit of a .htaccess file its row. */
void rlx_shared_figures_find_row(const cmd_parms *cmd, rlx_rule_t *rule);

/** The row of a rule. */
static inline apr_uint32_t rlx_row_of(const rlx_rule_t *rule)
{
    return (apr_uint32_t)(rule->row < 0 ? -rule->row : rule->row);
}

/** The trial of a rule.
 *  @param make not 0: begin it if there is none
 *  @return NULL: there is none */
rlx_trial_table_t *rlx_shared_figures_trial(const rlx_rule_t *rule, int make);

#endif /* RLX_HTTP_SHARED_FIGURES_H */
