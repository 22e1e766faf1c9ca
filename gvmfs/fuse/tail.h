/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tail.h - what lies behind a file's end, in the page that the end is in.
 *
 * A mapping can store there. These bytes are no part of the file, and the kernel writes none of them
 * back; but they stay in its page, and would be read, and written, once the file grows over them: the
 * kernel makes them zero when a file shrinks, not when it grows. And from Linux 6.17 on a write-back
 * that comes while a write() past the end is under way makes zero, in that page, what the write() has
 * just put there. So a growth from a size in the middle of a page that the kernel may have takes three
 * steps: the nodes and the record get the new size; the kernel's page gets what it should have from the
 * old end on (pagecache_store()); the kernel is told the new size.
 *
 * What is to be made zero, the tail, stands in the journal from before the first step on.
 * - Until it is clear the file shows its old size. So a store to these bytes before that is no part of
 *   the file either, and none that is can be undone.
 * - What the kernel writes back of them meanwhile is zero (tail_mask()).
 * - A worker's successor clears it before it answers the request, which is sent again, and also if it
 *   is not.
 *
 * The op that clears a tail has the inode. Front thread.
 */
#ifndef GVMFS_TAIL_H
#define GVMFS_TAIL_H

#include "state/journal.h"

#include <stdbool.h>
#include <stddef.h>

struct inode;
struct op;
struct worker;

/* The op is about to make its inode larger, to op->size; op->data: for a write() at op->off. */
void tail_begin(struct op *op);
/* It has, or has failed to: the kernel's page is made as it should be. Then calls then(op, result). A
 * page that is locked for long holds up the op, but no ftruncate(): that gets EINTR. */
void tail_clear(struct op *op, int result, void (*then)(struct op *op, int result));
/* Clears the tail that a predecessor has left. */
void tail_adopt(struct worker *w, struct inode *inode);

/* The kernel reads up to `end`, for its page cache. */
static inline void tail_read(struct journal_inode *d, uint64_t end)
{
	if (end > d->rec.size_bytes / GVM_PAGE_BYTES * GVM_PAGE_BYTES && !d->end_cached)
		journal_publish32(&d->end_cached, 1);
}

/* The file is about to shrink: its end may come to be in any page. */
static inline void tail_cut(struct journal_inode *d)
{
	journal_publish32(&d->end_cached, 1);
}

/* Whether a write or growth up to `end` has to wait for the op that clears the tail. */
static inline bool tail_is_before(const struct journal_inode *d, uint64_t end)
{
	return d->tail_from && end > d->tail_from;
}
/* Takes out of what the kernel writes back what is not to be the file's. */
void tail_mask(const struct journal_inode *d, uint8_t *data, uint64_t off, size_t size);

#endif
