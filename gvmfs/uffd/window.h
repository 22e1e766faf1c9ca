/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * window.h - puts whole pages into a region's memory without showing them to its client.
 *
 * A pwrite() into a memfd may put more there than it was given: where shmem has huge pages, the 2 MiB
 * around it, as zeros. So the pages go through a mapping of our own, one chunk wide, that is
 * registered with a userfaultfd of our own: UFFDIO_COPY puts in each page alone, with all of its
 * content at once, and says so if there was one already. The mapping is there for that moment only,
 * since the memory may not be mapped by anyone but its client.
 */
#ifndef GVMFS_WINDOW_H
#define GVMFS_WINDOW_H

#include <stddef.h>
#include <stdint.h>

struct window {
	int uffd;
	uint8_t *at; /* GVM_CHUNK_BYTES of address space */
};

/* 0 or a negative errno. */
int window_init(struct window *win);
/* Fills pages of a memfd, all of one chunk, from `from` or (NULL) with zeros. 0 or a negative errno
 * (-EEXIST: there is a page already); *done: the bytes before the one that failed. */
int window_fill(struct window *win, int memory_fd, uint64_t off, const void *from, size_t bytes,
		size_t *done);

#endif
