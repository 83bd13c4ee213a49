/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Limit strings: what an administrator writes, "100/day; 10 per 5 minutes",
 * to values. Whatever the limits library of Python takes is taken too, but
 * for a multiple of 0, which it silently reads as 1, and for a stray colon
 * before a separator.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/limit.h"

#define USEC_PER_SEC INT64_C(1000000)
#define DAY_SEC INT64_C(86400)

/* 100 years of 360 days, so that "100 years" is the longest. */
#define WINDOW_SEC_MAX (100 * 360 * DAY_SEC)

/* Numbers are read up to here and stay here: past every bound of ours, and
 * times ten still far from an overflow. */
#define NUMBER_MAX INT64_C(1000000000000)

/* How much of a bad part an error shows, escaped; longer parts end in "..."
 * (3 more bytes). Two of them and the sentence fit RLX_LIMIT_ERROR_MAX. */
#define QUOTE_MAX 48

#define UNITS_HINT "use second, minute, hour, day, week, month or year"
#define EXAMPLE_HINT "write for example \"10 per hour\""

typedef struct unit_t {
    const char *name;
    int64_t sec;
    /** Short forms, and whether a plural s may follow them. */
    const char *letter;
    const char *word;
} unit_t;

static const unit_t units[] = {
    { "second", 1, "s", "sec" },
    { "minute", 60, "m", "min" },
    { "hour", 3600, "h", "hr" },
    { "day", DAY_SEC, "d", NULL },
    { "week", 7 * DAY_SEC, "w", NULL },
    { "month", 30 * DAY_SEC, "mo", NULL },
    { "year", 360 * DAY_SEC, "y", NULL },
};

#define UNITS (sizeof(units) / sizeof(units[0]))

/* A piece of text that ends before `end`; `at` walks through it. */
typedef struct span_t {
    const char *at;
    const char *end;
} span_t;

/* Not the C library's: those follow the locale. */
static int is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Letters beyond ASCII count: they make a word, though no known one. */
static int is_letter(char c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || (unsigned char)c >= 0x80;
}

static int is_separator(char c)
{
    return c == ',' || c == ';' || c == '|';
}

static void skip_blanks(span_t *s)
{
    while (s->at < s->end && is_blank(*s->at)) {
        ++s->at;
    }
}

static span_t trimmed(span_t s)
{
    skip_blanks(&s);
    while (s.end > s.at && is_blank(s.end[-1])) {
        --s.end;
    }
    return s;
}

/* Take digits; returns their value, at most NUMBER_MAX, or -1 for none. */
static int64_t take_number(span_t *s)
{
    int64_t n = -1;

    while (s->at < s->end && is_digit(*s->at)) {
        n = (n < 0 ? 0 : n) * 10 + (*s->at - '0');
        n = n < NUMBER_MAX ? n : NUMBER_MAX;
        ++s->at;
    }
    return n;
}

static span_t take_word(span_t *s)
{
    span_t word = { s->at, s->at };

    while (word.end < s->end && !is_blank(*word.end)) {
        ++word.end;
    }
    s->at = word.end;
    return word;
}

/* Is the word this text, plus an s if `plural`? Case is free. */
static int word_is(span_t word, const char *text, int plural)
{
    while (word.at < word.end && *text && lower(*word.at) == *text) {
        ++word.at;
        ++text;
    }
    if (*text) {
        return 0;
    }
    return word.at == word.end
           || (plural && word.end - word.at == 1 && lower(*word.at) == 's');
}

static const unit_t *unit_of(span_t word)
{
    size_t i;

    for (i = 0; i < UNITS; ++i) {
        if (word_is(word, units[i].name, 1) || word_is(word, units[i].letter, 0)
            || (units[i].word && word_is(word, units[i].word, 1))) {
            return &units[i];
        }
    }
    return NULL;
}

/* Write one byte so that it can stand in a quoted, logged text. A backslash
 * before a quote would escape nothing: httpd's log doubles each. */
static size_t escape(unsigned char c, char *to)
{
    if (c < 0x20 || c > 0x7e || c == '"') {
        return (size_t)sprintf(to, "\\x%02X", (unsigned int)c);
    }
    to[0] = (char)c;
    to[1] = '\0';
    return 1;
}

/* `s` in quotes into `to`, which has room for QUOTE_MAX + 6 bytes. */
static const char *quote(span_t s, char *to)
{
    size_t len = 0;
    char one[8];

    to[len++] = '"';
    for (; s.at < s.end; ++s.at) {
        size_t n = escape((unsigned char)*s.at, one);

        if (len + n > QUOTE_MAX + 1) {
            strcpy(to + len, "...");
            len += 3;
            break;
        }
        memcpy(to + len, one, n);
        len += n;
    }
    strcpy(to + len, "\"");
    return to;
}

/* Make the error: "<the bad part>" is not a limit: <why>. Returns 0. */
static int fail(char *error, span_t part, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char *error, span_t part, const char *format, ...)
{
    char quoted[QUOTE_MAX + 6];
    va_list args;
    int n;

    n = snprintf(error, RLX_LIMIT_ERROR_MAX, "%s is not a limit: ",
                 quote(trimmed(part), quoted));
    va_start(args, format);
    vsnprintf(error + n, RLX_LIMIT_ERROR_MAX - (size_t)n, format, args);
    va_end(args);
    return 0;
}

