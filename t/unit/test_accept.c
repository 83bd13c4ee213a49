/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Which form a client gets by its Accept field.
 */

#include <stdlib.h>
#include <string.h>

#include "core/accept.h"
#include "tap.h"

static const char *const types[] = { "application/problem+json",
                                     "application/json", "text/html",
                                     "text/plain", NULL };
enum { NONE = -1, PROBLEM, JSON, HTML, TEXT };

static const struct {
    const char *accept;
    int choice;
} cases[] = {
    { NULL, PROBLEM },
    { "", PROBLEM },
    { " \t ", PROBLEM },
    { "*/*", PROBLEM },
    { "application/*", PROBLEM },
    { "text/*", HTML },
    { "text/plain", TEXT },
    { "TEXT/Plain", TEXT },
    { "application/json", JSON },
    { "image/png", NONE },
    { "text/html;q=0", NONE },
    { "*/*;q=0", NONE },
    { "text/html;q=0, */*", PROBLEM },
    /* The narrowest range counts, wherever it stands. */
    { "*/*;q=1, application/*;q=0.5, text/*;q=0.7, text/html;q=0.6", TEXT },
    { "text/html;q=0.6, text/*;q=0.7, application/*;q=0.5, */*;q=1", TEXT },
    { "text/html, text/html;q=0", HTML },
    /* Weights */
    { "text/html;q=0.001", HTML },
    { "text/html;q=0.0001", NONE },
    { "text/html;q=0.5, text/plain;q=0.6", TEXT },
    { "text/html;q=0.5, text/plain;q=0.51", TEXT },
    { "text/html;q=0.509, text/plain;q=0.51", TEXT },
    { "text/html;q=0.9, text/plain;q=2", TEXT },
    { "text/html;q=0.9, text/plain;q=1.9", TEXT },
    { "text/html;q=.1, text/plain;q=0.9", HTML },
    { "text/html;Q=0, text/plain;q=0.1", TEXT },
    { "text/html ; q=0 ,text/plain ;\tq=0.1", TEXT },
    { "text/html;level=1;q=0.1;x=y, text/plain;q=0.2", TEXT },
    { "text/html;q=0.4;q=0.1, text/plain;q=0.2", TEXT },
    /* Quotes */
    { "text/html;x=\";q=0\"", HTML },
    { "text/html;x=\";q=1\";q=0.1, text/plain;q=0.2", TEXT },
    { "text/html;x=\"\\\";q=1\";q=0.1, text/plain;q=0.2", TEXT },
    { "image/png;x=\", text/html, \", text/plain", TEXT },
    { "image/png;x=\", text/html", NONE },
    { "text/plain;x=\"\\", TEXT },
    { "\"text/html\", text/plain", TEXT },
    /* What is none of it */
    { ",,;,text/plain,", TEXT },
    { ";q=0", NONE },
    { "text", NONE },
    { "text/", NONE },
    { "*", NONE },
    { "*/html", NONE },
    { "text/htm", NONE },
    { "text/html/x", NONE },
    { "text/*x", NONE },
    { "*/*x", NONE },
    { "\xff\xfe", NONE },
};

/* A copy of exact size, so that a step past its end is seen. */
static int choose(const char *accept)
{
    char *copy = accept ? strdup(accept) : NULL;
    int choice = rlx_accept_choose(copy, types);

    free(copy);
    return choice;
}

/* Among equals: what is named rather than a wildcard, and what is named first. */
static void test_named(void)
{
    static const struct {
        const char *accept;
        int choice;
    } named[] = {
        { NULL, PROBLEM },
        { "*/*", PROBLEM },
        { "text/plain, application/json, */*", TEXT },
        { "application/json, text/plain, */*", JSON },
        { "*/*, text/html", HTML },
        { "text/*, */*", HTML },
        { "text/plain, */*;q=0.9", TEXT },
        { "text/plain;q=0.5, text/html;q=0.5", TEXT },
        { "text/plain;q=0.5, text/html;q=0.6", HTML },
        { "text/html;q=0", NONE },
    };

    for (int i = 0; i < (int)(sizeof(named) / sizeof(named[0])); i++) {
        is_int(rlx_accept_choose_named(named[i].accept, types),
               named[i].choice, named[i].accept ? named[i].accept : "no field");
    }
}

/* A megabyte of one piece again and again. Were it read again for each piece,
 * this would take hours. */
static void test_long(const char *piece, int wanted)
{
    size_t len = strlen(piece), times = 1000000 / len;
    char *field = malloc(len * times + 1);
    char name[60];

    for (size_t i = 0; i < times; i++) {
        memcpy(field + i * len, piece, len);
    }
    field[len * times] = '\0';
    snprintf(name, sizeof(name), "a megabyte of %s", piece);
    is_int(rlx_accept_choose(field, types), wanted, name);
    free(field);
}

int main(void)
{
    static const char *const many[] = { "a/1", "a/2", "a/3", "a/4", "a/5",
                                        "a/6", "a/7", "a/8", "a/9", NULL };

    for (int i = 0; i < (int)(sizeof(cases) / sizeof(cases[0])); i++) {
        is_int(choose(cases[i].accept), cases[i].choice,
               cases[i].accept ? cases[i].accept : "no field");
    }
    test_named();
    is_int(rlx_accept_choose("a/8", many), 7, "eight types");
    is_int(rlx_accept_choose("a/9", many), -1, "and no more");
    test_long("text/plain,", TEXT);
    test_long("image/png;q=0.5, ", NONE);
    test_long(";", NONE);
    test_long("; ", NONE);
    test_long("text/html;x=\"", HTML);
    test_long("\\\"", NONE);
    test_long(" ", PROBLEM);
    test_long("; \t", NONE);
    return tap_done();
}
