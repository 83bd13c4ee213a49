/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Limit strings: what is taken and what it means, what is refused and the
 * sentence that says why, and hostile input.
 */

#include <stdlib.h>
#include <string.h>

#include "core/limit.h"
#include "tap.h"

#define MANY RLX_LIMITS_PER_STRING

static rlx_limit_t limits[MANY];
static char error[RLX_LIMIT_ERROR_MAX];

static const struct {
    const char *text;
    const char *canonical; /* of all of them, joined by ", " */
    uint32_t count;        /* of the last one */
    int64_t sec;
} good[] = {
    { "10 per hour", "10 per 1 hour", 10, 3600 },
    { "10/hour", "10 per 1 hour", 10, 3600 },
    { "10 / hour", "10 per 1 hour", 10, 3600 },
    { "  10\tPER\n1 Hours  ", "10 per 1 hour", 10, 3600 },
    { "10perhour", "10 per 1 hour", 10, 3600 },
    { "10per5hours", "10 per 5 hour", 10, 18000 },
    { "1perm", "1 per 1 minute", 1, 60 },
    { "10/5min", "10 per 5 minute", 10, 300 },
    { "5/2 seconds", "5 per 2 second", 5, 2 },
    { "5/2 seconds;10/hour;100/day",
      "5 per 2 second, 10 per 1 hour, 100 per 1 day", 100, 86400 },
    { "100/day, 500/7 days", "100 per 1 day, 500 per 7 day", 500, 604800 },
    { "1/second|2/minute", "1 per 1 second, 2 per 1 minute", 2, 60 },
    { "0/day", "0 per 1 day", 0, 86400 },
    { "007/03 day", "7 per 3 day", 7, 259200 },
    { "1/s", "1 per 1 second", 1, 1 },
    { "1/sec", "1 per 1 second", 1, 1 },
    { "1/9secs", "1 per 9 second", 1, 9 },
    { "1/m", "1 per 1 minute", 1, 60 },
    { "1/MINS", "1 per 1 minute", 1, 60 },
    { "1/h", "1 per 1 hour", 1, 3600 },
    { "1/hr", "1 per 1 hour", 1, 3600 },
    { "1/2hrs", "1 per 2 hour", 1, 7200 },
    { "1/d", "1 per 1 day", 1, 86400 },
    { "1/w", "1 per 1 week", 1, 604800 },
    { "1/2 weeks", "1 per 2 week", 1, 1209600 },
    { "1/mo", "1 per 1 month", 1, 2592000 },
    { "1/months", "1 per 1 month", 1, 2592000 },
    { "1/y", "1 per 1 year", 1, 31104000 },
    { "2147483647/100 years", "2147483647 per 100 year", 2147483647,
      INT64_C(3110400000) },
    { "2147483647/3110400000 seconds",
      "2147483647 per 3110400000 second", 2147483647, INT64_C(3110400000) },
};

static const struct {
    const char *text;
    const char *error;
} bad[] = {
    { "", "the limit string is empty; write for example \"10 per hour\"" },
    { " \t ", "the limit string is empty; write for example \"10 per hour\"" },
    { "10/fortnight",
      "\"10/fortnight\" is not a limit: the unit \"fortnight\" is not known; "
      "use second, minute, hour, day, week, month or year" },
    { "1/day; 2/ms",
      "\"2/ms\" is not a limit: the unit \"ms\" is not known; "
      "use second, minute, hour, day, week, month or year" },
    { "10/ds",
      "\"10/ds\" is not a limit: the unit \"ds\" is not known; "
      "use second, minute, hour, day, week, month or year" },
    { "10/hourss",
      "\"10/hourss\" is not a limit: the unit \"hourss\" is not known; "
      "use second, minute, hour, day, week, month or year" },
    { "10/hou",
      "\"10/hou\" is not a limit: the unit \"hou\" is not known; "
      "use second, minute, hour, day, week, month or year" },
    { "10/",
      "\"10/\" is not a limit: the unit is missing; "
      "use second, minute, hour, day, week, month or year" },
    { "10 per 5",
      "\"10 per 5\" is not a limit: the unit is missing; "
      "use second, minute, hour, day, week, month or year" },
    { "10/-5 days",
      "\"10/-5 days\" is not a limit: \"-5\" stands in place of the unit; "
      "use second, minute, hour, day, week, month or year" },
    { "3000000000/day",
      "\"3000000000/day\" is not a limit: the count is above 2147483647" },
    { "2147483648/day",
      "\"2147483648/day\" is not a limit: the count is above 2147483647" },
    { "18446744073709551617/day",
      "\"18446744073709551617/day\" is not a limit: "
      "the count is above 2147483647" },
    { "-1/day", "\"-1/day\" is not a limit: the count is below 0" },
    { "10/0 hours",
      "\"10/0 hours\" is not a limit: the number of hours is 0; "
      "it must be at least 1" },
    { "1/101 years",
      "\"1/101 years\" is not a limit: the window is longer than 100 years "
      "of 360 days" },
    { "1/18446744073709551617 s",
      "\"1/18446744073709551617 s\" is not a limit: the window is longer "
      "than 100 years of 360 days" },
    { "hour", "\"hour\" is not a limit: it does not begin with a count; "
              "write for example \"10 per hour\"" },
    { "+1/day", "\"+1/day\" is not a limit: it does not begin with a count; "
                "write for example \"10 per hour\"" },
    { "10 hour", "\"10 hour\" is not a limit: \"per\" or \"/\" must follow "
                 "the count; write for example \"10 per hour\"" },
    { "10", "\"10\" is not a limit: \"per\" or \"/\" must follow the count; "
            "write for example \"10 per hour\"" },
    { "10pe", "\"10pe\" is not a limit: \"per\" or \"/\" must follow the "
              "count; write for example \"10 per hour\"" },
    { "1.5/day", "\"1.5/day\" is not a limit: \"per\" or \"/\" must follow "
                 "the count; write for example \"10 per hour\"" },
    { "10/hour 5/day",
      "\"10/hour 5/day\" is not a limit: \"5/day\" stands behind the unit; "
      "separate limits by \",\", \";\" or \"|\"" },
    { "10/hour;",
      "\"10/hour;\" has an empty limit before, between or behind its "
      "separators; remove the separator that is too many" },
    { " ;10/hour",
      "\";10/hour\" has an empty limit before, between or behind its "
      "separators; remove the separator that is too many" },
    { "1/s,|2/m",
      "\"1/s,|2/m\" has an empty limit before, between or behind its "
      "separators; remove the separator that is too many" },
    { "10/ho\x01u\"r\n\\",
      "\"10/ho\\x01u\\x22r\\x0A\\\" is not a limit: the unit "
      "\"ho\\x01u\\x22r\" is not known; "
      "use second, minute, hour, day, week, month or year" },
    { "\xc3\xa9/day",
      "\"\\xC3\\xA9/day\" is not a limit: it does not begin with a count; "
      "write for example \"10 per hour\"" },
    { "10/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
      "\"10/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" is not a "
      "limit: the unit \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
      "...\" is not known; use second, minute, hour, day, week, month or "
      "year" },
};

