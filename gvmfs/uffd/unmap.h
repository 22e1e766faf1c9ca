/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unmap.h - unmaps a session's tables aside. The kernel frees their pages in that call, which of a large region takes
 * many milliseconds, and guests' faults wait for the front thread.
 */
#ifndef GVMFS_UNMAP_H
#define GVMFS_UNMAP_H

#include <stddef.h>

#define UNMAP_PARTS 4u

struct jobs;

/* A mapping; `at` NULL: none. */
struct unmap_part {
	void *at;
	size_t bytes;
};

/* Unmaps them in a job, which the caller need not wait for; without memory for that, at once. Front thread. */
void unmap_aside(struct jobs *jobs, const struct unmap_part part[UNMAP_PARTS]);

#endif
