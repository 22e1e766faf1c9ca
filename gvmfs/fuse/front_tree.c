// SPDX-License-Identifier: GPL-2.0-or-later
/* front_tree.c - requests about names and attributes. */
#include "capacity.h"
#include "front.h"
#include "held.h"
#include "node/names.h"
#include "node/region.h"
#include "node/times.h"
#include "unbacked.h"
#include "unmade.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>


static struct inode *child_of(struct worker *w, struct inode *folder, const char *name)
{
	int nr = inode_lookup(w->inodes, &folder->disk->rec.id, name);

	return nr < 0 ? NULL : inode_get(w->inodes, (unsigned)nr);
}

/* ---- refreshing what other hosts may have made, changed, renamed or removed */

static void refreshed(struct worker *w, int result, void *arg)
{
	(void)arg;
	w->names_failing = result < 0;
	w->names_asking = false;
}

/* Whether a request should wait for the nodes' name table. While a majority of them does not answer,
 * they are asked in the background, and what was last known is shown. */
static bool refresh_is_worth_waiting(struct worker *w)
{
	if (names_are_fresh(w))
		return false;
	if (w->names_failing && !w->names_asking) {
		w->names_asking = true;
		names_refresh(w, true, refreshed, NULL);
	}
	return !w->names_failing;
}

/* Whether this host, which writes the region, has the newest record of it. */
static bool record_is_ours(const struct inode *inode)
{
	return region_is_attached(inode) || inode->resident || inode->attaching;
}

static void lookup_reply(struct worker *w, fuse_req_t req, struct inode *inode)
{
	struct fuse_entry_param e;

	front_entry(w, inode, &e);
	fuse_reply_entry(req, &e);
}

static void lookup_refreshed(struct worker *w, int result, void *arg)
{
	struct op *op = arg;
	struct inode *inode = child_of(w, op->inode, op->name);

	w->names_failing = result < 0;
	if (op->req && inode)
		lookup_reply(w, op_take(op), inode);
	op_end(op, false, ENOENT);
}

void front_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct worker *w = front_worker(req);
	struct inode *folder = front_inode(req, parent), *inode;
	struct op *op;

	if (!folder)
		return;
	if (strlen(name) > RECORD_NAME_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	inode = child_of(w, folder, name);
	if ((inode && record_is_ours(inode)) || !refresh_is_worth_waiting(w)) {
		if (inode)
			lookup_reply(w, req, inode);
		else
			fuse_reply_err(req, ENOENT);
		return;
	}
	op = op_new(w, req, folder);
	if (!op)
		return;
	snprintf(op->name, sizeof(op->name), "%s", name);
	names_refresh(w, true, lookup_refreshed, op);
}

static void forget(struct worker *w, fuse_ino_t ino, uint64_t count)
{
	struct inode *inode = inode_by_ino(w->inodes, ino);
	struct journal_inode *d;

	if (!inode)
		return;
	d = inode->disk;
	d->lookups -= count < d->lookups ? count : d->lookups;
	inode_reap(w->inodes, inode->nr);
}

void front_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	forget(front_worker(req), ino, count);
	fuse_reply_none(req);
}

