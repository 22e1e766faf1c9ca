/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The types of ivy.h: what the core needs of its environment, and what both know. */
#ifndef GVM_IVY_TYPES_H
#define GVM_IVY_TYPES_H

#include "pairs.h"
#include "wire.h"

/* Whose turn the page is, of that many homes. */
static inline u32 ivy_home_turn(u64 page, u32 nhomes)
{
	return (u32)(page / IVY_RUN % nhomes);
}

/* How many of the first `pages` pages are those of the home whose turn that is: its share. */
static inline u64 ivy_share_pages(u64 pages, u32 nhomes, u32 turn)
{
	u64 round = (u64)nhomes * IVY_RUN, before = (u64)turn * IVY_RUN, rest = pages % round;
	u64 more = rest > before ? rest - before : 0;

	return pages / round * IVY_RUN + (more < IVY_RUN ? more : IVY_RUN);
}

/* A node's right to a page. */
enum ivy_right {
	IVY_I, /* nothing */
	IVY_S, /* read */
	IVY_M, /* read and write */
};

/* What a node is about to do with a page. */
enum ivy_access {
	IVY_READ, /* it may write later */
	IVY_WRITE,
	IVY_LOOK, /* read, with no thought of writing */
};

/*
 * State of one resident page, 16 bytes, kept by the environment and owned by the core: zeroed by
 * slot_new(), and read by the environment through ivy_slot_right() and ivy_right() only. The first
 * two bytes stay 0, for environments that keep it where a word's low bits mean something to others.
 */
struct ivy_slot {
	u16 zero;
	u8 right; /* enum ivy_right */
	u8 flags; /* the core's own */
	u32 held; /* end of the minimum hold, in microseconds, modulo 2^32 */
	u64 ver;  /* of the contents */
};

/*
 * The slot's right, lowered by revocations but not by the end of a lease: to map, ask ivy_right().
 */
static inline enum ivy_right ivy_slot_right(const struct ivy_slot *s)
{
	return (enum ivy_right)s->right;
}

/*
 * The services that the core needs. None may call the core, sleep, or fail other than as stated.
 * Their pointer arguments are valid only until they return.
 */
struct ivy_env {
	/*
	 * Queues a message. With IVY_F_PAGE in m->flags a page goes with it: `data` if not NULL
	 * (a page just received and passed on), else the frame of m->page. The frame may be read
	 * late, after the lock was dropped, through a reference that is taken now: the core does
	 * not install into it or let it be written while the receiver would still accept it.
	 * dst is never this node. A message that cannot be sent is dropped.
	 */
	void (*send)(void *ctx, u16 dst, const struct ivy_msg *m, const void *data);

	/*
	 * Takes mappings of a page down to `right` (IVY_I: unmap, IVY_S: write-protect). Returns 1
	 * if there was nothing to do, else 0, and ivy_revoked() is called when the hardware can no
	 * longer use more than `right`. Until then the page is not asked about again, other than
	 * with a lower right: one ivy_revoked() then answers both, after the lower one is done.
	 * `deadline` is 0, or the time in ns at which the lease ends: pins must not be waited for
	 * beyond it (the environment fences the user of the pin: see IVY.md, leases).
	 */
	int (*revoke)(void *ctx, u64 page, enum ivy_right right, u64 deadline);

	/*
	 * A lease has ended, and ivy_right() is IVY_I for every page of that home: the environment
	 * unmaps the whole region, pages of other homes included, in one sweep that is over by the
	 * deadline however many pages there are. At any later time it calls ivy_ending(), which
	 * frees the slots, until that returns false.
	 */
	void (*sweep)(void *ctx, u64 deadline);

	/* The environment calls ivy_ending() until that returns false; no sweep is needed first. */
	void (*ending)(void *ctx);

	/* Fills the page's frame: with `data`, or with zeros if it is NULL. The slot exists. */
	void (*install)(void *ctx, u64 page, const void *data);

	/*
	 * Wakes the page's waiters: they call ivy_fault() again (err 0), or fail (-EIO: the
	 * contents were lost with a node). Also the end of a discard, and of an eviction (the slot
	 * has been freed).
	 */
	void (*complete)(void *ctx, u64 page, int err);

