/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * window.h - puts whole pages into a region's memory without mapping them in its client.
 *
 * A pwrite() into a memfd may allocate more than it was given: with huge pages in shmem, the 2 MiB
 * around it, as zeros. So the pages go through a mapping of our own, one chunk wide, that is
 * registered with a userfaultfd of our own: UFFDIO_COPY puts in each page alone, with all of its
 * content at once, and fails if the memory has the page already. The mapping exists for that moment
 * only: the memory must not be mapped outside its client.
 */
#ifndef GVMFS_WINDOW_H
#define GVMFS_WINDOW_H

#include <stddef.h>
#include <stdint.h>

struct window {
	int uffd;
	uint8_t *at; /* GVM_CHUNK_BYTES of address space */
};

/* Makes the userfaultfd, and reserves the address space. 0 or a negative errno. */
int window_init(struct window *win);
/* Fills pages of a memfd, all within one chunk, from `from`; NULL: with zeros. 0 or a negative
 * errno (-EEXIST: the memfd has one of the pages). *done: the bytes filled before the page that
 * failed. */
int window_fill(struct window *win, int memory_fd, uint64_t off, const void *from, size_t bytes,
		size_t *done);

#endif
