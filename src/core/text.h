/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  text.h
 * @brief Other people's words, made safe to repeat: whatever bytes they hold,
 *        what comes out is UTF-8 (RFC 3629). Pure functions, any thread.
 *
 * A byte that belongs to no character becomes U+FFFD, each by itself.
 */

#ifndef RLX_CORE_TEXT_H
#define RLX_CORE_TEXT_H

#include <stddef.h>

/** Bytes that rlx_text_json() writes at most for text of that length, with
 *  the NUL. */
#define RLX_TEXT_JSON_ROOM(len) ((len) * 6 + 3)

/** The same for rlx_text_clean(). */
#define RLX_TEXT_CLEAN_ROOM(len) ((len) * 3 + 1)

/**
 * A JSON string (RFC 8259) with its quotes. What could end a <script>
 * (<, >, &) or a line of JavaScript (U+2028, U+2029) is escaped like quotes
 * and control characters.
 * @param to   RLX_TEXT_JSON_ROOM(strlen(text)) bytes
 * @param text NUL-terminated
 * @return the NUL behind what was written
 */
char *rlx_text_json(char *to, const char *text);

/**
 * Text for a page or a terminal: control characters (U+0000 to U+001F but for
 * tab and newline, U+007F to U+009F) become U+FFFD as well. It is not escaped
 * for HTML.
 * @param to   RLX_TEXT_CLEAN_ROOM(strlen(text)) bytes
 * @param text NUL-terminated
 * @return the NUL behind what was written
 */
char *rlx_text_clean(char *to, const char *text);

#endif /* RLX_CORE_TEXT_H */
