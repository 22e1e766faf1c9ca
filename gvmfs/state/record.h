/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.h - the name table's record of one file or folder (RECORDS.md has the bytes).
 *
 * The nodes hold every record under its 128-bit id and keep the newest version; they do not parse
 * it. A record names its parent by id, so that a rename changes one record. Pure code.
 */
#ifndef GVMFS_RECORD_H
#define GVMFS_RECORD_H

#include "addr.h"
#include "gvm_wire.h"

#define RECORD_NAME_MAX	 255
#define RECORD_NODES_MAX 128
#define RECORD_SLOTS	 512 /* slots of a new region; a record may have any power of two up to it */
#define RECORD_REPLICAS	 3   /* of a slot, at most */
#define RECORD_PLACES	 (RECORD_REPLICAS + 1) /* of a slot: one more than it has replicas, while one moves */
#define RECORD_NONE	 0xffffu /* in a slot: this place is empty */
#define RECORD_ADDR_MAX	 (ADDR_TEXT_MAX + 1)
#define RECORD_BYTES_MAX 24576
#define RECORD_SIZE_MAX	 ((1ull << 27) * GVM_CHUNK_BYTES) /* bytes of a region: as many as the journal can index */

enum record_kind {
	RECORD_GONE = 0, /* removed: the nodes have a tombstone in place of a record */
	RECORD_FOLDER = 1,
	RECORD_REGION = 2,
};

struct record_node {
	struct gvm_id incarnation; /* identifies the node */
	char addr[RECORD_ADDR_MAX]; /* its last known address: a hint */
};

/* A slot's replicas: entries of nodes[], all different; RECORD_NONE in a place that is empty. */
struct record_slot {
	uint16_t node[RECORD_PLACES];
};

/* The mount that owns a temporary region: see owner.h. All zero: none. */
struct record_owner {
	struct gvm_id host, boot; /* the machine, and which boot of it */
	uint64_t pid_space;	  /* the pid namespace in which `pid` counts */
	uint32_t pid;
};

struct record {
	struct gvm_id id;
	uint64_t table;	  /* id of the name table in which it was made: see RECORDS.md */
	uint64_t born;	  /* its first version; 0: it was never saved */
	uint64_t version; /* of the record; raised by each change */
	uint8_t kind; /* enum record_kind */
	uint8_t orphan; /* unlinked while open: to be deleted when its writer is gone */
	uint64_t seal;	/* seal_key_id() of the key that its content is sealed with; a mark or 0: not sealed (SEAL.md) */
	uint8_t temporary; /* made for one run of a guest: removed when no longer open */
	uint8_t settled; /* of a region: its guest goes on without it, and what the nodes have is of no use (fuse/front_give.c) */
	struct record_owner owner;
	uint16_t node_count; /* 0: a region without a size yet */
	uint16_t slot_count;
	uint32_t mode; /* permission bits */
	uint32_t uid, gid;
	uint64_t mtime_ns, ctime_ns;
	uint64_t size_bytes;
	uint64_t view; /* version of slots[]; +1 when chunks move */
	struct gvm_id parent;
	char name[RECORD_NAME_MAX + 1];
	struct record_node nodes[RECORD_NODES_MAX];
	uint16_t replicas; /* of each slot: 1 to RECORD_REPLICAS; 0 exactly when there are no nodes */
	uint16_t spare;	   /* 1: each slot has a place more than `replicas`, which a replica takes that is to move there
			    * before the other leaves (node/drain.h). Otherwise one of the places is empty */
	struct record_slot slots[RECORD_SLOTS];
};

/* Packs all but id, table, born and version, which the wire carries beside it; buf: RECORD_BYTES_MAX. Returns the
 * length in bytes. */
size_t record_pack(const struct record *r, uint8_t *buf);
/* Unpacks a record of exactly len bytes, from an untrusted source; leaves id, table, born and version as they are. 0 or
 * -EBADMSG. */
int record_unpack(struct record *r, const uint8_t *buf, size_t len);

static inline unsigned record_slot_of(const struct record *r, uint64_t chunk)
{
	return chunk & (r->slot_count - 1u);
}

/* The places of each slot that a replica may have: 0 to this. */
static inline unsigned record_places(const struct record *r)
{
	return r->replicas + r->spare;
}

/* Those that are not empty, as bits. */
static inline uint8_t record_filled(const struct record *r, unsigned slot)
{
	uint8_t filled = 0;

	for (unsigned n = 0; n < record_places(r); n++)
		filled |= (uint8_t)((r->slots[slot].node[n] != RECORD_NONE) << n);
	return filled;
}

/* Of these, the ones whose replicas were there from the beginning, if the slot never had a view (node/views.h). */
uint8_t record_first(const struct record *r, unsigned slot);

/* The entry of nodes[] that has the first replica of a chunk. */
static inline unsigned record_node_of(const struct record *r, uint64_t chunk)
{
	unsigned slot = record_slot_of(r, chunk);

	return r->slots[slot].node[__builtin_ctz(record_filled(r, slot))];
}

/* Gives each slot an empty place, if it has none. */
void record_spare(struct record *r);

/* Whether any slot has more replicas than it should: one is moving. */
bool record_is_moving(const struct record *r);

/* The number of the replica that entry `node` has of a slot; -1: none. */
int record_replica_of(const struct record *r, unsigned slot, unsigned node);

/* The entry of nodes[] with this incarnation; -1: none. */
int record_node_find(const struct record *r, const struct gvm_id *node);

/* Whether entry `node` has a replica of any slot. An entry without one stays until the node has dropped its data. */
bool record_node_is_used(const struct record *r, unsigned node);

/* Whether any node has none: one pass, where all nodes of many regions are asked about. */
bool record_has_unused(const struct record *r);

/* How many of the chunks 0..chunks-1 entry `node` has a replica of. */
uint64_t record_node_chunks(const struct record *r, unsigned node, uint64_t chunks);

/*
 * Fills slots[] with r->replicas nodes each. Each node gets a share in proportion to its `room`, spread evenly (smooth
 * weighted round-robin), so that neighbouring chunks are on different nodes. `rack` (may be NULL): nodes with the same
 * number share a rack, and no two replicas of a slot are in one; a node with number 0 is in a rack of its own. Nodes
 * without room get nothing. 0, or -ENOSPC: too few nodes or racks.
 */
int record_place(struct record *r, const uint64_t *room, const unsigned *rack);

static inline uint64_t record_chunks(uint64_t size_bytes)
{
	return (size_bytes + GVM_CHUNK_BYTES - 1) / GVM_CHUNK_BYTES;
}

#endif
