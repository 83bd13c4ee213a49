/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  memcached_inside.h
 * @brief What the files of memcached:// share: memcached.c (the provider),
 *        memcached_decide.c, memcached_group.c and memcached_ask.c (calls),
 *        memcached_talk.c (what is said), memcached_name.c, memcached_link.c
 *        (connections).
 *        docs/memcached.md has the whole.
 */

#ifndef RLX_STORE_MEMCACHED_INSIDE_H
#define RLX_STORE_MEMCACHED_INSIDE_H

#include "store/clock.h"
#include "store/store.h"

#include <apr_network_io.h>
#include <apr_reslist.h>
#include <apr_thread_cond.h>

#include "core/breaker.h"
#include "core/strategy.h"

/** The status of an answer that is none. */
#ifdef EPROTO
#define RLX_MC_NONSENSE EPROTO
#else
#define RLX_MC_NONSENSE APR_EGENERAL
#endif

/** As many servers as one URI may name. */
#define RLX_MC_SERVERS_MAX 32

/** The longest line that a server has to say. */
#define RLX_MC_LINE_MAX 1024

/** One of the servers. */
typedef struct rlx_mc_server_t {
    /** "host:port" in lower case: what keys are spread by. */
    const char *name;
    const char *host;
    apr_port_t port;
    /** Made of the name, the same everywhere. */
    apr_uint64_t seed;
    /** As it was when the server started; NULL: there was none. */
    apr_sockaddr_t *address;
    /** Connections of this child, rlx_mc_link_t. */
    apr_reslist_t *links;
    /** When it last answered a thread of this child, monotonic. */
    rlx_usec_t answered_at;
    /** Shared by all children. NULL where there is but one server: what
     *  becomes of it the whole storage's guard keeps in mind. */
    rlx_breaker_t *breaker;
} rlx_mc_server_t;

struct rlx_mc_call_t;

/** Where calls of one child that are after the same counters meet. */
typedef struct rlx_mc_gate_t {
    apr_thread_mutex_t *mutex;
    /** A group is done. */
    apr_thread_cond_t *changed;
    /** Those that wait. */
    struct rlx_mc_call_t *queue;
    int has_leader;
    /** A bit for each group of counters that somebody queues for. */
    apr_uint64_t bits;
} rlx_mc_gate_t;

/** The storage. */
struct rlx_storage_t {
    const rlx_storage_env_t *env;
    /** Without a secret, for there is none. */
    const char *uri;
    apr_pool_t *pool;
    rlx_mc_server_t *servers;
    int n_servers;
    /** The time that one call may take. */
    rlx_usec_t budget_usec;
    int pool_max;
    int shows_keys;
    rlx_mc_gate_t gate;
    /** When this child last logged what a server said, monotonic; 0: never */
    apr_uint64_t complained_usec;
};

/*
 * memcached_link.c: connections. A time that some function is given to end
 * by is monotonic: of rlx_monotonic_usec().
 */

/** A connection of a pool, open or not. One thread has it at a time. */
typedef struct rlx_mc_link_t {
    rlx_mc_server_t *server;
    /** Cleared when it is closed. */
    apr_pool_t *pool;
    apr_socket_t *socket;
    /** Not 0: it comes from an earlier call; the server may have closed it
     *  meanwhile. */
    int is_old;
    /** Not 0: the address was looked up again, or cannot be. */
    int distrusts_address;
    /** What has come and was not read yet. */
    apr_size_t from;
    apr_size_t to;
    char in[4096];
} rlx_mc_link_t;

/** Make the pool of a server's connections ready in a child.
 *  @param most     connections at the most
 *  @param max_wait for one of them, microseconds */
apr_status_t rlx_mc_links_make(rlx_mc_server_t *server, int most,
                               rlx_usec_t max_wait, apr_pool_t *pchild);

/** Take a connection out of the pool. It may have to be opened yet.
 *  @return APR_EAGAIN if all are in use and stay so */
apr_status_t rlx_mc_link_take(rlx_mc_server_t *server, rlx_mc_link_t **link);

/** Put a connection back.
 *  @param is_sound 0: it is out of step, or was cut: it is closed */
void rlx_mc_link_give(rlx_mc_link_t *link, int is_sound);

/** Open a connection that is not; one that is, is closed first.
 *  Where the address does not answer, the name is looked up anew next time,
 *  which the system's resolver takes its own time for. */
apr_status_t rlx_mc_link_open(rlx_mc_link_t *link, rlx_usec_t until);

/** Send all of this. */
apr_status_t rlx_mc_link_send(rlx_mc_link_t *link, const char *data,
                              apr_size_t len, rlx_usec_t until);

/** Read a line.
 *  @param line in the connection's buffer until the next call; without its
 *              end, with a NUL
 *  @return APR_EOF if the server closed; RLX_MC_NONSENSE if it is too long */
apr_status_t rlx_mc_link_line(rlx_mc_link_t *link, char **line,
                              rlx_usec_t until);

