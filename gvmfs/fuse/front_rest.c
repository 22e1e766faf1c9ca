// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_rest.c - opens a region for reading that is not attached here: at rest, or written on another host.
 *
 * At rest, with no writer anywhere, a reader goes through the page cache, and may map what it reads;
 * watch.h keeps that true from then on.
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
		if (d->last_epoch) { /* what is cached is another writer's */
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
