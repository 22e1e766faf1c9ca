/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scrub.h - looks for copies of chunks that nobody reads and that are not what was stored any more, before they are the
 * last ones.
 *
 * The nodes of each region that is attached here are asked, one after the other, over and over, to look at what they have of
 * it (REGION_CHECK): 256 KiB with a request, of which there are as many a second as --scrub-rate allows. Nothing but the
 * answers travels. What they find is mended (rot.h); of what has no other copy it is said how much there is, when that
 * changes.
 *
 * Front thread.
 */
#ifndef GVMFS_SCRUB_H
#define GVMFS_SCRUB_H

#include "gvm_client.h"
#include "state/inode.h"

struct worker;

struct scrub {
	struct gvm_call call; /* first; under way if asking */
	struct worker *w;
	bool asking;
	uint64_t due_ns;
	unsigned nr; /* the region's, and our epoch */
	uint64_t epoch;
	unsigned node; /* of its record */
	struct gvm_id incarnation;
	uint64_t first; /* the next chunk */
	bool missed;	/* a node was not asked, or did not answer, since it began with this region */
	uint32_t lone;  /* rotten ones without another copy, since it began with this region; and the last one: */
	uint64_t lone_chunk;
};

/* Asks the next node if it is time to, and returns when it is again. */
uint64_t scrub_tick(struct worker *w, uint64_t now_ns);

#endif
