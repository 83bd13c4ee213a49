/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  search.h
 * @brief A search for the counters of a key: from limits that hold somewhere
 *        to counters, in batches. Which limits hold where is for counters.c
 *        to say.
 */

#ifndef RLX_REPORT_SEARCH_H
#define RLX_REPORT_SEARCH_H

#include "apr_hash.h"

#include "report/counters.h"

/** Forms of a key: as written, as an address, cut to the prefix. */
#define RLX_SEARCH_FORMS 3

/** Bits: what keys may be. */
#define RLX_SEARCH_PUBLIC  0x1u
#define RLX_SEARCH_PRIVATE 0x2u

/** The search. One thread. */
typedef struct rlx_search_t {
    apr_pool_t *p;
    const rlx_counters_question_t *question;
    /** Canonical form of question->limit; NULL: it is a name alone. */
    const char *canonical;
    /** Sentences, each once: const char *. */
    apr_array_header_t *notes;
    apr_hash_t *noted;
    /** Counters that were met, and how many of each storage. */
    apr_hash_t *seen;
    apr_hash_t *told;
    /** The server whose turn it is: bits 1 << strategy and RLX_SEARCH_ bits of
     *  keys, those that sections set included; forms of the key. */
    const rlx_server_t *sv;
    unsigned int strategies;
    unsigned int keys;
    const char *forms[RLX_SEARCH_FORMS];
    int forms_n;
    /** Storages that are done with, const rlx_store_t *; and whether the one
     *  whose turn it is, is. */
    apr_array_header_t *closed;
    int is_closed;
    /** Limits that are what is asked for. */
    int limits;
    /** Of the storage whose turn it is. */
    rlx_candidates_t batch;
} rlx_search_t;

/** Begin to search. Server and storage are for the caller to set. */
rlx_search_t *rlx_search_make(apr_pool_t *p,
                              const rlx_counters_question_t *question,
                              apr_array_header_t *notes);

/** Add a sentence, unless it is there. */
void rlx_search_note(rlx_search_t *search, const char *sentence);

/** Go on with a storage. */
void rlx_search_begin_store(rlx_search_t *search, const rlx_store_t *store);

/** Tell what was found and not told yet. */
void rlx_search_flush(rlx_search_t *search);

/** Find the counters of a limit, and of its own meta limits.
 *  @param endpoint    under which it counts; NULL: the server
 *  @param declared_in NULL: at server level */
void rlx_search_rule(rlx_search_t *search, const rlx_rule_t *rule,
                     const rlx_section_t *endpoint,
                     const rlx_section_t *declared_in);

/** The same of a list of rules; NULL: none.
 *  @param with_shared 0: without those of RateLimitShared, whose counters are
 *                     of no endpoint */
void rlx_search_rules(rlx_search_t *search, const apr_array_header_t *rules,
                      const rlx_section_t *endpoint,
                      const rlx_section_t *declared_in, int with_shared);

#endif /* RLX_REPORT_SEARCH_H */
