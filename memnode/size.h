/* SPDX-License-Identifier: GPL-2.0-or-later */
/* size.h - sizes as users and QEMU write them. Pure. */
#ifndef GVM_SIZE_H
#define GVM_SIZE_H

#include <stddef.h>
#include <stdint.h>

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

/*
 * Reads a number, decimal or 0x…, with an optional suffix (b, k, M, G, T, P, E; either case). A
 * decimal fraction needs one. A number that ends in a digit counts `unit`s (like QEMU, also for a
 * hexadecimal one, unless it ends in a letter).
 * -EINVAL: the whole text is not one size.
 * -ERANGE: it does not fit into 63 bits.
 */
int size_parse(const char *text, uint64_t unit, uint64_t *bytes);
/* The same for options of our own programs: "16GiB" is 16G, too. */
int size_parse_option(const char *text, uint64_t *bytes);
/* Two of these with dots between them, "1G..8G", the second not the smaller one; or one, which is both. */
int size_parse_limits(const char *text, uint64_t *min_bytes, uint64_t *max_bytes);

#define SIZE_TEXT 32
/* "512 MiB", "1.5 GiB": for people. Returns buf. */
char *size_text(uint64_t bytes, char buf[SIZE_TEXT]);

#endif
