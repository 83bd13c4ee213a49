/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * One connection. The socket never blocks: every wait is a poll() with what is
 * left of the time, so that a server that sends a byte now and then cannot
 * hold a request any longer than one that sends nothing.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_conn.h"
#include "store/redis_tls.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include <apr_lib.h>
#include <apr_strings.h>

/** A reply of ours has a few hundred bytes; a list of a cluster's slots some
 *  ten thousand. What is longer is no answer to what was asked. */
#define REPLY_BYTES_MAX    (1024 * 1024)
#define REPLY_ELEMENTS_MAX 100000

/** A sign, the digits of a length, and the end of the line. */
#define HEAD_BYTES_MAX 23
/** A command of four limits or so. */
#define COMMAND_BYTES_USUAL 2048

/** Parts of AUTH, SELECT and CLIENT SETNAME. */
#define LOGIN_PARTS_MAX 3

void rlx_redis_why(rlx_redis_why_t *why, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    apr_vsnprintf(why->text, sizeof(why->text), format, args);
    va_end(args);
    for (char *c = why->text; *c; c++) {
        if (apr_iscntrl(*c)) {
            *c = ' ';
        }
    }
}

/*
 * Bounds
 */

/** hiredis would make room for as many elements as the other side announces,
 *  before there are any. */
#if HIREDIS_MAJOR >= 1
static void *make_array(const redisReadTask *task, size_t n)
#else
static void *make_array(const redisReadTask *task, int n)
#endif
{
    rlx_redis_conn_t *conn = task->privdata;

    if ((size_t)n > conn->elements_left) {
        return NULL;
    }
    conn->elements_left -= (size_t)n;
    return conn->makers->createArray(task, n);
}

static void bound_replies(rlx_redis_conn_t *conn)
{
    redisReader *reader = conn->context->reader;

    conn->makers = reader->fn;
    conn->bounded = *reader->fn;
    conn->bounded.createArray = make_array;
    reader->fn = &conn->bounded;
    reader->privdata = conn;
}

/*
 * Waiting
 */

static apr_status_t break_off(rlx_redis_conn_t *conn, apr_status_t status)
{
    conn->is_broken = 1;
    return status;
}

/** What hiredis has to say; its text may be of the system, or its own. */
static apr_status_t broke(rlx_redis_conn_t *conn, rlx_redis_why_t *why)
{
    const redisContext *c = conn->context;
    apr_status_t status = c->err == REDIS_ERR_IO && errno
                          ? APR_FROM_OS_ERROR(errno)
                          : c->err == REDIS_ERR_EOF ? APR_EOF : APR_EGENERAL;

    rlx_redis_why(why, "%s", c->err == REDIS_ERR_EOF
                             ? "the server closed the connection"
                             : c->errstr[0] ? c->errstr
                                            : "the connection broke");
    return break_off(conn, status);
}

/** Wait until the socket can be read or written. */
static apr_status_t wait_for(rlx_redis_conn_t *conn, short events,
                             rlx_usec_t deadline, rlx_redis_why_t *why)
{
    struct pollfd fd = { conn->context->fd, events, 0 };

    for (;;) {
        rlx_usec_t left = deadline - rlx_monotonic_usec();
        int n = left > 0 ? poll(&fd, 1, (int)((left + 999) / 1000)) : 0;

        if (n > 0) {
            return APR_SUCCESS;
        }
        if (n == 0) {
            rlx_redis_why(why, "it did not answer in time");
            return break_off(conn, APR_TIMEUP);
        }
        if (errno != EINTR) {
            rlx_redis_why(why, "waiting for it failed");
            return break_off(conn, APR_FROM_OS_ERROR(errno));
        }
    }
}

static apr_status_t send_all(rlx_redis_conn_t *conn, rlx_usec_t deadline,
                             rlx_redis_why_t *why)
{
    int is_done = 0;

    for (;;) {
        apr_status_t status;

        if (redisBufferWrite(conn->context, &is_done) != REDIS_OK) {
            return broke(conn, why);
        }
        if (is_done) {
            return APR_SUCCESS;
        }
        status = wait_for(conn, POLLOUT, deadline, why);
        if (status != APR_SUCCESS) {
            return status;
        }
    }
}

