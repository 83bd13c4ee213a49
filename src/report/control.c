/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Clearing counters by POST.
 */

#include "report/control.h"

int rlx_control_is_on(const request_rec *r)
{
    return 0;
}

int rlx_control_post(request_rec *r, const char *form)
{
    return HTTP_FORBIDDEN;
}

const char *rlx_control_notice(request_rec *r, const apr_table_t *args)
{
    return NULL;
}
