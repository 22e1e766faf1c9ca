/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world.h - one region on the fast path (gvmfs/uffd/resident.h) with everything around it as one value: the
 * kernel (the memory's file, page tables, faults that wait), the client (accesses, direct I/O, page tables
 * that it drops), a node, the writers' wires, the journal, and programs that read and write the file.
 *
 * Where there is room, another region takes fetches and evictions, and gives them back.
 *
 * The sources that decide are gvmfs's own; resident_env.h and the end of flush.h are bound to this world
 * (kernel.c, nodes.c). A page has 8 bytes here, so that a world is small. What is right is kept apart from
 * all of it: `truth`, what a page should read as, changes at the moment at which its content does.
 *
 * A call that may wait for the client does so where a stall says so: other events come while the turn is in
 * the middle of it. It goes on after them, or the worker dies there.
 *
 * An event is possible or not, and does one thing; whatever order they come in, the world must be right
 * after each (check.c). Nothing in it depends on chance: that is the simulator's (sim.c), and every order
 * is the model checker's (model.c).
 */
#ifndef RESIDENT_WORLD_H
#define RESIDENT_WORLD_H

#include "uffd/resident_calls.h"
#include "uffd/resident_priv.h"

#include "../sim/heap.h"

#include <setjmp.h>

#ifdef W_SMALL /* as small as can be, to know all of its states */
#define W_CHUNKS  2u
#define W_THREADS 2u
#define W_PINS	  1u
#define W_PAST	  8u
#else
#ifndef W_CHUNKS
#define W_CHUNKS  12u
#endif
#define W_THREADS 6u
#define W_PINS	  2u
#define W_PAST	  12u /* of a page's contents, the last so many are remembered */
#endif
#define W_FETCHES   (RESIDENT_FETCHES + RESIDENT_SPARE)
#define W_EVICTIONS (RESIDENT_EVICTIONS + RESIDENT_SPARE)
#define W_BLOCKS  (2 * W_CHUNKS + 4)
#define W_PAGES (W_CHUNKS * GVM_CHUNK_PAGES)
#define W_IOS	3u
#define W_ZAPS	4u /* messages on a socket */
#define W_LATE	4u /* PUTs of dead workers */
#define W_EPOCH	  5u
#define W_COPIES  4u /* of a page, at most */
#define W_ROTTEN  (~0ull - 1) /* what no page ever has */

enum thread_state {
	T_IDLE,
	T_QUEUED,  /* waits; its message is not read yet */
	T_WAITING, /* it is */
	T_AGAIN,   /* woken: tries again */
};

enum { HOW_READ, HOW_WRITE, HOW_ZERO };

/* A vCPU, or (pins) a device's request that gets its page. */
struct thread {
	uint8_t state;
	uint8_t how;
	uint32_t page;
};

struct page {
	uint64_t content; /* in the file */
	uint64_t truth, other;
	uint32_t frame;	   /* which physical page it is: changes with every allocation */
	uint32_t gen;	   /* of the truth */
	bool present, mapped, poisoned;
	bool stray;	   /* the file has it, and gvmfs did not put it there */
	bool uncertain;	   /* a worker died while it changed: it is either truth or other */
	bool punched;	   /* since a pin got it: by the owner's own will */
};

struct past {
	uint64_t content[W_PAST]; /* [gen % W_PAST] */
};

struct pin {
	bool counted, got, punched;
	uint32_t page, frame;
};

/* A GET on its way. */
struct get {
	bool under_way, served;
	bool cancelled; /* another thread decodes what is left: it ends when that has */
	uint32_t left; /* pages that have not come back yet */
	uint64_t content[GVM_CHUNK_PAGES];
	uint64_t seal[GVM_CHUNK_PAGES];
};

enum write_state { W_FREE, W_QUEUED, W_GETTING, W_SENT, W_ANSWERED, W_FINISHED };

struct put {
	uint64_t chunk, version, base, epoch;
	uint32_t pages; /* that are listed, or zero */
	bool whole;
	uint64_t content[GVM_CHUNK_PAGES];
	uint64_t seal[GVM_CHUNK_PAGES]; /* of those that are listed: another one each time, but for zeros */
};

/* A flush at a writer, one for each struct eviction. */
struct write {
	uint8_t state;
	int result;
	struct put put; /* encoded; with W_SENT it is on the wire */
	uint8_t scratch[GVM_CHUNK_BYTES];
	uint32_t based; /* pages that have come of the base: */
	struct put base;
};

enum io_kind { IO_WRITE, IO_ZERO, IO_SYNC };

struct io {
	struct resident_io io; /* first */
	bool used;
	bool begun; /* this worker knows of it */
	uint8_t kind;
	uint64_t off, bytes;
	uint64_t seen; /* up to there its effect is in the truth */
	int result;
	bool ended;
	uint64_t data[2 * GVM_CHUNK_PAGES];
	uint32_t gen[W_PAGES]; /* fsync: of each page when it began */
};

struct zap {
	uint64_t seq, off, bytes;
	bool done; /* carried out, and to be told */
};

