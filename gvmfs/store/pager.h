/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pager.h - answers reads: from unacknowledged writes, from zero, from a few fetched chunks, else
 * from the nodes.
 *
 * The kernel's page cache is the store that counts; what is kept here (PAGER_ENTRIES decoded
 * chunks) bridges the moment between a fetch and the READs that want its parts. A page's content is,
 * in this order: in the open slot, in the sealed slot (writeback.h); zero if the index says so; in
 * a cache entry, where it is valid; on the node.
 *
 * Staleness. An entry's valid pages are always of the index's version: a WRITE clears the bits of
 * its pages here, and marks them in a fetch under way as stale; a fetch that begins while pages are
 * unacknowledged counts these as stale from the start. So an answer which left the node before a
 * WRITE was acknowledged does not bring back what that replaced.
 *
 * Where another changes the region without our knowing, another host or the client of the fast path, no
 * READ is answered from a GET that was sent before it came: what its caller knows to be written is there.
 * Of two chunks one may grow old for other READs before the second is here, so each READ keeps what it got.
 *
 * Front thread only.
 */
#ifndef GVMFS_PAGER_H
#define GVMFS_PAGER_H

#include "codec.h"
#include "gvm_client.h"
#include "state/inode.h"

#define PAGER_ENTRIES 64u
#define PAGER_BUCKETS 256u
#define PAGER_SCRATCH 64u /* pages: more than any request has */

struct worker;
struct pager_entry;

/* One that waits for pages of at most two chunks; embedded in a read or a write. */
struct pager_wait {
	/* Called when something arrived or failed: looks again at what it needs. */
	void (*wake)(struct worker *w, struct pager_wait *wait);
	struct inode *inode;
	struct {
		struct pager_entry *entry;
		struct pager_wait *next;
	} on[2];
	struct pager_wait *next_starved;
	bool starved;
	struct gvm_conn *nodes[2]; /* that it waits for entries for */
	int error; /* of a fetch that it waited for */
};

struct pager_entry {
	struct gvm_get get; /* under way while `fetching` */
	struct worker *w;
	struct inode *inode; /* NULL: free */
	uint64_t chunk;
	uint32_t valid;	 /* pages of the index's version */
	uint32_t want;	 /* pages that somebody waits for or that are fetched ahead */
	uint32_t asked;	 /* pages of the GET under way */
	uint32_t stale;	 /* of these, pages written since it was sent */
	uint32_t late;	 /* pages wanted by READs that came since it was sent, and that ask the node anew */
	bool fetching;
	bool ahead;	 /* fetched ahead, and not read yet */
	uint64_t used_at;
	uint64_t begun;	 /* pager->events when the last GET was sent */
	struct pager_wait *waiters;
	struct gvm_conn *node;	  /* that holds the chunk */
	struct pager_entry *next; /* in its bucket */
	uint8_t *data;
};

struct pager {
	struct chunk_codec *codec;
	struct pager_entry entries[PAGER_ENTRIES];
	struct pager_entry *buckets[PAGER_BUCKETS];
	struct pager_wait *starved, **starved_tail; /* wait for entries */
	unsigned fetching;			    /* GETs under way */
	uint64_t clock;
	uint64_t events; /* READs that came, and GETs that were sent */
	uint8_t *scratch;
	unsigned scratch_next;
};

int pager_init(struct worker *w);

/* Serves a READ; replies now or later. */
enum read_how {
	READ_FILLS = 1,	  /* a part of the page cache, no program's buffer */
	READ_FOREIGN = 2, /* what is read shall not stay there */
};
void pager_read(struct worker *w, fuse_req_t req, struct inode *inode, uint64_t off, size_t size,
		unsigned how);

/*
 * Where the content of a page is now, or NULL if it must be fetched (pager_want). The pointer is
 * good until the front thread returns to its loop.
 */
const uint8_t *pager_page(struct worker *w, struct inode *inode, uint64_t chunk, unsigned page);

/* A page-sized buffer that is good until the front thread returns to its loop. */
uint8_t *pager_scratch(struct worker *w);

/*
 * Has `wait` woken when pages of one chunk, or two (count), are there or failed. Either all are
 * asked for at once or, without entries, none is and it waits for some.
 */
void pager_want(struct worker *w, struct pager_wait *wait, unsigned count, const uint64_t chunk[2],
		const uint32_t pages[2], unsigned want_page);
/* Takes `wait` off what it waits for. */
void pager_unwant(struct worker *w, struct pager_wait *wait);
/* The same of one that may still wait for entries, and will not go on. */
void pager_cancel(struct worker *w, struct pager_wait *wait);

/* Pages of a chunk were written: what is held or under way of them is out of date. */
void pager_invalidate(struct worker *w, struct inode *inode, uint64_t chunk, uint32_t pages);
/* Forgets all chunks of an inode (it is closed, detached or shrunk). */
void pager_forget(struct worker *w, struct inode *inode);

#endif
