/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * examine.h - whether a running process can be given the fast path, without a doubt: what it maps of a gvmfs mount, what else
 * may get at that memory, and what of it no fault would tell of. Changes nothing.
 */
#ifndef TOOLS_ATTACH_EXAMINE_H
#define TOOLS_ATTACH_EXAMINE_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#define EXAMINE_ERR (2 * PATH_MAX + 512)
#define EXAMINE_REGIONS 16

struct examined {
	uint64_t address, bytes;
	uint64_t file_bytes; /* in the page cache, charged to the process or another */
	uint64_t ino;
	unsigned dev_major, dev_minor;
	int fd;		 /* the process's descriptor */
	uint32_t advice; /* enum clerk_advice */
	char name[PATH_MAX]; /* as the process sees it */
	char at[64];	 /* a path to it that opens nothing */
	char socket[108];
};

/*
 * Finds the regions that the process maps. 0 with at least one; or a negative errno, with a sentence in err: -EALREADY: it is on
 * the fast path; others: it cannot be.
 */
int examine(pid_t pid, struct examined list[EXAMINE_REGIONS], unsigned *count, char err[EXAMINE_ERR]);
/* Whether its memory cgroup has room for what the fast path may have of the regions, so many bytes of each; 0: all of it. */
int examine_room(pid_t pid, const struct examined *list, const uint64_t *local_bytes, unsigned count, char err[EXAMINE_ERR]);

#endif
