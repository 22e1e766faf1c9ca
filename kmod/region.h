/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A region: one memory that this node shares with others. It owns its instance of the protocol
 * core, the frames of the pages that are resident here, and the inode whose mapping they belong to.
 *
 * Locks, in the order in which they are taken:
 *
 *	mmap_lock or the mapping's own, taken by the kernel around a fault
 *	a page's lock
 *	region->lock, the core's: a spinlock, taken with gvm_region_enter(), in softirqs too
 *	the frames' xarray, a peer's lock, a wait queue's
 *
 * The kernel's own locks of reverse mapping are taken under a page's lock, never under
 * region->lock. Nothing sleeps, and nothing is sent, under region->lock: the core's callbacks note
 * what is to be done in the batch of the holder, and gvm_region_leave() does that after it has let
 * go. A message's place in the order is the one in which it was queued at its peer, under
 * region->lock.
 */
#ifndef GVM_REGION_H
#define GVM_REGION_H

#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "contended.h"
#include "evict.h"
#include "ivy/ivy.h"
#include "opening.h"
#include "revoke.h"
#include "sleep.h"
#include "sweep.h"
#include "uapi/giantvm.h"

struct dentry;
struct gvm_cluster;
struct gvm_peer;

#define REGION_SPARES 4
#define REGION_CLOSED (INT_MIN / 2)
#define BATCH_PEERS 8
#define BATCH_REVOCATIONS 8

/* Whose offer of a region it was (agree.h). */
struct region_offer {
	u16 from;
	u32 number;
};

/* What the core's callbacks leave for gvm_region_leave() to do. */
struct gvm_batch {
	unsigned int nr_peers, nr_revocations;
	struct gvm_peer *peers[BATCH_PEERS]; /* have something queued */
	u64 revocations[BATCH_REVOCATIONS]; /* pages; those with no room here are the worker's */
};

struct gvm_region {
	struct kref ref;
	struct list_head list; /* of all regions, under their lock */
	struct gvm_cluster *cluster;
	char name[GIANTVM_NAME_BYTES];
	u32 tag; /* of its messages: a digest of its id, name and size */
	u64 id; /* drawn by its creator */
	u64 pages;
	/* Under the device's mutex: */
	bool joined; /* by a user of this node, and not in vain */
	bool made; /* for one, and not here before */
	unsigned int joining; /* GIANTVM_JOINs that wait for others' answers */
	struct inode *inode;
	u32 minor; /* of /dev/gvm/NAME */
	/*
	 * Files, or REGION_CLOSED: a region that somebody has open is not left, one that is being
	 * left not opened.
	 */
	atomic_t opened;

	spinlock_t lock;
	struct ivy *core; /* under lock, as all of this: */
	struct gvm_batch *batch; /* of who holds the lock */
	struct page *spares[REGION_SPARES]; /* so that the core gets a frame without sleeping */
	unsigned int nr_spares;
	bool leaving; /* nothing reaches the core any more */
	/*
	 * It is here on this offer alone, unless it has been used; `from` is IVY_NONE where
	 * somebody else wants it, too.
	 */
	struct region_offer on;
	struct region_offer creator; /* its last offer; `from` is IVY_NONE: not heard of here */
	u32 number; /* of this node's own offers of it; 0: it makes none by itself */
	u64 token; /* what was joined before under that name, here or elsewhere, had another */
	u8 share; /* enum region_share, of this node */
	struct opening opening;
	bool gathered; /* messages have arrived since the last ivy_flush() */
	struct list_head holds; /* minimum holds that run, the next to end first */
	struct giantvm_stats stats;
	struct contended contended;
	struct evictions evictions;
	struct sweeps sweeps;
	struct xarray errors; /* page that was lost: when; see gvm_region_error() */
	struct xarray given_up; /* page that was not waited for longer: when, and by whom */
	struct xarray lease_ends; /* page to be revoked: when its lease ends, in ms; see revoke.c */

	struct xarray frames; /* changed under lock; read under it, or under RCU: see frames.h */
	atomic_long_t resident;

	struct gvm_waiters waiters[1 << SLEEP_BITS];

	struct hrtimer tick_timer, hold_timer;
	struct work_struct tick_work, hold_work;
	struct ivy_stats told; /* in the log; of tick_work alone */
	struct delayed_work revoke_work;
	struct pinned pinned;
	struct work_struct sweep_work;
	struct work_struct evict_work;
	u64 evict_hand; /* of evict_work alone */
	atomic_long_t evict_wanted; /* pages that the kernel asked back */

	struct dentry *debug;
};

/* Which region is to be joined. */
struct region_wish {
	const char *name;
	u64 pages, id;
	const struct region_offer *on; /* another node's offer; NULL: this node's own wish */
};

/*
 * That region, joined if need be, with a reference. Under the device's mutex, so that regions come
 * and go one at a time. -EEXIST: there is another one of that name. -EADDRINUSE: another region has
 * the same tag. -EALREADY: it is being left. -E2BIG: its directory would be too large, and that has
 * been said.
 */
int gvm_region_join(struct gvm_cluster *cluster, const struct region_wish *wish,
		    struct gvm_region **out);
