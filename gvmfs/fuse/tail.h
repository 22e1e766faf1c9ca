/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tail.h - what lies behind a file's end, in the page that contains the end.
 *
 * A mapping can store there. These bytes are no part of the file, and the kernel does not write them
 * back; but they stay in its page, and would be read and written once the file grows over them, since
 * the kernel zeroes them when a file shrinks, not when it grows. Moreover, from Linux 6.17 on a
 * write-back during a write() past the end zeroes, in that page, what the write() has just put there.
 * So a growth from a size in the middle of a page that the kernel may have takes three steps: the nodes
 * and the record get the new size; the kernel's page gets its right content from the old end on
 * (pagecache_store()); the kernel is told the new size.
 *
 * That content, and the range of it that is zero, the tail, are in the journal from before the first step on.
 * - Until it is cleared the file shows its old size. So a store to these bytes before that is no part
 *   of the file either, and no store to the file can be undone.
 * - What the kernel writes back of the tail meanwhile is taken as zero (tail_mask()).
 * - A worker's successor clears it before it answers the request, which the kernel sends again, and
 *   also if the kernel does not.
 * - A WRITE has the kernel's page for its data, not a copy. What is sent again may have been zeroed since it was sent
 *   first, and gets the content that the journal has (tail_recall()). What is zeroed before that is lost: the kernel would
 *   have to write the page back between a write()'s begin and our reading of its WRITE, or before tail_begin() in a worker
 *   that is killed then.
 *
 * The op that clears a tail holds the inode. Front thread.
 */
#ifndef GVMFS_TAIL_H
#define GVMFS_TAIL_H

#include "state/journal.h"

#include <stdbool.h>
#include <stddef.h>

struct inode;
struct resize;
struct worker;

/* Before an op makes its inode larger. */
void tail_begin(struct resize *rs);
/* After the growth, or its failure: puts the kernel's page right, then calls then(rs, result). If the
 * page stays locked the op waits on, but an ftruncate() is answered with EINTR. */
void tail_clear(struct resize *rs, int result, void (*then)(struct resize *rs, int result));
/* Clears a tail that a predecessor has left. */
void tail_adopt(struct worker *w, struct inode *inode);
/* The request is a write(): if it is the one that a predecessor had begun, its data become what they were then. */
void tail_recall(struct worker *w, const struct inode *inode, uint8_t *data, uint64_t off, size_t bytes);

/* The kernel reads up to `end` into its page cache. */
static inline void tail_read(struct journal_inode *d, uint64_t end)
{
	if (end > d->rec.size_bytes / GVM_PAGE_BYTES * GVM_PAGE_BYTES && !d->end_cached)
		journal_publish32(&d->end_cached, 1);
}

/* The file is about to shrink: its new end may be in any page. */
static inline void tail_cut(struct journal_inode *d)
{
	journal_publish32(&d->end_cached, 1);
}

/* Whether a write, or growth, up to `end` has to wait for the op that clears the tail. */
static inline bool tail_is_before(const struct journal_inode *d, uint64_t end)
{
	return d->tail_from && end > d->tail_from;
}
/* Zeroes in data that the kernel writes back what must not become part of the file. */
void tail_mask(const struct journal_inode *d, uint8_t *data, uint64_t off, size_t size);

#endif