	/* Calls ivy_unhold(page) after ns nanoseconds; several for one page may be merged. */
	void (*arm_hold)(void *ctx, u64 page, u64 ns);

	/* A clock in ns that never steps and goes on in suspend. Only differences are used. */
	u64 (*now)(void *ctx);

	/* Zeroed memory, or NULL; freed with the size that it was allocated with. */
	void *(*alloc)(void *ctx, size_t bytes);
	void (*free)(void *ctx, void *p, size_t bytes);

	/*
	 * At the page's home: the only copy was lost with a node. Faults fail with -EIO from now
	 * on.
	 */
	void (*lost)(void *ctx, u64 page);

	/* The slot of a resident page, or NULL. */
	struct ivy_slot *(*slot_get)(void *ctx, u64 page);
	/* A zeroed slot and a frame for a page that has none; NULL: no memory, try later. */
	struct ivy_slot *(*slot_new)(void *ctx, u64 page);
	/* The page is not resident any more: nothing maps it. Queued sends keep the frame. */
	void (*slot_free)(void *ctx, u64 page);
	/* The first resident page from *page on, into *page; false if there is none. */
	bool (*slot_next)(void *ctx, u64 *page);
};

/*
 * Equal on every node of a region, except `id`, `start` and `pairs`, and `nodes` where `relays` is
 * given. ivy_create() copies `homes`. A field whose comment gives a default takes it if it is 0.
 */
struct ivy_params {
	u16 id;	    /* this node */
	u16 nodes;  /* ids are 0 ... nodes - 1; at most IVY_NODES_MAX */
	u16 nhomes; /* homes[]: the nodes with the role mem; homes[ivy_home_turn()] is a page's */
	const u16 *homes;
	u64 pages; /* of the region */
	/*
	 * The node's leases of all regions, which renews those of this one, and another number for
	 * each region. NULL: each lease is renewed by messages of its own.
	 */
	struct ivy_pairs *pairs;
	u64 key;
	/*
	 * A number above every one that this node may have used in this region before, below
	 * 2^48: real time in units of 4 us since some fixed day does. A node that restarts with
	 * a number it had would have its old messages taken for new ones.
	 */
	u64 start;
	bool closed; /* as a home it answers nothing before ivy_open() */
	/*
	 * Minimum hold: a page stays this long after it was granted, so that the faulter can use
	 * it. It must be longer than the time from complete() to the faulter's next instruction.
	 * With 0, two writers can livelock.
	 */
	u64 hold_ns;
	u8 hold_doublings; /* of a page that others take and this node takes back, at most */
	u64 lease_ns;	 /* default 10 s: a home waits this long before it declares a node lost */
	u64 margin_ns;	 /* default lease / 4: the node stops this much earlier */
	u64 retry_ns;	 /* default 200 ms: an unanswered message is sent again after this */
	u16 fanout;	 /* default 22: children of a node in a tree of messages; 1: a chain */
	u16 ahead;	 /* pages that are requested before a fault on them, at most; 0: none */
	u16 relay_above; /* default 128: with more relays, read requests go up a tree of them */
	u16 relays;	 /* default `nodes`: the nodes with lower ids relay; there may be others */
};

/* Counts since the start. */
struct ivy_stats {
	u64 sent, received,
		ignored; /* messages; ignored: late, repeated, or of a dead incarnation */
	u64 read_faults, write_faults, upgrades;
	u64 ahead; /* pages requested before a fault on them */
	u64 bounces; /* pages that were here, were taken by others, and soon came back */
	u64 holds;   /* requests of others that waited for the end of a page's hold */
	u64 hold_us_max;
	u64 grants, invalidations, retries, evictions, discards;
	u64 lost_pages, lost_nodes, lease_expiries; /* lost_nodes: without those that sent QUIT */
	u64 given_up; /* pages that this node held at the end of a lease */
	u64 renumbered; /* `start` was too low: a home knew a higher number of this node */
};

#endif
