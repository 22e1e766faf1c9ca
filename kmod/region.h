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
 * region->lock. Nothing sleeps, and nothing is sent, under region->lock: the core's callbacks add
 * work to the lock holder's batch, and gvm_region_leave() carries it out after it has dropped the
 * lock. Messages to a peer are sent in the order in which they were queued, under region->lock.
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
#include "homes.h"
#include "ivy/ivy.h"
#include "region_parts.h"
#include "uapi/giantvm.h"

struct dentry;
struct gvm_cluster;
struct gvm_peer;

#define REGION_SPARES 4
#define REGION_CLOSED (INT_MIN / 2)
#define BATCH_PEERS 8
#define BATCH_REVOCATIONS 8

/* Identifies an offer of a region: the offering node, and the offer's number (agree.h). */
struct region_offer {
	u16 from;
	u32 number;
};

/* Work that the core's callbacks leave to gvm_region_leave(). */
struct gvm_batch {
	unsigned int nr_peers, nr_revocations;
	struct gvm_peer *peers[BATCH_PEERS]; /* have messages queued */
	u64 revocations[BATCH_REVOCATIONS]; /* pages; beyond these the worker revokes */
};

struct gvm_region {
	struct kref ref;
	struct list_head list; /* in the list of regions, under its lock */
	struct gvm_cluster *cluster;
	char name[GIANTVM_NAME_BYTES];
	u32 tag; /* of its messages: a digest of its id, name and size */
	u64 id; /* drawn by its creator */
	u64 pages;
	struct home_list homes; /* chosen by its creator */
	/* Under the device's mutex: */
	bool joined; /* by a call of a user of this node that succeeded */
	bool made; /* by a call of a user of this node; it was not here before */
	unsigned int joining; /* calls of GIANTVM_JOIN and _CREATE under way */
	struct inode *inode;
	u32 minor; /* of /dev/gvm/NAME */
	/*
	 * Open files; or negative, from REGION_CLOSED up: a region with open files cannot be left,
	 * and a region that is being left cannot be opened.
	 */
	atomic_t opened;

	spinlock_t lock;
	struct ivy *core; /* under lock, as all below up to `frames` */
	struct gvm_batch *batch; /* of the lock's holder */
	struct folio *spares[REGION_SPARES]; /* frames that the core gets without sleeping */
	unsigned int nr_spares;
	bool leaving; /* the core is no longer called */
	/*
	 * The region is here on this offer alone, unless it has been used. `from` is IVY_NONE if a
	 * user of this node, or another node's offer, keeps it here, too.
	 */
	struct region_offer on;
	struct region_offer creator; /* the creator's last offer; `from` is IVY_NONE: none yet */
	u32 number; /* of this node's own offers of it; 0: it makes none by itself */
	u64 token; /* random, another at each join, on any node */
	u8 share; /* enum region_share, of this node */
	struct opening opening;
	bool gathered; /* messages have arrived since the last ivy_flush() */
	struct list_head holds; /* minimum holds, the next to end first */
	struct giantvm_stats stats;
	struct contended contended;
	struct evictions evictions;
	struct sweeps sweeps;
	struct xarray errors; /* lost page: time of the error; see gvm_region_error() */
	struct xarray given_up; /* page on which a fault gave up: time and pid */
	struct xarray lease_ends; /* page to be revoked: end of its lease, in ms; see revoke.c */

	struct xarray slots; /* under lock; empty unless slots are apart: see frames.h */
	struct xarray frames; /* changed under lock; read under it, or under RCU: see frames.h */
	atomic_long_t resident;
	atomic_long_t kept; /* of these, pages whose home this is: they have nowhere to go */

	struct gvm_waiters waiters[1 << SLEEP_BITS];

	struct hrtimer tick_timer, hold_timer;
	u64 tick_ns; /* when tick_timer ends, at the latest; under lock */
	struct work_struct tick_work, hold_work;
	struct ivy_stats told; /* the counts at the last log message; tick_work only */
	struct delayed_work revoke_work;
	struct pinned pinned;
	struct work_struct sweep_work;
	struct work_struct evict_work;
	u64 evict_hand; /* evict_work only */
	atomic_long_t evict_wanted; /* pages that the kernel's shrinker asked for */

	struct dentry *debug;
};

/* The region to be joined. */
struct region_wish {
	const char *name;
	u64 pages, id;
	struct home_list homes;
	const struct region_offer *on; /* another node's offer; NULL: this node's own wish */
};

/*
 * Finds the region, or joins it; *out has a reference. Under the device's mutex.
 * -EINVAL: bad name, size or id.
 * -EEXIST: there is another region of that name.
 * -EADDRINUSE: another region has the same tag.
 * -EALREADY: it is being left.
 * -E2BIG: its directory would be too large (logged), or it is more than a file can have.
 * -ENOSPC: too many regions.
 * -ENOMEM.
 */
int gvm_region_join(struct gvm_cluster *cluster, const struct region_wish *wish,
		    struct gvm_region **out);
/* A user of this node has joined it: withdrawn offers no longer end it. */
void gvm_region_keep(struct gvm_region *region);
/* Another node offers the region, which is here. False: it is being left. */
bool gvm_region_offered(struct gvm_region *region, const struct region_offer *offer, bool creates);
/*
 * Whether this node offers the region to others: not if it is being left, nor if it is here on
 * another node's offer alone and unused, since that node offers it.
 */