void front_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(front_worker(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* Attributes */

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
	bool refresh = inode && !record_is_ours(inode) && refresh_is_worth_waiting(w);
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

/* Making and removing names */

static void folder_changed(struct worker *w, fuse_ino_t ino)
{
	struct inode *folder = inode_by_ino(w->inodes, ino);

	if (folder)
		times_content(w, folder);
}

static void made(struct worker *w, int result, void *arg)
{
	struct op *op = arg;
	struct fuse_entry_param e;
	bool create = op->to_set;
	int r = 0;

	if (result < 0) {
		op_fail(op, result);
		unmade_add(op);
		return;
	}
	if (!op->req) { /* the file exists; its caller has given up */
		op_end(op, true, 0);
		return;
	}
	folder_changed(w, op->parent);
	if (create)
		r = handle_open(w->inodes, op->inode->nr, front_handle_how(&op->fi, false), op->unique,
				&op->fi.fh);
	if (r < 0) {
		op_end(op, true, r);
		return;
	}
	front_entry(w, op->inode, &e);
	op->fi.keep_cache = 1;
	op->fi.noflush = 1; /* see open_reply() */
	if (create)
		fuse_reply_create(op_take(op), &e, &op->fi);
	else
		fuse_reply_entry(op_take(op), &e);
	op_end(op, true, 0);
}

static void make_run(struct task *task)
{
	struct op *op = (struct op *)task;

	if (op->inode->disk->use != INODE_USED)
		op_end(op, true, ENOENT);
	else if (op->abandoned)
		unmade_add(op); /* no node knows of it, but it has an inode */
	else
		names_save(op->w, op->inode, made, op);
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		 enum record_kind kind, const struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *folder = front_inode(req, parent), *inode;
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct record *rec;
	struct op *op;
	int nr;

	if (!folder)
		return;
	if (strlen(name) > RECORD_NAME_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	inode = child_of(w, folder, name);
	/* A request that was sent again: go on with what the killed predecessor made. */
	if (inode && (!w->request_resent || inode->disk->rec.kind != kind)) {
		fuse_reply_err(req, EEXIST);
		return;
	}
	op = op_new(w, req, NULL);
	if (!op)
		return;
	if (!inode) {
		rec = calloc(1, sizeof(*rec));
		if (!rec || getrandom(rec->id.b, sizeof(rec->id.b), 0) < 0) {
			free(rec);
			op_end(op, false, ENOMEM);
			return;
		}
		rec->kind = (uint8_t)kind;
		rec->mode = mode & 07777;
		rec->uid = ctx->uid;
		rec->gid = ctx->gid;
		rec->mtime_ns = rec->ctime_ns = times_now();
		rec->parent = folder->disk->rec.id;
		snprintf(rec->name, sizeof(rec->name), "%s", name);
		nr = inode_alloc(w->inodes, rec);
		free(rec);
		if (nr < 0) {
			op_end(op, false, ENOSPC);
			return;
		}
		inode = inode_get(w->inodes, (unsigned)nr);
	}
	op->inode = inode;
	op->parent = parent;
	op->to_set = fi != NULL;
	if (fi)
		op->fi = *fi;
	op->task.run = make_run;
	inode_acquire(inode, &op->task);
}

void front_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)rdev;
	if (!S_ISREG(mode))
		fuse_reply_err(req, EPERM);
	else
		make(req, parent, name, mode, RECORD_REGION, NULL);
}

/* A region has one name and one folder, and there are no devices or links here: the errors are those
 * of other filesystems without these. */
void front_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target;
	(void)parent;
	fuse_reply_err(req, strlen(name) > RECORD_NAME_MAX ? ENAMETOOLONG : EPERM);
}

void front_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	(void)parent;
	fuse_reply_err(req, strlen(name) > RECORD_NAME_MAX ? ENAMETOOLONG : EPERM);
}

void front_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make(req, parent, name, mode, RECORD_FOLDER, NULL);
}

void front_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		  struct fuse_file_info *fi)
{
	make(req, parent, name, mode, RECORD_REGION, fi);
}

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
	folder_changed(w, op->parent);
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
	struct inode *inode = folder ? child_of(w, folder, name) : NULL;
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
	folder_changed(w, inode_ino((unsigned)op->off));
	folder_changed(w, to);
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
	inode = child_of(w, from, name);
	target = child_of(w, to, to_name);
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

/* Folders */

static void opendir_refreshed(struct worker *w, int result, void *arg)
{
	struct op *op = arg;

	w->names_failing = result < 0; /* show an old listing rather than none */
	if (op->req)
		fuse_reply_open(op_take(op), &op->fi);
	op_end(op, false, 0);
}

void front_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_inode(req, ino);
	struct op *op;

	if (!inode)
		return;
	if (!refresh_is_worth_waiting(w)) {
		fuse_reply_open(req, fi);
		return;
	}
	op = op_new(w, req, inode);
	if (!op)
		return;
	op->fi = *fi;
	names_refresh(w, true, opendir_refreshed, op);
}

/* Offsets are 1 and 2 after "." and "..", then an entry's number + 3, so that they stay valid while
 * the folder changes. */
void front_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *folder = front_inode(req, ino);
	char shown[RECORD_NAME_MAX + 1], *buf;
	const struct gvm_id *id;
	size_t used = 0;

	(void)fi;
	if (!folder)
		return;
	buf = malloc(size);
	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	id = &folder->disk->rec.id;
	for (unsigned at = (unsigned)off; at < JOURNAL_INODES + 2; at++) {
		struct stat st = { .st_ino = ino, .st_mode = S_IFDIR };
		const char *name = at ? ".." : ".";
		size_t need;

		if (at >= 2) {
			unsigned nr = inode_child(w->inodes, id, at - 2);

			if (nr == TREE_NONE)
				break;
			at = nr + 2;
			name = inode_shown_name(w->inodes, nr, shown);
			st.st_ino = inode_ino(nr);
			st.st_mode = inode_disk(w->inodes, nr)->rec.kind == RECORD_FOLDER ? S_IFDIR :
											     S_IFREG;
		}
		need = fuse_add_direntry(req, buf + used, size - used, name, &st, (off_t)at + 1);
		if (need > size - used)
			break;
		used += need;
	}
	fuse_reply_buf(req, buf, used);
	free(buf);
}

void front_statfs(fuse_req_t req, fuse_ino_t ino)
{
	(void)ino;
	capacity_reply(front_worker(req), req);
}
