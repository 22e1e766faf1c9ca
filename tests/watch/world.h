/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world.h - the page cache of a host that reads a region (gvmfs/store/watch.h), and everything around it as one
 * value: the kernel's pages and READs, the process that takes pages away, the connection to the node, another host
 * that is, or becomes, the region's writer, a writer of this host, and the worker, which may stop or die.
 *
 * Both ends of the protocol are the sources themselves: gvmfs/store/watch.c, and memnode/daemon/watch.c, which lets the
 * other host's writer wait. What they call is bound to this world when it is linked (bound.c).
 *
 * An event is possible or not, and does one thing; whatever order they come in, the world must be right after each
 * (check.c). Nothing in it depends on chance: that is the simulator's (sim.c), and every order is the model
 * checker's (model.c).
 */
#ifndef WATCH_WORLD_H
#define WATCH_WORLD_H

#include "../../memnode/daemon/watch.h"

#include "../sim/heap.h"

#include "state/worker_state.h"
#include "store/watch.h"

#ifdef W_SMALL /* as small as can be, to know all of its states */
#define W_PAGES	  1u
#define W_READS	  1u
#else
#define W_PAGES	  2u
#define W_READS	  2u
#endif
#define W_MESSAGES 12u
#define W_BLOCKS  12u
#define W_US	  1u /* clients of the node */
#define W_OTHER	  2u
#define W_SLEEP_NS 300000000ull

enum message_kind { M_WATCH, M_TELL, M_GET };

/* A request on a connection to a node, until it is answered: in its order. */
struct message {
	uint8_t kind;
	bool served;	       /* the node has it, and its answer is on the way */
	struct gvm_call *call; /* NULL: nothing waits for it any more */
	struct gvm_region_open_req what;
	unsigned read; /* M_GET */
	int result;
	uint64_t detail, epoch;
	bool writer;
};

struct cached {
	bool present;
	bool kept; /* when it came, it was not to go again by itself */
	uint32_t value;
	uint64_t epoch; /* of the writer then */
};

struct reading {
	bool used, begun, fetched;
	bool dropped; /* its page goes as soon as it is answered: the file was opened anew meanwhile */
	uint32_t page, serial, value;
	uint64_t epoch;
};

struct world {
	/* What outlives a worker. */
	struct journal_inode disk;
	unsigned opens, opens_write;
	struct cached page[W_PAGES];
	struct reading reading[W_READS];
	struct {
		struct watches watches;
		uint64_t epoch;
		bool ours; /* we are its writer */
		bool other; /* another host is */
		uint32_t value[W_PAGES];
	} node;
	bool other_waits; /* and it comes again */
	bool lapsed; /* it attached when we had no watch: perhaps without our knowing */
	uint32_t next_value;
	uint64_t now;
	bool used[W_BLOCKS];
	_Alignas(16) uint8_t bytes[W_BLOCKS][1024];

	/* The worker. */
	bool stopped;
	struct worker w;
	struct inode inode;
	struct message message[W_MESSAGES];
	unsigned messages;
	bool opening;
	struct {
		uint64_t epoch;
		bool writer;
	} seen; /* of the node, by an open() */
	struct task attach;
	bool attaching, paused; /* paused: no invalidation is under way any more */
	bool leaving;
	struct {
		struct pagecache_ask *ask; /* NULL: there is none */
		uint32_t pages;
	} clearing;
	bool full; /* the next one is refused */
	uint64_t due; /* as watches_tick() said last */
	const char *wrong; /* found by an event; check.c finds the rest */
};

extern struct world world;
extern struct inodes world_inodes; /* never changes */
extern bool world_trace;
extern const char *mutant_chosen;

enum event_kind {
	E_READ,	    /* a: page: the kernel needs it */
	E_NODE,	    /* a: 0: the region's first node has the next message; 1: the node that its pages are on */
	E_ANSWER,   /* a: its answer is here */
	E_BREAK,    /* a: the connection broke: what is not answered is sent again */
	E_TIMEOUT,  /* the node has not answered in time */
	E_CLEAR,    /* a: page: is taken away */
	E_CLEARED,  /* a: 0, or why not */
	E_FULL,	    /* the next invalidation is refused */
	E_OPEN,	    /* for reading: asks the node */
	E_OPENED,
	E_CLOSE,
	E_ATTACH,   /* a writer of this host opens it */
	E_ATTACHED, /* the node's answer */
	E_DETACH,   /* it closes it */
	E_RELEASED, /* the node knows that */
	E_KEEP,	    /* a: page: our writer stores */
	E_CLAIM,    /* another host wants to write */
	E_STORE,    /* a: page: it does */
	E_LEAVE,    /* it ends */
	E_TICK,
	E_STOP,
	E_SLEEP,    /* while it is stopped */
	E_GO_ON,
	E_KILL,
	EVENTS
};

struct event {
	enum event_kind kind;
	uint32_t a;
};

void world_init(bool open);
/* False: it is not possible now, and nothing has changed. */
bool world_event(const struct event *e);
void event_print(const struct event *e);
void world_print(void);

/* NULL, or what is wrong. */
const char *world_check(void);
/* Lets everything come to its end: what is under way, another host's writer, and what its stores make old. */
const char *world_finish(uint32_t (*pick)(uint32_t below));

/* ---- world.c, bound.c, check.c among each other */

bool read_is_under_way(uint32_t page);
/* Whether the worker is about to take a page away. */
bool page_goes(uint32_t page);
/* Which pages a range is of. */
uint32_t range_pages(const struct pagecache_range *r);

#endif
