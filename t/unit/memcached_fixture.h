/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  memcached_fixture.h
 * @brief A memcached for a test, which ends with it, and storages on it.
 */

#ifndef RLX_UNIT_MEMCACHED_FIXTURE_H
#define RLX_UNIT_MEMCACHED_FIXTURE_H

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "store/store.h"
#include "tap.h"

/** A time: January 2027. */
#define MEMCACHED_NOW (INT64_C(1800000000) * 1000000)

static apr_pool_t *pool;
static pid_t memcached_pid;
static const char *memcached_uri;

static void memcached_stop(void)
{
    if (memcached_pid > 0) {
        kill(memcached_pid, SIGCONT);
        kill(memcached_pid, SIGKILL);
        waitpid(memcached_pid, NULL, 0);
        memcached_pid = 0;
    }
}

static void memcached_log(void *baton, rlx_log_level_e level,
                        apr_status_t status, const char *message)
{
    diag("log: %s", message);
}

static void *memcached_retain(const char *name, apr_size_t bytes)
{
    return apr_pcalloc(pool, bytes);
}

static inline rlx_storage_env_t *memcached_env(void)
{
    rlx_storage_env_t *env = apr_pcalloc(pool, sizeof(*env));

    env->log = memcached_log;
    env->process_pool = pool;
    env->retain = memcached_retain;
    env->workers = 8;
    return env;
}

/** A storage on the server, as a child of httpd has one. NULL: it has not. */
static inline rlx_storage_t *memcached_storage(const char *timeout)
{
    apr_table_t *options = apr_table_make(pool, 1);
    rlx_storage_t *store;

    apr_table_setn(options, "timeout", timeout);
    if (rlx_memcached_provider.create(&store, memcached_uri, options,
                                      memcached_env(), pool)
        || rlx_memcached_provider.open(store) != APR_SUCCESS
        || rlx_memcached_provider.child_init(store, pool) != APR_SUCCESS) {
        return NULL;
    }
    return store;
}

/** A port that nobody has now. */
static int memcached_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0
        || getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return 0;
    }
    close(fd);
    return ntohs(address.sin_port);
}

static int memcached_answers(rlx_storage_t *store)
{
    rlx_storage_figures_t figures;

    return store && rlx_memcached_provider.figures(store, MEMCACHED_NOW,
                                                   &figures, pool)
                    == APR_SUCCESS && figures.healthy;
}

/** Start memcached. @return not 0 if it answers */
static inline int memcached_start(void)
{
    const char *port;
    rlx_storage_t *store;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    port = apr_psprintf(pool, "%d", memcached_port());
    memcached_uri = apr_pstrcat(pool, "memcached://127.0.0.1:", port, NULL);
    memcached_pid = fork();
    if (memcached_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("memcached", "memcached", "-l", "127.0.0.1", "-p", port, "-U",
               "0", "-u", "nobody", (char *)NULL);
        _exit(127);
    }
    atexit(memcached_stop);
    store = memcached_storage("1000");
    for (int i = 0; i < 500; i++) {
        if (memcached_answers(store)) {
            return 1;
        }
        usleep(20000);
    }
    return 0;
}

#endif /* RLX_UNIT_MEMCACHED_FIXTURE_H */
