/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  render.h
 * @brief A snapshot as people and programs read it.
 */

#ifndef RLX_REPORT_RENDER_H
#define RLX_REPORT_RENDER_H

#include "report/out.h"
#include "report/snapshot.h"

/** For a terminal. */
void rlx_render_text(rlx_out_t *out, const rlx_snapshot_t *snapshot);

#endif /* RLX_REPORT_RENDER_H */