/* All canonical texts, joined. */
static const char *joined(int n)
{
    static char all[MANY * (RLX_LIMIT_TEXT_MAX + 2)];
    int i;

    all[0] = '\0';
    for (i = 0; i < n; ++i) {
        strcat(strcat(all, i ? ", " : ""), limits[i].text);
    }
    return all;
}

static void test_good(void)
{
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); ++i) {
        int n = rlx_limits_parse(good[i].text, limits, MANY, error);
        const rlx_limit_t *last = &limits[n > 0 ? n - 1 : 0];

        is_str(n > 0 ? joined(n) : error, good[i].canonical,
               good[i].canonical);
        ok(n > 0 && last->count == good[i].count
               && last->burst == good[i].count
               && last->window_usec == good[i].sec * 1000000
               && last->strategy == RLX_FIXED_WINDOW,
           "  its values");
    }
}

static void test_bad(void)
{
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        int n = rlx_limits_parse(bad[i].text, limits, MANY, error);

        ok(n == -1, "refused, case %d", (int)i);
        is_str(error, bad[i].error, "  and says why");
    }
}

/* parse(print(x)) is x, for every unit and the bounds of both numbers. */
static void test_round_trip(void)
{
    static const char *const units[] = { "second", "minute", "hour", "day",
                                         "week", "month", "year" };
    static const unsigned int counts[] = { 0, 1, 3, 7, 100, 2147483647 };
    static const unsigned int multiples[] = { 1, 2, 99, 100 };
    int wrong = 0;
    int i;

    for (i = 0; i < 7 * 6 * 4; ++i) {
        char text[RLX_LIMIT_TEXT_MAX];
        rlx_limit_t first;

        snprintf(text, sizeof(text), "%u per %u %s", counts[i % 6],
                 multiples[i / 6 % 4], units[i / 24]);
        wrong += rlx_limits_parse(text, &first, 1, error) != 1
                 || strcmp(first.text, text) != 0
                 || rlx_limits_parse(first.text, limits, 1, error) != 1
                 || memcmp(&first, limits, sizeof(first)) != 0;
    }
    is_int(wrong, 0, "the canonical form is read back as the same value");
}

static void test_how_many(void)
{
    char text[5 * (MANY + 1)] = "1/s";
    int i;

    for (i = 1; i < MANY; ++i) {
        strcat(text, ",1/s");
    }
    is_int(rlx_limits_parse(text, limits, MANY, error), MANY,
           "as many limits as there may be");
    strcat(text, ",1/s");
    is_int(rlx_limits_parse(text, limits, MANY, error), -1, "one more");
    is_str(error, "there are more than 32 limits in one string",
           "  and says why");
}

/* A megabyte of each byte, alone and behind the beginning of a limit; the
 * error has its own allocation so that a sanitizer sees its end. */
static void test_megabyte(void)
{
    static const char *const heads[] = { "", "1", "1/", "1/1", "1/s" };
    const size_t len = 1024 * 1024;
    char *text = malloc(len + 8);
    char *own = malloc(RLX_LIMIT_ERROR_MAX);
    int wrong = 0;
    int c;

    for (c = 1; c < 256; ++c) {
        const char *head = heads[c % 5];

        strcpy(text, head);
        memset(text + strlen(head), c, len);
        text[strlen(head) + len] = '\0';
        if (rlx_limits_parse(text, limits, MANY, own) == -1) {
            wrong += own[0] == '\0' || memchr(own, '\0', 256) == NULL;
        }
        else {
            wrong += strcmp(head, "1/s") != 0
                     || strchr(" \t\n\v\f\r", c) == NULL;
        }
    }
    is_int(wrong, 0, "a megabyte of any byte");
    free(own);
    free(text);
}

int main(void)
{
    test_good();
    test_bad();
    test_round_trip();
    test_how_many();
    test_megabyte();
    return tap_done();
}
