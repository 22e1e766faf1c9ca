/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view.h - the files NAME.core, NAME.low and NAME.high, which show the region NAME as a guest's physical memory
 * (state/core.h).
 *
 * A view is found by its name and never listed: nothing that goes through a folder copies or removes a guest's memory
 * twice. A file that bears the name hides it. It is the region under another inode number, for reading only, with the
 * region's owner and its permissions to read; opens, reads and seeks become those of the region, past the page cache. So
 * a view has no state: the kernel's references are the region's, and a successor knows a view by its number.
 *
 * Front thread.
 */
#ifndef GVMFS_VIEW_H
#define GVMFS_VIEW_H

#include "op.h"
#include "state/core.h"

#define VIEW_SHIFT 32 /* of a node id: no file's number is as large */
_Static_assert(JOURNAL_INODES < 1ull << VIEW_SHIFT, "a view's node id is no file's");

/* The view that a node id stands for; CORE_NONE: it is a file's or a folder's. */
static inline enum core_view view_of(fuse_ino_t ino)
{
	uint64_t view = ino >> VIEW_SHIFT;

	return view <= CORE_HIGH ? (enum core_view)view : CORE_NONE;
}

/* The node id of its region. Any other node id stays as it is. */
static inline fuse_ino_t view_region(fuse_ino_t ino)
{
	return view_of(ino) ? ino & ((1ull << VIEW_SHIFT) - 1) : ino;
}

/* The view of this name in the folder, and its region; CORE_NONE: there is none, or a region without a size. */
enum core_view view_find(struct worker *w, const struct inode *folder, const char *name, struct inode **region);
/* The part of the region that a view shows, behind a head of its own. */
static inline struct core_part view_part(const struct inode *region, enum core_view view)
{
	return core_part(view, &region->disk->core, region->disk->rec.size_bytes);
}

/* Fills in the answer to a look-up, and counts the kernel's reference to the region. */
void view_entry(struct worker *w, struct inode *region, enum core_view view, struct fuse_entry_param *e);
void view_reply_attr(struct worker *w, fuse_req_t req, const struct inode *region, enum core_view view);

/* `bytes` bytes of a view's head, from byte `off` on, which the caller frees; NULL: no memory. */
uint8_t *view_head(const struct worker *w, const struct inode *region, uint64_t off, size_t bytes);

#endif
