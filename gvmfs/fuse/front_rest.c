// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_rest.c - opens a region for reading that is not attached here: at rest, or written by another host.
 *
 * If the region is at rest, with no writer anywhere, its readers use the page cache and may map it;
 * watch.h keeps the page cache current from then on.
 */
#include "front.h"
#include "node/region.h"
#include "store/watch.h"

#include <errno.h>

static void opened(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct journal_inode *d = inode->disk;
	struct op *op = arg;

	op->at_rest = !result && inode->writer == GVM_WRITER_NONE;
	if (op->at_rest && d->last_epoch != inode->seen_epoch) {
		if (d->last_epoch) { /* the page cache has another writer's content */
			journal_publish32(&d->cache_stale, 1);
			watch_distrust(w, inode);
		}
		journal_publish64(&d->last_epoch, inode->seen_epoch);
	}
	op->then(op, 0);
}

void front_rest_open(struct op *op)
{
	op->inode->writer = GVM_WRITER_NONE;
	region_stat(op->w, op->inode, opened, op);
}
