/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world.h - a few nodes, their memory and the wires between them, as one value.
 *
 * Everything that the nodes know is inside one struct world, the cores' allocations included, so
 * that a state is saved and restored by copying it: nothing in it depends on where it was. What
 * nodes can see of a page is kept apart from the core's idea of it: `mapped` is what the hardware
 * would allow, and falls only when a revocation is done.
 */
#ifndef GVM_TEST_WORLD_H
#define GVM_TEST_WORLD_H

#include "kmod/ivy/impl.h"
#include "kmod/ivy/ivy.h"
#include "truth.h"

#ifndef W_NODES
#define W_NODES	  3
#endif
#define W_PAGES	  2
#define W_WIRE	  10 /* messages on one wire */
#define W_LIST	  8  /* entries of one message */
#define W_HISTORY 2  /* delivered messages that may come again */
#define W_ARENA	  32768
#define W_STEP_NS 1000000ull

struct packet {
	struct ivy_msg m;
	u64 value; /* of the page that goes with it */
	u16 list16[W_LIST];
	u64 list64[W_LIST];
};

struct wire {
	u8 n, past;
	struct packet p[W_WIRE];
	struct packet before[W_HISTORY]; /* delivered last */
};

struct frame {
	struct ivy_slot slot;
	u64 value;
	u8 resident, mapped;
	u8 revoke; /* 0, or 1 + the right that a revocation under way takes the page down to */
	u8 armed;  /* a hold runs */
	u8 wait;   /* the right that a fault waits for */
	u8 woken;
	u8 failed;
	u64 deadline; /* of the revocation */
	u64 discard;  /* 0, or 1 + the newest value when one began that has not been told of */
};

struct world {
	struct ivy *core[W_NODES];
	struct ivy_pairs *pairs[W_NODES]; /* NULL without beats */
	struct frame f[W_NODES][W_PAGES];
	struct wire w[W_NODES][W_NODES];
	u64 now[W_NODES];
	struct truth truth[W_PAGES];
	u8 lost[W_PAGES];
	const char *found; /* what was wrong with a page as a writer got it */
	u64 sweep[W_NODES];   /* 0, or the deadline of a sweep under way */
	u8 ending[W_NODES];   /* slots are left to be taken away after one */
	u8 cut;	 /* 1 + a node that is cut off */
	u8 node; /* whose core is being called */
	u8 left[W_NODES], evicts, discards, losses, drops, repeats, ticks, steps, cuts,
		overtakes; /* what may still happen */
	u32 used;      /* of the arena */
	u32 spare[64]; /* freed blocks by size in 64 bytes: offset + 1 */
	_Alignas(64) u8 arena[W_ARENA];
};

/* What has happened before a case begins, to page 0. */
enum world_begin {
	W_NOTHING,
	W_FRESH,	 /* node 1 has read zeros, and may write them */
	W_SHARED,	 /* node 1 wrote, node 2 has a copy */
	W_OWNER_LOST,	 /* node 1 wrote, node 2 has a copy; node 1 is cut off, and is lost just now */
	W_COPY_ON_WAY,	 /* the same, but the copy is on its way from node 1 */
	W_ASKED_TWICE,	 /* node 2 wrote, then node 1, and nodes 0 and 2 have copies; and the request
			  * with which node 2 came to write arrives once more */
};

struct world_config {
	const char *name, *what;
	enum world_begin begin;
	u8 nodes, pages;
	u8 faults[W_NODES]; /* that each may begin */
	u8 evicts, discards, losses, repeats, ticks;
	u8 drops; /* of a message for which there was no room: those behind it arrive */
	u8 steps; /* of time, with leases */
	u8 cuts;
	u8 overtakes; /* of what waits, by messages of leases */
	u8 leases; /* that end, though nobody is ever cut off */
	u8 beats;  /* leases are renewed by BEAT; else each by LEASE */
	u8 hold;
	u8 slow; /* messages may take longer than a step of time */
	u8 looks; /* 1: who reads says that no write follows; 2: only nodes with odd numbers do */
	u8 ahead; /* pages are asked for ahead: a fault on the first asks for the second */
	u8 bounded; /* it has more states than are visited */
	u8 larger;  /* it needs the larger bound */
	u8 fanout;
};

/* Whether leases end in it, so that time and the nodes with a lease are part of a state. */
static inline bool world_leases(const struct world_config *config)
{
	return config->cuts || config->leases;
}

extern struct world world;
extern bool world_trace; /* print what world_finish() does */

void packet_print(const struct packet *p);

void world_init(const struct world_config *config);
void world_deinit(void);
size_t world_bytes(void); /* that have to be copied to save it */
/* The same for states that differ in nothing that matters. */
u64 world_hash(const struct world_config *config);

/* Events. */
void world_fault(int node, int page, bool write);
void world_deliver(int from, int to);
/* The nth message that waits, which is one of leases, comes before the others. */
void world_overtake(int from, int to, int n);
void world_lose(int from, int to, int keep);
void world_drop(int from, int to, int n);
void world_repeat(int from, int to, int how_many);
void world_revoked(int node, int page);
void world_swept(int node);
void world_ending(int node);
void world_unhold(int node, int page);
void world_evict(int node, int page);
void world_discard(int node, int page);
void world_tick(int node);
bool world_may_step(void);
void world_step(void);
void world_cut(int node);
void world_heal(bool lose);
bool world_may_deliver(int from, int to);

/* NULL, or what is wrong with the state. */
const char *world_wrong(void);
/* Lets everything happen that must, in a fair order: NULL, or what did not come to an end. */
const char *world_finish(void);

#endif
