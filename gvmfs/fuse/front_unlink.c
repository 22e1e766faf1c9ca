// SPDX-License-Identifier: GPL-2.0-or-later
/* front_unlink.c - requests that remove or change names. */
#include "front.h"
#include "front_tree.h"
#include "node/names.h"
#include "node/region.h"
#include "node/times.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void unlink_end(struct op *op, int error)
{
	op_end(op, true, op->replaced ? 0 : error);
}

static void unlink_saved(struct worker *w, int result, void *arg)
{
	struct op *op = arg;
	struct journal_inode *d = op->inode->disk;
	struct inode *inode = op->inode;

	if (result < 0) { /* undo */
		d->rec.orphan = 0;
		inode_set_use(w->inodes, inode->nr, INODE_USED);
		unlink_end(op, result);
		return;
	}
	d->rec.ctime_ns = times_now();
	front_folder_changed(w, op->parent);
	region_lease(w, inode);
	unlink_end(op, 0);
	front_settle(w, inode);
}

static void unlink_checked(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct op *op = arg;
	struct journal_inode *d = inode->disk;

	(void)result; /* a name is removed even if its nodes do not answer */
	if (inode->writer >= GVM_WRITER_AWAY && !region_is_attached(inode)) {
		unlink_end(op, EBUSY);
		return;
	}
	/* It is still a region, though without a name: its chunks are deleted when it is closed. */
	d->rec.orphan = 1;
	inode_set_use(w->inodes, inode->nr, INODE_UNLINKED);
	names_save(w, inode, unlink_saved, op);
}

static void unlink_run(struct task *task)
{
	struct op *op = (struct op *)task;
	struct worker *w = op->w;
	struct inode *inode = op->inode;

	if (inode->disk->use != INODE_USED || op->abandoned) {
		unlink_end(op, ENOENT);
		return;
	}
	inode->writer = GVM_WRITER_NONE;
	if (inode->disk->rec.node_count && !region_is_attached(inode))
		region_stat(w, inode, unlink_checked, op);
	else
		unlink_checked(w, inode, 0, op);
}

static void unlink_inode(struct worker *w, fuse_req_t req, struct inode *inode, fuse_ino_t parent,
			 bool replaced)
{
	struct op *op = op_new(w, req, inode);

	if (!op)
		return;
	op->parent = parent;
	op->replaced = replaced;
	op->task.run = unlink_run;
	inode_acquire(inode, &op->task);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, bool folder_wanted)
{
	struct worker *w = front_worker(req);
	struct inode *folder = front_inode(req, parent);
	struct inode *inode = folder ? front_child(w, folder, name) : NULL;
	bool is_folder = inode && inode->disk->rec.kind == RECORD_FOLDER;

	if (!folder)
		return;
	if (!inode)
		fuse_reply_err(req, w->request_resent ? 0 : ENOENT);
	else if (is_folder != folder_wanted)
		fuse_reply_err(req, is_folder ? EISDIR : ENOTDIR);
	else if (is_folder && inode_has_children(w->inodes, &inode->disk->rec.id))
		fuse_reply_err(req, ENOTEMPTY);
	else
		unlink_inode(w, req, inode, parent, false);
}

void front_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, false);
}

void front_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, true);
}

/* The file that the rename replaces is removed once the new record is safe (until then the newer
 * record shows under the name), and before the rename is answered. */
static void rename_saved(struct worker *w, int result, void *arg)
{
	struct op *op = arg;
	struct inode *replaced = op->size ? inode_get(w->inodes, (unsigned)op->size) : NULL;
	fuse_ino_t to = inode_ino((unsigned)op->bytes);
	fuse_req_t req;

	if (result < 0) {
		inode_set_name(w->inodes, op->inode->nr,
			       &inode_disk(w->inodes, (unsigned)op->off)->rec.id, op->name);
		op_end(op, true, result);
		return;
	}
	front_folder_changed(w, inode_ino((unsigned)op->off));
	front_folder_changed(w, to);
	if (replaced && replaced->disk->use == INODE_USED) {
		req = op_take(op);
		op_end(op, true, 0);
		unlink_inode(w, req, replaced, to, true);
		return;
	}
	op_end(op, true, result);
}

static void rename_run(struct task *task)
{
	struct op *op = (struct op *)task;
	struct worker *w = op->w;
	struct journal_inode *d = op->inode->disk;
	const char *to_name = (const char *)op->kept;
	char from_name[RECORD_NAME_MAX + 1];

	if (d->use != INODE_USED || op->abandoned) {
		op_end(op, true, ENOENT);
		return;
	}
	memcpy(from_name, d->rec.name, sizeof(from_name));
	/* Raised first: if we are killed after this, the successor saves what follows under the
	 * newer version. */
	journal_publish64(&d->rec.version, d->rec.version + 1);
	atomic_thread_fence(memory_order_release);
	inode_set_name(w->inodes, op->inode->nr, &inode_disk(w->inodes, (unsigned)op->bytes)->rec.id,
		       to_name);
	d->rec.ctime_ns = times_now();
	memcpy(op->name, from_name, sizeof(op->name));
	/* Of two records with one name the newer shows, so this one has to be newer. */
	if (op->size && inode_disk(w->inodes, (unsigned)op->size)->rec.version > d->rec.version)
		d->rec.version = inode_disk(w->inodes, (unsigned)op->size)->rec.version;
	names_save(w, op->inode, rename_saved, op);
}

void front_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
		  const char *to_name, unsigned flags)
{
	struct worker *w = front_worker(req);
	struct inode *from = front_inode(req, parent);
	struct inode *to = from ? front_inode(req, to_parent) : NULL;
	struct inode *inode, *target;
	struct op *op;

	if (!to)
		return;
	inode = front_child(w, from, name);
	target = front_child(w, to, to_name);
	if (flags & ~(unsigned)RENAME_NOREPLACE || strlen(to_name) > RECORD_NAME_MAX) {
		fuse_reply_err(req, flags & ~(unsigned)RENAME_NOREPLACE ? EINVAL : ENAMETOOLONG);
		return;
	}
	if (!inode || (target && target != inode && flags & RENAME_NOREPLACE)) {
		fuse_reply_err(req, inode ? EEXIST : w->request_resent && target ? 0 : ENOENT);
		return;
	}
	if (inode == target) {
		fuse_reply_err(req, 0);
		return;
	}
	if (target && inode_has_children(w->inodes, &target->disk->rec.id)) {
		fuse_reply_err(req, ENOTEMPTY);
		return;
	}
	op = op_new(w, req, inode);
	if (!op)
		return;
	op->off = from->nr;
	op->bytes = to->nr;
	op->size = target ? target->nr : 0;
	op->kept = (uint8_t *)strdup(to_name);
	op->task.run = rename_run;
	if (op->kept)
		inode_acquire(inode, &op->task);
	else
		op_end(op, false, ENOMEM);
}
