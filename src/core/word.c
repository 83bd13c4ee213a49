/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Which compare-and-swap the processor has. Built for any aarch64, as packages
 * are, the module asks once, when it is loaded. It may be loaded before a fork
 * and the words may be shared: both ways to change a word go together.
 */

#include "core/word.h"

#if defined(__aarch64__) && !defined(__ARM_FEATURE_ATOMICS)

int rlx_word_has_pair;

#if defined(__linux__)
#include <sys/auxv.h>

/* AT_HWCAP, "atomics", since Linux 4.3. */
#define HWCAP_BIT (1UL << 8)

__attribute__((constructor)) static void ask(void)
{
    rlx_word_has_pair = (getauxval(AT_HWCAP) & HWCAP_BIT) != 0;
}
#endif

#endif
