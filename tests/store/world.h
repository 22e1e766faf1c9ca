/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world.h - cache and write-back of a few regions (gvmfs/store/store.h) with everything around them as one value:
 * the kernel that sends READs, WRITEs, zeros and fsyncs, and sends them again to a worker's successor, or does not;
 * the nodes, which answer, refuse, are dead, or are written to by another host; the writers' wires; the journal.
 *
 * The sources that decide are gvmfs's own; store_env.h and the end of flush.h are bound to this world (nodes.c). A
 * page has 8 bytes here, in two cells: what is written is whole cells, and each has a value of its own. What is
 * right is kept apart from all of it: `truth`, what a cell should read as, changes when its WRITE is answered;
 * until then, and where no answer came, it may be either.
 *
 * An event is possible or not, and does one thing; whatever order they come in, the world must be right after each
 * (check.c). Nothing in it depends on chance: that is the simulator's (sim.c), and every order is the model
 * checker's (model.c).
 */
#ifndef STORE_WORLD_H
#define STORE_WORLD_H

#include "fuse/read.h"
#include "fuse/write.h"
#include "store/store_env.h"

#include "../sim/heap.h"

#include <setjmp.h>

#ifdef W_SMALL /* as small as can be, to know all of its states */
#define W_INODES 1u
#define W_CHUNKS 2u
#define W_READS	 2u
#define W_WRITES 2u
#define W_SYNCS	 1u
#define W_PAST	 8u
#define W_OVERLAPS false
#define W_SPILL_PAGES 4u
#else
#define W_INODES 3u
#define W_CHUNKS 10u
#define W_READS	 10u
#define W_WRITES 5u
#define W_SYNCS	 2u
#define W_PAST	 16u /* of a cell's values, the last so many are remembered */
#define W_SPILL_PAGES 40u
#define W_OVERLAPS true /* two WRITEs of the same bytes may be on their way */
#endif
#define W_NODES	     2u
#define W_BLOCKS	     (2 * W_READS + W_WRITES + 2 * W_INODES + JOURNAL_SPILL + 1 + W_NODES)
#define CELL_BYTES   4u
#define CHUNK_CELLS  (GVM_CHUNK_BYTES / CELL_BYTES)
#define PAGE_CELLS   (GVM_PAGE_BYTES / CELL_BYTES)
#define W_CELLS	     (W_CHUNKS * CHUNK_CELLS) /* of an inode */
#define W_LATE	     4u			      /* PUTs of dead workers */
#define W_TIMEOUT_NS 5000000000ull

struct cell {
	uint32_t truth, other;
	uint32_t first; /* `both`: what an earlier WRITE, which overlaps that of `other`, makes of it */
	uint32_t gen;	/* of the truth */
	bool uncertain; /* it is either: a WRITE was not answered yet, or with an error, or never will be */
	bool both;	/* or that of the earlier one */
	uint32_t past[W_PAST]; /* [gen % W_PAST] */
};

enum wire_state { WIRE_FREE, WIRE_QUEUED, WIRE_GETTING, WIRE_SENT, WIRE_ANSWERED, WIRE_FINISHED };

struct put {
	uint32_t inode, pages; /* that are listed, or zero */
	uint64_t chunk, version, base, epoch;
	bool whole;
	uint32_t content[CHUNK_CELLS];
	uint64_t seal[GVM_CHUNK_PAGES]; /* of those that are listed: another one each time, but for zeros */
};

/* A flush at a writer, one for each wbuf. */
struct wire {
	uint8_t state;
	int result;
	struct put put; /* encoded; with WIRE_SENT it is on the wire */
	uint8_t scratch[GVM_CHUNK_BYTES];
	uint32_t based; /* pages that have come of the base: */
	struct put base;
};

/* A GET on its way, one for each entry. */
struct get {
	bool under_way, served;
	uint32_t left; /* pages that have not come back yet */
	uint32_t content[CHUNK_CELLS];
	uint64_t seal[GVM_CHUNK_PAGES];
};

/* What every request has. */
struct call {
	bool used;
	bool begun; /* this worker knows of it */
	bool ended;
	bool cancelled;
	int result;
	uint32_t inode;
	uint32_t refusals; /* that there were when it came */
	uint64_t deadline_ns;
};

struct reading {
	struct store_read r; /* first */
	struct call call;
	uint32_t first, count; /* cells */
	uint32_t gen[CHUNK_CELLS];
};

struct writing {
	struct store_write w; /* first */
	struct call call;
	uint32_t first, count;
	uint32_t stop; /* its cells from here on were cut off before it was answered */
	uint64_t came; /* to this worker: which of all it was */
	bool zeros;
	uint32_t data[2 * CHUNK_CELLS];
};

