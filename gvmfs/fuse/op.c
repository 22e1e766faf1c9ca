// SPDX-License-Identifier: GPL-2.0-or-later
/* op.c - see op.h. */
#include "op.h"

#include "base/log.h"
#include "interrupt.h"
#include "node/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define COMPLAIN_NS 1000000000ull
#define FEW_BLOCKS  64 /* nodes count their own bookkeeping for an empty region */

static void op_abandon(struct interrupt *interrupt)
{
	struct op *op = (struct op *)((char *)interrupt - offsetof(struct op, interrupt));

	fuse_reply_err(op->req, EINTR);
	op->req = NULL;
	op->abandoned = true;
}

void *op_new_sized(struct worker *w, fuse_req_t req, struct inode *inode, size_t bytes)
{
	struct op *op;

	assert(bytes >= sizeof(*op));
	op = calloc(1, bytes);
	if (!op) {
		if (req)
			fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	op->w = w;
	op->req = req;
	op->inode = inode;
	if (!req)
		return op;
	if (w->request) { /* not where an earlier request goes on, and there was no memory for the next */
		op->unique = w->request->unique;
		op->resent = w->request->resent;
	}
	interrupt_arm(&op->interrupt, w, req, true, op_abandon);
	return op;
}

struct op *op_new(struct worker *w, fuse_req_t req, struct inode *inode)
{
	return op_new_sized(w, req, inode, sizeof(struct op));
}

fuse_req_t op_take(struct op *op)
{
	fuse_req_t req = op->req;

	interrupt_disarm(&op->interrupt);
	op->req = NULL;
	return req;
}

/* Lists the first few nodes that are known not to answer. */
static void quiet_print(const struct worker *w, char *text, size_t size)
{
	size_t used = 0;

	*text = 0;
	for (unsigned i = 0; i < w->pool->count && used < size; i++)
		if (w->pool->quiet[i] || gvm_conn_state(w->pool->conns[i]) != GVM_CONN_UP)
			used += (size_t)snprintf(text + used, size - used, "%s %s", used ? "," : ":",
						 gvm_conn_addr(w->pool->conns[i]));
}

/* Logs why calls fail, since their callers see only an errno. */
static void op_complain(struct op *op)
{
	struct worker *w = op->w;
	uint64_t now = gvm_now_ns();
	char quiet[160];

	if (w->complained_ns && now - w->complained_ns < COMPLAIN_NS) {
		w->uncomplained++;
		return;
	}
	quiet_print(w, quiet, sizeof(quiet));
	log_error(op->inode ? op->inode->disk->rec.name : NULL,
		  "a call failed, since too few nodes answered in time%s%s (and %u more since the last such "
		  "line)",
		  *quiet ? "; away or silent" : "", quiet, w->uncomplained);
	w->complained_ns = now;
	w->uncomplained = 0;
}

void op_fail(struct op *op, int error)
{
	if (error == -ETIMEDOUT)
		op_complain(op);
	if (op->req)
		fuse_reply_err(op_take(op), error < 0 ? -error : error);
}

void op_end(struct op *op, bool held, int error)
{
	assert(!held || op->inode->busy);
	op_fail(op, error);
	if (held)
		inode_release(op->w->inodes, op->inode);
	free(op);
}

struct inode *front_inode(fuse_req_t req, fuse_ino_t ino)
{
	struct inode *inode = inode_by_ino(front_worker(req)->inodes, ino);

	if (!inode)
		fuse_reply_err(req, ENOENT);
	return inode;
}

struct inode *front_content(fuse_req_t req, fuse_ino_t ino)
{
	struct inode *inode = front_inode(req, ino);

	if (!inode || !inode->held_up)
		return inode;
	fuse_reply_err(req, EBUSY);
	return NULL;
}

/* Whether the kernel may cache the attributes for a while: not if the region is almost empty, since it
 * may have content in a moment. (Besides, getattr asks the nodes how much they hold, and other requests
 * do not.) */
static bool attr_lasts(const struct inode *inode, const struct stat *st)
{
	return !st->st_size || (st->st_blocks > FEW_BLOCKS && !inode->wbufs);
}

void front_reply_attr(struct worker *w, fuse_req_t req, struct inode *inode)
{
	struct stat st;

	inode_stat(w->inodes, inode->nr, &st);
	fuse_reply_attr(req, &st, attr_lasts(inode, &st) ? FRONT_TIMEOUT_S : 0);
}

void front_entry(struct worker *w, struct inode *inode, struct fuse_entry_param *e)
{
	struct journal_inode *d = inode->disk;

	*e = (struct fuse_entry_param){
		.ino = inode_ino(inode->nr),
		.generation = d->generation,
		.entry_timeout = FRONT_TIMEOUT_S,
	};
	inode_stat(w->inodes, inode->nr, &e->attr);
	if ((!d->rec.node_count || inode_held_is_fresh(inode)) && attr_lasts(inode, &e->attr))
		e->attr_timeout = FRONT_TIMEOUT_S;
	d->lookups++;
}
