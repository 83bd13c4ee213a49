/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  tap.h
 * @brief The little that a unit test needs to speak TAP (the Test Anything
 *        Protocol), so that prove runs the unit tests and the others alike.
 *
 * A test is one program: ok() and its relatives, and at the end
 * `return tap_done();`. Included once per program: the counts are static.
 */

#ifndef RLX_UNIT_TAP_H
#define RLX_UNIT_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int tap_run;
static int tap_failed;

/** Count one test and print its line, named by a format. Returns `pass`. */
static inline int tap_ok(int pass, const char *file, int line,
                         const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static inline int tap_ok(int pass, const char *file, int line,
                         const char *format, ...)
{
    va_list args;

    ++tap_run;
    printf("%sok %d - ", pass ? "" : "not ", tap_run);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    if (!pass) {
        ++tap_failed;
        printf("#   at %s line %d\n", file, line);
    }
    return pass;
}

/** Compare two numbers; says both if they differ. */
static inline int tap_is_int(int64_t got, int64_t wanted, const char *file,
                             int line, const char *name)
{
    int pass = tap_ok(got == wanted, file, line, "%s", name);

    if (!pass) {
        printf("#      got: %" PRId64 "\n#   wanted: %" PRId64 "\n", got,
               wanted);
    }
    return pass;
}

/** Compare two texts; says both if they differ. NULL is a value. */
static inline int tap_is_str(const char *got, const char *wanted,
                             const char *file, int line, const char *name)
{
    int same = got && wanted ? strcmp(got, wanted) == 0 : got == wanted;
    int pass = tap_ok(same, file, line, "%s", name ? name : "(null)");

    if (!pass) {
        printf("#      got: %s\n#   wanted: %s\n", got ? got : "(null)",
               wanted ? wanted : "(null)");
    }
    return pass;
}

/** Print the plan. Returns what main() returns: 0 if all passed. */
static inline int tap_done(void)
{
    printf("1..%d\n", tap_run);
    if (tap_failed) {
        printf("# %d of %d failed\n", tap_failed, tap_run);
    }
    return tap_failed != 0 || tap_run == 0;
}

/** ok(condition, format, ...): the condition holds. */
#define ok(cond, ...) tap_ok(!!(cond), __FILE__, __LINE__, __VA_ARGS__)

/** is_int(got, wanted, name) */
#define is_int(got, wanted, name)                                             \
    tap_is_int((int64_t)(got), (int64_t)(wanted), __FILE__, __LINE__, name)

/** is_str(got, wanted, name) */
#define is_str(got, wanted, name)                                             \
    tap_is_str(got, wanted, __FILE__, __LINE__, name)

/** diag(format, ...): a remark; the format must be a literal. */
#define diag(...) (printf("# " __VA_ARGS__), printf("\n"))

#endif /* RLX_UNIT_TAP_H */
