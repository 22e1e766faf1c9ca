/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spill.h - pages that the kernel has written to chunks that get no wbuf (wbufs.h), in the journal.
 *
 * Each WRITE that waits for a wbuf is one of the requests that the kernel lets all regions of the mount have
 * unanswered, and write-back of a region on a dead node is any number of them. So beyond a number (store.h) such a WRITE's
 * pages are spilled here, and it is answered. A chunk's spilled pages are newer than those in a wbuf that is being sent; once
 * the chunk may have a wbuf that is COLLECTING they move there, so it never has both. Nothing is sent from here.
 *
 * A place has room for a chunk, but takes memory only for pages that were written. What all may take is bounded, and the
 * chunks of one node may take as much of it as they leave to others.
 *
 * Places are kept by inode and node (shares), shares by node, so that nothing has to be looked for among those of other
 * regions, or of nodes whose chunks get no wbuf. A chunk may move to another node: its place stays where it was until
 * that is noticed (spill_move()).
 *
 * A worker may be killed between any two instructions, so each change ends with one atomic store (mark32). Its successor
 * finds a place
 * - FREE, with pages: they are of no use, and may still take memory;
 * - TAKEN, and a wbuf that is COLLECTING for the same chunk: the pages were about to move there. They move again.
 */
#ifndef GVMFS_SPILL_H
#define GVMFS_SPILL_H

#include "state/inode.h"
#include "state/journal.h"

#ifndef SPILL_BUCKETS
#define SPILL_BUCKETS JOURNAL_SPILL
#endif

struct spill_place {
	struct spill_share *of; /* NULL: it is FREE */
	uint64_t order; /* as a wbuf's */
	LIST_ENTRY(spill_place) bucket;
	TAILQ_ENTRY(spill_place) in; /* its share; or, FREE, one of the lists */
	TAILQ_ENTRY(spill_place) age; /* inode->spilled_places */
};

/* What an inode has spilled of one node's chunks. */
struct spill_share {
	struct inode *inode;
	struct spill_node *node;
	struct spill_places places; /* never empty; oldest first, but for those that came by spill_move() */
	TAILQ_ENTRY(spill_share) in; /* node->shares */
	LIST_ENTRY(spill_share) of_inode;
};

/* What all inodes have spilled of one node's chunks. */
struct spill_node {
	const void *node; /* a pointer to compare with others */
	unsigned count, shares_count;
	uint64_t pages;
	TAILQ_HEAD(, spill_share) shares; /* never empty; they take turns */
	TAILQ_ENTRY(spill_node) in;
};

struct spill {
	/* Given: the journal's places, how words in them are stored, how the memory of one is freed, and how many pages there
	 * may be. */
	struct journal_spill *disk;
	uint8_t *data;
	void (*mark32)(uint32_t *where, uint32_t value);
	void (*release)(uint8_t *chunk);
	uint64_t pages_max;

	struct spill_place place[JOURNAL_SPILL];
	LIST_HEAD(, spill_place) buckets[SPILL_BUCKETS];
	struct spill_places free, freed; /* freed: whose memory is to be released */
	unsigned end; /* places from here on were never used */
	unsigned count;
	uint64_t pages;
	TAILQ_HEAD(, spill_node) nodes;
	unsigned look; /* the place at which a look for such as have moved goes on */
};

/* The given fields are filled in. The caller adopts places that are TAKEN. */
void spill_begin(struct spill *p);
/* Takes over a place that a predecessor left. False: no memory. */
bool spill_adopt(struct spill *p, struct spill_place *place, struct inode *inode, const void *node, uint64_t order);

static inline struct journal_spill *spill_disk(const struct spill *p, const struct spill_place *place)
{
	return &p->disk[place - p->place];
}

static inline uint8_t *spill_data(const struct spill *p, const struct spill_place *place)
{
	return p->data + (size_t)(place - p->place) * GVM_CHUNK_BYTES;
}

/* NULL: nothing of the chunk is spilled. */
struct spill_place *spill_find(const struct spill *p, const struct inode *inode, uint64_t chunk);
/* The inode's first chunk at or after `chunk` of which something is spilled; ~0: none. Where the inode has very many places
 * and the next chunks none, one further on is named, whatever is spilled of it. */
uint64_t spill_next_chunk(const struct spill *p, const struct inode *inode, uint64_t chunk);
/* The lowest order number of an inode's places; ~0: it has none. */
uint64_t spill_oldest(const struct inode *inode);

/* The chunk's place, if these pages may be written to it: its present one, or a FREE one, with no pages yet, which gets that
 * order number. NULL: there is no room, or no memory. */
struct spill_place *spill_open(struct spill *p, struct inode *inode, uint64_t chunk, const void *node, uint32_t pages,
				 uint64_t order);
/* As wbuf_complete() and wbuf_write(). */
void spill_complete(struct spill *p, struct spill_place *place, unsigned page, const uint8_t *content);
void spill_write(struct spill *p, struct spill_place *place, uint32_t from, uint32_t to, const uint8_t *data);
/* The place's chunk is on this node now. May free its share and its spill_node. False: no memory, and nothing changes. */
bool spill_move(struct spill *p, struct spill_place *place, const void *node);
/* TAKEN -> FREE. May free its share and its spill_node. */
void spill_free(struct spill *p, struct spill_place *place);
/* Releases the memory of some that are FREE. False: of all. */
bool spill_tidy(struct spill *p);

#endif
