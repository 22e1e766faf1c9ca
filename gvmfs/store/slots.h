/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slots.h - the journal's write slots: pages of one chunk that the kernel has written, and that the chunk's
 * node has not acknowledged yet. What gets no slot may be spilled (spill.h): questions are answered with regard to it.
 *
 *	state		in the journal	what it is			what comes next
 *	FREE		SLOT_FREE	no chunk's			COLLECTING: slots_open()
 *	COLLECTING	SLOT_OPEN	takes the chunk's writes	SENDING: slot_seal(); FREE: slot_free()
 *	SENDING		SLOT_SEALED	a writer has it, under		FREE: slot_free();
 *					`version`			REFUSED: slot_refuse()
 *	REFUSED		SLOT_SEALED	the node could not take it	SENDING: slot_resend(); FREE: slot_free()
 *
 * A chunk has at most one slot that is COLLECTING, and one that is SENDING or REFUSED; the former
 * has the newer data. The data of a slot that is SENDING or REFUSED do not change, so a version
 * that is sent again has the same bytes. In a sealed region (memnode/SEAL.md) each encoding has
 * other bytes, so it gets a new version: slot_resend_anew().
 *
 * A worker may be killed between any two instructions, so each change ends with one atomic store (slots->mark32).
 * Its successor finds a slot that was about to
 * - become COLLECTING: still FREE, whatever else stands in it;
 * - get a page: with that page as before, as written, or (if the WRITE is unanswered) a mixture;
 * - become SENDING: still COLLECTING, or SENDING and perhaps sent already;
 * - become REFUSED: still SENDING;
 * - become FREE: still SENDING, perhaps under the version that the index has already, so that it is sent once more;
 *   or, if it was dropped, still COLLECTING.
 * The successor takes over all but the FREE ones (slot_adopt()), and at once sends those that were
 * SENDING or REFUSED.
 */
#ifndef GVMFS_SLOTS_H
#define GVMFS_SLOTS_H

#include "flush.h"
#include "spill.h"
#include "state/inode.h"
#include "state/journal.h"

#define SLOTS_BUCKETS 256u

/* How many slots one node's chunks take: an entry of a table, valid while `slots` is not 0. */
struct slots_node {
	const void *node;
	unsigned slots, sealed; /* sealed: SENDING or REFUSED */
};

enum slot_is { SLOT_IS_FREE, SLOT_IS_COLLECTING, SLOT_IS_SENDING, SLOT_IS_REFUSED };

struct slot {
	struct flush flush; /* first; the writer's while SENDING */
	struct inode *inode;
	struct slots_node *of; /* the chunk's node: the slot counts against its share */
	uint64_t order;	      /* of opening, among all slots */
	uint64_t opened_ns;
	uint64_t retry_at_ns; /* REFUSED: when it is sent again; 0: never */
	struct slot *next;    /* in its bucket, or on the free list */
};

struct slots {
	/* Given: the journal's slots, and how words in them are stored (journal_publish32() and 64(), or a
	 * simulator's). */
	struct journal_slot *disk;
	uint8_t *data;
	void (*mark32)(uint32_t *where, uint32_t value);
	void (*mark64)(uint64_t *where, uint64_t value);

	struct spill spill;
	struct slot slot[JOURNAL_SLOTS];
	struct slot *buckets[SLOTS_BUCKETS], *free_list;
	struct slots_node nodes[JOURNAL_SLOTS];
	unsigned nodes_count;  /* how many nodes have slots */
	unsigned free, sealed; /* how many; sealed: SENDING or REFUSED */
	uint64_t order;	       /* of the last one opened */
};

/* The given fields are filled in, those of `spill`, too. Puts the FREE slots on the free list; the caller adopts the
 * others. */
void slots_begin(struct slots *s);
/* Takes over a slot that a predecessor left. `node`: as for slots_open(). */
void slot_adopt(struct slots *s, struct slot *slot, struct inode *inode, const void *node, uint64_t now_ns);
/* The slot's chunk has moved to `node`: it counts against the share of that one. */
void slot_renode(struct slots *s, struct slot *slot, const void *node);

