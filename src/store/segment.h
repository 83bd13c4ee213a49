/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  segment.h
 * @brief Memory that all children share, and that survives graceful restarts.
 */

#ifndef RLX_STORE_SEGMENT_H
#define RLX_STORE_SEGMENT_H

#include "store/store.h"

/** What some memory is for. */
typedef struct rlx_segment_t {
    /** Together with `bytes` it names the memory: another build of the module
     *  may be loaded by a restart. */
    const char *name;
    apr_size_t bytes;
    /** Whose it is, as the log shows it. */
    const char *shown_uri;
    /** What it is for: completes "cannot get shared memory for ". */
    const char *purpose;
} rlx_segment_t;

/**
 * Find some memory, or make it, all zero. In the parent.
 * @param p      for the call
 * @param memory where it goes; lives as long as the process
 * @return an error if there is none, which is logged
 */
apr_status_t rlx_segment_open(const rlx_segment_t *segment,
                              const rlx_storage_env_t *env, apr_pool_t *p,
                              void **memory);

#endif /* RLX_STORE_SEGMENT_H */
