/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A wall clock that a test sets, for a server that runs under LD_PRELOAD of
 * this. RLX_CLOCK_FILE names a file with eight bytes: microseconds since the
 * Unix epoch, in the machine's order. It is mapped once, before the children
 * are forked; whoever writes to it moves the time for all of them at once.
 *
 * The monotonic clock runs on. A thread that waits until some wall clock time
 * waits as long as that is away now.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define USEC_PER_SEC INT64_C(1000000)
#define NSEC_PER_SEC INT64_C(1000000000)

static const int64_t *now_usec;

static void __attribute__((constructor)) map_clock(void)
{
    const char *path = getenv("RLX_CLOCK_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map;

    if (fd >= 0) {
        map = mmap(NULL, sizeof(*now_usec), PROT_READ, MAP_SHARED, fd, 0);
        now_usec = map == MAP_FAILED ? NULL : map;
        close(fd);
    }
}

/* The system call itself: below us there may be a sanitizer's clock. */
static int real_clock(clockid_t clock, struct timespec *ts)
{
    return (int)syscall(SYS_clock_gettime, clock, ts);
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    int64_t usec;

    if (!now_usec || (clock != CLOCK_REALTIME
                      && clock != CLOCK_REALTIME_COARSE)) {
        return real_clock(clock, ts);
    }
    usec = __atomic_load_n(now_usec, __ATOMIC_ACQUIRE);
    ts->tv_sec = (time_t)(usec / USEC_PER_SEC);
    ts->tv_nsec = (long)(usec % USEC_PER_SEC) * 1000;
    return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    if (out) {
        *out = ts.tv_sec;
    }
    return ts.tv_sec;
}

static int64_t nsec_of(const struct timespec *ts)
{
    return ts->tv_sec * NSEC_PER_SEC + ts->tv_nsec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond,
                           pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    static int (*wait_until)(pthread_cond_t *, pthread_mutex_t *,
                             const struct timespec *);
    struct timespec shown;
    struct timespec real;
    int64_t nsec;

    if (!wait_until) {
        wait_until = (int (*)(pthread_cond_t *, pthread_mutex_t *,
                              const struct timespec *))
                         dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    }
    clock_gettime(CLOCK_REALTIME, &shown);
    real_clock(CLOCK_REALTIME, &real);
    nsec = nsec_of(&real) + nsec_of(until) - nsec_of(&shown);
    real.tv_sec = (time_t)(nsec / NSEC_PER_SEC);
    real.tv_nsec = (long)(nsec % NSEC_PER_SEC);
    return wait_until(cond, mutex, &real);
}
