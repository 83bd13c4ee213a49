/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A server that speaks, but not as Redis does: whatever it says, a call ends
 * within its time with an error and a reason, and the next one is answered on
 * another connection.
 */

#include <poll.h>
#include <time.h>

#include "store_fixture.h"

#define BUDGET_MS 150
/* Of those that are answered at once: a busy machine may be late. */
#define PATIENCE_MS 1000

/* What it says to a call, and what the reason is. */
typedef struct says_t {
    const char *name;
    const char *text;
    const char *reason;
    /* Sent again and again after the text. */
    const char *more;
    /* Not 0: it closes the connection then. */
    int closes;
} says_t;

/* Much of anything. */
static char flood[65536];

#define BASE "1800000000 0"

static const says_t says[] = {
    { "another protocol", "HTTP/1.1 200 OK\r\n\r\n", "does not speak", 0, 0 },
    { "a short text", "$5\r\nhello\r\n", "no sense: no time", 0, 0 },
    { "an empty text", "$0\r\n\r\n", "no sense: no time", 0, 0 },
    { "a number", ":1\r\n", "no sense: no text", 0, 0 },
    { "nothing", "$-1\r\n", "no sense: no text", 0, 0 },
    { "a list", "*2\r\n:1\r\n:2\r\n", "no sense: no text", 0, 0 },
    { "the clock of 1970", "$8\r\n1 0;00;;\r\n", "no sense: no time", 0, 0 },
    { "a time without end", "$27\r\n99999999999999999999 0;00;;\r\n",
      "no sense: no time", 0, 0 },
    { "other flags", "$18\r\n" BASE ";000;;\r\n", "not as many flags", 0, 0 },
    { "no flags", "$12\r\n" BASE "\r\n", "not as many flags", 0, 0 },
    { "a state of words", "$20\r\n" BASE ";11;x 1;\r\n",
      "a state that no counter can have", 0, 0 },
    { "a state too short", "$18\r\n" BASE ";11;1;\r\n",
      "a state that no counter can have", 0, 0 },
    { "a state too long", "$22\r\n" BASE ";11;1 1 1;\r\n",
      "a state that no counter can have", 0, 0 },
    { "a count too high", "$29\r\n" BASE ";11;1 2147483648;\r\n",
      "a state that no counter can have", 0, 0 },
    { "one state more", "$19\r\n" BASE ";11;;;1\r\n",
      "does not fit", 0, 0 },
    { "no charge where there is room", "$17\r\n" BASE ";00;;\r\n",
      "does not fit", 0, 0 },
    { "two answers", "$17\r\n" BASE ";11;;\r\n:1\r\n", "more than it was asked",
      0, 0 },
    { "a text that is cut", "$1000\r\nabc", "the server closed", 0, 1 },
    { "a line that is cut", "$10", "the server closed", 0, 1 },
    { "no word", "", "the server closed", 0, 1 },
    { "silence", "", "did not answer in time", 0, 0 },
    { "drop by drop", "$1000000\r\n", "did not answer in time", "1", 0 },
    { "a flood of text", "$2000000000\r\n", "too long",
      flood, 0 },
    { "a vast list", "*2000000000\r\n", "too much", 0, 0 },
    { "a list of less than none", "*-2147483648\r\n", "", 0, 0 },
    { "lists in lists", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"
      "*1\r\n*1\r\n*1\r\n", "too much", 0, 0 },
    { "many big lists", "*50000\r\n*50000\r\n*50000\r\n*50000\r\n",
      "too much", 0, 0 },
    { "LOADING", "-LOADING Redis is loading\r\n", "it says \"LOADING", 0, 0 },
    { "OOM", "-OOM command not allowed\r\n", "it says \"OOM", 0, 0 },
    { "BUSY", "-BUSY Redis is busy\r\n", "it says \"BUSY", 0, 0 },
    { "NOAUTH", "-NOAUTH Authentication required.\r\n", "it says \"NOAUTH", 0,
      0 },
    { "NOPERM", "-NOPERM this user\r\n", "it says \"NOPERM", 0, 0 },
    { "MISCONF", "-MISCONF no disk\r\n", "it says \"MISCONF", 0, 0 },
    { "READONLY", "-READONLY a replica\r\n", "it says \"READONLY", 0, 0 },
    { "NOSCRIPT for ever", "-NOSCRIPT none\r\n", "it says \"NOSCRIPT", 0, 0 },
    { "signs that are none", "-ERR a\x1b[31m\tb\r\n", "it says \"ERR a [31m b\"",
      0, 0 },
    { "an error without words", "-\r\n", "it says \"\"", 0, 0 },
    { "an endless error", "-ERR ", "",
      flood, 0 },
};

