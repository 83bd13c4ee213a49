/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  render.h
 * @brief A snapshot as people and programs read it.
 */

#ifndef RLX_REPORT_RENDER_H
#define RLX_REPORT_RENDER_H

#include "report/out.h"
#include "report/snapshot.h"

/** For a terminal. Where something was asked (?path=, ?key=) that is answered
 *  alone. */
void rlx_render_text(rlx_out_t *out, const rlx_snapshot_t *snapshot);

/** The answer to ?path= for a terminal. */
void rlx_text_path(rlx_out_t *out, const rlx_snapshot_t *snapshot);

/** The answer to ?key= for a terminal; snapshot->key is there. */
void rlx_text_key(rlx_out_t *out, const rlx_snapshot_t *snapshot);

/** What .htaccess files were seen to say, for a terminal. */
void rlx_text_seen(rlx_out_t *out, const rlx_snapshot_t *snapshot);

/** For programs: docs/status.schema.json. */
void rlx_render_json(rlx_out_t *out, const rlx_snapshot_t *snapshot);

/** A page for a browser. */
void rlx_render_html(rlx_out_t *out, const rlx_snapshot_t *snapshot);

/** Metrics in the text format of Prometheus. */
void rlx_render_prometheus(rlx_out_t *out, const rlx_snapshot_t *snapshot);

/** Metrics as OpenMetrics has them. */
void rlx_render_openmetrics(rlx_out_t *out, const rlx_snapshot_t *snapshot);

#endif /* RLX_REPORT_RENDER_H */
