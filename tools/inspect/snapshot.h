/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot.h - what a guest's memory is at one moment, as a file of hashes, to tell later which pages have changed.
 *
 * The file: 24 bytes of head (SNAPSHOT_MAGIC, bytes of memory, number of ranges), for each range its guest physical
 * address and length, then for each page of each range XXH3-64 of it, or 0 of a page of zeros; all in 64-bit words,
 * little-endian. Zeros are holes of the file.
 */
#ifndef TOOLS_INSPECT_SNAPSHOT_H
#define TOOLS_INSPECT_SNAPSHOT_H

#include "memory.h"

#define SNAPSHOT_MAGIC 0x31706e736d7667ull

/* Writes the file, which must not be there yet. Returns the exit status. */
int snapshot_save(const struct memory *m, const char *path);
/* Prints the guest physical ranges of pages that are not what they were, and how many. Returns the exit status. */
int snapshot_diff(const struct memory *m, const char *path);

#endif