#define SAYS (sizeof(says) / sizeof(says[0]))

/* The answer that is right: both counters have room and are charged. */
static const char right[] = "$17\r\n" BASE ";11;;\r\n";

static int send_all(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL)
           == (ssize_t)strlen(text);
}

/* Which of them it says now; past the last: what is right. Shared by the
 * test, the server and what it forks. */
static volatile size_t *now_says;

/* Serve one connection, in a process of its own. */
static void serve(int fd)
{
    char buffer[65536];

    while (read(fd, buffer, sizeof(buffer)) > 0) {
        const says_t *what = *now_says < SAYS ? &says[*now_says] : NULL;

        if (!send_all(fd, what ? what->text : right)
            || (what && what->closes)) {
            break;
        }
        while (what && what->more && send_all(fd, what->more)) {
            usleep(what->more == flood ? 0 : 5000);
        }
    }
    _exit(0);
}

static void impostor(int listener)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fork() == 0) {
            serve(fd);
        }
        close(fd);
    }
}

static pid_t start_impostor(char *dir, char *uri)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    strcpy(dir, "/tmp/rlx-unit-XXXXXX");
    if (!mkdtemp(dir)) {
        return -1;
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
    sprintf(uri, "redis+unix://%s/s", dir);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0
        || listen(listener, 5) != 0) {
        return -1;
    }
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        impostor(listener);
    }
    close(listener);
    return pid;
}

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Not 0 if there is never a whole answer. */
static int keeps_waiting(const says_t *what)
{
    return strstr(what->reason, "in time") != NULL;
}

/* Two calls: the first is answered wrong. */
static void test_one(rlx_storage_t *redis, const says_t *what, apr_pool_t *p)
{
    static const rlx_limit_t limit = { 5, 5, 60 * SEC, RLX_FIXED_WINDOW,
                                       "5 per 1 minute" };
    rlx_counter_t c[2] = {
        { .limit = &limit, .scope = ":a", .scope_len = 2, .key = "k",
          .key_len = 1, .cost = 1 },
        { .limit = &limit, .scope = ":b", .scope_len = 2, .key = "k",
          .key_len = 1, .cost = 1 }
    };
    rlx_verdict_t v[2];
    double start = seconds();
    apr_pool_t *next;
    apr_status_t status = rlx_redis_provider.decide(
        redis, RLX_CHARGE_ATOMIC, c, 2, FIXTURE_BEGIN, v, p);
    const char *why = rlx_redis_provider.trouble(redis, p);

    ok(status != APR_SUCCESS && why && strstr(why, what->reason), "%s: %s",
       what->name, status == APR_SUCCESS ? "taken" : why ? why : "no reason");
    ok(seconds() - start < BUDGET_MS / 1000.0 + 1, "  within its time (%.0f ms)",
       1000 * (seconds() - start));
    *now_says = SAYS;
    if (keeps_waiting(what)) {
        start = seconds();
        status = rlx_redis_provider.decide(redis, RLX_CHARGE_ATOMIC, c, 2,
                                           FIXTURE_BEGIN, v, p);
        ok(status == APR_TIMEUP && seconds() - start < BUDGET_MS / 2000.0,
           "  which is that of all calls of a request");
    }
    apr_pool_create(&next, p);
    status = rlx_redis_provider.decide(redis, RLX_CHARGE_ATOMIC, c, 2,
                                       FIXTURE_BEGIN, v, next);
    ok(status == APR_SUCCESS && v[0].has_room && v[0].charged
       && v[0].remaining == 4, "  and that of another request is answered");
}

int main(void)
{
    char dir[64], uri[128], command[100];
    apr_table_t *options;
    rlx_storage_t *redis;
    apr_pool_t *p, *child;
    pid_t pid;
    size_t i;

    signal(SIGPIPE, SIG_IGN);
    apr_initialize();
    apr_pool_create(&p, NULL);
    now_says = mmap(NULL, sizeof(*now_says), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(flood, 'x', sizeof(flood) - 1);
    pid = start_impostor(dir, uri);
    options = apr_table_make(p, 1);
    for (i = 0; i < SAYS && pid > 0; ++i) {
        /* A storage for each: it has no connection when it begins. */
        *now_says = i;
        apr_pool_create(&child, p);
        apr_table_set(options, "timeout", keeps_waiting(&says[i])
                      ? APR_STRINGIFY(BUDGET_MS)
                      : APR_STRINGIFY(PATIENCE_MS));
        redis = fixture_storage(&rlx_redis_provider, uri, options, child);
        test_one(redis, &says[i], child);
        apr_pool_destroy(child);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    ok(system(command) == 0, "done");
    apr_pool_destroy(p);
    apr_terminate();
    return tap_done();
}
