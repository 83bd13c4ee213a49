/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  server_status.h
 * @brief What stands on the page of mod_status.
 */

#ifndef RLX_REPORT_SERVER_STATUS_H
#define RLX_REPORT_SERVER_STATUS_H

/** Add a short section to the page of mod_status, and lines to its ?auto.
 *  Where mod_status is not loaded nothing comes of it. */
void rlx_server_status_register(void);

#endif /* RLX_REPORT_SERVER_STATUS_H */
