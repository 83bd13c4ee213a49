/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Runs a fuzz target without a fuzzer: over each file of its corpus, and over
 * some thousand damaged copies of them, always the same. Linked with one
 * fuzz_<name>.c, it takes t/fuzz/corpus/<name>, or the directories that it is
 * given, and speaks TAP. A target that finds something aborts.
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Damaged copies of each file. */
#define COPIES 500
/* What is read of a file, and room for a copy to grow. */
#define BYTES_MAX 65536
#define DIRECTORY_MAX 4096

/* Marsaglia's xorshift64*: any fixed sequence will do. */
static uint64_t random_state = 88172645463325252ULL;

static size_t random_below(size_t bound)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (size_t)((random_state * 2685821657736338717ULL) >> 33) % bound;
}

/* One small damage: a byte changed, put in, taken out, or the end cut off. */
static size_t damage(uint8_t *data, size_t size)
{
    static const char likely[] = "0129%{}(),;:/\"\\ =\n\t-";
    size_t at = random_below(size + 1);
    uint8_t byte = random_below(2) ? (uint8_t)random_below(256)
                                   : (uint8_t)likely[random_below(sizeof(likely))];

    switch (random_below(4)) {
    case 0:
        return at;
    case 1:
        if (at < size) {
            memmove(data + at, data + at + 1, size - at - 1);
            return size - 1;
        }
        return size;
    case 2:
        memmove(data + at + 1, data + at, size - at);
        data[at] = byte;
        return size + 1;
    default:
        if (at < size) {
            data[at] = byte;
        }
        return size;
    }
}

static void run_damaged(const uint8_t *data, size_t size)
{
    static uint8_t copy[BYTES_MAX + 8];
    int i;

    for (i = 0; i < COPIES; ++i) {
        size_t length = size;
        size_t times = 1 + random_below(6);

        memcpy(copy, data, size);
        while (times--) {
            length = damage(copy, length);
        }
        LLVMFuzzerTestOneInput(copy, length);
    }
}

static int run_file(const char *directory, const char *name)
{
    static uint8_t data[BYTES_MAX];
    char path[DIRECTORY_MAX + 260];
    size_t size;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "rb");
    if (!file) {
        return 0;
    }
    size = fread(data, 1, sizeof(data), file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    run_damaged(data, size);
    return 1;
}

static int run_corpus(const char *directory)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    int files = 0;

    if (!dir) {
        return 0;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            files += run_file(directory, entry->d_name);
        }
    }
    closedir(dir);
    return files;
}

int main(int argc, char **argv)
{
    const char *name = strstr(argv[0], "fuzz_");
    char directory[DIRECTORY_MAX];
    int i = 1;
    int n = 0;
    int failed = 0;

    snprintf(directory, sizeof(directory), "t/fuzz/corpus/%s",
             name ? name + strlen("fuzz_") : argv[0]);
    do {
        const char *corpus = argc > 1 ? argv[i] : directory;
        int files = run_corpus(corpus);

        printf("%sok %d - %s: %d files, each damaged %d times\n",
               files ? "" : "not ", ++n, corpus, files, COPIES);
        failed |= !files;
    } while (++i < argc);
    printf("1..%d\n", n);
    return failed;
}