enum event_kind {
	E_TOUCH,   /* a: thread, b: page * 4 + how */
	E_AGAIN,   /* a: thread */
	E_FAULTS,  /* a: of which threads, pins after them, the messages are read */
	E_SERVE,   /* a: fetch; b: 0, or why the node refuses */
	E_PIECE,   /* a: fetch, b: which of its pages */
	E_END,	   /* a: fetch */
	E_RESEND,  /* a: fetch: the connection broke */
	E_START,   /* a: write: a writer takes it */
	E_BASE,	   /* a: write: what it lacks has come; b: 0, or why not */
	E_APPLY,   /* a: write: the node has it; b: 0, or why it refuses */
	E_ACK,	   /* a: write */
	E_COLLECT, /* outcomes come to the front */
	E_LATE,	   /* a: late: comes to the node after all */
	E_LOST,	   /* a: late: does not */
	E_ZAP,	   /* the client does what it was asked first */
	E_ZAPPED,  /* and has told so */
	E_PIN,	   /* a: pin, b: page: a device's request begins */
	E_GET,	   /* a: pin: gets its page */
	E_DMA,	   /* a: pin: the device stores */
	E_UNPIN,   /* a: pin */
	E_WRITE,   /* a: io, b: off / 4 | bytes / 4 << 16 */
	E_ZERO,	   /* the same */
	E_SYNC,	   /* a: io */
	E_CANCEL,  /* a: io */
	E_BEGIN,   /* a: io: comes to a successor, which has not seen it */
	E_BUDGET,  /* a: pages */
	E_STRAY,   /* a: page, b: how many: something puts pages into the file */
	E_RACE,	   /* the same, just before the next page comes */
	E_SHORT,   /* a: in so many calls the client's group has no memory for a page; b: enum short_where */
	E_STALL,   /* a: so many client calls from now one waits, b: for so many events */
	E_KILL,	   /* a: calls from now; 0: at once; b: and its successor in so many */
	E_TICK,
	E_LEAVE,   /* the client */
	E_GONE,	   /* its memory */
	E_PIN_ALL,
	E_UNLINK,
	E_TAKE,	   /* the rival takes an eviction; a: a fetch */
	E_GIVE,	   /* the same: gives one back */
	E_ROT,	   /* a: chunk, b: which of its pages, on the node, of one that is all here: that is found out. Or (tests/replicas)
		    * a: node, or all of them, b: page */
	/* Of several nodes (tests/replicas): */
	E_PASS,	   /* a: so many us pass */
	E_DOWN,	   /* a: node: its connections break */
	E_UP,	   /* a: node: is back, with all that it had */
	E_DEAF,	   /* a: node: silent */
	E_HEARS,   /* a: node: is not */
	E_LOSE,	   /* a: node: begins anew, without what it had */
	E_TALK,	   /* conversations with nodes go on */
	E_REPLAY,  /* a: chunk | another << 8, b: windows: an earlier start touched these */
	E_DRAIN,   /* a: node: it is to be drained, and no other; b: 0: nor it */
	E_SETTLE,  /* the client is to have all of it; or, if that is under way, is not to; a: it can be told */
	E_ALONE,   /* the client was told; a: 0: it unregisters its memory, 1: it has said so */
	EVENTS
};

/* Of the pages of a call. */
enum short_where { SHORT_FIRST, SHORT_MIDDLE, SHORT_LAST, SHORT_WHERE };

struct event {
	enum event_kind kind;
	uint32_t a, b;
};

struct world {
	/* What outlives a worker. */
	struct page page[W_PAGES];
	struct past past[W_PAGES];
	struct resident_mark mark[W_CHUNKS];
	_Atomic uint64_t index[W_CHUNKS];
	_Atomic uint32_t pins[W_CHUNKS];
	struct {
		uint64_t version;
		uint32_t rotten; /* pages */
		uint64_t content[GVM_CHUNK_PAGES];
		uint64_t seal[GVM_CHUNK_PAGES];
	} node[W_CHUNKS];
	struct seal_known known[W_CHUNKS];
	uint32_t ours[W_CHUNKS]; /* pages that this host wrote, and the node has */
	bool sealed;
	uint64_t next_seal;
	struct thread thread[W_THREADS], pinning[W_PINS];
	struct pin pin[W_PINS];
	struct io io[W_IOS];
	struct zap zap[W_ZAPS];
	unsigned zaps;
	struct put late[W_LATE];
	unsigned lates;
	uint64_t local_bytes, next_value;
	struct session_pages kept;
	bool marked; /* some chunk, at some time */
	uint32_t frames, starts, kills;
	bool client_left, memory_gone, failed, aborted, closed, unwanted;
	bool pinned_all;
	bool hears; /* the client can be told that all of the memory is its own, */
	bool told, sent; /* and is so, as the journal has it, and as its socket has; */
	bool alone, settled; /* has unregistered its memory, and has said so */

