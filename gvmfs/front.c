// SPDX-License-Identifier: GPL-2.0-or-later
/* front.c - the table of FUSE operations, and what they share. */
#include "front.h"

#include <errno.h>
#include <stdlib.h>

#define HELD_FRESH_NS 1000000000ull

struct op *op_new(struct worker *w, fuse_req_t req, struct inode *inode)
{
	struct op *op = calloc(1, sizeof(*op));

	if (!op) {
		if (req)
			fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	op->w = w;
	op->req = req;
	op->inode = inode;
	op->resent = w->request_resent;
	op->unique = w->request_unique;
	return op;
}

void op_end(struct op *op, bool held, int error)
{
	if (op->req)
		fuse_reply_err(op->req, error < 0 ? -error : error);
	if (held)
		inode_release(&op->w->inodes, op->inode);
	free(op->kept);
	free(op);
}

struct inode *front_inode(fuse_req_t req, fuse_ino_t ino)
{
	struct inode *inode = inode_by_ino(&front_worker(req)->inodes, ino);

	if (!inode)
		fuse_reply_err(req, ENOENT);
	return inode;
}

void front_reply_attr(struct worker *w, fuse_req_t req, struct inode *inode)
{
	struct stat st;

	inode_stat(&w->inodes, inode->nr, &st);
	/* What is not held now may be in a moment. */
	fuse_reply_attr(req, &st,
			st.st_size && (!inode->held_bytes || inode->slots) ? 0 : FRONT_TIMEOUT_S);
}

bool front_held_is_fresh(const struct inode *inode)
{
	/* None at all is news as soon as a host writes: see inode_held_bytes(). */
	return inode->held_at_ns && (inode->held_bytes || !inode->held_known || inode->opens_write) &&
	       gvm_now_ns() - inode->held_at_ns < HELD_FRESH_NS;
}

void front_entry(struct worker *w, struct inode *inode, struct fuse_entry_param *e)
{
	struct journal_inode *d = worker_disk(w, inode);

	*e = (struct fuse_entry_param){
		.ino = inode_ino(inode->nr),
		.generation = d->generation,
		/* How much of it is stored has not been asked lately: getattr does. */
		.attr_timeout = d->rec.node_count && !front_held_is_fresh(inode) ? 0 : FRONT_TIMEOUT_S,
		.entry_timeout = FRONT_TIMEOUT_S,
	};
	inode_stat(&w->inodes, inode->nr, &e->attr);
	d->lookups++;
}

static void front_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->max_write = REQUEST_DATA_MAX;
	conn->max_read = READ_BYTES_MAX;
	/* So many that the write-back of a region whose node is dead does not use them up and
	 * hold up the others'. What is waiting costs no more memory than the pages in it. */
	conn->max_background = 1024;
	conn->congestion_threshold = 1024;
	/* What is cached stays cached, whatever attributes say: one writer, and it goes through
	 * this mount. Requests are read into a buffer that a WRITE may keep: no splicing. */
	conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_READDIRPLUS |
				  FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_FLOCK_LOCKS |
				  FUSE_CAP_POSIX_LOCKS);
	conn->want |= conn->capable & (FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_ASYNC_READ |
				       FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS);
}

const struct fuse_lowlevel_ops front_ops = {
	.init = front_init,
	.lookup = front_lookup,
	.forget = front_forget,
	.forget_multi = front_forget_multi,
	.getattr = front_getattr,
	.setattr = front_setattr,
	.mknod = front_mknod,
	.mkdir = front_mkdir,
	.create = front_create,
	.unlink = front_unlink,
	.rmdir = front_rmdir,
	.rename = front_rename,
	.opendir = front_opendir,
	.readdir = front_readdir,
	.statfs = front_statfs,
	.open = front_open,
	.release = front_release,
	.read = front_read,
	.write = front_write,
	.fsync = front_fsync,
	.fallocate = front_fallocate,
	.lseek = front_lseek,
	.getxattr = front_getxattr,
	.listxattr = front_listxattr,
	.setxattr = front_setxattr,
	.removexattr = front_removexattr,
};
