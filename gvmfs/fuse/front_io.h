/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * front_io.h - READ requests of the kernel, and ranges made zero, on a region that the page cache serves: answers what
 * read.h and write.h decide, and releases a caller that is killed. (WRITEs: front_write.c.)
 */
#ifndef GVMFS_FRONT_IO_H
#define GVMFS_FRONT_IO_H

#include "state/inode.h"

#include <fuse3/fuse_lowlevel.h>

struct worker;

enum read_how {
	READ_FILLS = 1,	  /* the READ fills the page cache, not a program's buffer */
	READ_FOREIGN = 2, /* what is read must not stay in the page cache */
	READ_DIRECT = 4,  /* by O_DIRECT: counts as direct.h says */
	READ_VIEW = 8,	  /* through a view of the region (view.h) */
};

/* What a READ asks of a region. */
struct io_read {
	uint64_t off;
	size_t size;
	unsigned how; /* bits of enum read_how */
	/* Bytes of a view's head (view.h), with which the answer begins; front_io_read() frees them. NULL: none. */
	uint8_t *head;
	size_t head_bytes;
};

/* Serves a READ; replies now or later. */
void front_io_read(struct worker *w, fuse_req_t req, struct inode *inode, const struct io_read *what);
/* Makes a range zero; calls `done`, from a turn or at once, when the zeros are in the journal. */
void front_io_zero(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
		   void (*done)(struct worker *w, void *arg, int error), void *arg);
/* The same for what is left behind the new end of a region that is being cut: it waits for nothing that waits for that. */
void front_io_zero_rest(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
			void (*done)(struct worker *w, void *arg, int error), void *arg);

#endif
