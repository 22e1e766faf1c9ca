// SPDX-License-Identifier: GPL-2.0-or-later
/* front_attr.c - requests about attributes. */
#include "front.h"
#include "front_tree.h"
#include "held.h"
#include "node/names.h"
#include "node/times.h"
#include "unbacked.h"

#include <errno.h>

static void getattr_refreshed(struct worker *w, int result, void *arg)
{
	struct op *op = arg;

	w->names_failing = result < 0;
	if (op->req && held_ask(w, op->inode)) {
		held_wait(op->inode, op);
		return;
	}
	if (op->req)
		front_reply_attr(w, op_take(op), op->inode);
	op_end(op, false, 0);
}

void front_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_inode(req, ino);
	bool refresh = inode && !front_record_is_ours(inode) && front_refresh_is_due(w);
	struct op *op;

	(void)fi;
	if (!inode)
		return;
	if (!refresh && !held_ask(w, inode)) {
		front_reply_attr(w, req, inode);
		return;
	}
	op = op_new(w, req, inode);
	if (op && refresh)
		names_refresh(w, true, getattr_refreshed, op);
	else if (op)
		held_wait(inode, op);
}

static void setattr_saved(struct worker *w, int result, void *arg)
{
	struct op *op = arg;
	struct record *rec = &op->inode->disk->rec;

	if (result < 0) { /* undo */
		rec->mode = op->before.mode;
		rec->uid = op->before.uid;
		rec->gid = op->before.gid;
		rec->mtime_ns = op->before.mtime_ns;
		rec->ctime_ns = op->before.ctime_ns;
	} else if (op->req) {
		front_reply_attr(w, op_take(op), op->inode);
	}
	op_end(op, true, result);
}

static void setattr_rest(struct op *op, int result)
{
	struct record *rec = &op->inode->disk->rec;
	uint64_t now = times_now();

	if (result == -ENOSPC) {
		unbacked_end(op, op->size);
		return;
	}
	if (result < 0) {
		op_end(op, true, result);
		return;
	}
	op->before.mode = rec->mode;
	op->before.uid = rec->uid;
	op->before.gid = rec->gid;
	op->before.mtime_ns = rec->mtime_ns;
	op->before.ctime_ns = rec->ctime_ns;
	if (op->bytes & FUSE_SET_ATTR_MODE)
		rec->mode = op->attr.st_mode & 07777;
	if (op->bytes & FUSE_SET_ATTR_UID)
		rec->uid = op->attr.st_uid;
	if (op->bytes & FUSE_SET_ATTR_GID)
		rec->gid = op->attr.st_gid;
	if (op->bytes & FUSE_SET_ATTR_MTIME_NOW)
		rec->mtime_ns = now;
	else if (op->bytes & FUSE_SET_ATTR_MTIME)
		rec->mtime_ns = (uint64_t)op->attr.st_mtim.tv_sec * 1000000000ull +
				(uint64_t)op->attr.st_mtim.tv_nsec;
	else if (op->bytes & FUSE_SET_ATTR_SIZE)
		rec->mtime_ns = now;
	rec->ctime_ns = now;
	/* The root has no record: its attributes are this mount's. A new size has been saved
	 * already, though perhaps not by a killed predecessor; setting the same size again is not
	 * worth a save. */
	if (op->inode->nr == 0 ||
	    (!op->resent && !(op->bytes & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID |
					   FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)))) {
		times_status(op->w, op->inode);
		setattr_saved(op->w, 0, op);
		return;
	}
	names_save(op->w, op->inode, setattr_saved, op);
}

static void setattr_run(struct task *task)
{
	struct op *op = (struct op *)task;
	struct journal_inode *d = op->inode->disk;
	unsigned others = op->inode->opens - (op->off && op->inode->opens ? 1 : 0);

	if (op->abandoned) {
		op_end(op, true, 0);
		return;
	}
	if (!(op->bytes & FUSE_SET_ATTR_SIZE) || op->size == d->rec.size_bytes) {
		setattr_rest(op, 0);
		return;
	}
	if (d->rec.kind == RECORD_FOLDER) {
		op_end(op, true, EISDIR);
		return;
	}
	/* Memory must not vanish under a guest. */
	if (op->size < d->rec.size_bytes && others) {
		op_end(op, true, EBUSY);
		return;
	}
	op->then = setattr_rest;
	front_resize(op);
}

void front_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		   struct fuse_file_info *fi)
{
	struct inode *inode = front_inode(req, ino);
	struct op *op = inode ? op_new(front_worker(req), req, inode) : NULL;

	if (!op)
		return;
	op->attr = *attr;
	op->bytes = (size_t)to_set;
	op->size = (uint64_t)attr->st_size;
	op->off = fi != NULL;
	op->tid = fuse_req_ctx(req)->pid;
	op->task.run = setattr_run;
	inode_acquire(inode, &op->task);
}
