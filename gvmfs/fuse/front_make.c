// SPDX-License-Identifier: GPL-2.0-or-later
/* front_make.c - requests that make files and folders. */
#include "front.h"
#include "front_tree.h"
#include "node/names.h"
#include "node/times.h"
#include "state/seals.h"
#include "unmade.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct making {
	struct op op; /* first */
	fuse_ino_t parent;
	bool create; /* and it is to be opened: */
	struct fuse_file_info fi;
};

static void made(struct worker *w, int result, void *arg)
{
	struct making *m = arg;
	struct op *op = &m->op;
	struct fuse_entry_param e;
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
	front_folder_changed(w, m->parent);
	if (m->create)
		r = handle_open(w->inodes, op->inode->nr, front_handle_how(&m->fi, false),
				fuse_req_ctx(op->req)->uid, op->unique, &m->fi.fh);
	if (r < 0) {
		op_end(op, true, r);
		return;
	}
	front_entry(w, op->inode, &e);
	m->fi.keep_cache = 1;
	m->fi.noflush = 1; /* see open_reply() */
	if (m->create)
		fuse_reply_create(op_take(op), &e, &m->fi);
	else
		fuse_reply_entry(op_take(op), &e);
	op_end(op, true, 0);
}

static void make_run(struct task *task)
{
	struct making *m = (struct making *)task;
	struct op *op = &m->op;

	if (op->inode->disk->use != INODE_USED)
		op_end(op, true, ENOENT);
	else if (op->abandoned)
		unmade_add(op); /* no node knows of it, but it has an inode */
	else
		names_save(op->w, op->inode, made, m);
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		 enum record_kind kind, const struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *folder = front_inode(req, parent), *inode;
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct record *rec;
	struct making *m;
	int nr;

	if (!folder)
		return;
	if (strlen(name) > RECORD_NAME_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	inode = front_child(w, folder, name);
	/* A request that was sent again: go on with what the killed predecessor made. */
	if (inode && (!w->request->resent || inode->disk->rec.kind != kind)) {
		fuse_reply_err(req, EEXIST);
		return;
	}
	m = op_new_sized(w, req, NULL, sizeof(*m));
	if (!m)
		return;
	if (!inode) {
		rec = calloc(1, sizeof(*rec));
		/* Does not block: so few bytes are taken in one go, and before the kernel's generator is
		 * seeded GRND_NONBLOCK returns EAGAIN. */
		if (!rec || getrandom(rec->id.b, sizeof(rec->id.b), GRND_NONBLOCK) != sizeof(rec->id.b)) {
			op_end(&m->op, false, rec ? EAGAIN : ENOMEM);
			free(rec);
			return;
		}
		rec->kind = (uint8_t)kind;
		rec->mode = mode & 07777;
		rec->uid = ctx->uid;
		rec->gid = ctx->gid;
		rec->mtime_ns = rec->ctime_ns = times_now();
		rec->parent = folder->disk->rec.id;
		snprintf(rec->name, sizeof(rec->name), "%s", name);
		if (kind == RECORD_FOLDER)
			rec->seal = folder_seal_of_new(w, rec);
		nr = inode_alloc(w->inodes, rec);
		free(rec);
		if (nr < 0) {
			op_end(&m->op, false, ENOSPC);
			return;
		}
		inode = inode_get(w->inodes, (unsigned)nr);
	}
	m->op.inode = inode;
	m->parent = parent;
	m->create = fi != NULL;
	if (fi)
		m->fi = *fi;
	m->op.task.run = make_run;
	inode_acquire(inode, &m->op.task);
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
