/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Memory that all children share.
 */

#include "store/segment.h"

#include <string.h>

#include <apr_shm.h>
#include <apr_strings.h>

apr_status_t rlx_segment_open(const rlx_segment_t *segment,
                              const rlx_storage_env_t *env, apr_pool_t *p,
                              void **memory)
{
    apr_shm_t **shm = env->retain(
        apr_psprintf(p, "%s-%" APR_SIZE_T_FMT, segment->name, segment->bytes),
        sizeof(*shm));

    if (!*shm) {
        apr_status_t status = apr_shm_create(shm, segment->bytes, NULL,
                                             env->process_pool);

        if (status != APR_SUCCESS) {
            *shm = NULL;
            env->log(env->baton, RLX_LOG_ERR, status,
                     apr_pstrcat(p, "storage ", segment->shown_uri,
                                 ": cannot get shared memory for ",
                                 segment->purpose, NULL));
            return status;
        }
        memset(apr_shm_baseaddr_get(*shm), 0, segment->bytes);
    }
    *memory = apr_shm_baseaddr_get(*shm);
    return APR_SUCCESS;
}
