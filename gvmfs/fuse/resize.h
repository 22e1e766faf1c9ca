/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resize.h - a request that changes a region's size: what setattr, open with O_TRUNC, fallocate and a write past
 * the end begin with. front_size.c carries it out. Front thread. */
#ifndef GVMFS_RESIZE_H
#define GVMFS_RESIZE_H

#include "op.h"
#include "store/pagecache.h"
#include "store/store.h"

struct resize {
	struct op op; /* first */
	uint64_t size; /* that it shall have */
	void (*then)(struct resize *rs, int result); /* called after the change, or its failure */
	/* A write(): what it will put into the file, of which the end is past the file's. */
	const uint8_t *data; /* NULL: it is none */
	uint64_t off;
	size_t bytes;

	/* While it is carried out. */
	STAILQ_ENTRY(resize) in; /* it waits to be tried again (sizes.h): */
	void (*again)(struct resize *rs);
	struct task lent; /* it has its inode back from one that ran beside it */
	bool attached_here; /* and is to be detached again */
	int result;	    /* while it is */
	unsigned tries;	    /* to make zero what is behind the new end */
	struct store_sync sync;
	struct {
		struct pagecache_ask ask;
		int result;
		void (*then)(struct resize *rs, int result);
	} tail; /* tail.h */
};

/* Changes the size of the op's inode, which the op holds, to rs->size; then rs->then(rs, result). */
void front_resize(struct resize *rs);
/* Finishes a change to a smaller size that a predecessor had begun. */
void front_size_adopt(struct worker *w, struct inode *inode);

#endif
