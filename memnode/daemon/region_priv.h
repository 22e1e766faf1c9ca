/* SPDX-License-Identifier: GPL-2.0-or-later */
/* region_priv.h - what regions.c (regions), chunk.c and entry.c (their chunks) share. */
#ifndef GVM_REGION_PRIV_H
#define GVM_REGION_PRIV_H

#include "lease.h"
#include "region.h"
#include "watch.h"

struct region_attach {
	LIST_ENTRY(region_attach) of_region, of_writer;
	struct region_writer *writer;
	struct region *region;
};

/* Where the newest record of a chunk is, on a node that keeps its chunks on a disk. */
struct chunk_place {
	uint32_t segment; /* and one: 0 is none */
	uint32_t bytes;
};

struct slot_view {
	uint64_t number; /* 0: none was recorded */
	struct gvm_id member[GVM_REPLICAS_MAX];
};

struct slot_views {
	struct slot_view active, proposed; /* proposed: none, or above the active one */
};

struct region {
	TAILQ_ENTRY(region) dying_link;
	uint64_t reaped; /* of a deleted region: chunks before this one are given back */
	struct gvm_id id;
	uint64_t chunks, reserve, view;
	uint64_t entries_chunks; /* the most chunks that it ever had: so many entries are kept */
	struct chunk_entry *entries;
	uint64_t *written; /* bit g: some of the entries of group g may have a version */
	uint64_t epoch, client;		 /* of the writer that attached last */
	/* Of the CREATE or RESIZE that was looked at last: of that epoch, nothing with a lower order counts. */
	uint64_t order_epoch, order;
	struct region_attaches attaches; /* that writer's connections */
	struct lease lease;
	const struct lease_clock *clock;
	struct watches watches;
	struct slot_views *views; /* GVM_SLOTS_MAX; NULL: none was recorded, nor is room kept for them */
	uint64_t views_cells;	 /* charged for them */
	uint8_t *note; /* NULL: none */
	uint32_t note_bytes;
	uint64_t note_epoch; /* of its writer */
	uint64_t note_cells; /* charged for it */
	struct region_totals totals;
	bool sealed; /* the form of its chunks; of a region without any, of its last ones */
	/* on a node that keeps its chunks on a disk */
	struct chunk_place *places; /* of each entry; NULL: the node keeps none */
	uint64_t birth;	   /* its number there */
	uint64_t kept;	   /* checksum of what was written of the region last */
	uint64_t cut;	   /* record number of a cut whose zero records are due; 0: none */
	bool remains;	   /* what a lost disk or host has left of it: see PROTOCOL.md */
};

/* The region, whether it is what a loss has left or not. */
struct region *region_find_any(const struct regions *t, const struct gvm_id *id);
struct region *regions_find(const struct regions *t, const struct gvm_id *id);
/* The region, if a request with `epoch` may change it: LOST or FENCED otherwise. */
uint16_t region_of_writer(const struct regions *t, const struct gvm_id *id, uint64_t epoch,
			  struct region **region, uint64_t *detail);

/* Whether a request of the writer with this epoch came later than one that it sent after that one, going by their order. */
bool region_is_late(const struct region *r, uint64_t epoch, uint64_t order, uint64_t *detail);

/* Puts what is the same content, smaller, in the place of a chunk's body: of the same version, and no raw block is to be
 * looked at any more. The body is not pinned, and `head` is plain. */
void chunk_repack(struct regions *t, struct region *r, uint64_t chunk, const struct chunk_head *head,
		  const uint8_t *body);

/* Takes cells for tables of a region, beside its entries: false if they are promised, or taken. */
bool regions_charge(struct regions *t, uint64_t cells);
void regions_uncharge(struct regions *t, uint64_t cells);

#define ENTRY_GROUP 512u /* entries that have one bit: of a large region most are never written */

/* Due before an entry gets a version. */
static inline void region_note_write(struct region *r, uint64_t chunk)
{
	uint64_t group = chunk / ENTRY_GROUP;

	r->written[group / 64] |= 1ull << group % 64;
}

static inline bool entry_has_body(const struct chunk_entry *entry)
{
	return entry->version && !(entry->version & GVM_VERSION_ZERO);
}

/* A new region of this size, which is not there yet. NULL: no memory. */
struct region *regions_add(struct regions *t, const struct gvm_id *id, uint64_t chunks);
/* Changes what is promised to it. */
void regions_reserve(struct regions *t, struct region *r, uint64_t reserve_chunks);
void regions_erase(struct regions *t, const struct gvm_id *id);
/* The newest record of a chunk is this one now; segment 0: there is none. */
void chunk_place_set(struct regions *t, struct region *r, uint64_t chunk, uint32_t segment, uint32_t bytes);
/* The first chunk at or after `chunk` of a group that was written; entries_chunks: none. */
uint64_t region_next_written(const struct region *r, uint64_t chunk);

/* Makes the table of a region's views, if there is none, and charges it. False: no room. */
bool region_views_make(struct regions *t, struct region *r);

/* Whether the active view of the chunk's slot, of a record with GVM_SLOTS_MAX slots, names other nodes only. */
bool region_slot_is_gone(const struct regions *t, const struct region *r, uint64_t chunk);

/* slot_view.c: the image of a slot's views on a disk: slot (4 bytes), number (8) and members of the active view, the same of
 * the proposed one. */
#define VIEWS_IMAGE_BYTES (4u + 2 * (8 + 16 * GVM_REPLICAS_MAX))
#define VIEWS_IMAGE_BYTES_OLD (VIEWS_IMAGE_BYTES - 2 * 16) /* as it was before views had four members (keep_format.h) */
/* That of the next slot from *slot on that has a view; false: there is none. */
bool region_views_next(const struct region *r, unsigned *slot, uint8_t *image);
/* Puts one back in place of what is there; `old`: it has VIEWS_IMAGE_BYTES_OLD. False: no room. */
bool region_views_restore(struct regions *t, struct region *r, const uint8_t *image, bool old);

/* entry.c */
/* The checksum of `packed`, the head of the chunk, for entry->check. */
uint32_t entry_check(const struct region *r, const struct chunk_entry *entry,
		      const uint8_t *packed);
/* Counts the body in `sum`, or with sign -1 takes it out. */
void entry_count(struct region_totals *sum, const struct chunk_entry *entry, int sign);
/* The packed head, in place or (where it takes more than a cell) in `copy`. */
const uint8_t *entry_packed(const struct regions *t, const struct chunk_entry *entry,
			    uint8_t copy[CHUNK_HEAD_MAX]);
/* The head of a chunk that has a body; CORRUPT if it is not what was stored. */
uint16_t entry_head(const struct regions *t, const struct region *r,
		     const struct chunk_entry *entry, struct chunk_head *head);
/* Its body_check; 0 of a plain one. */
uint64_t entry_body_check(const struct chunk_head *head, const uint8_t *body);
/* Whether head and body of a chunk that has a body are what was stored. Uses t->scratch. */
bool entry_is_sound(struct regions *t, const struct region *r, const struct chunk_entry *entry);
/* Whether pack.c is to look at it. */
void entry_set_raw(struct regions *t, struct region *r, struct chunk_entry *entry, bool raw);
/* Gives the body back; the entry then says: all zero, in the same version. */
void entry_drop_body(struct regions *t, struct region *r, struct chunk_entry *entry);

#endif
