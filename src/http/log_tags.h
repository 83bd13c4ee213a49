/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  log_tags.h
 * @brief Numbers of log messages: one for life, never used again.
 */

#ifndef RLX_HTTP_LOG_TAGS_H
#define RLX_HTTP_LOG_TAGS_H

/** In front of a message, as httpd's APLOGNO: RLXNO(0001) "refused". */
#define RLXNO(n) "RLX" #n ": "

#endif /* RLX_HTTP_LOG_TAGS_H */
