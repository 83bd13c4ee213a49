/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  breaker.h
 * @brief Whether something that failed is worth another try: a breaker that
 *        all processes share.
 *
 * Closed, everybody asks. One failure opens it: then nobody does, but for a
 * single one, the probe, after 1 second; if that fails too, after 2, 4, 8,
 * 16, 32 and from then on each 32 seconds. A probe that succeeds closes it.
 *
 * Time is wall clock; one that steps back never puts a probe off for longer
 * than 32 seconds. Any number of threads and processes may call at once; none
 * waits, and one that dies in between leaves nothing stuck.
 */

#ifndef RLX_CORE_BREAKER_H
#define RLX_CORE_BREAKER_H

#include "ratelimit_limit.h"

/** The longest time between two probes. */
#define RLX_BREAKER_WAIT_MAX_USEC ((rlx_usec_t)32 * 1000000)

/** A breaker, in memory that all who ask share. Zeroed: closed. */
typedef struct rlx_breaker_t {
    /** 0: closed. Else when the next probe may be, and how many waits there
     *  were. */
    uint64_t state;
    /** When it was opened. */
    rlx_usec_t down_since;
} rlx_breaker_t;

/** What one who asks has to show afterwards: the state that let him. */
typedef uint64_t rlx_breaker_ticket_t;

/**
 * Whether to ask. One to whom this says yes tells afterwards how it went; who
 * never does (for he was killed) only lets the next probe wait.
 * @param ticket filled in where it says yes
 * @return not 0: yes
 */
int rlx_breaker_may_ask(rlx_breaker_t *breaker, rlx_usec_t now,
                        rlx_breaker_ticket_t *ticket);

/** What an answer or a failure changed. */
typedef enum {
    /** Nothing that anybody need know. */
    RLX_BREAKER_SAME,
    /** It was closed and is open. Told to one alone. */
    RLX_BREAKER_OPENED,
    /** A probe failed. Told to one alone. */
    RLX_BREAKER_STAYS_OPEN,
    /** It was open and is closed. Told to one alone. */
    RLX_BREAKER_CLOSED
} rlx_breaker_change_e;

/** There was an answer.
 *  @param down_usec where it was CLOSED: how long it had been open */
rlx_breaker_change_e rlx_breaker_answered(rlx_breaker_t *breaker,
                                          rlx_breaker_ticket_t ticket,
                                          rlx_usec_t now,
                                          rlx_usec_t *down_usec);

/** There was none. */
rlx_breaker_change_e rlx_breaker_failed(rlx_breaker_t *breaker,
                                        rlx_breaker_ticket_t ticket,
                                        rlx_usec_t now);

/** The time of the next probe; `now` if it is closed, or due. */
rlx_usec_t rlx_breaker_retry_at(const rlx_breaker_t *breaker, rlx_usec_t now);

/** Since when it is open; 0 if it is closed. */
rlx_usec_t rlx_breaker_down_since(const rlx_breaker_t *breaker);

#endif /* RLX_CORE_BREAKER_H */
