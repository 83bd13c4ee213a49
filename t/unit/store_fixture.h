/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  store_fixture.h
 * @brief What the tests of storages share: an environment, a clock that is
 *        set, and a redis-server that goes by it.
 */

#ifndef RLX_UNIT_STORE_FIXTURE_H
#define RLX_UNIT_STORE_FIXTURE_H

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "ratelimit_storage.h"
#include "store/store.h"
#include "tap.h"

#define SEC INT64_C(1000000)
/** When the clock of a test begins: January 2027. */
#define FIXTURE_BEGIN (INT64_C(1800000000) * SEC)

/* --- an environment ---------------------------------------------------- */

static void fixture_log(void *baton, rlx_log_level_e level,
                        apr_status_t status, const char *message)
{
    (void)baton;
    (void)status;
    diag("log (%d): %s", (int)level, message);
}

/** Each name is asked for once here. */
static void *fixture_retain(const char *name, apr_size_t bytes)
{
    static char memory[16][256];
    static int n;

    (void)name;
    return n < 16 && bytes <= sizeof(memory[0]) ? memory[n++] : NULL;
}

/** An environment, from the pool. */
static inline rlx_storage_env_t *fixture_env(apr_pool_t *p)
{
    rlx_storage_env_t *env = apr_pcalloc(p, sizeof(*env));

    env->log = fixture_log;
    env->process_pool = p;
    env->retain = fixture_retain;
    env->workers = 8;
    return env;
}

/** Make, open and begin to use a storage. NULL if that fails; says why. */
static inline rlx_storage_t *
fixture_storage(const rlx_storage_provider_t *provider, const char *uri,
                const apr_table_t *options, apr_pool_t *p)
{
    rlx_storage_t *instance = NULL;
    const char *error = provider->create(&instance, uri, options,
                                         fixture_env(p), p);

    if (error) {
        diag("%s", error);
        return NULL;
    }
    return provider->open(instance) == APR_SUCCESS
           && provider->child_init(instance, p) == APR_SUCCESS
           ? instance : NULL;
}

/* --- a clock and a redis-server ---------------------------------------- */

typedef struct fixture_redis_t {
    char dir[64];
    char uri[160];
    volatile int64_t *clock;
    pid_t pid;
} fixture_redis_t;

static fixture_redis_t *fixture_running;

static void fixture_redis_stop(void)
{
    fixture_redis_t *redis = fixture_running;
    char command[128];

    if (redis && redis->pid > 0) {
        kill(redis->pid, SIGKILL);
        waitpid(redis->pid, NULL, 0);
        redis->pid = 0;
        snprintf(command, sizeof(command), "rm -rf '%s'", redis->dir);
        if (system(command) != 0) {
            diag("%s is left behind", redis->dir);
        }
    }
    fixture_running = NULL;
}

/** The file that t/lib/clock.c looks at, mapped. */
static int fixture_clock(fixture_redis_t *redis)
{
    char path[96];
    int fd;

    snprintf(path, sizeof(path), "%s/clock", redis->dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(int64_t)) != 0) {
        return 0;
    }
    redis->clock = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE,
                        MAP_SHARED, fd, 0);
    close(fd);
    return redis->clock != MAP_FAILED;
}

static void fixture_redis_exec(const fixture_redis_t *redis)
{
    char socket_path[96], clock_path[96], library[600], here[500];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(socket_path, sizeof(socket_path), "%s/s", redis->dir);
    snprintf(clock_path, sizeof(clock_path), "%s/clock", redis->dir);
    /* The unit tests run in the top directory, or in t. */
    if (!getcwd(here, sizeof(here))) {
        _exit(126);
    }
    snprintf(library, sizeof(library), "%s/build/clock.so", here);
    if (access(library, R_OK) != 0) {
        snprintf(library, sizeof(library), "%s/../build/clock.so", here);
    }
    setenv("LD_PRELOAD", library, 1);
    setenv("RLX_CLOCK_FILE", clock_path, 1);
    if (!freopen("/dev/null", "w", stdout)) {
        _exit(126);
    }
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket",
           socket_path, "--save", "", "--dir", redis->dir, (char *)NULL);
    _exit(127);
}

/** Not 0 once it takes connections. */
static int fixture_redis_wait(const fixture_redis_t *redis)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int tries;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", redis->dir);
    for (tries = 0; tries < 1000; ++tries) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int up = connect(fd, (struct sockaddr *)&address,
                         sizeof(address)) == 0;

        close(fd);
        if (up) {
            return 1;
        }
        if (waitpid(redis->pid, NULL, WNOHANG) != 0) {
            return 0;
        }
        usleep(10000);
    }
    return 0;
}

/** Start a redis-server whose clock is set; it ends with this program. */
static inline int fixture_redis_start(fixture_redis_t *redis)
{
    signal(SIGPIPE, SIG_IGN);
    memset(redis, 0, sizeof(*redis));
    strcpy(redis->dir, "/tmp/rlx-unit-XXXXXX");
    if (!mkdtemp(redis->dir) || !fixture_clock(redis)) {
        return 0;
    }
    *redis->clock = FIXTURE_BEGIN;
    snprintf(redis->uri, sizeof(redis->uri), "redis+unix://%s/s", redis->dir);
    redis->pid = fork();
    if (redis->pid == 0) {
        fixture_redis_exec(redis);
    }
    fixture_running = redis;
    atexit(fixture_redis_stop);
    return redis->pid > 0 && fixture_redis_wait(redis);
}

#endif /* RLX_UNIT_STORE_FIXTURE_H */
