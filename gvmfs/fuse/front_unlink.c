// SPDX-License-Identifier: GPL-2.0-or-later
/* front_unlink.c - requests that remove or change names. */
#include "base/log.h"
#include "front.h"
#include "front_tree.h"
#include "node/names.h"
#include "node/region.h"
#include "node/region_lease.h"
#include "node/times.h"
#include "state/seals.h"
#include "view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct unlinking {
	struct op op; /* first */
	fuse_ino_t parent;
	bool replaced; /* a rename that is already safe took the name */
};

static void unlink_end(struct unlinking *u, int error)
{
	op_end(&u->op, true, u->replaced ? 0 : error);
}

static void unlink_saved(struct worker *w, int result, void *arg)
{
	struct unlinking *u = arg;
	struct inode *inode = u->op.inode;
	struct journal_inode *d = inode->disk;

	if (result < 0) { /* undo */
		d->rec.orphan = 0;
		inode_set_use(w->inodes, inode->nr, INODE_USED);
		unlink_end(u, result);
		return;
	}
	front_folder_changed(w, u->parent);
	region_lease(w, inode);
	unlink_end(u, 0);
	front_settle(w, inode);
}

static void unlink_checked(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct unlinking *u = arg;
	struct journal_inode *d = inode->disk;

	(void)result; /* a name is removed even if its nodes do not answer */
	if (inode->writer >= GVM_WRITER_AWAY && !region_is_attached(inode)) {
		unlink_end(u, EBUSY);
		return;
	}
	/* It is still a region, though without a name: its chunks are deleted when it is closed. */
	d->rec.orphan = 1;
	d->rec.ctime_ns = times_now();
	inode_set_use(w->inodes, inode->nr, INODE_UNLINKED);
	names_save(w, inode, unlink_saved, u);
}

static void unlink_run(struct task *task)
{
	struct unlinking *u = (struct unlinking *)task;
	struct op *op = &u->op;
	struct worker *w = op->w;
	struct inode *inode = op->inode;

	if (inode->disk->use != INODE_USED || op->abandoned) {
		unlink_end(u, ENOENT);
		return;
	}
	inode->writer = GVM_WRITER_NONE;
	if (inode->disk->rec.node_count && !region_is_attached(inode))
		region_stat_briefly(w, inode, unlink_checked, u); /* the kernel has the folder locked meanwhile */
	else
		unlink_checked(w, inode, 0, u);
}

static void unlink_inode(struct worker *w, fuse_req_t req, struct inode *inode, fuse_ino_t parent,
			 bool replaced)
{
	struct unlinking *u = op_new_sized(w, req, inode, sizeof(*u));

	if (!u)
		return;
	u->parent = parent;
	u->replaced = replaced;
	u->op.task.run = unlink_run;
	inode_acquire(inode, &u->op.task);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, bool folder_wanted)
{
	struct worker *w = front_worker(req);
	struct inode *folder = front_inode(req, parent);
	struct inode *inode = folder ? front_child(w, folder, name) : NULL;
	bool is_folder = inode && inode->disk->rec.kind == RECORD_FOLDER;
	struct inode *region;

	if (!folder)
		return;
	if (!inode)
		fuse_reply_err(req, w->request->resent	      ? 0 :
				    view_find(w, folder, name, &region) ? EPERM :
									  ENOENT);
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

struct renaming {
	struct op op; /* first */
	unsigned from, to; /* the folders' inodes */
	unsigned replaced; /* the inode that had the new name; 0: there was none */
	char from_name[RECORD_NAME_MAX + 1], to_name[RECORD_NAME_MAX + 1];
	uint64_t from_seal;
};

/* The file that the rename replaces is removed once the new record is safe (until then the newer
 * record shows under the name), and before the rename is answered. */
static void rename_saved(struct worker *w, int result, void *arg)
{
	struct renaming *rn = arg;
	struct op *op = &rn->op;
	struct inode *replaced = rn->replaced ? inode_get(w->inodes, rn->replaced) : NULL;
	fuse_ino_t to = inode_ino(rn->to);
	fuse_req_t req;

	if (result < 0) {
		inode_set_name(w->inodes, op->inode->nr, &inode_disk(w->inodes, rn->from)->rec.id,
			       rn->from_name, rn->from_seal);
		op_end(op, true, result);
		return;
	}
	front_folder_changed(w, inode_ino(rn->from));
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
	struct renaming *rn = (struct renaming *)task;
	struct op *op = &rn->op;
	struct worker *w = op->w;
	struct journal_inode *d = op->inode->disk;
	const struct gvm_id *to = &inode_disk(w->inodes, rn->to)->rec.id;
	uint64_t seal;
	int r;

	if (d->use != INODE_USED || op->abandoned) {
		op_end(op, true, ENOENT);
		return;
	}
	r = seal_of_moved(w, op->inode, to, rn->to_name, &seal);
	if (r < 0) {
		log_error(d->rec.name, "it is not moved: it is not sealed, or has regions that are not, and nobody who has this "
			  "mount's key has made the other folder");
		op_end(op, true, r);
		return;
	}
	memcpy(rn->from_name, d->rec.name, sizeof(rn->from_name));
	rn->from_seal = d->rec.seal;
	/* Raised first: if we are killed after this, the successor saves what follows under the
	 * newer version. */
	journal_publish64(&d->rec.version, d->rec.version + 1);
	atomic_thread_fence(memory_order_release);
	inode_set_name(w->inodes, op->inode->nr, to, rn->to_name, seal);
	d->rec.ctime_ns = times_now();
	/* Of two records with one name the newer shows, so this one has to be newer. */
	if (rn->replaced && inode_disk(w->inodes, rn->replaced)->rec.version > d->rec.version)
		d->rec.version = inode_disk(w->inodes, rn->replaced)->rec.version;
	names_save(w, op->inode, rename_saved, rn);
}

void front_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
		  const char *to_name, unsigned flags)
{
	struct worker *w = front_worker(req);
	struct inode *from = front_inode(req, parent);
	struct inode *to = from ? front_inode(req, to_parent) : NULL;
	struct inode *inode, *target, *region;
	struct renaming *rn;

	if (!to)
		return;
	inode = front_child(w, from, name);
	target = front_child(w, to, to_name);
	if (flags & ~(unsigned)RENAME_NOREPLACE || strlen(to_name) > RECORD_NAME_MAX) {
		fuse_reply_err(req, flags & ~(unsigned)RENAME_NOREPLACE ? EINVAL : ENAMETOOLONG);
		return;
	}
	if (!inode && view_find(w, from, name, &region)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (!inode || (target && target != inode && flags & RENAME_NOREPLACE)) {
		fuse_reply_err(req, inode ? EEXIST : w->request->resent && target ? 0 : ENOENT);
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
	rn = op_new_sized(w, req, inode, sizeof(*rn));
	if (!rn)
		return;
	rn->from = from->nr;
	rn->to = to->nr;
	rn->replaced = target ? target->nr : 0;
	snprintf(rn->to_name, sizeof(rn->to_name), "%s", to_name);
	rn->op.task.run = rename_run;
	inode_acquire(inode, &rn->op.task);
}