bool gvm_region_offers(struct gvm_region *region);
/*
 * Whether the region is being left, or given up: it is not complete, no page of it has been used
 * here, and this later offer of its creator is of another region of that name.
 */
bool gvm_region_superseded(struct gvm_region *region, const struct region_offer *offer);
/*
 * The offer has been withdrawn; `creator`: by the region's creator, or superseded. True: there is
 * no other reason for the region to be here; it is closed, and gvm_region_end() is due. Under the
 * device's mutex.
 */
bool gvm_region_forgo(struct gvm_region *region, const struct region_offer *offer, bool creator);
/*
 * Leaving takes three steps, so that pages go home without the device's mutex: gvm_region_shut(),
 * gvm_region_empty(), and gvm_region_end(); or gvm_region_reopen() if the region stays. After the
 * first the region cannot be opened, or left by another call. All but the second are called under
 * the mutex.
 */
/*
 * -EBUSY: the region has open files.
 * -EALREADY: it is being left.
 */
int gvm_region_shut(struct gvm_region *region);
void gvm_region_reopen(struct gvm_region *region);
/*
 * Sends the pages that are owned here to their homes. Errors of gvm_evict_all(), which are logged;
 * if `forced`, 0: pages that cannot go home are lost.
 */
int gvm_region_empty(struct gvm_region *region, bool forced);
/* Ends the region; the struct stays until the last reference is put. */
void gvm_region_end(struct gvm_region *region);

/* Counts one more open file; false: it is being left. atomic_dec() uncounts it. */
bool gvm_region_opened_get(struct gvm_region *region);
/* A new file descriptor for a region; -ENOENT: it has been left meanwhile. */
int gvm_region_descriptor(struct gvm_region *region, unsigned int open_flags);

/* Reserves the region's tag: 0, -EADDRINUSE or -ENOMEM. _release() undoes that. */
int gvm_regions_reserve(struct gvm_region *region);
void gvm_regions_release(struct gvm_region *region);
/* Add the region to the list and remove it: in between it is found by name and by tag. */
void gvm_regions_add(struct gvm_region *region);
void gvm_regions_remove(struct gvm_region *region);

/* Resident pages that may be evicted. */
static inline long gvm_region_evictable(const struct gvm_region *region)
{
	return atomic_long_read(&region->resident) - atomic_long_read(&region->kept);
}

/* No message for it has arrived, and no page of it is resident. Under region->lock. */
bool gvm_region_untouched(struct gvm_region *region);

/* Whether it may be the name of a region, as uapi/giantvm.h says. */
bool gvm_region_name_valid(const char *name);
/* By name or by tag, with a reference; NULL if there is none. */
struct gvm_region *gvm_region_find(const char *name);
struct gvm_region *gvm_region_find_tag(u32 tag);
/* The region after `before` (whose reference it takes over), or the first; NULL at the end. */
struct gvm_region *gvm_region_next(struct gvm_region *before);
void gvm_region_put(struct gvm_region *region);
/* Calls visit() for each region, under the list's spinlock. */
void gvm_regions_visit(void (*visit)(struct gvm_region *region, void *argument), void *argument);

/*
 * Fills the spare frames while the caller may still sleep for memory: before it waits for an
 * answer, since the kernel may zero the frames. gvm_region_enter() does so if there is none. In a
 * softirq the core gets spares, or atomic allocations; a page for which there was no frame is
 * requested again.
 */
void gvm_region_provide(struct gvm_region *region);

/*
 * The core's lock. gvm_region_leave() may sleep and carries out the batch: the caller has no page
 * locked.
 */
void gvm_region_enter(struct gvm_region *region, struct gvm_batch *batch) __acquires(&region->lock);
void gvm_region_leave(struct gvm_region *region, struct gvm_batch *batch) __releases(&region->lock);
/*
 * The same for callers that may not sleep, as in a softirq, or not for long, as where lease
 * renewals depend on it: workers carry out the batch.
 */
void gvm_region_enter_atomic(struct gvm_region *region, struct gvm_batch *batch)
	__acquires(&region->lock);
void gvm_region_leave_atomic(struct gvm_region *region, struct gvm_batch *batch)
	__releases(&region->lock);

/*
 * Notes for retried faults. complete() reports a lost page (-EIO) once, to its waiters, which then
 * fault again: the note makes the retried fault fail. It holds for a moment only, since a discard
 * makes the page usable again. A second note, for the current task alone: it has waited too long in
 * a fault that may itself hold pins (-EDEADLK). Under region->lock.
 */
void gvm_region_error_note(struct gvm_region *region, u64 page);
void gvm_region_given_up_note(struct gvm_region *region, u64 page);
void gvm_region_error_clear(struct gvm_region *region, u64 page);
/* The error noted at `since_ms` (of the boot clock) or later, or 0. */
int gvm_region_error(struct gvm_region *region, u64 page, u64 since_ms);
u64 gvm_region_now_ms(void);

extern const struct file_operations gvm_region_files;
extern const struct vm_operations_struct gvm_region_faults;
extern const struct ivy_env gvm_region_env;

#endif
