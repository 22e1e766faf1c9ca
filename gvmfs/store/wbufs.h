/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wbufs.h - the journal's write buffers, wbufs: pages of one chunk that the kernel has written, and that the chunk's
 * node has not acknowledged yet. What gets no wbuf may be spilled (spill.h): questions are answered with regard to it.
 *
 *	state		in the journal	what it is			what comes next
 *	FREE		WBUF_FREE	no chunk's			COLLECTING: wbufs_open()
 *	COLLECTING	WBUF_OPEN	takes the chunk's writes	SENDING: wbuf_seal(); FREE: wbuf_free()
 *	SENDING		WBUF_SEALED	a writer has it, under		FREE: wbuf_free();
 *					`version`			REFUSED: wbuf_refuse()
 *	REFUSED		WBUF_SEALED	the node could not take it	SENDING: wbuf_resend(); FREE: wbuf_free()
 *
 * A chunk has at most one wbuf that is COLLECTING, and one that is SENDING or REFUSED; the former
 * has the newer data. The data of a wbuf that is SENDING or REFUSED do not change, so a version
 * that is sent again has the same bytes. In a sealed region (memnode/SEAL.md) each encoding has
 * other bytes, so it gets a new version: wbuf_resend_anew().
 *
 * A worker may be killed between any two instructions, so each change ends with one atomic store (wbufs->mark32).
 * Its successor finds a wbuf that was about to
 * - become COLLECTING: still FREE, whatever else stands in it;
 * - get a page: with that page as before, as written, or (if the WRITE is unanswered) a mixture;
 * - become SENDING: still COLLECTING, or SENDING and perhaps sent already;
 * - become REFUSED: still SENDING;
 * - become FREE: still SENDING, perhaps under the version that the index has already, so that it is sent once more;
 *   or, if it was dropped, still COLLECTING.
 * The successor takes over all but the FREE ones (wbuf_adopt()), and at once sends those that were
 * SENDING or REFUSED.
 */
#ifndef GVMFS_WBUFS_H
#define GVMFS_WBUFS_H

#include "flush.h"
#include "spill.h"
#include "state/inode.h"
#include "state/journal.h"

#define WBUFS_BUCKETS 256u

/* How many wbufs one node's chunks take: an entry of a table, valid while `wbufs` is not 0. */
struct wbufs_node {
	const void *node;
	unsigned wbufs, sealed; /* sealed: SENDING or REFUSED */
};

enum wbuf_is { WBUF_IS_FREE, WBUF_IS_COLLECTING, WBUF_IS_SENDING, WBUF_IS_REFUSED };

struct wbuf {
	struct flush flush; /* first; the writer's while SENDING */
	struct inode *inode;
	struct wbufs_node *of; /* the chunk's node: the wbuf counts against its share */
	uint64_t order;	      /* of opening, among all wbufs */
	uint64_t opened_ns;
	uint64_t retry_at_ns; /* REFUSED: when it is sent again; 0: never */
	struct wbuf *next;    /* in its bucket, or on the free list */
};

struct wbufs {
	/* Given: the journal's wbufs, and how words in them are stored (journal_publish32() and 64(), or a
	 * simulator's). */
	struct journal_wbuf *disk;
	uint8_t *data;
	void (*mark32)(uint32_t *where, uint32_t value);
	void (*mark64)(uint64_t *where, uint64_t value);

	struct spill spill;
	struct wbuf wbuf[JOURNAL_WBUFS];
	struct wbuf *buckets[WBUFS_BUCKETS], *free_list;
	struct wbufs_node nodes[JOURNAL_WBUFS];
	unsigned nodes_count;  /* how many nodes have wbufs */
	unsigned free, sealed; /* how many; sealed: SENDING or REFUSED */
	uint64_t order;	       /* of the last one opened */
};

/* The given fields are filled in. Puts the FREE wbufs on the free list; the caller adopts the others, and begins `spill`
 * then. */
void wbufs_begin(struct wbufs *s);
/* Takes over a wbuf that a predecessor left. `node`: as for wbufs_open(). */
void wbuf_adopt(struct wbufs *s, struct wbuf *wbuf, struct inode *inode, const void *node, uint64_t now_ns);
/* The wbuf's chunk has moved to `node`: it counts against the share of that one. */
void wbuf_renode(struct wbufs *s, struct wbuf *wbuf, const void *node);

