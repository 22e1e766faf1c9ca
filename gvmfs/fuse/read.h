/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * read.h - READs, and where the content of a page is: the one place that knows. It is, in this order, in the fast
 * path's memory (or, without one, in a slot); zero if the index says so; in the cache, where it is valid; on the
 * node.
 *
 * Decides by store_env.h only: simulators link it. A READ as FUSE knows it: front_io.c.
 */
#ifndef GVMFS_READ_H
#define GVMFS_READ_H

#include "state/request.h"
#include "store/store.h"

#include <sys/uio.h>

#define READ_IOV_MAX (GVM_CHUNK_PAGES + 1)

struct store_read {
	struct store_wait wait; /* first */
	/* From a turn, once: 0 with the content, which is good until it returns, or a negative errno. The request is
	 * the caller's again. */
	void (*done)(struct store *s, struct store_read *r, const struct iovec *iov, int count, int error);
	uint64_t off;
	uint32_t size;
	bool waited;   /* it was not answered at once */
	uint64_t came; /* store->events then */
	uint8_t *copy; /* of the pages that it got so far; NULL: of none */
	uint64_t got;  /* which, from its first one on */
};

/* A READ has come. An event: r->done is filled in, the rest zero. size: 1 to READ_BYTES_MAX; within the region. */
void store_read(struct store *s, struct store_read *r, struct inode *inode, uint64_t off, uint32_t size);

/* Where the content of a page is now, or NULL if it must be fetched. Good until something changes; it may be in
 * `scratch`, a page. */
const uint8_t *page_find(struct store *s, struct inode *inode, uint64_t chunk, unsigned page, uint8_t *scratch);

#endif
