/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fsstats.h - gvmfs' counters, as the extended attribute of a mount's root or of a region. */
#ifndef TOOLS_FSSTATS_H
#define TOOLS_FSSTATS_H

#include <stdint.h>

#define FSSTATS_TEXT 16384

/* Reads the lines `name value` of a path; always terminated. 0 or a negative errno (-ENODATA,
 * -EOPNOTSUPP: it is not gvmfs'). */
int fsstats_read(const char *path, char text[FSSTATS_TEXT]);
int fsstats_read_fd(int fd, char text[FSSTATS_TEXT]);
/* What such an error says to a user, and what to do about it. */
const char *fsstats_error(int rc);
/* Of a path that is none, to those who want a region. */
#define FSSTATS_NO_REGION "not a region of a gvmfs mount (gvm region list shows what is one)"
/* The value of a line, 0 if it is missing. */
uint64_t fsstats_get(const char *text, const char *name);
/* What a mount's nodes lend, what they can still promise, and what they keep beside that for copies that are made anew
 * (NULL: of no interest). 0 or a negative errno. */
int fsstats_room(const char *path, uint64_t *lent_bytes, uint64_t *free_bytes, uint64_t *kept_bytes);
/* How often so far what is on this host was not enough: chunks fetched, for an access or ahead of one, and faults that
 * waited for room. */
uint64_t fsstats_misses(const char *text);

#endif
