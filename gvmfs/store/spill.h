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
 * Places are kept by inode and slot of its record, slots by inode and node (shares), shares by node, so that nothing has to
 * be looked for among those of other regions, or of nodes whose chunks get no wbuf; and a slot that moves to another node
 * takes all of its places along at once (spill_follow()).
 *
 * A worker may be killed between any two instructions, so each change ends with one atomic store (mark32). Its successor
 * finds a chunk's place by the journal's buckets, before it knows of any other. It adopts a place when something is to be
 * done with it, and all others in steps, between faults (spill_scan()). Until then how many an inode has is known from the
 * journal, though there may be one less; their nodes and pages are not, so they count as any node's, and as full. It finds a
 * place
 * - FREE, with pages: they are of no use, and may still take memory;
 * - FREE, in a bucket: it was about to be TAKEN, or had been; it is taken out;
 * - TAKEN, and a wbuf that is COLLECTING for the same chunk: the pages were about to move there. They move again.
 */
#ifndef GVMFS_SPILL_H
#define GVMFS_SPILL_H

#include "state/inode.h"
#include "state/journal.h"

#ifndef SPILL_BUCKETS
#define SPILL_BUCKETS JOURNAL_SPILL
#endif
/* Chunks with the same remainder are in one slot of the record: its slots are a power of two, and no more. */
#ifndef SPILL_SLOTS
#define SPILL_SLOTS RECORD_SLOTS
#endif

struct spill_place {
	struct spill_slot *slot; /* NULL: it is FREE, or not adopted yet */
	uint64_t order; /* as a wbuf's */
	bool seen; /* it was adopted before spill_scan() came to it */
	TAILQ_ENTRY(spill_place) in; /* its slot; or, FREE, one of the lists */
	TAILQ_ENTRY(spill_place) age; /* inode->spilled_places */
};

/* What an inode has spilled of one slot's chunks. */
struct spill_slot {
	struct spill_share *of; /* NULL: nothing; the rest is not valid */
	struct spill_places places; /* oldest first, but for those that were adopted */
	unsigned count, pages;
	TAILQ_ENTRY(spill_slot) in; /* of->slots */
};

/* What an inode has spilled of one node's chunks. */
struct spill_share {
	struct inode *inode;
	struct spill_node *node;
	TAILQ_HEAD(, spill_slot) slots; /* never empty; they take turns */
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
	/* Given: the journal's places, how many each inode has, and the buckets; how words in them are stored, how the memory
	 * of a place is freed, and how many pages there may be. */
	struct journal_spill *disk;
	uint32_t *counts, *buckets;
	uint8_t *data;
	void (*mark32)(uint32_t *where, uint32_t value);
	void (*release)(uint8_t *chunk);
	uint64_t pages_max;

	struct spill_place place[JOURNAL_SPILL];
	struct spill_places free, freed; /* freed: whose memory is to be released */
	unsigned end; /* places from here on were never used, or were not scanned yet */
	bool scanning; /* there may be such that a predecessor used */
	unsigned count; /* with those left */
	unsigned left; /* not adopted yet, or one less; of all inodes */
	uint64_t left_order; /* what those have for their order number: lower than that of any place that was taken since */
	uint64_t pages; /* of those adopted or taken */
	TAILQ_HEAD(, spill_node) nodes;
};

/* The given fields are filled in. The caller says which inodes have places that a predecessor left (spill_is_left()), and
 * goes on with spill_scan(). */
void spill_begin(struct spill *p, uint64_t left_order);
/* The inode has places from a predecessor: as many as the journal says. */
void spill_is_left(struct spill *p, struct inode *inode);
/* Takes over a place that a predecessor left. False: no memory. */
bool spill_adopt(struct spill *p, struct spill_place *place, struct inode *inode, const void *node);
/* Looks at the next places that a predecessor may have left, and takes over those that are FREE. The next one that the caller
 * is to adopt; NULL: there is none, if p->scanning is false, or none among so many. */
struct spill_place *spill_scan(struct spill *p, unsigned looks);
/* All was scanned: of the inode, no place is left, whatever the journal says. True: it said that there was one. */
bool spill_was_left(struct spill *p, struct inode *inode);

static inline struct journal_spill *spill_disk(const struct spill *p, const struct spill_place *place)
{
	return &p->disk[place - p->place];
}

static inline uint8_t *spill_data(const struct spill *p, const struct spill_place *place)
{
	return p->data + (size_t)(place - p->place) * GVM_CHUNK_BYTES;
}

/* NULL: nothing of the chunk is spilled. It may not be adopted yet. */
struct spill_place *spill_find(const struct spill *p, const struct inode *inode, uint64_t chunk);
/* The inode's first chunk at or after `chunk` of which something is spilled; ~0: none. Where the inode has very many places,
 * or some that were not adopted yet, and the next chunks none, one further on is named, whatever is spilled of it. */
uint64_t spill_next_chunk(const struct spill *p, const struct inode *inode, uint64_t chunk);
/* The lowest order number of an inode's places; ~0: it has none. */
uint64_t spill_oldest(const struct spill *p, const struct inode *inode);

/* The chunk's place, if these pages may be written to it: its present one, which is adopted, or a FREE one, with no pages
 * yet, which gets that order number. NULL: there is no room, or no memory. */
struct spill_place *spill_open(struct spill *p, struct inode *inode, uint64_t chunk, const void *node, uint32_t pages,
				 uint64_t order);
/* As wbuf_complete() and wbuf_write(). */
void spill_complete(struct spill *p, struct spill_place *place, unsigned page, const uint8_t *content);
void spill_write(struct spill *p, struct spill_place *place, uint32_t from, uint32_t to, const uint8_t *data);
/* The slot's chunks are on this node. If they were on another one, its share and spill_node may be freed. False: no memory,
 * and nothing changes. */
bool spill_follow(struct spill *p, struct spill_slot *slot, const void *node);
/* TAKEN -> FREE. May free its share and its spill_node. */
void spill_free(struct spill *p, struct spill_place *place);
/* Releases the memory of some that are FREE. False: of all. */
bool spill_tidy(struct spill *p);

#endif
