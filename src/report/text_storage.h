/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  text_storage.h
 * @brief The storages for a terminal.
 */

#ifndef RLX_REPORT_TEXT_STORAGE_H
#define RLX_REPORT_TEXT_STORAGE_H

#include "report/render.h"

/** Write what storages there are, and where they were asked how they do. */
void rlx_text_storages(rlx_out_t *out, const rlx_snapshot_t *snapshot);

#endif /* RLX_REPORT_TEXT_STORAGE_H */