/* [count]. Returns 0 on error, as all that follow. */
static int parse_count(span_t *s, span_t part, uint32_t *count, char *error)
{
    int64_t n;

    skip_blanks(s);
    if (s->at < s->end && *s->at == '-') {
        return fail(error, part, "the count is below 0");
    }
    n = take_number(s);
    if (n < 0) {
        return fail(error, part, "it does not begin with a count; "
                    EXAMPLE_HINT);
    }
    if (n > RLX_COUNT_MAX) {
        return fail(error, part, "the count is above %d", RLX_COUNT_MAX);
    }
    *count = (uint32_t)n;
    return 1;
}

/* [per|/], which needs no blanks around it: "10perhour". */
static int parse_per(span_t *s, span_t part, char *error)
{
    span_t word;

    skip_blanks(s);
    if (s->at < s->end && *s->at == '/') {
        ++s->at;
        return 1;
    }
    word = *s;
    word.end = s->end - s->at > 3 ? s->at + 3 : s->end;
    if (!word_is(word, "per", 0)) {
        return fail(error, part, "\"per\" or \"/\" must follow the count; "
                    EXAMPLE_HINT);
    }
    s->at += 3;
    return 1;
}

/* [second|minute|...][s] and nothing behind it. */
static int parse_unit(span_t *s, span_t part, const unit_t **unit,
                      char *error)
{
    char quoted[QUOTE_MAX + 6];
    span_t word;

    skip_blanks(s);
    word = take_word(s);
    if (word.at == word.end) {
        return fail(error, part, "the unit is missing; " UNITS_HINT);
    }
    *unit = unit_of(word);
    if (*unit == NULL) {
        return fail(error, part, is_letter(*word.at)
                        ? "the unit %s is not known; " UNITS_HINT
                        : "%s stands in place of the unit; " UNITS_HINT,
                    quote(word, quoted));
    }
    skip_blanks(s);
    if (s->at < s->end) {
        return fail(error, part, "%s stands behind the unit; "
                    "separate limits by \",\", \";\" or \"|\"",
                    quote(trimmed(*s), quoted));
    }
    return 1;
}

static int set_window(rlx_limit_t *limit, int64_t n, const unit_t *unit,
                      span_t part, char *error)
{
    if (n == 0) {
        return fail(error, part, "the number of %ss is 0; it must be at "
                    "least 1", unit->name);
    }
    if (n > WINDOW_SEC_MAX / unit->sec) {
        return fail(error, part, "the window is longer than 100 years "
                    "of 360 days");
    }
    limit->window_usec = n * unit->sec * USEC_PER_SEC;
    snprintf(limit->text, sizeof(limit->text), "%u per %lu %s",
             (unsigned int)limit->count, (unsigned long)n, unit->name);
    return 1;
}

static int parse_one(span_t part, rlx_limit_t *limit, char *error)
{
    const unit_t *unit = NULL;
    span_t s = part;
    int64_t n;

    memset(limit, 0, sizeof(*limit));
    if (!parse_count(&s, part, &limit->count, error)
        || !parse_per(&s, part, error)) {
        return 0;
    }
    skip_blanks(&s);
    n = take_number(&s);
    if (!parse_unit(&s, part, &unit, error)
        || !set_window(limit, n < 0 ? 1 : n, unit, part, error)) {
        return 0;
    }
    limit->burst = limit->count;
    limit->strategy = RLX_FIXED_WINDOW;
    return 1;
}

/* The text has blanks alone between two separators or at an end. */
static int fail_empty(char *error, span_t whole)
{
    char quoted[QUOTE_MAX + 6];
    span_t s = trimmed(whole);

    if (s.at == s.end) {
        snprintf(error, RLX_LIMIT_ERROR_MAX,
                 "the limit string is empty; " EXAMPLE_HINT);
    }
    else {
        snprintf(error, RLX_LIMIT_ERROR_MAX,
                 "%s has an empty limit before, between or behind its "
                 "separators; remove the separator that is too many",
                 quote(s, quoted));
    }
    return -1;
}

int rlx_limits_parse(const char *text, rlx_limit_t *limits, int max,
                     char *error)
{
    span_t whole = { text, text + strlen(text) };
    span_t part = { text, text };
    span_t inner;
    int n = 0;

    error[0] = '\0';
    for (;; part.at = ++part.end) {
        while (part.end < whole.end && !is_separator(*part.end)) {
            ++part.end;
        }
        inner = trimmed(part);
        if (inner.at == inner.end) {
            return fail_empty(error, whole);
        }
        if (n == max) {
            snprintf(error, RLX_LIMIT_ERROR_MAX,
                     "there are more than %d limits in one string", max);
            return -1;
        }
        if (!parse_one(part, &limits[n++], error)) {
            return -1;
        }
        if (part.end == whole.end) {
            return n;
        }
    }
}
