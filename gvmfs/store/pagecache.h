/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pagecache.h - has the kernel write back, or let go, pages that it caches of our files.
 *
 * Only a call on an open file does either with regard for whoever uses the pages: write-back that
 * can be waited for (sync_file_range) and letting go of what is clean and neither mapped nor pinned
 * (POSIX_FADV_DONTNEED). An invalidation by the daemon would take a page even from a direct read in
 * flight. A thread of the worker cannot make these calls: they wait for requests that the worker
 * serves, and a killed worker with a thread in there would never end. So a process of its own, the
 * helper, opens the file as any program does, and holds it only for the call. It keeps no mount busy:
 * it goes through a copy of it where it may.
 *
 * - Dirty pages are known to the kernel alone. What the chunk index calls a hole may have been
 *   stored to through a mapping since: pagecache_sync() has these pages written first.
 * - What a mapping stored behind a file's end stays in the kernel's page: pagecache_store() clears it.
 * - What other programs than the guest read (pagecache_note()) goes again after a moment, so that it
 *   does not stay beside the guest's budget.
 *
 * Without the helper (it could not start, a file has no name any more) nothing is wrong: the answer
 * says so, and pages stay until the kernel needs the memory.
 *
 * Front thread only.
 */
#ifndef GVMFS_PAGECACHE_H
#define GVMFS_PAGECACHE_H

#include "base/loop.h"
#include "state/inode.h"

struct worker;

#define PAGECACHE_RANGES 16 /* of a file, in one message */
#define PAGECACHE_NOTES	 64

/* Of a file, in bytes. Where it says so, a size of 0 is all from there on. */
struct pagecache_range {
	uint64_t off, size;
};

/* A wait for the helper: embedded. `done` comes later, from the loop, with 0 or a negative errno. */
struct pagecache_ask {
	void (*done)(struct worker *w, struct pagecache_ask *ask, int error);
	struct pagecache_ask *next;
	uint64_t cookie;
	uint64_t deadline_ns;
};

/* Pages of a file that a program read, and that go soon. */
struct pagecache_note {
	unsigned nr_plus_1; /* of the inode; 0: free */
	uint64_t first; /* where it began */
	uint64_t begin, end; /* not yet let go */
	bool again;	 /* all of it was, once */
	uint64_t last_ns; /* when it last grew, or was */
};

struct pagecache {
	int fd; /* to the helper; -1: there is none */
	struct loop_source answers;
	pid_t pid;
	bool waits_for_writes; /* the kernel's write-back ends with our answer to the WRITE */
	uint64_t cookie;
	struct pagecache_ask *asks;
	struct pagecache_note notes[PAGECACHE_NOTES];
	unsigned noted;
};

/* Starts the helper, before the worker has threads. One that does not start is done without. */
void pagecache_start(struct worker *w);
/* Whether a request is the helper's: its open file counts for nothing. */
bool pagecache_is_helper(const struct worker *w, pid_t tid);
/* Lets go of what is old enough, ends asks that take too long; returns when it wants to be called
 * again (CLOCK_MONOTONIC), ~0: not. */
uint64_t pagecache_tick(struct worker *w, uint64_t now_ns);

/* Has dirty pages of a range written back; when `done` comes with 0, the worker has them. Returns a
 * negative errno, and calls nothing, where that cannot be. */
int pagecache_sync(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
		   struct pagecache_ask *ask);
/* Takes the pages of ranges away (size 0: to the end), mapped or not: of a file that has no writer on
 * this host, since it would take a page from a direct read in flight. It waits for READs in flight of these
 * pages, and holds up no other. Answers like pagecache_sync(). */
int pagecache_invalidate(struct worker *w, struct inode *inode, const struct pagecache_range *ranges,
			 unsigned count, struct pagecache_ask *ask);
/* Whether it can be asked for that at all. */
bool pagecache_can_invalidate(const struct worker *w);
/* Puts content into a part of one page where the kernel has the page, which it may map, and has to write
 * back; the file's size in the kernel grows to the end of that part at least. Answers like
 * pagecache_sync(), but with -ETIMEDOUT only if pagecache_wait_on() goes on with it; and does without a
 * helper. */
int pagecache_store(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
		    const uint8_t *content, struct pagecache_ask *ask);
/* From an ask's done(): it is waited for after all, without end. */
void pagecache_wait_on(struct worker *w, struct pagecache_ask *ask);

/* A program that is not the guest read this through the page cache. */
void pagecache_note(struct worker *w, const struct inode *inode, uint64_t off, uint64_t size);
/* The last such program has closed it: what it had mapped can go, too. */
void pagecache_closed(struct worker *w, struct inode *inode);

#endif
