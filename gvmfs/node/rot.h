/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rot.h - copies of chunks that are not what was stored any more: a bit has flipped in a node's memory, or on its disk.
 *
 * They are found by reads, which turn to another copy (fetch.h), and by scrub.h. The writer of the region then mends them:
 * the chunk is read from another member of its view and, verified here, written to the node once more in the same version
 * (PROTOCOL.md, Mending). Where the members are rotten in different pages, it is put together from the sound ones of each
 * (gather.h). A write that comes meanwhile wins. One chunk at a time, at --repair-rate; what is found while many wait is
 * forgotten, and found again.
 *
 * Where some page is good on no node, what the fast path has of the chunk in this host's memory is one: as new as what was
 * acknowledged, or newer. It is sent like any change (uffd/resident_rot.c). What the kernel's page cache has of a file is not
 * to be had so: gvmfs cannot ask which of its pages are content, and not left over from a READ that failed. Pages of such a
 * chunk stay errors on the node until they are written.
 *
 * Front thread.
 */
#ifndef GVMFS_ROT_H
#define GVMFS_ROT_H

#include "state/inode.h"

#define ROT_WAITING 256u

struct worker;

struct rot {
	struct rot_place {
		unsigned nr; /* of the inode, and our epoch */
		uint64_t epoch, chunk;
		struct gvm_id node;
	} waiting[ROT_WAITING]; /* to be mended: the first one is, if there is any */
	unsigned count;
};

/* After fetches_init(): what reads find comes here. */
void rot_init(struct worker *w);
/* What a node has of a chunk does not verify. `lost`: for all that is known no other has a better copy. */
void rot_found(struct worker *w, struct inode *inode, uint64_t chunk, const struct gvm_id *node, bool lost);
/* No node has a good copy of the chunk. What the fast path has of it is written anew, if that is possible. True: it has all of
 * it. `counted`: among copies_rotten. */
bool rot_alone(struct worker *w, struct inode *inode, uint64_t chunk, bool counted);

#endif