/** Read so many bytes and the end of line after them.
 *  @param to   where the first of them go, with a NUL
 *  @param room how many bytes there are, not 0
 *  @return RLX_MC_NONSENSE if no end of line follows */
apr_status_t rlx_mc_link_data(rlx_mc_link_t *link, apr_size_t bytes, char *to,
                              apr_size_t room, rlx_usec_t until);

/*
 * memcached_name.c
 */

/** The longest name; memcached takes 250 bytes. */
#define RLX_MC_NAME_MAX 245

/**
 * The name of a counter, the same on all servers. Parts that are short and
 * printable stand in it as they are; for all others, and for keys that may be
 * a secret, their digest does.
 * @param shows_keys not 0: no key is taken for a secret
 * @param len        its length goes there; may be NULL
 */
const char *rlx_mc_name_of(const rlx_counter_t *counter, int shows_keys,
                           apr_size_t *len, apr_pool_t *p);

/** The name of the item that tells the generation of all counters of a key
 *  prefix (what scope texts begin with, up to the first colon). No counter
 *  has it. */
const char *rlx_mc_generation_name(const char *prefix, apr_size_t prefix_len,
                                   apr_size_t *len, apr_pool_t *p);

/*
 * memcached_talk.c: what is said. Pure but for the memory.
 */

/** The longest value that we write, with its NUL. */
#define RLX_MC_VALUE_MAX 64

/** What an answer to "gets" says of one item. */
typedef struct rlx_mc_item_t {
    const char *name;
    apr_size_t name_len;
    apr_uint64_t bytes;
    apr_uint64_t cas;
} rlx_mc_item_t;

/** Read "VALUE name flags bytes cas".
 *  @return 0 if the line is not of this form */
int rlx_mc_read_item(const char *line, rlx_mc_item_t *item);

/** What a server says of a write. */
typedef enum {
    RLX_MC_STORED,
    /** Somebody else was quicker. */
    RLX_MC_LOST,
    /** Something else altogether. */
    RLX_MC_FAILED
} rlx_mc_stored_e;

rlx_mc_stored_e rlx_mc_read_stored(const char *line);

/** A counter's value: the generation that it was written in, and the state.
 *  @return its length */
apr_size_t rlx_mc_write_value(char *to, apr_uint64_t generation,
                              rlx_state_t state);

/** @return 0 if this is no value of a counter */
int rlx_mc_read_value(const char *text, apr_uint64_t *generation,
                      rlx_state_t *state);

/** A whole number and nothing else. @return 0 if it is none */
int rlx_mc_read_number(const char *text, apr_uint64_t *number);

/**
 * The time to live that memcached is told: up to 30 days it takes it as a
 * length, above that as a time since the Unix epoch, in 31 bits; 0 is "for
 * ever". A little longer than asked for.
 * @param keep_usec how long the counter means anything
 * @param now       wall clock
 */
apr_int32_t rlx_mc_ttl(rlx_usec_t keep_usec, rlx_usec_t now);

/** Which server keeps the counters of a key. Every server that is added or
 *  left out moves its share of the keys alone, and the order of servers in
 *  the URI does not matter. */
int rlx_mc_place(const rlx_mc_server_t *servers, int n, const char *key,
                 apr_size_t key_len);

/** What a server's name gives rlx_mc_place(). */
apr_uint64_t rlx_mc_seed(const char *name);

/*
 * memcached_decide.c, as in the provider.
 */

apr_status_t rlx_mc_decide(rlx_storage_t *store, rlx_charge_e mode,
                           const rlx_counter_t *counters, int n,
                           rlx_usec_t now, rlx_verdict_t *verdicts,
                           apr_pool_t *ptemp);
apr_status_t rlx_mc_look(rlx_storage_t *store, const rlx_counter_t *counters,
                         int n, rlx_usec_t now, rlx_verdict_t *verdicts,
                         apr_pool_t *ptemp);
apr_status_t rlx_mc_give_back(rlx_storage_t *store,
                              const rlx_counter_t *counters, int n,
                              rlx_usec_t charged_at, rlx_usec_t now,
                              apr_pool_t *ptemp);

/*
 * memcached.c
 */

/** Keep in mind that one of several servers did not answer, and log it once
 *  for all children. */
void rlx_mc_note_failure(rlx_storage_t *store, const rlx_mc_server_t *server,
                         rlx_breaker_ticket_t ticket, rlx_usec_t now,
                         apr_status_t status, apr_pool_t *ptemp);

/** The same, that it did. */
void rlx_mc_note_answer(rlx_storage_t *store, const rlx_mc_server_t *server,
                        rlx_breaker_ticket_t ticket, rlx_usec_t now,
                        apr_pool_t *ptemp);

/** Log what a server said, if this child has not logged such a thing just
 *  before. */
void rlx_mc_complain(rlx_storage_t *store, const rlx_mc_server_t *server,
                     const char *said, apr_pool_t *ptemp);

#endif /* RLX_STORE_MEMCACHED_INSIDE_H */
