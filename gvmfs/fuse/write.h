/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * write.h - WRITEs, and requests to make ranges zero, on their way into wbufs.
 *
 * Those that overlap are done in the order in which they came: one that waits for a wbuf or for the rest of a page
 * keeps what came before the other, which has stored to the same page since. Tens of thousands may wait for a dead node,
 * and faults wait while one is looked for that overlaps: so it is looked for by chunk.
 *
 * The written pages go into wbufs of the journal, and then the WRITE is answered: from then on a killed worker
 * cannot lose it. If only a part of a page is written the rest is filled in first, from a node if need be.
 *
 * Decides through store_env.h only, so that simulators can link it. FUSE's side of a WRITE:
 * front_write.c.
 */
#ifndef GVMFS_WRITE_H
#define GVMFS_WRITE_H

#include "store/store.h"

struct store_write {
	struct store_wait wait; /* first */
	/* Called once, from a turn: 0 or a negative errno (a part may be in wbufs all the same). The request, and its
	 * data, belong to the caller again. */
	void (*done)(struct store *s, struct store_write *wr, int error);
	const uint8_t *data; /* of data_off on; NULL: zeros. Must not change before done(); may be moved */
	uint64_t data_off;
	uint64_t begin, off, end; /* the whole range, and where the part begins that is not in wbufs yet */
	uint64_t stop;	/* what follows was cut off from the region meanwhile; otherwise `end` */
	bool of_cut;	/* zeros that belong to the region's cut: they do not wait for its end, nor for what does */
	bool stalled; /* it has had to wait for a wbuf */
	bool bounded; /* there cannot be too many such: it is not spilled */
	uint64_t number; /* of all that came */
	TAILQ_ENTRY(store_write) in; /* inode->writes */
	TAILQ_ENTRY(store_write) at; /* one of s->writes; or, of many chunks, inode->wide_writes */
	struct store_waits after;    /* later ones that overlap it, and wait for its end */
};

/* A WRITE, or a request for zeros, has come: an event. The caller has filled in wr->done,
 * wr->bounded and wr->of_cut, the rest is zero. */
void store_write(struct store *s, struct store_write *wr, struct inode *inode, const void *data, uint64_t off,
		 uint64_t size);

/* The region has been cut, to inode->cut_bytes; store_cut_end() has to follow. All that was not answered by then came before
 * that. */
void store_writes_cut(struct inode *inode);

/* What is left of its data, from `off` on, is at `data` now. */
static inline void store_write_move(struct store_write *wr, const uint8_t *data)
{
	wr->data = data;
	wr->data_off = wr->off;
}

#endif
