/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A snapshot for programs.
 */

#include "report/render.h"

void rlx_render_json(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    rlx_out_put(out, "\n");
}