static inline struct journal_wbuf *wbuf_disk(const struct wbufs *s, const struct wbuf *wbuf)
{
	return &s->disk[wbuf - s->wbuf];
}

static inline uint8_t *wbuf_data(const struct wbufs *s, const struct wbuf *wbuf)
{
	return s->data + (size_t)(wbuf - s->wbuf) * GVM_CHUNK_BYTES;
}

/* How many hold something, or have it spilled. */
static inline unsigned wbufs_used(const struct wbufs *s)
{
	return JOURNAL_WBUFS - s->free + s->spill.count;
}

enum wbuf_is wbuf_is(const struct wbufs *s, const struct wbuf *wbuf);

/* A chunk's wbuf that is COLLECTING, or that is SENDING or REFUSED; NULL if it has none. */
struct wbuf *wbufs_collecting(const struct wbufs *s, const struct inode *inode, uint64_t chunk);
struct wbuf *wbufs_sealed(const struct wbufs *s, const struct inode *inode, uint64_t chunk);

/* The newest content of a page in any wbuf, or spilled; NULL if none has the page. */
const uint8_t *wbufs_page(const struct wbufs *s, const struct inode *inode, uint64_t chunk, unsigned page);
/* Which pages of a chunk are in wbufs, or spilled (bit p: page p). */
uint32_t wbufs_pages(const struct wbufs *s, const struct inode *inode, uint64_t chunk);
/* The inode's first chunk at or after `chunk` that has a wbuf, or may have spilled pages (spill_next_chunk()); ~0: none. */
uint64_t wbufs_next_chunk(const struct wbufs *s, const struct inode *inode, uint64_t chunk);
/* The lowest order number of an inode's wbufs and of what it has spilled; ~0: it has none. */
uint64_t wbufs_oldest(const struct wbufs *s, const struct inode *inode);

/* Whether an inode may have one more wbuf, for a chunk on `node`. The inode, and all chunks of one node
 * together, may take only so many that wbufs are left for others if that node is dead. */
bool wbufs_allow(const struct wbufs *s, const struct inode *inode, const void *node);
/* The same as far as the node's share is concerned. An inode whose own is used up has more than two wbufs for each that is
 * free, so such inodes are few. */
bool wbufs_node_allows(const struct wbufs *s, const void *node);
/* Whether the node's chunks take more wbufs than are free. */
bool wbufs_are_short(const struct wbufs *s, const void *node);
/* FREE -> COLLECTING, with no pages yet; NULL if no wbuf is free or allowed. The chunk must not have one
 * COLLECTING. */
struct wbuf *wbufs_open(struct wbufs *s, struct inode *inode, uint64_t chunk, const void *node, uint64_t now_ns);
/* Fills in a whole page, before wbuf_write() writes only a part of it, into a wbuf that is COLLECTING. */
void wbuf_complete(struct wbufs *s, struct wbuf *wbuf, unsigned page, const uint8_t *content);
/* Writes bytes from..to-1 of the chunk: data, or zeros if NULL. A page of which only a part is written must be
 * in the wbuf already, or just completed; afterwards the wbuf has all these pages. */
void wbuf_write(struct wbufs *s, struct wbuf *wbuf, uint32_t from, uint32_t to, const uint8_t *data);
/* Moves a chunk's spilled pages into its wbuf, which is COLLECTING and has none that are newer. */
void wbuf_unspill(struct wbufs *s, struct wbuf *wbuf, struct spill_place *place);
/* COLLECTING -> SENDING. The chunk must have no wbuf SENDING or REFUSED. */
void wbuf_seal(struct wbufs *s, struct wbuf *wbuf, uint64_t version);
/* SENDING -> REFUSED, to be sent again at `retry_at_ns` (CLOCK_MONOTONIC, not 0). */
void wbuf_refuse(struct wbufs *s, struct wbuf *wbuf, uint64_t retry_at_ns);
/* REFUSED -> SENDING, under the same version. */
void wbuf_resend(struct wbufs *s, struct wbuf *wbuf);
/* REFUSED -> SENDING, under a new version: the node may have the old one. */
void wbuf_resend_anew(struct wbufs *s, struct wbuf *wbuf);
/* Any state -> FREE. If it is SENDING, its writer must be done with it. */
void wbuf_free(struct wbufs *s, struct wbuf *wbuf);

#endif
