/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  api.h
 * @brief The optional functions of include/ratelimit_ext.h, where they are
 *        documented.
 */

#ifndef RLX_HTTP_API_H
#define RLX_HTTP_API_H

/** Let other modules find them. From register_hooks. */
void rlx_api_register(void);

#endif /* RLX_HTTP_API_H */
