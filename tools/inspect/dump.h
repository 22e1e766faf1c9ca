/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dump.h - bytes for people, as hexdump -C has them. */
#ifndef TOOLS_INSPECT_DUMP_H
#define TOOLS_INSPECT_DUMP_H

#include <stddef.h>
#include <stdint.h>

#define DUMP_LINE 16u

/* Lines of 16 bytes with the address of the first. */
void dump_print(uint64_t address, const uint8_t *data, size_t bytes);
/* The bytes as text: what cannot be printed is a dot. `text` has room for bytes + 1. */
void dump_text(char *text, const uint8_t *data, size_t bytes);

#endif