struct syncing {
	struct store_sync s; /* first */
	struct call call;
	uint32_t cut_plus_1; /* it is a region's cut, from this cell on; 0: an fsync */
	bool cutting; /* all is sent, and it waits for the cut's end */
	uint32_t gen[W_CELLS];
};

/* What a worker does to make a region smaller, from when all is sent: as fuse/front_size.c and node/region_jobs.c. */
enum cut_state { CUT_NONE, CUT_READY, CUT_NODES, CUT_REST, CUT_LAST };

struct cut {
	struct store_write rest; /* CUT_REST: zeros behind the end, in its chunk */
	struct store_sync s;	 /* CUT_LAST */
	uint8_t state;
	uint32_t cells;
	bool discarded[W_NODES], resized[W_NODES];
};

struct region {
	struct cell cell[W_CELLS];
	uint64_t index[W_CHUNKS];
	struct {
		uint64_t version;
		uint32_t content[CHUNK_CELLS];
		uint64_t seal[GVM_CHUNK_PAGES];
	} node[W_CHUNKS];
	struct seal_known known[W_CHUNKS];
	uint32_t ours[W_CHUNKS]; /* pages that this host wrote since it attached the region, and a node acknowledged */
	uint64_t epoch;	 /* that the nodes know */
	bool other;	 /* another host is its writer */
	bool fenced;	 /* that came while we were it */
	uint32_t cut_plus_1; /* cells from here on are to be cut off: no other change of the size begins */
	uint32_t cells;	     /* its size */
	uint32_t node_chunks[W_NODES]; /* what each of its nodes has for its size */
	uint32_t refusals;
	uint64_t follows; /* where a sequential reader goes on */
};

struct world {
	/* What outlives a worker. */
	struct region region[W_INODES];
	struct {
		uint64_t epoch;
		uint32_t failed;
		uint64_t cut_version;
		uint32_t cut_to_plus_1; /* cells */
	} disk[W_INODES]; /* what changes of struct journal_inode */
	struct journal_wbuf wbuf[JOURNAL_WBUFS];
	uint8_t wbuf_data[JOURNAL_WBUFS * GVM_CHUNK_BYTES];
	struct journal_spill spill[JOURNAL_SPILL];
	uint32_t spill_counts[JOURNAL_INODES], spill_buckets[SPILL_BUCKETS];
	uint8_t spill_data[JOURNAL_SPILL * GVM_CHUNK_BYTES];
	struct {
		uint64_t version;
		uint32_t pages;
		uint8_t data[GVM_CHUNK_BYTES];
	} sealed_wbuf[JOURNAL_WBUFS]; /* as they were when they were sealed */
	struct reading reading[W_READS];
	bool by_view; /* READs come through a view of their inode */
	struct writing writing[W_WRITES];
	struct syncing syncing[W_SYNCS];
	struct put late[W_LATE];
	unsigned lates;
	bool dead[W_NODES];
	uint32_t striped; /* regions (bit nr) that are on all nodes; the others are on one each */
	uint32_t moved[W_INODES]; /* of which these chunks (bit 0: even, 1: odd) are on the next node */
	uint32_t next_value, kills;
	bool sealed;
	uint64_t next_seal;
	bool timeout; /* accesses end, after a time */
	uint64_t spill_pages; /* so many may be spilled */
	uint64_t writes; /* that came */
	uint64_t now;

	/* The worker. */
	struct cut cut[W_INODES];
	struct stats stats[W_INODES + 1];
	struct inode inode[W_INODES];
	struct store store;
	uint8_t cache[CACHE_ENTRIES * GVM_CHUNK_BYTES];
	uint8_t scratch[STORE_SCRATCH * GVM_PAGE_BYTES];
	struct get get[CACHE_ENTRIES];
	struct wire wire[JOURNAL_WBUFS];
	bool block_used[W_BLOCKS]; /* of the heap */
	_Alignas(16) uint8_t block[W_BLOCKS][(READ_IOV_MAX * GVM_PAGE_BYTES + 15) / 16 * 16];
	uint64_t due;		     /* as store_tick() said last */
	uint32_t kill_in, kill_next; /* the worker dies at so many calls from now; 0: it does not */
	const char *wrong;	     /* found by an event; check.c finds the rest */
};

extern struct world world;
extern bool world_trace;
extern const char *mutant_chosen;
extern const struct store_env world_env;
extern const struct flush_env world_flush;