	/* The worker. */
	uint64_t now;
	struct stats stats;
	uint64_t peak;
	struct residents rs;
	struct resident r;
	struct resident rival; /* another region of the mount, where there is room for two: it takes what all share */
	struct chunk chunk[W_CHUNKS];
	struct trail_step trail[W_CHUNKS], gone[4], replay[W_CHUNKS + 4];
	uint8_t data[W_FETCHES * GVM_CHUNK_BYTES];
	struct get get[W_FETCHES];
	struct write write[W_EVICTIONS];
	bool block_used[W_BLOCKS]; /* of the heap */
	_Alignas(16) uint8_t block[W_BLOCKS][GVM_CHUNK_PAGES * sizeof(XXH128_hash_t)];
	uint64_t due;	    /* as residents_tick() said last */
	struct resident_io settle;
	uint32_t kill_in, kill_next; /* the worker dies at so many calls from now; 0: it does not */
	bool race;
	uint32_t shorts;
	enum short_where short_where;
	uint32_t client_calls; /* that may wait, since the event began */
	uint32_t stall_in;     /* the so manieth from now does; 0: none */
	uint32_t stall_events; /* so many events come meanwhile: */
	struct event stall_event; /* this one, or what world_pick() says */
	enum { STALL_NONE, STALL_MEMORY, STALL_FILE } stalled; /* it is waiting */
	bool stall_came;       /* one of them did */
	uint64_t took;	    /* world_takes() before the event */
	const char *wrong; /* found by an event; check.c finds the rest */
};

/* What a page would be read as without gvmfs is its truth. */
bool world_is_whole(void);

extern struct world world;
extern bool world_trace;
extern const char *mutant_chosen;
extern const struct flush_env world_flush;

/* sealed: what is sent is. */
void world_init(uint64_t local_pages, bool sealed);
/* The node has all chunks from an earlier guest, each with two pages that are not zero. */
void world_fill(unsigned page, unsigned other);
/* False: it is not possible now, and nothing has changed. */
bool world_event(const struct event *e);
void world_settle(void); /* what is evicted goes, and the client does what it is asked */
/* What comes while a call waits; NULL: world.stall_event. */
extern struct event (*world_pick)(void);
void event_print(const struct event *e);
void world_print(void);

/* NULL, or what is wrong. */
const char *world_check(void);
/* Lets everything come to its end, the client's too: NULL, or what is wrong. `pick` chooses. */
const char *world_finish(uint32_t (*pick)(uint32_t below));

/* ---- the nodes and all that leads to them: nodes.c (one, and next to nothing), or tests/replicas */

/* Empty, and the region is there. */
void nodes_init(void);
/* They have the page, in the version that the index has. */
void nodes_fill(uint32_t page, uint64_t value);
/* A worker begins; it was killed: what it has sent may come to a node yet. */
void nodes_begin(void);
void nodes_killed(void);
bool nodes_event(const struct event *e);
/* After each event. And when it is to be called whatever happens; ~0: never. */
void nodes_turn(void);
/* At its end: what they lost by right, the region fails for. */
void nodes_lose(void);
uint64_t nodes_due(void);
/* What the nodes that count have of a page, as the index has it: how many copies. */
unsigned node_copies(uint32_t page, uint64_t content[W_COPIES]);
/* Sealed: whether what is known of a page is what all of them have that are not rotten. */
bool nodes_have_seal(uint64_t c, unsigned page, uint64_t known);
/* NULL, or what is wrong of them. */
const char *nodes_check(void);
void nodes_print(void);
/* At the end: does one thing that is due, if it is of the kind `which`. The clock may go on so often before something
 * counts as waiting for ever. */
#define NODES_STEPS 9u
bool nodes_settle(unsigned which);
extern const unsigned nodes_idle;
/* Whether all has come to its end that goes on by itself, as copies do that move. */
bool nodes_are_done(void);
/* Does the first of `count` events of a kind that is possible. */
bool world_any(enum event_kind kind, unsigned count);

/* ---- kernel.c, nodes.c, world.c among each other */

/* A call of the worker's: it may be its last. */
void world_call(void);
/* One that may wait for the client: for the lock of its memory, or of its file. */
void world_client_call(bool memory);
/* A request of the turn is just changing the page: while a call of it waits, either content is right. */
bool world_is_in_request(uint32_t page);
/* NULL, or what a program that reads the file would find wrong. */
const char *world_read_check(void);
uint64_t world_takes(void);
uint64_t page_read(uint32_t page);	    /* what the file has there */
uint64_t node_read(uint32_t page);	    /* as the index has it */
void page_changed(uint32_t page, uint64_t truth);
void page_alloc(uint32_t page, uint64_t content);
void threads_wake(uint32_t first, uint32_t n);
bool thread_touch(struct thread *t, uint64_t *value); /* false: it waits */
/* What a page is known by: zero, or sealed anew. */
uint64_t seal_new(uint64_t content);
/* Of what came of a page: whether it is what is known of it; learns it if nothing was. */
bool seal_believe(uint64_t c, unsigned page, uint64_t seal);
bool node_apply(const struct put *put, int *result);

#endif
