/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slots.h - the journal's write slots: pages of one chunk that the kernel wrote, and that the chunk's node has
 * not acknowledged yet.
 *
 *	state		in the journal	what it is			what comes next
 *	FREE		SLOT_FREE	nobody's			COLLECTING: slots_open()
 *	COLLECTING	SLOT_OPEN	takes the chunk's writes	SENDING: slot_seal(); FREE: slot_free()
 *	SENDING		SLOT_SEALED	a writer has it, under		FREE: slot_free();
 *					`version`			REFUSED: slot_refuse()
 *	REFUSED		SLOT_SEALED	the node could not take it	SENDING: slot_resend(); FREE: slot_free()
 *
 * A chunk has one slot COLLECTING and one SENDING or REFUSED, at the most; the first has what is newer. The data
 * of a slot that is SENDING or REFUSED do not change: what is sent again under its version is what was sent before.
 *
 * A worker may be killed between any two instructions, so each change ends with one store (slots->mark32), and
 * its successor finds, of a slot that was about to become
 * - COLLECTING: one that is FREE, whatever else stands in it;
 * - full of a page: that page as it was, or as it is now, or (its WRITE is not answered) a mixture;
 * - SENDING: one that is COLLECTING, or one that a writer may have sent already;
 * - REFUSED: one that is SENDING;
 * - FREE: one that is SENDING, whose version is the index's perhaps: it is sent once more;
 *   or (dropped) one that is COLLECTING.
 * It takes over all but the FREE ones (slots_adopt()); what was SENDING or REFUSED is sent at once.
 */
#ifndef GVMFS_SLOTS_H
#define GVMFS_SLOTS_H

#include "flush.h"
#include "state/inode.h"
#include "state/journal.h"

#define SLOTS_BUCKETS 256u

/* What one node has of the slots: a place in a table, good while it has any. */
struct slots_node {
	const void *node;
	unsigned slots, sealed; /* sealed: SENDING or REFUSED */
};

enum slot_is { SLOT_IS_FREE, SLOT_IS_COLLECTING, SLOT_IS_SENDING, SLOT_IS_REFUSED };

struct slot {
	struct flush flush; /* first: a writer has it while SENDING */
	struct inode *inode;
	struct slots_node *of; /* the node that the chunk is on: whose share of the slots it takes */
	uint64_t order;	      /* of opening, over all slots */
	uint64_t opened_ns;
	uint64_t retry_at_ns; /* REFUSED: to be sent again then; 0: it is not */
	struct slot *next;    /* in its bucket, or on the free list */
};

struct slots {
	/* Given: the journal's, and how a word of it changes (journal_publish32(), or a simulator's). */
	struct journal_slot *disk;
	uint8_t *data;
	void (*mark32)(uint32_t *where, uint32_t value);

	struct slot slot[JOURNAL_SLOTS];
	struct slot *buckets[SLOTS_BUCKETS], *free_list;
	struct slots_node nodes[JOURNAL_SLOTS];
	unsigned nodes_count;  /* that have any */
	unsigned free, sealed; /* how many; sealed: SENDING or REFUSED */
	uint64_t order;	       /* of the last one opened */
};

/* What is given is filled in: the FREE slots are known, the others are to be adopted. */
void slots_begin(struct slots *s);
/* Takes over what a predecessor left. */
void slot_adopt(struct slots *s, struct slot *slot, struct inode *inode, const void *node, uint64_t now_ns);

static inline struct journal_slot *slot_disk(const struct slots *s, const struct slot *slot)
{
	return &s->disk[slot - s->slot];
}

static inline uint8_t *slot_data(const struct slots *s, const struct slot *slot)
{
	return s->data + (size_t)(slot - s->slot) * GVM_CHUNK_BYTES;
}

enum slot_is slot_is(const struct slots *s, const struct slot *slot);

/* A chunk's slot that is COLLECTING; one that is SENDING or REFUSED; NULL: it has none. */
struct slot *slots_collecting(const struct slots *s, const struct inode *inode, uint64_t chunk);
struct slot *slots_sealed(const struct slots *s, const struct inode *inode, uint64_t chunk);

/* Where a page's newest content is; NULL: in no slot. */
const uint8_t *slots_page(const struct slots *s, const struct inode *inode, uint64_t chunk, unsigned page);
/* Which pages of a chunk are in slots (bit p: page p). */
uint32_t slots_pages(const struct slots *s, const struct inode *inode, uint64_t chunk);
/* The first chunk at or after `chunk` of the inode that has a slot; ~0: none. */
uint64_t slots_next_chunk(const struct slots *s, const struct inode *inode, uint64_t chunk);
/* The least order number of an inode's slots; ~0: it has none. */
uint64_t slots_oldest(const struct slots *s, const struct inode *inode);

/* Whether an inode may have a slot more, for a chunk on `node`. It may have so many, and so may all that goes to
 * one node, that others find some left were that node dead. */
bool slots_allow(const struct slots *s, const struct inode *inode, const void *node);
/* Whether what goes to the node has more of them than are left. */
bool slots_are_short(const struct slots *s, const void *node);
/* FREE -> COLLECTING, without a page; NULL: none is free, or allowed. The chunk has none that is COLLECTING. */
struct slot *slots_open(struct slots *s, struct inode *inode, uint64_t chunk, const void *node, uint64_t now_ns);
/* Puts the whole of a page, of which not all will be written, into a slot that is COLLECTING, as slot_write()
 * says. */
void slot_complete(struct slots *s, struct slot *slot, unsigned page, const uint8_t *content);
/* Writes bytes from..to-1 of the chunk: data, or (NULL) zeros. Pages of which only a part is written are in the
 * slot, or were completed just before; all of them are the slot's from then on. */
void slot_write(struct slots *s, struct slot *slot, uint32_t from, uint32_t to, const uint8_t *data);
/* COLLECTING -> SENDING; the chunk has none that is. */
void slot_seal(struct slots *s, struct slot *slot, uint64_t version);
/* SENDING -> REFUSED, to be sent again at a time; REFUSED -> SENDING. */
void slot_refuse(struct slots *s, struct slot *slot, uint64_t retry_at_ns);
void slot_resend(struct slots *s, struct slot *slot);
/* Any but FREE -> FREE. One that is SENDING: no writer has it any more. */
void slot_free(struct slots *s, struct slot *slot);

#endif
