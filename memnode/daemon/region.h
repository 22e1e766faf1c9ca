/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region.h - the regions of a node: writer, chunks, and the space promised to each.
 *
 * A region's entries are a flat array, one for each chunk, mapped when first touched. All rules of
 * epochs, versions and promises live here, as functions from (state, request) to (state, status),
 * without a socket in sight. Statuses are those of gvm_wire.h; `detail` is what goes with them.
 *
 * Space: `limit` cells may be taken by entries and chunk bodies together; a region is charged for
 * its entries (and the views of its slots, if it is to have some) when it is made, and promised
 * `reserve_chunks` bodies of the largest size. The sum of the promises stays within limit *
 * overcommit, and a region never holds more bodies than it was promised: so with an overcommit of 1
 * no PUT within the promise can fail for want of space.
 */
#ifndef GVM_REGION_H
#define GVM_REGION_H

#include "../codec.h"
#include "../gvm_wire.h"
#include "graves.h"
#include "lease.h"
#include "store.h"

#include <sys/queue.h>

/* The most cells that a chunk may need: a promise of one chunk is a promise of these. */
#define REGION_CHUNK_CELLS ((CHUNK_ENCODED_MAX + STORE_CELL_BYTES - 1) / STORE_CELL_BYTES)
_Static_assert(REGION_CHUNK_CELLS * STORE_CELL_BYTES + 32 <= GVM_PROMISE_BYTES, "what clients reckon with");
#define REGION_COUNT_MAX   16384u
#define REGION_CHUNKS_MAX  (1ull << 40)

struct chunk_entry {
	uint64_t version;  /* GVM_VERSION_ZERO is set where the chunk is all zero; 0: never written */
	uint32_t cell;	   /* of the body, if version says that there is one */
	uint32_t bytes;	   /* packed head and body */
	uint32_t check;	   /* of the packed head, and of where it belongs */
	uint16_t head_bytes;
	uint8_t nonzero_pages;
	bool rotten : 1; /* a body that was looked at, and is not what was stored */
	bool raw : 1;	 /* it came raw (chunk_is_raw()), and pack.c has not looked at it */
	uint64_t body_check; /* of a sealed body, which has no checksum that a node can compare */
};

_Static_assert(sizeof(struct chunk_entry) <= 32, "what GVM_PROMISE_BYTES has for it");

struct keep_log;
struct region;
LIST_HEAD(region_attaches, region_attach);
TAILQ_HEAD(region_list, region);

/*
 * One connection as regions see it: its client, and the regions that it has attached for writing.
 */
struct region_writer {
	uint64_t client;
	struct region_attaches attaches;
};

struct region_totals {
	uint64_t chunks; /* with a body */
	uint64_t cells;
	uint64_t stored_bytes;
	uint64_t nonzero_bytes;
	uint64_t rotten; /* chunks known to be so */
	uint64_t raw;	 /* chunks that pack.c has to look at */
};

struct regions {
	struct store *store;
	const struct gvm_id *self; /* the node's incarnation, by which views name it; NULL: unknown */
	struct region **sorted; /* by id */
	unsigned count, room;
	uint64_t limit_cells;	   /* the most for entries and bodies */
	uint64_t promisable_cells; /* limit times overcommit */
	uint64_t promised_cells;
	bool drains;		   /* the node is to be emptied: no region is made */
	uint64_t entry_cells; /* taken by entries, of limit_cells */
	struct region_totals totals;
	uint64_t rotten_found; /* chunks, so often */
	struct region_list dying; /* deleted; regions_reap() frees their chunks some at a time */
	uint8_t *scratch; /* a chunk under composition */
	struct lease_clock clock;
	/* of a node that keeps its chunks on a disk; NULL: it does not */
	struct keep_log *log;
	uint64_t births;   /* regions made, and one: the next one's number */
	bool remains_too;  /* the request under way asks for what a loss has left, too */
	struct graves graves;
};

/* The chunk of a GET: its head, and its object in the store. */
struct region_found {
	uint64_t version;
	uint32_t cell; /* STORE_NONE: all zero, or never written */
	uint32_t bytes;
	uint32_t head_bytes;
	struct chunk_head head;
};

