/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  text_figures.h
 * @brief Figures about requests for a terminal.
 */

#ifndef RLX_REPORT_TEXT_FIGURES_H
#define RLX_REPORT_TEXT_FIGURES_H

#include "report/out.h"
#include "report/snapshot.h"

/** Write the parts "Counters", "Trials" and "Most refused keys", each after an
 *  empty line. For a server that runs. */
void rlx_text_figures(rlx_out_t *out, const rlx_snapshot_t *snapshot);

#endif /* RLX_REPORT_TEXT_FIGURES_H */
