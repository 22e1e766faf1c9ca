/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The coherence protocol of one shared memory region, as a state machine.
 *
 * One instance is one node's part in one region. Some nodes (the `homes`) keep the directory: who
 * owns a page and who holds copies of it. Any node, a home or not, may hold pages. IVY.md is the
 * protocol; this header is the contract between the core and what surrounds it (the module, the
 * simulator, the model checker: "the environment").
 *
 * Rules for callers
 *
 * - One lock for each instance, held around every ivy_*() call that takes a struct ivy; calls are
 *   short and never sleep. No call is made from inside a callback: a callback only notes what is
 *   to be done and returns. The environment does it after it has dropped the lock.
 * - ivy_tick() at least every retry_ns / 2 and margin_ns / 4, also when nothing happens.
 * - ivy_flush() when the messages that had arrived have all been handed to ivy_rx(). Requests that
 *   a relay gathers wait for it; without it they wait for the next ivy_tick().
 *
 * What the transport promises
 *
 * - Between two nodes messages arrive in order, whole and unaltered, for as long as a connection
 *   stands. From different nodes they may arrive in any order and after any delay. LEASE, LEASED
 *   and FENCED may overtake others, and each other.
 * - When a connection ends, any number of the last messages sent on it may be lost; and the next
 *   one may repeat any number of the last ones, in order, before it carries new ones. Nothing of
 *   an old connection arrives after the first message of the next one.
 * - `src` is the node at the other end, authenticated as far as the transport does that.
 * - Whatever was lost the core asks for again (ivy_tick, or at once by ivy_node_joined).
 *
 * Pages, frames and slots
 *
 * The environment has a frame of memory for each page that is resident here, and keeps the core's
 * struct ivy_slot with it. slot_new() makes both; slot_free() ends both. `install` fills the frame;
 * a sent message reads it. A fault may be answered (mapped) only while ivy_fault() returns 1, and
 * ivy_right() has to be asked under the page's lock: the core lowers a slot's rights first and
 * calls revoke() or sweep() then, so that a fault which comes after sees the new state and one
 * which came before is undone by these.
 */
#ifndef GVM_IVY_H
#define GVM_IVY_H

#include "wire.h"

/* What a node may do with a page. */
enum ivy_right {
	IVY_I, /* nothing */
	IVY_S, /* read */
	IVY_M, /* read and write */
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

/* What revocations have left of the page's rights; what may be mapped now is ivy_right(). */
static inline enum ivy_right ivy_slot_right(const struct ivy_slot *s)
{
	return (enum ivy_right)s->right;
}

/*
 * What the core needs. None of these may call the core, sleep, or fail other than as stated. The
 * pointers that they are given are valid only until they return.
 */
struct ivy_env {
	/*
	 * Queues a message. With IVY_F_PAGE in m->flags a page goes with it: `data` if not NULL
	 * (a page just received and passed on), else the frame of m->page. The frame may be read
	 * late, after the lock was dropped, through a reference that is taken now: the core does
	 * not install into it or let it be written while the receiver would still accept it.
	 * dst is never this node. What cannot be sent is dropped: that is a lost message.
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
	 * A lease has ended, and ivy_right() is IVY_I for every page of that home: all mappings of
	 * the region go, whichever page's, in one sweep that is over by the deadline however many
	 * pages there are. Then ivy_ending() is called, until it returns false: it takes the slots
	 * away, at any later time.
	 */
	void (*sweep)(void *ctx, u64 deadline);

	/* ivy_ending() is to be called until it returns false, and no sweep comes before that. */
	void (*ending)(void *ctx);

	/* Fills the page's frame: with `data`, or with zeros if it is NULL. The slot exists. */
	void (*install)(void *ctx, u64 page, const void *data);

	/*
	 * Whoever waits for the page asks ivy_fault() again (err 0), or fails: -EIO, contents
	 * lost with a node. Also tells the end of a discard and of an eviction (the slot is gone).
	 */
	void (*complete)(void *ctx, u64 page, int err);

	/* Calls ivy_unhold(page) after ns nanoseconds; several for one page may be merged. */
	void (*arm_hold)(void *ctx, u64 page, u64 ns);

	/* A clock in ns that never steps and goes on in suspend. Only differences are used. */
	u64 (*now)(void *ctx);

	/* Zeroed memory, or NULL; freed with the size that it was asked with. */
	void *(*alloc)(void *ctx, size_t bytes);
	void (*free)(void *ctx, void *p, size_t bytes);

