/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  redis_script.h
 * @brief The two scripts that decide and give back (lua/), as commands, and
 *        what their replies mean.
 *
 * A script reads what each counter has stored and writes what changes; the
 * verdicts are worked out here, by the strategies of src/core, from what had
 * been stored. So they are the same as those of shared memory by their making,
 * and a reply that does not fit together is found.
 */

#ifndef RLX_STORE_REDIS_SCRIPT_H
#define RLX_STORE_REDIS_SCRIPT_H

#include "store/redis_conn.h"
#include "store/redis_key.h"

/** A script: its text and the SHA-1 that the server knows it by. */
typedef struct rlx_redis_script_t {
    const char *text;
    size_t len;
    char sha1[41];
} rlx_redis_script_t;

/** Both of them. */
typedef struct rlx_redis_scripts_t {
    rlx_redis_script_t decide;
    rlx_redis_script_t give_back;
} rlx_redis_scripts_t;

/** What look() asks for in place of an rlx_charge_e. */
#define RLX_REDIS_LOOK 3

/** Work out the digests. */
void rlx_redis_scripts_init(rlx_redis_scripts_t *scripts);

/**
 * The command that decides.
 * @param mode     an rlx_charge_e, or RLX_REDIS_LOOK
 * @param keys     of n counters; no two are the same
 * @param ptemp    pool for the command, which points to the keys
 */
void rlx_redis_decide_command(rlx_redis_command_t *command,
                              const rlx_redis_scripts_t *scripts, int mode,
                              const rlx_redis_key_t *keys,
                              const rlx_counter_t *const *counters, int n,
                              apr_pool_t *ptemp);

/**
 * The command that gives back.
 * @param charged_at rlx_verdict_t.decided_at of the charge
 */
void rlx_redis_give_back_command(rlx_redis_command_t *command,
                                 const rlx_redis_scripts_t *scripts,
                                 const rlx_redis_key_t *keys,
                                 const rlx_counter_t *const *counters, int n,
                                 rlx_usec_t charged_at, apr_pool_t *ptemp);

/**
 * Run a command that one of the above made; one that the server does not know
 * is sent as a whole.
 * @param script which of the scripts it is for
 * @return as rlx_redis_ask(); an error reply is an error, too, and no reply
 */
apr_status_t rlx_redis_run(rlx_redis_conn_t *conn,
                           rlx_redis_command_t *command,
                           const rlx_redis_script_t *script,
                           rlx_usec_t deadline, redisReply **reply,
                           rlx_redis_why_t *why);

/**
 * Read what the script that decides said.
 * @param now the caller's clock: what the verdicts are told in
 * @return NULL, or what is wrong with the reply
 */
const char *rlx_redis_verdicts(const redisReply *reply, int mode,
                               const rlx_counter_t *const *counters, int n,
                               rlx_usec_t now, rlx_verdict_t *verdicts);

#endif /* RLX_STORE_REDIS_SCRIPT_H */
