/* SPDX-License-Identifier: GPL-2.0-or-later */
/* find.h - where in a guest's memory some bytes are. */
#ifndef TOOLS_INSPECT_FIND_H
#define TOOLS_INSPECT_FIND_H

#include "memory.h"

#define FIND_BYTES_MAX 256u

/* "48 65 6c" or "48656c": 0 with their number, or -EINVAL. */
int find_hex(const char *text, uint8_t bytes[FIND_BYTES_MAX], size_t *count);
/* Prints a line for each place. Returns the exit status: 0, 1 if there is none, or it could not be looked for. */
int find_run(const struct memory *m, const uint8_t *bytes, size_t count);

#endif