	/* At the page's home: the only copy went with a node. Faults end with -EIO from now on. */
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
 * The same on every node of a region, but for `id` and `start`. ivy_create() copies `homes`.
 * 0 in a field whose comment gives a default takes it.
 */
struct ivy_params {
	u16 id;	    /* this node */
	u16 nodes;  /* ids are 0 ... nodes - 1; at most IVY_NODES_MAX */
	u16 nhomes; /* homes[]: the nodes with the role mem; page p's home is homes[p % nhomes] */
	const u16 *homes;
	u64 pages; /* of the region */
	/*
	 * A number above every one that this node may have used in this region before, below
	 * 2^48: real time in units of 4 us since some fixed day does. A node that restarts with
	 * a number it had would have its old messages taken for new ones.
	 */
	u64 start;
	bool closed; /* as a home it does nothing before ivy_open() */
	/*
	 * A page stays this long after it was granted, so that whoever waited for it has used it
	 * before it goes: longer than it takes from complete() to the next instruction of the one
	 * who faulted. With 0 two writers can keep each other from ever getting anywhere.
	 */
	u64 hold_ns;
	u64 lease_ns;	 /* default 10 s: what a home waits before it declares a node lost */
	u64 margin_ns;	 /* default lease / 4: the node stops this much earlier */
	u64 retry_ns;	 /* default 200 ms: when an answer is late */
	u16 fanout;	 /* default 22: children of a node in a tree of messages; 1: a chain */
	u16 relay_above; /* default 128: with more nodes, read requests go up a tree */
};

/* Counts since the start. */
struct ivy_stats {
	u64 sent, received,
		ignored; /* messages; ignored: late, repeated, or of a dead incarnation */
	u64 read_faults, write_faults, upgrades;
	u64 grants, invalidations, retries, evictions, discards;
	u64 lost_pages, lost_nodes, lease_expiries; /* lost_nodes: without those that said so */
	u64 given_up; /* pages, at the end of a lease */
	u64 renumbered; /* a home knew a higher number of this node: `start` was too low */
};

struct ivy;

/* 0, -EINVAL or -ENOMEM. Every page is zero and nobody has it until it is asked for. */
int ivy_create(const struct ivy_params *p, const struct ivy_env *env, void *ctx, struct ivy **out);
/* Frees what the core has; slots are the environment's to free. NULL is accepted. */
void ivy_destroy(struct ivy *c);

/*
 * The right to read or write a page. 1: it is here now; 0: asked for, complete() will tell; -EIO:
 * its contents are lost (a discard makes it usable again); -ENOMEM: ask again later; -EINVAL.
 * A request once made is not withdrawn when the one who faulted goes away.
 */
int ivy_fault(struct ivy *c, u64 page, bool write);

/*
 * What the hardware may be allowed of a page now: less than its slot's right where the lease that
 * it is under has ended. IVY_I: not resident, too.
 */
enum ivy_right ivy_right(struct ivy *c, u64 page);

/*
 * Takes this home's share of the pages into use, where params.closed said that it is not: all of
 * them zero; or lost, where the node was a home of the region before and has nothing of that. What
 * is lost is usable after a discard, which waits until the leases of that home are over. Where it
 * is open already nothing happens.
 */
void ivy_open(struct ivy *c, bool lost);

/*
 * This node is done with the region, and nobody uses a page of it here: tells the homes that
 * nothing is left, so that nobody waits for the ends of its leases. What is still owned here is
 * lost. Only ivy_destroy() is to be called after it.
 */
void ivy_leave(struct ivy *c);

/* A message that ivy_msg_check() accepted, and its page (NULL if it carries none). */
void ivy_rx(struct ivy *c, const struct ivy_msg *m, const void *data);
void ivy_flush(struct ivy *c);

/* What revoke() began has been done. */
void ivy_revoked(struct ivy *c, u64 page);
/* The time of arm_hold() has passed. */
void ivy_unhold(struct ivy *c, u64 page);
/* Time has passed: leases, retries. */
void ivy_tick(struct ivy *c);
/*
 * After sweep() and ending(): takes away what there is of leases that have ended, at a node and at
 * a home, a bounded number of pages for each call, so that the lock is not held for long. Whether
 * there is more.
 */
bool ivy_ending(struct ivy *c);

/*
 * Makes the frame of a resident page free. A clean copy that somebody else owns goes at once (1,
 * or 0 if it has to be unmapped first: complete() tells); a page that is owned here goes to its
 * home (0). -EBUSY: in use by the protocol, just granted, or this node is its home and
 * nothing else has it; -ENOENT: not resident.
 */
int ivy_evict(struct ivy *c, u64 page);

/*
 * Makes the page zero for everybody and gives its memory back, also at its home. 0: under way,
 * complete() will tell; -EBUSY: a fault or eviction of this node on it is under way
 * (again after its complete()); -ENOMEM; -EINVAL. Ends a page's being lost.
 */
int ivy_discard(struct ivy *c, u64 page);

/*
 * The node is certainly dead (powered off, fenced): what its lease would tell is taken as told.
 * Never to be called for one that is only unreachable: that is what the lease is for.
 */
void ivy_node_lost(struct ivy *c, u16 node);
/* A connection to the node stands (again): what may have been lost on the old one is sent again. */
void ivy_node_joined(struct ivy *c, u16 node);

u16 ivy_home(const struct ivy *c, u64 page);
const struct ivy_stats *ivy_stats(const struct ivy *c);

/* For status files and tests. Directory entry of a page whose home this is; false: untouched. */
struct ivy_dir {
	u64 ver;
	u16 owner;   /* IVY_NONE: zero page, or lost */
	u16 holders; /* nodes that may have a copy, without the owner */
	bool busy, lost;
	u32 bytes; /* of memory that this entry takes now */
};

bool ivy_dir_get(const struct ivy *c, u64 page, struct ivy_dir *out);

#endif
