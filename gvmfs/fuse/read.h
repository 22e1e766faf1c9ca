/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * read.h - READs, and the search for a page's content, which is nowhere else. The content is, in this order: in
 * the fast path's memory (or, without the fast path, in a wbuf); zero if the index says so; in the cache if it is
 * valid there; on the node.
 *
 * Decides through store_env.h only, so that simulators can link it. FUSE's side of a READ:
 * front_io.c.
 */
#ifndef GVMFS_READ_H
#define GVMFS_READ_H

#include "state/request.h"
#include "store/store.h"

#include <sys/uio.h>

#define READ_IOV_MAX (GVM_CHUNK_PAGES + 1)

struct store_read {
	struct store_wait wait; /* first */
	/* Called once, from a turn: 0 with the content, which is valid until done() returns, or a negative errno.
	 * The request belongs to the caller again. */
	void (*done)(struct store *s, struct store_read *r, const struct iovec *iov, int count, int error);
	uint64_t off;
	uint32_t size;
	bool view;     /* through a view of the region: no sign of what its users read next */
	bool waited;   /* not answered at once */
	uint64_t came; /* store->events when it came */
	uint8_t *copy; /* of the pages that it has so far; NULL: it keeps none */
	uint64_t got;  /* which pages those are, counted from its first */
};

/* A READ has come: an event. The caller has filled in r->done and r->view, the rest is zero. size: 1 to READ_BYTES_MAX; within
 * the region. */
void store_read(struct store *s, struct store_read *r, struct inode *inode, uint64_t off, uint32_t size);

/* The current content of a page, or NULL if it must be fetched. Valid until something changes; it may be in
 * `scratch`, one page. */
const uint8_t *page_find(struct store *s, struct inode *inode, uint64_t chunk, unsigned page, uint8_t *scratch);

#endif