enum event_kind {
	E_READ,	   /* a: which, b: inode << 28 | first cell << 14 | cells */
	E_WRITE,   /* the same */
	E_ZERO,	   /* the same; a: of the writes */
	E_SYNC,	   /* a: which, b: inode */
	E_CUT,	   /* a: of the syncs, b: inode << 28 | first cell */
	E_CUTS,	   /* a: inode, b: node: it does the next step of the cut; b >> 8: it is not there, so none has begun */
	E_GROW,	   /* a: inode, b: cells; b >> 16: only on this node (- 1), and then it fails */
	E_BEGIN,   /* a: which, b: 0: READ, 1: WRITE, 2: sync: comes to a successor, which has not seen it */
	E_NEVER,   /* the same, but it does not come again */
	E_CANCEL,  /* a, b: the same: its caller is being killed */
	E_SERVE,   /* a: entry; b: 0, or why the node refuses */
	E_PIECE,   /* a: entry, b: which of its pages */
	E_END,	   /* a: entry */
	E_RESEND,  /* a: entry: the connection broke; b: what came last was no chunk */
	E_START,   /* a: wbuf: a writer takes its flush */
	E_BASE,	   /* a: wbuf: what it lacks has come; b: 0, or why not */
	E_APPLY,   /* a: wbuf: the node has it; b: 0, or why it refuses */
	E_ACK,	   /* a: wbuf */
	E_COLLECT, /* outcomes come to the front */
	E_LATE,	   /* a: late: comes to the node after all */
	E_LOST,	   /* a: late: does not */
	E_NODE,	   /* a: node: is dead, or answers again */
	E_TICK,
	E_SEAL,	   /* the mount ends: all of it is to be sent */
	E_KILL,	   /* a: calls from now; 0: at once; b: and its successor in so many */
	E_CLOSE,   /* a: inode: its last file, or it is opened again */
	E_ATTACH,  /* a: inode: we are its writer */
	E_DETACH,  /* a: inode: we are not any more */
	E_OTHER,   /* a: inode: another host begins to write to it, or ends; b: by force */
	E_FAIL,	   /* a: inode: its session with a node has ended; b: and the worker dies at so many calls from now */
	E_STORE,   /* a: inode, b: page << 1 | half: it does */
	E_MOVE,	   /* a: inode, b: every other chunk, from this one on, moves to another node */
	EVENTS
};

struct event {
	enum event_kind kind;
	uint32_t a, b;
};

/* sealed: what is sent is. */
void world_init(bool full, bool sealed);
/* False: it is not possible now, and nothing has changed. */
bool world_event(const struct event *e);
void event_print(const struct event *e);
void world_print(void);

/* NULL, or what is wrong. */
const char *world_check(void);
/* Lets everything come to its end; first, with `dead`, but for that node (- 1): NULL, or what is wrong. `pick`
 * chooses. */
const char *world_finish(uint32_t (*pick)(uint32_t below), unsigned dead);

/* ---- sizes.c */

/* E_CUTS, E_GROW: the next step of a cut on a node; a growth, on one node alone or as a whole. */
bool region_cuts(const struct event *e);
bool region_grows(const struct event *e);
void region_grow(unsigned nr, uint32_t cells);
/* As front_size_adopt(). */
void cut_adopt(unsigned nr);

/* ---- world.c, nodes.c, check.c, sizes.c among each other */

/* A request has its answer. */
void call_ended(struct call *c, int error);

/* A call of the worker's: it may be its last. */
void world_call(void);
unsigned node_of(unsigned inode, uint64_t chunk);
/* What our own host would be told that a cell is: in a wbuf, or as the index has it. */
uint32_t cell_reads(unsigned inode, uint32_t cell);
void cell_changed(struct cell *c, uint32_t truth);
/* Whether it may be that now. */
bool cell_may_be(const struct cell *c, uint32_t value);
/* What reads as of an earlier time is not known any more. */
void cell_blur(struct cell *c);
/* Whether a cell was `value` at some time since it was of generation `gen`. */
bool cell_was(const struct cell *c, uint32_t gen, uint32_t value);
/* What a page is known by: zero, or sealed anew. */
uint64_t seal_new(const uint32_t *cells);
/* Of what came of a page: whether it is what is known of it; learns it if nothing was. */
bool seal_believe(unsigned inode, uint64_t chunk, unsigned page, uint64_t seal);
/* Pages of a GET come. */
void pages_come(struct cache_entry *e, uint32_t pages);
bool node_apply(const struct put *put, int *result);
/* What is here of it counts as nothing: another took it, or it failed. */
bool region_is_lost(unsigned inode);
/* A node that it is on is dead. */
bool region_is_cut_off(unsigned inode);
/* Nodes may have begun to cut off what this cell is. */
bool is_being_cut(unsigned inode, uint32_t cell);
/* Whether the node has chunks of it. */
bool node_has(unsigned inode, unsigned node);

#endif