static inline struct journal_slot *slot_disk(const struct slots *s, const struct slot *slot)
{
	return &s->disk[slot - s->slot];
}

static inline uint8_t *slot_data(const struct slots *s, const struct slot *slot)
{
	return s->data + (size_t)(slot - s->slot) * GVM_CHUNK_BYTES;
}

/* How many hold something, or have it spilled. */
static inline unsigned slots_used(const struct slots *s)
{
	return JOURNAL_SLOTS - s->free + s->spill.count;
}

enum slot_is slot_is(const struct slots *s, const struct slot *slot);

/* A chunk's slot that is COLLECTING, or that is SENDING or REFUSED; NULL if it has none. */
struct slot *slots_collecting(const struct slots *s, const struct inode *inode, uint64_t chunk);
struct slot *slots_sealed(const struct slots *s, const struct inode *inode, uint64_t chunk);

/* The newest content of a page in any slot, or spilled; NULL if none has the page. */
const uint8_t *slots_page(const struct slots *s, const struct inode *inode, uint64_t chunk, unsigned page);
/* Which pages of a chunk are in slots, or spilled (bit p: page p). */
uint32_t slots_pages(const struct slots *s, const struct inode *inode, uint64_t chunk);
/* The inode's first chunk at or after `chunk` that has a slot, or may have spilled pages (spill_next_chunk()); ~0: none. */
uint64_t slots_next_chunk(const struct slots *s, const struct inode *inode, uint64_t chunk);
/* The lowest order number of an inode's slots and of what it has spilled; ~0: it has none. */
uint64_t slots_oldest(const struct slots *s, const struct inode *inode);

/* Whether an inode may have one more slot, for a chunk on `node`. The inode, and all chunks of one node
 * together, may take only so many that slots are left for others if that node is dead. */
bool slots_allow(const struct slots *s, const struct inode *inode, const void *node);
/* The same as far as the node's share is concerned. An inode whose own is used up has more than two slots for each that is
 * free, so such inodes are few. */
bool slots_node_allows(const struct slots *s, const void *node);
/* Whether the node's chunks take more slots than are free. */
bool slots_are_short(const struct slots *s, const void *node);
/* FREE -> COLLECTING, with no pages yet; NULL if no slot is free or allowed. The chunk must not have one
 * COLLECTING. */
struct slot *slots_open(struct slots *s, struct inode *inode, uint64_t chunk, const void *node, uint64_t now_ns);
/* Fills in a whole page, before slot_write() writes only a part of it, into a slot that is COLLECTING. */
void slot_complete(struct slots *s, struct slot *slot, unsigned page, const uint8_t *content);
/* Writes bytes from..to-1 of the chunk: data, or zeros if NULL. A page of which only a part is written must be
 * in the slot already, or just completed; afterwards the slot has all these pages. */
void slot_write(struct slots *s, struct slot *slot, uint32_t from, uint32_t to, const uint8_t *data);
/* Moves a chunk's spilled pages into its slot, which is COLLECTING and has none that are newer. */
void slot_unspill(struct slots *s, struct slot *slot, struct spill_place *place);
/* COLLECTING -> SENDING. The chunk must have no slot SENDING or REFUSED. */
void slot_seal(struct slots *s, struct slot *slot, uint64_t version);
/* SENDING -> REFUSED, to be sent again at `retry_at_ns` (CLOCK_MONOTONIC, not 0). */
void slot_refuse(struct slots *s, struct slot *slot, uint64_t retry_at_ns);
/* REFUSED -> SENDING, under the same version. */
void slot_resend(struct slots *s, struct slot *slot);
/* REFUSED -> SENDING, under a new version: the node may have the old one. */
void slot_resend_anew(struct slots *s, struct slot *slot);
/* Any state -> FREE. If it is SENDING, its writer must be done with it. */
void slot_free(struct slots *s, struct slot *slot);

#endif
