/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * front_io.h - READ and WRITE as requests of the kernel, on a region that the page cache serves: what read.h and
 * write.h decide is answered here, a caller that is killed is let go, and the buffer of a WRITE that waits is kept.
 */
#ifndef GVMFS_FRONT_IO_H
#define GVMFS_FRONT_IO_H

#include "state/inode.h"

struct worker;

enum read_how {
	READ_FILLS = 1,	  /* a part of the page cache, no program's buffer */
	READ_FOREIGN = 2, /* what is read shall not stay there */
};

/* Serves a READ (how: enum read_how); replies now or later. */
void front_io_read(struct worker *w, fuse_req_t req, struct inode *inode, uint64_t off, size_t size, unsigned how);
/* Serves a WRITE (data of `size` bytes in the worker's request buffer, which it may keep); replies now or later. */
void front_io_write(struct worker *w, fuse_req_t req, struct inode *inode, const void *data, uint64_t off,
		    size_t size);
/* Makes a range zero; calls `done` (from a turn, or at once) when that is in the journal. */
void front_io_zero(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
		   void (*done)(struct worker *w, void *arg, int error), void *arg);

#endif