int regions_init(struct regions *t, struct store *store, uint64_t limit_cells, double overcommit);
void regions_deinit(struct regions *t);

uint16_t regions_create(struct regions *t, const struct gvm_region_create_req *what,
			uint64_t *detail);
uint16_t regions_open(struct regions *t, const struct gvm_region_open_req *what,
		      struct region_writer *writer, struct gvm_region_open_rsp *rsp,
		      uint64_t *detail);
uint16_t regions_close(struct regions *t, const struct gvm_region_close_req *what,
		       uint64_t *detail);
uint16_t regions_resize(struct regions *t, const struct gvm_region_resize_req *what,
			uint64_t *detail);
uint16_t regions_delete(struct regions *t, const struct gvm_region_delete_req *what,
			uint64_t *detail);
uint16_t regions_stat(const struct regions *t, const struct gvm_region_stat_req *what,
		      struct gvm_region_stat_rsp *rsp);
/* Of `count` regions, whose ids the request's data has. Writes the answer's data to buf; returns its bytes. */
uint32_t regions_held(const struct regions *t, const uint8_t *ids, uint32_t count, uint8_t *buf);
/* Writes the answer's data to buf (room: GVM_DATA_MAX); returns its bytes. */
uint32_t regions_list(const struct regions *t, const struct gvm_region_list_req *what,
		      struct gvm_region_list_rsp *rsp, uint8_t *buf);
uint16_t regions_index(const struct regions *t, const struct gvm_region_index_req *what,
		       struct gvm_region_index_rsp *rsp, uint8_t *buf, uint32_t *bytes);
uint16_t regions_view(struct regions *t, const struct gvm_region_view_req *what, uint64_t *detail);
/* Writes the answer's data to buf, as regions_list() does. */
uint16_t regions_views(const struct regions *t, const struct gvm_region_views_req *what,
		       struct gvm_region_views_rsp *rsp, uint8_t *buf, uint32_t *bytes);
uint16_t regions_get(const struct regions *t, const struct gvm_get_req *what,
		     struct region_found *found, uint64_t *detail);
/* `head` went through chunk_head_unpack(), `body` has head->body_bytes; where the head is sealed, the data's
 * checksum was right. */
uint16_t regions_put(struct regions *t, const struct gvm_put_req *what,
		     const struct chunk_head *head, const uint8_t *body, uint64_t *detail);
/* Looks at some chunks that have a body. Writes those that are not what was stored to buf, as
 * regions_list() does. */
uint16_t regions_check(struct regions *t, const struct gvm_region_check_req *what,
		       struct gvm_region_check_rsp *rsp, uint8_t *buf, uint32_t *bytes);
/* Keeps the bytes beside the region, in place of what was kept; NOSPACE: nothing is, then. */
uint16_t regions_note(struct regions *t, const struct gvm_region_note_req *what,
		      const uint8_t *note, uint32_t bytes, uint64_t *detail);
/* Writes them to buf (room: GVM_NOTE_MAX). */
uint16_t regions_noted(const struct regions *t, const struct gvm_region_noted_req *what,
		       struct gvm_region_noted_rsp *rsp, uint8_t *buf, uint32_t *bytes);
uint16_t regions_discard(struct regions *t, const struct gvm_discard_req *what, uint64_t *detail);

/* Frees up to `chunks` chunks of deleted regions: a large region takes long, and requests are served
 * meanwhile. True if there is more to do. */
bool regions_reap(struct regions *t, unsigned chunks);

/*
 * Sets the time for leases: before requests are carried out, and at least once in LEASE_PAUSE_NS.
 */
void regions_clock(struct regions *t, uint64_t boottime_ns);
/*
 * Removes one region whose lease has lapsed and whose writer asked for that; false: there is none.
 */
bool regions_lapse(struct regions *t, struct gvm_id *removed);

/* Whether such a request changes more than a watch. */
bool region_open_keeps(const struct gvm_region_open_req *what);
/* Regions of this number of epoch or above need no new record to be attached: what is in it is kept. */
bool region_has_epoch(const struct regions *t, const struct gvm_id *id, uint64_t epoch);

/* The connection has ended: its attachments end, the regions' epochs stay. */
void region_writer_gone(struct region_writer *writer);

#endif
