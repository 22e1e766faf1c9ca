/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.h - what the name table keeps of one file or folder (RECORDS.md has the bytes).
 *
 * The nodes hold every record under its 128-bit id and keep the newest version; they do not look
 * inside. A record names its parent by id, so that a rename changes one record. Pure code.
 */
#ifndef GVMFS_RECORD_H
#define GVMFS_RECORD_H

#include "addr.h"
#include "gvm_wire.h"

#define RECORD_NAME_MAX	 255
#define RECORD_NODES_MAX 128
#define RECORD_SLOTS	 512 /* slots of a region made by this version; any power of two up to it is read */
#define RECORD_REPLICAS	 3   /* of a slot, at most */
#define RECORD_ADDR_MAX	 (ADDR_TEXT_MAX + 1)
#define RECORD_BYTES_MAX 24576
#define RECORD_SIZE_MAX	 ((1ull << 27) * GVM_CHUNK_BYTES) /* of a region, in bytes: what the journal has index for */

enum record_kind {
	RECORD_GONE = 0, /* removed: saved as a tombstone, which is no record */
	RECORD_FOLDER = 1,
	RECORD_REGION = 2,
};

struct record_node {
	struct gvm_id incarnation; /* which node: decides */
	char addr[RECORD_ADDR_MAX]; /* where it was last: a hint */
};

/* The nodes that have a slot's chunks: entries of nodes[], all different. */
struct record_slot {
	uint16_t node[RECORD_REPLICAS];
};

/* Of a temporary region: see owner.h. All zeros where there is none. */
struct record_owner {
	struct gvm_id host, boot; /* the machine, and its start */
	uint64_t pid_space;	  /* the process's namespace of numbers */
	uint32_t pid;
};

struct record {
	struct gvm_id id;
	uint64_t table;	  /* in which it was made: see RECORDS.md */
	uint64_t born;	  /* the version in which it was made; 0: it was never saved */
	uint64_t version; /* of the record; greater at each change */
	uint8_t kind;
	uint8_t orphan; /* unlinked while open: to be deleted when its writer is gone */
	uint64_t seal;	/* of the key with which its content is sealed: seal_key_id(); 0: it is not sealed */
	uint8_t temporary; /* made for one run of a guest: goes when nobody has it open */
	struct record_owner owner;
	uint16_t node_count; /* 0: a region without a size yet */
	uint16_t slot_count;
	uint32_t mode; /* permission bits */
	uint32_t uid, gid;
	uint64_t mtime_ns, ctime_ns;
	uint64_t size_bytes;
	uint64_t view; /* of the slot table; +1 when chunks move */
	struct gvm_id parent;
	char name[RECORD_NAME_MAX + 1];
	struct record_node nodes[RECORD_NODES_MAX];
	uint16_t replicas; /* of each slot: 1 to RECORD_REPLICAS; 0 exactly when there are no nodes */
	struct record_slot slots[RECORD_SLOTS];
};

/* Packs all but id, table, born and version (they stand beside it on the wire); buf: RECORD_BYTES_MAX. */
size_t record_pack(const struct record *r, uint8_t *buf);
/* Reads a record of exactly len bytes; id, table, born and version are left alone. 0 or -EBADMSG. */
int record_unpack(struct record *r, const uint8_t *buf, size_t len);

static inline unsigned record_slot_of(const struct record *r, uint64_t chunk)
{
	return chunk & (r->slot_count - 1u);
}

/* Which entry of nodes[] has replica `n` of a chunk. */
static inline unsigned record_node_of(const struct record *r, uint64_t chunk, unsigned n)
{
	return r->slots[record_slot_of(r, chunk)].node[n];
}

/* Which replica of a slot entry `node` has; -1: none. */
int record_replica_of(const struct record *r, unsigned slot, unsigned node);

/* Which entry of nodes[] is a node; -1: none. */
int record_node_find(const struct record *r, const struct gvm_id *node);

/* Whether entry `node` has any slot: one that has none is only to be rid of what it has. */
bool record_node_is_used(const struct record *r, unsigned node);

/* How many of the chunks 0..chunks-1 entry `node` holds. */
uint64_t record_node_chunks(const struct record *r, unsigned node, uint64_t chunks);

/*
 * Fills slots[] with r->replicas nodes each, so that each node gets its share by its `room`, spread evenly (smooth
 * weighted round-robin): neighbouring chunks lie on different nodes. `rack`, if there is one: nodes with the same
 * number share a rack, and no two replicas of a slot lie in one; a node with number 0 is in a rack of its own. No node
 * without room is chosen. -ENOSPC: there are too few nodes, or racks.
 */
int record_place(struct record *r, const uint64_t *room, const unsigned *rack);

static inline uint64_t record_chunks(uint64_t size_bytes)
{
	return (size_bytes + GVM_CHUNK_BYTES - 1) / GVM_CHUNK_BYTES;
}

#endif
