/* SPDX-License-Identifier: GPL-2.0-or-later */
/* size.h - sizes as people and QEMU write them. Pure. */
#ifndef TOOLS_SIZE_H
#define TOOLS_SIZE_H

#include <stddef.h>
#include <stdint.h>

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

/*
 * Reads a number with an optional decimal fraction and an optional suffix (b, k, M, G, T, P; either
 * case; a plain number counts `unit`s). The whole text must be one size: 0, -EINVAL, or -ERANGE
 * when it does not fit into 63 bits.
 */
int size_parse(const char *text, uint64_t unit, uint64_t *bytes);

#define SIZE_TEXT 32
/* "512 MiB", "1.5 GiB": for people. Returns buf. */
char *size_text(uint64_t bytes, char buf[SIZE_TEXT]);

#endif
