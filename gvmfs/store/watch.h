/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch.h - keeps the page cache current for regions that are read but not attached here.
 *
 * Another host may become such a region's writer at any moment. So gvmfs keeps a watch on the region at
 * its first node (PROTOCOL.md): the next writer waits there until we have dropped the page cache's pages
 * of the region and have said so. While the watch holds and no host writes, the page cache has the
 * region's content. A watch is renewed every WATCH_EVERY_NS, and trusted for WATCH_TRUST_NS from the
 * moment when the request was sent, which is less than the node keeps it.
 *
 * A region with several replicas is never trusted: its writer can do without any one node, also
 * without the one that keeps the watch. So a READ always asks the nodes (fetch.h), and the pages
 * that it brings into the page cache are dropped as if a writer were there.
 *
 * When the node says that a writer waits (or does not answer for too long), all pages are dropped, mapped
 * or not, and then the writer is let pass. From then on, and beside the writer, READs are still answered,
 * and never wait for an invalidation, since it waits for the very pages that they are about to fill. Pages
 * that such a READ brings into the page cache are noted, and dropped after WATCH_AGE_NS. So a mapping
 * beside another host's writer is stale by a few milliseconds at most, and what the page cache had before
 * the writer came is never seen after its first write.
 *
 * An invalidation takes a page even from a direct read in flight, and a guest of this host would lose that
 * read. So no invalidation runs when a writer of this host gets the region (watch_pause()): pages that are
 * not known to be current are dropped by the kernel when that writer opens the file, before a guest can
 * run. And the page cache is emptied (watch_leave()) before the region is released for other hosts.
 *
 * A killed worker's successor does not know what was noted, and drops everything. A stopped worker
 * drops nothing; the writer goes on once the watch has lapsed on the node.
 *
 * Front thread only. (tests/watch links it to a world of its own.)
 */
#ifndef GVMFS_WATCH_H
#define GVMFS_WATCH_H

#include "gvm_client.h"
#include "pagecache.h"
#include "state/inode.h"

#define WATCH_RANGES   PAGECACHE_RANGES
#ifndef WATCH_EVERY_NS /* a model checker's clock has fewer moments */
#define WATCH_EVERY_NS 20000000ull
#define WATCH_AGE_NS   1000000ull
#endif
#define WATCH_TRUST_NS 600000000ull

struct worker;

/* The watch of one region; made when it is first needed. */
struct watch {
	struct inode *inode, *next; /* in the worker's list, if inode->watch_listed */

	struct gvm_call call; /* in flight while `asking` */
	struct worker *w;
	bool asking;
	bool held; /* the node may have a watch for us */
	uint64_t number; /* of the last request: CLOCK_BOOTTIME when it was made */
	uint64_t ask_at_ns;

	uint64_t until_ns; /* CLOCK_BOOTTIME: the page cache is current until then; 0: it may be stale */
	uint32_t serial;   /* of this period of trust; never 0 */

	bool all; /* every page has to be dropped */
	unsigned ending; /* a writer waits for that: rounds until it may pass; 0: none waits */
	struct pagecache_range range[WATCH_RANGES]; /* these ranges have to be dropped, from due_ns on */
	unsigned ranges;
	uint64_t due_ns;

	struct pagecache_ask ask; /* for an invalidation, in flight while `clearing` */
	bool clearing;
	struct task *waiter; /* runs when the invalidation ends */
	bool leaving; /* about to be detached: what is read from now on may soon be stale */
	void (*left)(struct worker *w, struct inode *inode, void *arg);
	void *arg;
};

/* A file of the region, which is not attached here, has been opened. */
void watch_begin(struct worker *w, struct inode *inode);
/* The last such file has been closed, or the region was attached here. */
void watch_end(struct worker *w, struct inode *inode);

/* Whether pages that are cached now are current. */
bool watch_trusts(const struct inode *inode);
/* A READ begins: starts a watch if there is none, before a node is asked for what the page cache may
 * have. Returns the `serial` for watch_read(). */
uint32_t watch_read_begin(struct worker *w, struct inode *inode);
/* A READ is being answered. True: watch.h will drop what the READ brings into the page cache. */
bool watch_read(struct worker *w, struct inode *inode, uint64_t off, uint64_t size, uint32_t serial);

/* Lets no invalidation begin until watch_go_on(). True: one is in flight, and `task` runs after it. */
bool watch_pause(struct inode *inode, struct task *task);
void watch_go_on(struct worker *w, struct inode *inode);

/* Empties the page cache of a region that is attached, has no writer here any more, and whose inode
 * is held; then calls left(), which detaches. */
void watch_leave(struct worker *w, struct inode *inode,
		 void (*left)(struct worker *w, struct inode *inode, void *arg), void *arg);
/* The region has been detached. */
void watch_left(struct worker *w, struct inode *inode);

/* The cached pages may be another writer's: drops all of them. */
void watch_distrust(struct worker *w, struct inode *inode);

/* In a successor: it does not know what its predecessor had noted. */
void watches_recover(struct worker *w);
/* Does what is due; returns when it wants to be called again (CLOCK_MONOTONIC), or ~0. */
uint64_t watches_tick(struct worker *w, uint64_t now_ns);

#endif
