// SPDX-License-Identifier: GPL-2.0-or-later
/* front_attr.c - requests about attributes. */
#include "front.h"
#include "front_tree.h"
#include "held.h"
#include "node/names.h"
#include "node/times.h"
#include "resize.h"
#include "state/closes.h"
#include "unbacked.h"
#include "view.h"

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
	struct inode *inode = front_inode(req, view_region(ino));
	bool helper = pagecache_is_helper(w, fuse_req_ctx(req)->pid); /* as in front_lookup() */
	bool refresh = inode && !helper && !front_record_is_ours(inode) && front_refresh_is_due(w);
	struct op *op;

	(void)fi;
	if (!inode)
		return;
	if (view_of(ino)) {
		view_reply_attr(w, req, inode, view_of(ino));
		return;
	}
	if (helper || (!refresh && !held_ask(w, inode))) {
		front_reply_attr(w, req, inode);
		return;
	}
	op = op_new(w, req, inode);
	if (op && refresh)
		names_refresh(w, true, getattr_refreshed, op);
	else if (op)
		held_wait(inode, op);
}

struct setattr {
	struct resize rs; /* first */
	struct stat attr;
	unsigned set;	/* what of it: FUSE_SET_ATTR_* */
	bool by_handle; /* the caller has it open itself */
	int tid;	/* the caller */
	struct close_wait closing;
	struct {
		uint32_t mode, uid, gid;
		uint64_t mtime_ns, ctime_ns;
	} before; /* restored if the change fails */
};

static void setattr_saved(struct worker *w, int result, void *arg)
{
	struct setattr *sa = arg;
	struct op *op = &sa->rs.op;
	struct record *rec = &op->inode->disk->rec;

	if (result < 0) { /* undo */
		rec->mode = sa->before.mode;
		rec->uid = sa->before.uid;
		rec->gid = sa->before.gid;
		rec->mtime_ns = sa->before.mtime_ns;
		rec->ctime_ns = sa->before.ctime_ns;
	} else if (op->req) {
		front_reply_attr(w, op_take(op), op->inode);
	}
	op_end(op, true, result);
}

static void setattr_rest(struct resize *rs, int result)
{
	struct setattr *sa = (struct setattr *)rs;
	struct op *op = &rs->op;
	struct record *rec = &op->inode->disk->rec;
	uint64_t now = times_now();

	if (result == -ENOSPC) {
		unbacked_end(op, sa->tid, sa->rs.size);
		return;
	}
	if (result < 0) {
		op_end(op, true, result);
		return;
	}
	sa->before.mode = rec->mode;
	sa->before.uid = rec->uid;
	sa->before.gid = rec->gid;
	sa->before.mtime_ns = rec->mtime_ns;
	sa->before.ctime_ns = rec->ctime_ns;
	if (sa->set & FUSE_SET_ATTR_MODE)
		rec->mode = sa->attr.st_mode & 07777;
	if (sa->set & FUSE_SET_ATTR_UID)
		rec->uid = sa->attr.st_uid;
	if (sa->set & FUSE_SET_ATTR_GID)
		rec->gid = sa->attr.st_gid;
	if (sa->set & FUSE_SET_ATTR_MTIME_NOW)
		rec->mtime_ns = now;
	else if (sa->set & FUSE_SET_ATTR_MTIME)
		rec->mtime_ns = (uint64_t)sa->attr.st_mtim.tv_sec * 1000000000ull +
				(uint64_t)sa->attr.st_mtim.tv_nsec;
	else if (sa->set & FUSE_SET_ATTR_SIZE)
		rec->mtime_ns = now;
	rec->ctime_ns = now;
	/* The root has no record: its attributes are this mount's. A new size has been saved
	 * already, though perhaps not by a killed predecessor; setting the same size again is not
	 * worth a save. */
	if (op->inode->nr == 0 ||
	    (!op->resent && !(sa->set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID |
					   FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)))) {
		times_status(op->w, op->inode);
		setattr_saved(op->w, 0, sa);
		return;
	}
	names_save(op->w, op->inode, setattr_saved, sa);
}

static void setattr_run(struct task *task)
{
	struct setattr *sa = (struct setattr *)task;
	struct op *op = &sa->rs.op;
	struct journal_inode *d = op->inode->disk;
	unsigned others = op->inode->opens - (sa->by_handle && op->inode->opens ? 1 : 0);

	if (op->abandoned) {
		op_end(op, true, 0);
		return;
	}
	if (!(sa->set & FUSE_SET_ATTR_SIZE) || sa->rs.size == d->rec.size_bytes) {
		setattr_rest(&sa->rs, 0);
		return;
	}
	if (d->rec.kind == RECORD_FOLDER) {
		op_end(op, true, EISDIR);
		return;
	}
	/* Memory must not vanish under a guest. */
	if (sa->rs.size < d->rec.size_bytes && others) {
		if (!close_wait(op->w, &sa->closing, op->inode, task))
			op_end(op, true, EBUSY);
		return;
	}
	sa->rs.then = setattr_rest;
	front_resize(&sa->rs);
}

void front_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		   struct fuse_file_info *fi)
{
	struct inode *inode;
	struct setattr *sa;

	if (view_of(ino)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	inode = front_inode(req, ino);
	sa = inode ? op_new_sized(front_worker(req), req, inode, sizeof(*sa)) : NULL;
	if (!sa)
		return;
	sa->attr = *attr;
	sa->set = (unsigned)to_set;
	sa->rs.size = (uint64_t)attr->st_size;
	sa->by_handle = fi != NULL;
	sa->tid = fuse_req_ctx(req)->pid;
	sa->rs.op.task.run = setattr_run;
	inode_acquire(inode, &sa->rs.op.task);
}
