/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A snapshot as metrics.
 */

#include "report/render.h"

void rlx_render_prometheus(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    rlx_out_put(out, "\n");
}

void rlx_render_openmetrics(rlx_out_t *out, const rlx_snapshot_t *snapshot)
{
    rlx_out_put(out, "# EOF\n");
}
