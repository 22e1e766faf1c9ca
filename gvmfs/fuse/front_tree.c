// SPDX-License-Identifier: GPL-2.0-or-later
/* front_tree.c - look-ups, references, folders. */
#include "front_tree.h"

#include "capacity.h"
#include "front.h"
#include "node/names.h"
#include "node/region.h"
#include "node/times.h"
#include "store/pagecache.h"
#include "view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct inode *front_child(struct worker *w, struct inode *folder, const char *name)
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

bool front_refresh_is_due(struct worker *w)
{
	if (names_are_fresh(w))
		return false;
	if (w->names_failing && !w->names_asking) {
		w->names_asking = true;
		names_refresh(w, true, refreshed, NULL);
	}
	return !w->names_failing;
}

bool front_record_is_ours(const struct inode *inode)
{
	return region_is_attached(inode) || inode->resident || inode->in_handshake;
}

/* A name means what bears it, else a view. */
static void lookup_reply(struct worker *w, fuse_req_t req, struct inode *folder, const char *name)
{
	struct inode *inode = front_child(w, folder, name), *region;
	enum core_view view = inode ? CORE_NONE : view_find(w, folder, name, &region);
	struct fuse_entry_param e;

	if (inode) {
		front_entry(w, inode, &e);
	} else if (view) {
		view_entry(w, region, view, &e);
	} else {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fuse_reply_entry(req, &e);
}

struct lookup {
	struct op op; /* first */
	char name[RECORD_NAME_MAX + 1];
};

static void lookup_refreshed(struct worker *w, int result, void *arg)
{
	struct lookup *l = arg;
	struct op *op = &l->op;

	w->names_failing = result < 0;
	if (op->req) /* the folder of a call that was abandoned may be gone */
		lookup_reply(w, op_take(op), op->inode, l->name);
	op_end(op, false, 0);
}

void front_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct worker *w = front_worker(req);
	struct inode *folder = front_inode(req, parent), *inode;
	struct lookup *l;

	if (!folder)
		return;
	if (strlen(name) > RECORD_NAME_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	inode = front_child(w, folder, name);
	/* The page cache's helper, which many files wait for, waits for no node. */
	if ((inode && front_record_is_ours(inode)) || pagecache_is_helper(w, fuse_req_ctx(req)->pid) ||
	    !front_refresh_is_due(w)) {
		lookup_reply(w, req, folder, name);
		return;
	}
	l = op_new_sized(w, req, folder, sizeof(*l));
	if (!l)
		return;
	snprintf(l->name, sizeof(l->name), "%s", name);
	names_refresh(w, true, lookup_refreshed, l);
}

static void forget(struct worker *w, fuse_ino_t ino, uint64_t count)
{
	struct inode *inode = inode_by_ino(w->inodes, view_region(ino));
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

/* Folders */

void front_folder_changed(struct worker *w, fuse_ino_t ino)
{
	struct inode *folder = inode_by_ino(w->inodes, ino);

	if (folder)
		times_content(w, folder);
}

struct opening_folder {
	struct op op; /* first */
	struct fuse_file_info fi;
};

static void opendir_refreshed(struct worker *w, int result, void *arg)
{
	struct opening_folder *o = arg;
	struct op *op = &o->op;

	w->names_failing = result < 0; /* show an old listing rather than none */
	if (op->req)
		fuse_reply_open(op_take(op), &o->fi);
	op_end(op, false, 0);
}

void front_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_inode(req, ino);
	struct opening_folder *o;

	if (!inode)
		return;
	if (!front_refresh_is_due(w)) {
		fuse_reply_open(req, fi);
		return;
	}
	o = op_new_sized(w, req, inode, sizeof(*o));
	if (!o)
		return;
	o->fi = *fi;
	names_refresh(w, true, opendir_refreshed, o);
}

#define ENTRIES_MAX 64u /* of an answer: a fault waits for as long */

/* Offsets are 1 and 2 after "." and "..", then an entry's number + 3, so that they stay valid while
 * the folder changes. */
void front_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *folder = front_inode(req, ino);
	char shown[RECORD_NAME_MAX + 1], *buf;
	const struct gvm_id *id;
	unsigned entries = 0;
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
	for (unsigned at = (unsigned)off; at < JOURNAL_INODES + 2 && entries < ENTRIES_MAX; at++, entries++) {
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
