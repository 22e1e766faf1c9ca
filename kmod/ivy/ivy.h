/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The coherence protocol of one shared memory region, as a state machine.
 *
 * One instance is one node's part in one region. Some nodes (the `homes`) keep the directory: the
 * owner of each page, and the holders of copies. Any node, a home or not, may hold pages. IVY.md is
 * the protocol; this header, with types.h, is the contract between the core and what surrounds it
 * (the module, the simulator, the model checker: "the environment").
 *
 * Rules for callers
 *
 * - One lock for each instance, held around every ivy_*() call that takes a struct ivy; calls are
 *   short and never sleep. No call is made from inside a callback: a callback queues its work and
 *   returns. The environment does the work after it has dropped the lock.
 * - ivy_tick() at ivy_due(), which every other call may have made earlier.
 * - ivy_flush() when every message that had arrived has been handed to ivy_rx(). Requests that a
 *   relay gathers wait for it; without it they wait for the next ivy_tick().
 *
 * Guarantees of the transport
 *
 * - Between two nodes messages arrive in order, whole and unaltered, for as long as a connection
 *   stands. From different nodes they may arrive in any order and after any delay. LEASE, LEASED
 *   and FENCED may overtake others, and each other.
 * - When a connection ends, any number of the last messages sent on it may be lost; and the next
 *   one may repeat any number of the last ones, in order, before it carries new ones. Nothing of
 *   an old connection arrives after the first message of the next one.
 * - `src` is the node at the other end, authenticated as far as the transport does that.
 * - The core retries after a loss (ivy_tick, or at once by ivy_node_joined).
 *
 * Pages, frames and slots
 *
 * The environment has a frame of memory for each page that is resident here, and keeps the core's
 * struct ivy_slot with it. slot_new() makes both; slot_free() ends both. `install` fills the frame;
 * a sent message reads it. A fault may be answered (mapped) only while ivy_fault() returns 1, and
 * ivy_right() has to be asked under the page's lock: the core lowers a slot's rights first and
 * then calls revoke() or sweep(), so that a later fault sees the new state and the mapping of an
 * earlier one is undone by these.
 */
#ifndef GVM_IVY_H
#define GVM_IVY_H

#include "types.h"

struct ivy;

/*
 * Every page begins as zeros without an owner.
 * -EINVAL: bad parameters. -ENOMEM.
 */
int ivy_create(const struct ivy_params *p, const struct ivy_env *env, void *ctx, struct ivy **out);
/* Frees the instance, but not the slots, which are the environment's. NULL is accepted. */
void ivy_destroy(struct ivy *c);

/*
 * Asks for the right to read or write a page. After IVY_READ of zeros that no other node has, and
 * until another one asks for them, IVY_WRITE needs no message; but if this node is lost, so are
 * they. IVY_LOOK risks nothing.
 * 1: the node has it now. 0: requested; complete() tells.
 * -EIO: the contents are lost; a discard makes the page usable again.
 * -ENOMEM: call again later.
 * -EINVAL: no such page.
 * The request is not withdrawn when the faulter goes away.
 */
int ivy_fault(struct ivy *c, u64 page, enum ivy_access access);

/*
 * The right with which a page may be mapped now: lower than its slot's if the page's lease has
 * ended, IVY_I if the page is not resident.
 */
enum ivy_right ivy_right(struct ivy *c, u64 page);

/*
 * Opens this home's share of the pages, if it was created with params.closed: all of them zero, or
 * all lost (the node was a home of the region before and has lost its directory). A lost page is
 * usable after a discard, which waits until leases from the former instance have ended. Does
 * nothing if the share is open.
 */
void ivy_open(struct ivy *c, bool lost);

/*
 * This node leaves the region, and no page of it is in use here: tells the homes, so that they need
 * not wait for its leases to end. Pages that are still owned here are lost. The caller may only
 * call ivy_destroy() afterwards.
 */
void ivy_leave(struct ivy *c);

/* A message that ivy_msg_check() accepted, and its page (NULL if it carries none). */
void ivy_rx(struct ivy *c, const struct ivy_msg *m, const void *data);
void ivy_flush(struct ivy *c);

/* The revocation that revoke() began is done. */
void ivy_revoked(struct ivy *c, u64 page);
/* The time of arm_hold() has passed. */
void ivy_unhold(struct ivy *c, u64 page);
/* Time has passed: leases, retries. */
void ivy_tick(struct ivy *c);
/* When the next tick is due; all ones: never, if nothing happens. */
u64 ivy_due(struct ivy *c);
/*
 * After sweep() and ending(): cleans up after leases that have ended, as a node (slots) and as a
 * home (the directory); a bounded number of pages a call, so that the lock is not held for long.
 * Returns whether there is more to do.
 */
bool ivy_ending(struct ivy *c);

/*
 * Evicts a resident page, so that its frame is free.
 * 1: done; it was a clean copy of a page that another node owns.
 * 0: under way; the copy is to be unmapped first, or the page is owned here and goes to its home.
 *    complete() tells.
 * -EBUSY: a request or revocation of the page is under way, it was just granted, its lease is over,
 *    or this node is both its owner and its home.
 * -ENOENT: not resident.
 * -ENOMEM.
 */
int ivy_evict(struct ivy *c, u64 page);

/*
 * Makes the page zero on all nodes and frees its memory, also at its home. A lost page is usable
 * again afterwards.
 * 0: under way; complete() tells.
 * -EBUSY: a fault or eviction of this node on it is under way; call again after its complete().
 * -EIO: the home began anew as another region.
 * -ENOMEM.
 * -EINVAL: no such page.
 */
int ivy_discard(struct ivy *c, u64 page);

/*
 * The lost pages whose home this is, from *from on and in order, `room` at most. *from becomes the
 * page at which to go on, or the number of pages at the end. A bounded number of pages is looked
 * at: none of them may be lost.
 */
u32 ivy_lost(struct ivy *c, u64 *from, u64 *pages, u32 room);

/* A connection to the node stands (again): messages that the old one may have lost are repeated. */
void ivy_node_joined(struct ivy *c, u16 node);

u16 ivy_home(const struct ivy *c, u64 page);
const struct ivy_stats *ivy_stats(const struct ivy *c);

#endif