/* A user of this node has joined it: it stays, whoever withdraws an offer. */
void gvm_region_keep(struct gvm_region *region);
/* Another node offers what is here. False: it is going. */
bool gvm_region_offered(struct gvm_region *region, const struct region_offer *offer, bool creates);
/*
 * Whether this node offers it to others: not what is being left, nor what is here on another's
 * offer alone and nobody has used, which that one offers.
 */
bool gvm_region_offers(struct gvm_region *region);
/*
 * Whether it is going, or its creator, with this later offer of another region, has given it up:
 * then it will never be complete. Nobody has used it.
 */
bool gvm_region_superseded(struct gvm_region *region, const struct region_offer *offer);
/*
 * The offer is withdrawn, on which alone it may be here; `creator`: by its creator, or superseded.
 * True: nothing else is a reason for it to be here, and it is closed: gvm_region_end() is due. With
 * the device's mutex held.
 */
bool gvm_region_forgo(struct gvm_region *region, const struct region_offer *offer, bool creator);
/*
 * A region is left in steps, so that its pages go home without the device's mutex:
 * gvm_region_close(), gvm_region_empty(), and gvm_region_end(), or gvm_region_reopen() where it
 * stays. From the first step on nobody opens it, and no other call leaves it. The others are called
 * with the mutex held.
 */
/* -EBUSY: somebody has it open. -EALREADY: it is being left. */
int gvm_region_close(struct gvm_region *region);
void gvm_region_reopen(struct gvm_region *region);
/*
 * Gives what is owned here to the homes: 0, or an error of gvm_evict_all(), which is told of. If
 * `forced` there is none: what cannot go home is lost.
 */
int gvm_region_empty(struct gvm_region *region, bool forced);
/* Ends everything of it, but for references that somebody still has. */
void gvm_region_end(struct gvm_region *region);

/* One more file of it, unless it is being left; atomic_dec() takes that back. */
bool gvm_region_opened_get(struct gvm_region *region);
/* A new file descriptor for a region; -ENOENT: it has been left meanwhile. */
int gvm_region_descriptor(struct gvm_region *region, unsigned int open_flags);

/* A place for its tag: 0, -EADDRINUSE or -ENOMEM. And the place back. */
int gvm_regions_reserve(struct gvm_region *region);
void gvm_regions_release(struct gvm_region *region);
/* From here on others find it; and not any more. */
void gvm_regions_add(struct gvm_region *region);
void gvm_regions_remove(struct gvm_region *region);

/* No node has asked this one for a page, nor has it one. Under region->lock. */
bool gvm_region_untouched(struct gvm_region *region);

/* How many pages have their home at this node. */
u64 gvm_region_share_pages(const struct gvm_region *region);

/* Whether it may be the name of a region, as uapi/giantvm.h says. */
bool gvm_region_name_valid(const char *name);
/* By name or by tag, with a reference; NULL if there is none. */
struct gvm_region *gvm_region_find(const char *name);
struct gvm_region *gvm_region_find_tag(u32 tag);
/* The one after `before` (whose reference it takes over), or the first; NULL at the end. */
struct gvm_region *gvm_region_next(struct gvm_region *before);
void gvm_region_put(struct gvm_region *region);
/* Calls it for each, under their list's spinlock. */
void gvm_regions_visit(void (*visit)(struct gvm_region *region, void *argument), void *argument);

/*
 * Gets frames for what the core may want to install, while the caller may still sleep for memory:
 * before an answer is waited for, since the kernel may zero them. gvm_region_enter() does it where
 * there is none. Without them the core has to do with what there is in a softirq; it asks for a
 * page again that had no frame.
 */
void gvm_region_provide(struct gvm_region *region);

/*
 * The core's lock. gvm_region_leave() may sleep and does what the core wants done: the caller has
 * no page locked.
 */
void gvm_region_enter(struct gvm_region *region, struct gvm_batch *batch) __acquires(&region->lock);
void gvm_region_leave(struct gvm_region *region, struct gvm_batch *batch) __releases(&region->lock);
/*
 * The same where one may not sleep, as in a softirq, or not for long, as where leases hang on it:
 * workers do what the core wants done.
 */
void gvm_region_enter_atomic(struct gvm_region *region, struct gvm_batch *batch)
	__acquires(&region->lock);
void gvm_region_leave_atomic(struct gvm_region *region, struct gvm_batch *batch)
	__releases(&region->lock);

/*
 * The core tells once that a page's contents are lost (-EIO), to whoever waits for it; a fault that
 * waited comes back as another one. So it is remembered, for a moment: somebody may give the page
 * up, and then it is a good one again. So is, for the current task alone, that it waited too long
 * in a fault that may itself keep others waiting (-EDEADLK). Under region->lock.
 */
void gvm_region_error_note(struct gvm_region *region, u64 page);
void gvm_region_given_up_note(struct gvm_region *region, u64 page);
void gvm_region_error_clear(struct gvm_region *region, u64 page);
/* What was noted at `since_ms` (of the boot clock) or later: one of these errors, or 0. */
int gvm_region_error(struct gvm_region *region, u64 page, u64 since_ms);
u64 gvm_region_now_ms(void);

extern const struct file_operations gvm_region_files;
extern const struct vm_operations_struct gvm_region_faults;
extern const struct ivy_env gvm_region_env;

#endif
