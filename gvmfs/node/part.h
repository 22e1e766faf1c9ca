/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * part.h - the parts in which a node's answer brings a chunk: each is decoded into the chunk's buffer, by the front or
 * beside it (unpack.h), and counted.
 *
 * The front never waits for the other thread. While that decodes a part, whatever else comes of the chunk is decoded
 * apart, and the pages that the other thread may be writing are left out: they come from there. If they turn out not to
 * verify, the fetch asks for the chunk once more (fetch.h). If an access waits for them, the front takes them back.
 *
 * Of a sealed part the other thread only sees that its blocks are as they were sealed. Whether they are what is known is judged
 * here: before the part is given away, and when it comes back, since meanwhile something may have been learned, or written. Then
 * what was not known is learned.
 *
 * Front thread.
 */
#ifndef GVMFS_PART_H
#define GVMFS_PART_H

#include "fetch.h"

#include <stdbool.h>

struct inode;
struct worker;

/* What a part is of. */
struct part {
	struct fetch *fetch;
	struct inode *inode;
	uint64_t chunk;
	uint32_t asked; /* pages */
	uint32_t here;	/* pages that are in the buffer: a part that has some is decoded here */
	uint32_t fixed; /* pages of the buffer that may be in use, so they are not written again */
	uint8_t **data;	/* where the caller notes the chunk's buffer: part_hurry() may exchange it */
	unsigned fetching; /* GETs under way beside this one, and this one */
	bool waited;	   /* an access waits for pages of the chunk */
	bool sealed;
};

/* Takes a part, from fetch->piece(). 0 and in *got the pages that the buffer has by it; -ENODATA, and the same, if some are
 * lost; FETCH_LATER: fetch->came() tells of them; or another negative errno: nothing is to be used. */
int part_take(struct worker *w, const struct part *p, uint64_t version, const struct chunk_head *head, const uint8_t *body,
	      uint32_t *got);
/* An access has come that waits for pages of the chunk: what the other thread has of it, or is to have, is decoded now.
 * fetch->came(), and whatever follows from that. No page of the buffer may be in use. */
void part_hurry(struct worker *w, struct fetch *fetch);
/* Counts what has come. */
void part_count(struct worker *w, struct inode *inode, const struct chunk_head *head, uint32_t got);

#endif
