/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store_env.h - the world that the decisions of store.h stand on: the nodes, the regions' index, the fast path,
 * the clock.
 *
 * The decisions (store.c, slots.c, cache.c, fuse/read.c, fuse/write.c) reach all of that by these functions only:
 * those of gvmfs (fuse/store_calls.c), or a simulator's. So the same source runs in both.
 *
 * A call carries out or begins something and returns; none calls the decisions back. What comes of it later comes
 * as an event (store.h). Results are 0 or a negative errno.
 */
#ifndef GVMFS_STORE_ENV_H
#define GVMFS_STORE_ENV_H

#include "store.h"

struct store_env {
	/* ---- a region, as the journal has it. The decisions change nothing in it but by index_set(). */

	/* They read epoch (0: we are not its writer), failed, rec.size_bytes, rec.node_count (0: nothing was ever
	 * written to it). */
	const struct journal_inode *(*disk)(struct store *s, const struct inode *inode);
	/* The index: a chunk's acknowledged version, with GVM_VERSION_ZERO; 0: never written. Of an attached region. */
	uint64_t (*index)(struct store *s, const struct inode *inode, uint64_t chunk);
	/* A node has acknowledged a chunk's version. */
	void (*index_set)(struct store *s, struct inode *inode, uint64_t chunk, uint64_t entry);
	/* The inode of a journal's slot (begin): never NULL. */
	struct inode *(*inode)(struct store *s, unsigned nr);
	/* The node that a chunk is on: something to compare it by. */
	const void *(*node)(struct store *s, struct inode *inode, uint64_t chunk);
	/* Nothing of it is under way here any more: it may go, and be no inode after this call. */
	void (*idle)(struct store *s, struct inode *inode);
	/* An access failed for now; it may be tried again. Fails the region if the reason is for good. */
	void (*report)(struct store *s, struct inode *inode, uint64_t chunk, const char *what, int error);
	/* What was written cannot be kept. disk()->failed is set from here on, and store_fail() called: an event, which
	 * only notes and drops. */
	void (*fail)(struct store *s, struct inode *inode, uint64_t chunk, int error);

	/* ---- the fast path: of an inode that it serves (inode->resident) */

	/* Copies a page that it has; false: it has not, and the index says where the page is. */
	bool (*resident_page)(struct store *s, struct inode *inode, uint64_t chunk, unsigned page, uint8_t *to);

	/* ---- the nodes */

	/* Fetches e->asked into e->data, under e->epoch and not older than the index's version; want_page: first, or
	 * GVM_NO_PAGE. store_piece() (or store_spoilt()) for what comes, store_fetched() once, at the end. */
	void (*get)(struct store *s, struct cache_entry *e, unsigned want_page);
	/* Gives a slot's flush, all filled in but `region` and `node`, to a writer: store_flushed() once. */
	void (*send)(struct store *s, struct inode *inode, struct flush *f);

	/* When an access that a user waits for has to end; 0: whenever. */
	uint64_t (*deadline)(struct store *s);
	uint64_t (*now)(struct store *s);
};

#endif
