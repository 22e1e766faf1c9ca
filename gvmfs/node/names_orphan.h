/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names_orphan.h - regions that no program can reach any more: unlinked ones whose writer has ended without
 * closing them, and temporary ones whose mount is gone. Whoever reads the name table deletes them.
 */
#ifndef GVMFS_NAMES_ORPHAN_H
#define GVMFS_NAMES_ORPHAN_H

#include "state/inode.h"

struct worker;

/* Unlinked files of other hosts that were found without a writer, and since when. */
#define NAMES_ORPHANS 64
struct names_orphan {
	struct gvm_id id;
	uint64_t since_ns; /* 0: no entry */
};

/*
 * A region without a name was deleted on its nodes, but for one that does not answer (-EAGAIN). Whether its record is to
 * stay, as an orphan's, until that node is back, or for as long as --unlinked-lease says: the record of a region that was
 * deleted then is not made a tombstone yet, but saved, and forgotten here.
 */
bool orphan_stays(struct worker *w, const struct record *rec, int result);

/* An unlinked region of which this mount knows nothing. */
void orphan_adopt(struct worker *w, const struct record *rec);
/* A region that may be a temporary one which a mount of this host has left. */
void temporary_consider(struct worker *w, unsigned nr);

#endif
