/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names_orphan.h - deletes regions that no program can reach any more: unlinked ones whose writer has ended without
 * closing them, and temporary ones whose mount is gone. Any mount that reads the name table does so. Front thread.
 */
#ifndef GVMFS_NAMES_ORPHAN_H
#define GVMFS_NAMES_ORPHAN_H

#include "state/inode.h"

struct worker;

/*
 * Called with the result of region_delete() for an unlinked region. True: a node did not answer (-EAGAIN), so the
 * record has to stay in the name table, as an orphan's, until that node is back, at most for --unlinked-lease: the
 * caller saves the record instead of a tombstone, and forgets the region.
 */
bool orphan_stays(struct worker *w, const struct record *rec, int result);

/* An orphan's record that this mount has no inode for: deletes the region once its writer has been gone for long
 * enough. */
void orphan_adopt(struct worker *w, const struct record *rec);
/* Deletes the region if it is a temporary one whose mount is dead. */
void temporary_consider(struct worker *w, unsigned nr);

#endif
