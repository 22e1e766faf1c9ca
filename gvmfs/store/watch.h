/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch.h - keeps the page cache true for regions that are read here and not attached here.
 *
 * Another host may become such a region's writer at any moment. So the region is watched on its first
 * node (PROTOCOL.md): its next writer waits there until we have dropped what the page cache has of it, and
 * said so. While the watch holds and no host writes, what is cached is the region's content. A watch is
 * renewed every WATCH_EVERY_NS, and is relied on for WATCH_TRUST_NS from when the request was sent, which
 * is less than the node keeps it for.
 *
 * When the node says that a writer waits (or does not answer for too long), every page goes, mapped or
 * not; then the writer may pass. From then on, and beside the writer, READs are answered all the same, and
 * never wait for any of this: an invalidation waits for the very pages that they are about to fill. What
 * such a READ brought into the page cache is noted, and goes after WATCH_AGE_NS. So a mapping beside a
 * writer of another host is out of date by a few milliseconds at the most, and what the page cache had
 * before the writer came is never seen after its first write.
 *
 * An invalidation takes a page even from a direct read in flight, which a guest of this host would lose.
 * So none is under way when a writer of this host gets the region (watch_pause()): what is not known to be
 * current then is dropped by the kernel when that writer opens the file, before a guest can run. And before
 * the region is given up for others, the page cache is emptied (watch_leave()).
 *
 * A successor of a killed worker does not know what was noted: it drops all. A stopped worker drops
 * nothing; the writer goes on once the watch has lapsed on the node.
 *
 * Front thread only.
 */
#ifndef GVMFS_WATCH_H
#define GVMFS_WATCH_H

#include "gvm_client.h"
#include "pagecache.h"
#include "state/inode.h"

#define WATCH_RANGES   PAGECACHE_RANGES
#define WATCH_EVERY_NS 20000000ull
#define WATCH_TRUST_NS 600000000ull
#define WATCH_AGE_NS   1000000ull

struct worker;

/* Of one region; made when it is first needed. */
struct watch {
	struct inode *inode, *next; /* in the worker's list, if inode->watch_listed */

	struct gvm_call call; /* under way while `asking` */
	struct worker *w;
	bool asking;
	bool held; /* the node may have a watch of ours */
	uint64_t number; /* of the last one asked for: CLOCK_BOOTTIME then */
	uint64_t ask_at_ns;

	uint64_t until_ns; /* CLOCK_BOOTTIME: what is cached is current until then; 0: it may not be */
	uint32_t serial;   /* of that time of trust; never 0 in one */

	bool all; /* every page is to go */
	unsigned ending; /* a writer waits for that: rounds until it may pass; 0: none does */
	struct pagecache_range range[WATCH_RANGES]; /* these are, from due_ns on */
	unsigned ranges;
	uint64_t due_ns;

	struct pagecache_ask ask; /* an invalidation is under way while `clearing` */
	bool clearing;
	struct task *waiter; /* for its end */
	bool leaving; /* about to be detached: what is read from now on may soon be out of date */
	void (*left)(struct worker *w, struct inode *inode, void *arg);
	void *arg;
};

/* A file of the region, which is not attached, has been opened. */
void watch_begin(struct worker *w, struct inode *inode);
/* The last such file has been closed, or the region has been attached here. */
void watch_end(struct worker *w, struct inode *inode);

/* Whether what is cached now is current. */
bool watch_trusts(const struct inode *inode);
/* A READ begins: has the region watched, if it is not, before a node is asked for what the page cache may
 * have. Returns what watch_read() wants. */
uint32_t watch_read_begin(struct worker *w, struct inode *inode);
/* A READ is being answered. True: what the page cache has of it is seen to here. */
bool watch_read(struct worker *w, struct inode *inode, uint64_t off, uint64_t size, uint32_t serial);

/* Lets no invalidation begin until watch_go_on(). True: one is under way, and `task` runs after it. */
bool watch_pause(struct inode *inode, struct task *task);
void watch_go_on(struct worker *w, struct inode *inode);

/* Empties the page cache of a region that is attached, has no writer here any more, and is held; then
 * left(), which detaches. */
void watch_leave(struct worker *w, struct inode *inode,
		 void (*left)(struct worker *w, struct inode *inode, void *arg), void *arg);
/* It has been detached. */
void watch_left(struct worker *w, struct inode *inode);

/* What is cached may be of another writer's time: all of it goes. */
void watch_distrust(struct worker *w, struct inode *inode);

/* In a successor: what its predecessor had noted is not known. */
void watches_recover(struct worker *w);
/* Does what is due; returns when it wants to be called again (CLOCK_MONOTONIC), ~0: not. */
uint64_t watches_tick(struct worker *w, uint64_t now_ns);

#endif
