/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store_env.h - the environment of the decisions of store.h: the nodes, the regions' index, the fast path, the
 * clock.
 *
 * The decisions (store_turn.c, wbufs.c, cache.c, fuse/read.c, fuse/write.c) reach these only through the functions
 * below, of which gvmfs has one set (fuse/store_calls.c) and a simulator another. So the same source runs in
 * both.
 *
 * A call does or begins something and returns; it never calls the decisions back. What follows later comes as an
 * event (store.h). Results are 0 or a negative errno.
 */
#ifndef GVMFS_STORE_ENV_H
#define GVMFS_STORE_ENV_H

#include "store.h"

struct store_env {
	/* ---- a region, as the journal has it. The decisions change it only by index_set(). */

	/* The region's entry in the journal. The decisions read epoch (0: we are not its writer), failed,
	 * rec.size_bytes, rec.node_count (0: nothing was ever written to it). */
	const struct journal_inode *(*disk)(struct store *s, const struct inode *inode);
	/* A chunk's acknowledged version in the index, with GVM_VERSION_ZERO; 0: never written. Only for an attached
	 * region. */
	uint64_t (*index)(struct store *s, const struct inode *inode, uint64_t chunk);
	/* A node has acknowledged a chunk's version. */
	void (*index_set)(struct store *s, struct inode *inode, uint64_t chunk, uint64_t entry);
	/* The same for a sealed chunk: f->seals is what is known of its pages from now on. */
	void (*seals_set)(struct store *s, struct inode *inode, const struct flush *f);
	/* The inode with this number in the journal, for wbufs that are adopted: never NULL. */
	struct inode *(*inode)(struct store *s, unsigned nr);
	/* The node of a chunk: a pointer to compare with others. */
	const void *(*node)(struct store *s, struct inode *inode, uint64_t chunk);
	/* Nothing of the inode is in use or in flight here any more: it may be freed by this
	 * call. */
	void (*idle)(struct store *s, struct inode *inode);
	/* An access failed for now, and may be tried again. Fails the region if the reason is
	 * permanent. */
	void (*report)(struct store *s, struct inode *inode, uint64_t chunk, const char *what, int error);
	/* Writes cannot be kept. Sets disk()->failed, and calls store_fail(): an event, which only notes and drops. */
	void (*fail)(struct store *s, struct inode *inode, uint64_t chunk, int error);

	/* ---- the fast path, for an inode that it serves (inode->resident) */

	/* Copies a page out of the client's memory; false: the page is not there, and the index
	 * says where it is. */
	bool (*resident_page)(struct store *s, struct inode *inode, uint64_t chunk, unsigned page, uint8_t *to);

	/* ---- the nodes */

	/* Fetches e->asked into e->data, under e->epoch and not older than the index's version; want_page comes
	 * first, unless it is GVM_NO_PAGE. Then come store_piece() or store_spoilt() for parts, and store_fetched()
	 * once, at the end. */
	void (*get)(struct store *s, struct cache_entry *e, unsigned want_page);
	/* A READ waits for pages of that GET: what has come of it, and is not decoded yet, comes now, by store_piece(). May
	 * exchange e->data for another buffer with the same pages. */
	void (*hurry)(struct store *s, struct cache_entry *e);
	/* Gives a wbuf's flush, filled in but for `region` and `node`, to a writer: store_flushed() comes
	 * once. */
	void (*send)(struct store *s, struct inode *inode, struct flush *f);

	/* The deadline of an access that a user waits for; 0: none. */
	uint64_t (*deadline)(struct store *s);
	uint64_t (*now)(struct store *s);
};

#endif
