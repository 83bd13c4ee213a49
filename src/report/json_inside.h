/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  json_inside.h
 * @brief What the parts of the JSON form share. The form is told in
 *        docs/status.schema.json: what is written here stands there.
 */

#ifndef RLX_REPORT_JSON_INSIDE_H
#define RLX_REPORT_JSON_INSIDE_H

#include "report/json_out.h"
#include "report/snapshot.h"

/** Members of a limit, into the object that is open. */
void rlx_json_limit(rlx_json_t *json, const rlx_limit_view_t *view);

/** The same without its options, but for its name. */
void rlx_json_limit_brief(rlx_json_t *json, const rlx_limit_view_t *view);

/** "servers": each server's limits and its tree. */
void rlx_json_servers(rlx_json_t *json, const rlx_snapshot_t *snapshot);

/** "htaccess" and "htaccess_left_out": files that were seen. */
void rlx_json_htaccess(rlx_json_t *json, const rlx_snapshot_t *snapshot);

/** "counters" and "top_refused": what became of requests. */
void rlx_json_counters(rlx_json_t *json, const rlx_snapshot_t *snapshot);

/** "path" and "key", where they were asked for. */
void rlx_json_answers(rlx_json_t *json, const rlx_snapshot_t *snapshot);

#endif /* RLX_REPORT_JSON_INSIDE_H */
