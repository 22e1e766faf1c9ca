// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * store_cut.c - a region's cut, for requests that come in the meantime (store.h): direct I/O, and pages that the kernel
 * writes back after it has given up waiting for the change.
 *
 * A WRITE behind the new end must reach no wbuf once the fsync before the cut has begun: the nodes would refuse what is
 * behind their end, or bring it back, in the rest of the last chunk, when the file grows. It must not be dropped before the
 * cut is certain, either. So it waits, and after the cut counts as written before it. A GET of a chunk that is just being
 * cut off may be refused, and a READ that gets zeros there would see a file that never was: it waits, too, and then
 * finds the new end.
 */
#include "store_priv.h"

#include "base/mutant.h"

#include <assert.h>

void store_cut_begin(struct store *s, struct inode *inode, uint64_t size)
{
	assert(!inode->cutting);
	inode->cutting = !mutant("cut-unheld");
	inode->cut_bytes = size;
	for (unsigned i = 0; i < CACHE_ENTRIES; i++)
		if (s->cache.entries[i].inode == inode && s->cache.entries[i].fetching)
			store_cut_note(&s->cache.entries[i]);
}

void store_cut_end(struct store *s, struct inode *inode)
{
	inode->cutting = false;
	store_held_wake(s, inode);
}

void store_held_wake(struct store *s, const struct inode *inode)
{
	struct store_wait *wait, *next;

	for (wait = TAILQ_FIRST(&s->held); wait && !mutant("cut-untold"); wait = next) {
		next = TAILQ_NEXT(wait, in);
		if (wait->inode == inode)
			store_due(s, wait);
	}
}