static apr_status_t read_reply(rlx_redis_conn_t *conn, rlx_usec_t deadline,
                               redisReply **reply, rlx_redis_why_t *why)
{
    redisContext *c = conn->context;
    void *read = NULL;

    conn->elements_left = REPLY_ELEMENTS_MAX;
    for (;;) {
        apr_status_t status;

        if (redisGetReplyFromReader(c, &read) != REDIS_OK) {
            rlx_redis_why(why, "it does not speak Redis' protocol, or says "
                          "too much");
            return break_off(conn, APR_EGENERAL);
        }
        if (read) {
            *reply = read;
            return APR_SUCCESS;
        }
        if (c->reader->len - c->reader->pos > REPLY_BYTES_MAX) {
            rlx_redis_why(why, "its reply is too long");
            return break_off(conn, APR_EGENERAL);
        }
        status = wait_for(conn, POLLIN, deadline, why);
        if (status != APR_SUCCESS) {
            return status;
        }
        errno = 0;
        if (redisBufferRead(c) != REDIS_OK) {
            return broke(conn, why);
        }
    }
}

/** "*3\r\n" or "$3\r\n". @return the end of what was written */
static char *put_head(char *to, char sign, size_t number)
{
    char digits[20], *from = digits + sizeof(digits);
    size_t len;

    do {
        *--from = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    len = (size_t)(digits + sizeof(digits) - from);
    *to++ = sign;
    memcpy(to, from, len);
    memcpy(to + len, "\r\n", 2);
    return to + len + 2;
}

/** Put a command where it is sent from. hiredis would print each of its parts
 *  by sprintf(), which costs more than all else together. */
static apr_status_t append(rlx_redis_conn_t *conn,
                           const rlx_redis_command_t *command,
                           rlx_redis_why_t *why)
{
    size_t most = HEAD_BYTES_MAX;
    char few[COMMAND_BYTES_USUAL], *text = few, *to;
    int is_done;

    for (int i = 0; i < command->n; i++) {
        most += HEAD_BYTES_MAX + command->len[i] + 2;
    }
    if (most > sizeof(few) && !(text = malloc(most))) {
        rlx_redis_why(why, "no memory for a command");
        return APR_ENOMEM;
    }
    to = put_head(text, '*', (size_t)command->n);
    for (int i = 0; i < command->n; i++) {
        to = put_head(to, '$', command->len[i]);
        memcpy(to, command->part[i], command->len[i]);
        to += command->len[i];
        *to++ = '\r';
        *to++ = '\n';
    }
    is_done = redisAppendFormattedCommand(conn->context, text,
                                          (size_t)(to - text)) == REDIS_OK;
    if (text != few) {
        free(text);
    }
    return is_done ? APR_SUCCESS : broke(conn, why);
}

apr_status_t rlx_redis_ask(rlx_redis_conn_t *conn,
                           const rlx_redis_command_t *command,
                           rlx_usec_t deadline, redisReply **reply,
                           rlx_redis_why_t *why)
{
    const redisReader *reader = conn->context->reader;
    apr_status_t status = append(conn, command, why);

    if (status != APR_SUCCESS) {
        return status;
    }
    status = send_all(conn, deadline, why);
    if (status == APR_SUCCESS) {
        status = read_reply(conn, deadline, reply, why);
    }
    if (status == APR_SUCCESS && reader->len > reader->pos) {
        freeReplyObject(*reply);
        rlx_redis_why(why, "it says more than it was asked");
        return break_off(conn, APR_EGENERAL);
    }
    return status;
}

int rlx_redis_is_quiet(const rlx_redis_conn_t *conn)
{
    char byte;
    ssize_t n = recv(conn->context->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/*
 * Errors
 */

int rlx_redis_is_error(const redisReply *reply, const char *code)
{
    size_t len = strlen(code);

    return reply->type == REDIS_REPLY_ERROR && reply->len >= len
           && !memcmp(reply->str, code, len)
           && (reply->len == len || reply->str[len] == ' ');
}

apr_status_t rlx_redis_refused(rlx_redis_conn_t *conn,
                               const redisReply *reply, rlx_redis_why_t *why)
{
    static const char *const fatal[] = {
        "NOAUTH", "READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED"
    };

    for (apr_size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
        if (rlx_redis_is_error(reply, fatal[i])) {
            conn->is_broken = 1;
        }
    }
    rlx_redis_why(why, "it says \"%.*s\"", (int)(reply->len < 120 ? reply->len
                                                                  : 120),
                  reply->str);
    return APR_EGENERAL;
}

apr_status_t rlx_redis_nonsense(rlx_redis_conn_t *conn, const char *what,
                                rlx_redis_why_t *why)
{
    rlx_redis_why(why, "its reply makes no sense: %s", what);
    return break_off(conn, APR_EGENERAL);
}

/*
 * Connecting
 */

/** A command of the login. Of its error only the code is told: some servers
 *  repeat what they do not understand, and that is a password here. */
static apr_status_t log_in_by(rlx_redis_conn_t *conn, int n,
                              const char **part, rlx_usec_t deadline,
                              rlx_redis_why_t *why)
{
    size_t len[LOGIN_PARTS_MAX];
    rlx_redis_command_t command = { n, part, len };
    redisReply *reply;
    apr_status_t status;

    for (int i = 0; i < n; i++) {
        len[i] = strlen(part[i]);
    }
    status = rlx_redis_ask(conn, &command, deadline, &reply, why);
    if (status != APR_SUCCESS) {
        return status;
    }
    if (reply->type != REDIS_REPLY_STATUS) {
        int code = reply->type == REDIS_REPLY_ERROR
                   ? (int)strcspn(reply->str, " \r\n") : 0;

        rlx_redis_why(why, "it refuses %s: %.*s", part[0], code < 20 ? code : 20,
                      code ? reply->str : "");
        status = break_off(conn, APR_EGENERAL);
    }
    freeReplyObject(reply);
    return status;
}

/** Sentinels may be slow to hear of a failover, and so may we. */
static apr_status_t check_role(rlx_redis_conn_t *conn, rlx_usec_t deadline,
                               rlx_redis_why_t *why)
{
    const char *part[] = { "ROLE" };
    size_t len[] = { 4 };
    rlx_redis_command_t command = { 1, part, len };
    redisReply *reply;
    const redisReply *role;
    apr_status_t status = rlx_redis_ask(conn, &command, deadline, &reply,
                                        why);

    if (status != APR_SUCCESS) {
        return status;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        status = break_off(conn, rlx_redis_refused(conn, reply, why));
    }
    else {
        role = reply->type == REDIS_REPLY_ARRAY && reply->elements
               ? reply->element[0] : reply;
        if (role->type != REDIS_REPLY_STRING) {
            status = rlx_redis_nonsense(conn, "no role", why);
        }
        else if (strcmp(role->str, "master")) {
            rlx_redis_why(why, "it is a replica");
            status = break_off(conn, APR_EGENERAL);
        }
    }
    freeReplyObject(reply);
    return status;
}

static apr_status_t log_in(rlx_redis_conn_t *conn,
                           const rlx_redis_settings_t *settings,
                           rlx_usec_t deadline, rlx_redis_why_t *why)
{
    apr_status_t status = APR_SUCCESS;

    if (settings->password) {
        const char *auth[] = { "AUTH", settings->user ? settings->user
                                                      : settings->password,
                               settings->password };

        status = log_in_by(conn, settings->user ? 3 : 2, auth, deadline, why);
    }
    if (status == APR_SUCCESS && settings->db) {
        char db[16];
        const char *select_db[] = { "SELECT", db };

        apr_snprintf(db, sizeof(db), "%d", settings->db);
        status = log_in_by(conn, 2, select_db, deadline, why);
    }
    if (status == APR_SUCCESS && settings->client_name) {
        const char *name[] = { "CLIENT", "SETNAME", settings->client_name };

        status = log_in_by(conn, 3, name, deadline, why);
    }
    if (status == APR_SUCCESS && settings->wants_master) {
        status = check_role(conn, deadline, why);
    }
    return status;
}

/** Wait until the other side has taken the connection. */
static apr_status_t finish(rlx_redis_conn_t *conn, rlx_usec_t deadline,
                           rlx_redis_why_t *why)
{
    int error = 0;
    socklen_t len = sizeof(error);
    apr_status_t status = wait_for(conn, POLLOUT, deadline, why);

    if (status != APR_SUCCESS) {
        rlx_redis_why(why, "no connection in time");
        return status;
    }
    if (getsockopt(conn->context->fd, SOL_SOCKET, SO_ERROR, &error, &len)) {
        error = errno;
    }
    if (error) {
        rlx_redis_why(why, "no connection");
        return break_off(conn, APR_FROM_OS_ERROR(error));
    }
    return APR_SUCCESS;
}

/** A context with a socket that is on its way. */
static apr_status_t begin(rlx_redis_conn_t *conn,
                          const rlx_redis_place_t *place, const char *address,
                          rlx_redis_why_t *why)
{
    errno = 0;
    conn->context = place->path
                    ? redisConnectUnixNonBlock(place->path)
                    : redisConnectNonBlock(address, place->port);
    if (!conn->context) {
        rlx_redis_why(why, "no memory for a connection");
        return APR_ENOMEM;
    }
    if (conn->context->err) {
        apr_status_t status = errno ? APR_FROM_OS_ERROR(errno) : APR_EGENERAL;

        rlx_redis_why(why, "no connection");
        return status;
    }
    /* What a child of ours starts must not inherit it. */
    fcntl(conn->context->fd, F_SETFD, FD_CLOEXEC);
    if (!place->path) {
        redisEnableKeepAlive(conn->context);
    }
    bound_replies(conn);
    return APR_SUCCESS;
}

static apr_status_t connect_to(rlx_redis_conn_t **conn,
                               const rlx_redis_settings_t *settings,
                               const rlx_redis_place_t *place,
                               const char *address, rlx_usec_t deadline,
                               rlx_redis_why_t *why)
{
    rlx_redis_conn_t *made = calloc(1, sizeof(*made));
    apr_status_t status;

    if (!made) {
        rlx_redis_why(why, "no memory for a connection");
        return APR_ENOMEM;
    }
    status = begin(made, place, address, why);
    if (status == APR_SUCCESS) {
        status = finish(made, deadline, why);
    }
    if (status == APR_SUCCESS && settings->tls) {
        status = rlx_redis_tls_begin(made, settings, deadline, why);
    }
    if (status == APR_SUCCESS) {
        status = log_in(made, settings, deadline, why);
    }
    if (status != APR_SUCCESS) {
        rlx_redis_close(made);
        return status;
    }
    *conn = made;
    return APR_SUCCESS;
}

apr_status_t rlx_redis_connect(rlx_redis_conn_t **conn,
                               const rlx_redis_settings_t *settings,
                               const rlx_redis_place_t *place,
                               rlx_usec_t deadline, rlx_redis_why_t *why)
{
    apr_status_t status;

    if (settings->connect_usec) {
        rlx_usec_t sooner = rlx_monotonic_usec() + settings->connect_usec;

        deadline = sooner < deadline ? sooner : deadline;
    }
    status = connect_to(conn, settings, place, place->address, deadline, why);
    if (status != APR_SUCCESS && *place->other
        && (APR_STATUS_IS_ECONNREFUSED(status)
            || APR_STATUS_IS_ENETUNREACH(status)
            || APR_STATUS_IS_EHOSTUNREACH(status))) {
        status = connect_to(conn, settings, place, place->other, deadline,
                            why);
    }
    return status;
}

void rlx_redis_close(rlx_redis_conn_t *conn)
{
    if (conn) {
        if (conn->context) {
            redisFree(conn->context);
        }
        free(conn);
    }
}

#endif /* RLX_HAVE_HIREDIS */
