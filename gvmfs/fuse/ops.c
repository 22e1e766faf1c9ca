// SPDX-License-Identifier: GPL-2.0-or-later
/* ops.c - the table of FUSE operations: the top of the front. */
#include "front.h"

#include "state/request.h"

#define BACKGROUND_MAX 65535u

static void front_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->max_write = REQUEST_DATA_MAX;
	conn->max_read = READ_BYTES_MAX;
	/*
	 * BACKGROUND_MAX is the largest number that the kernel takes. Once so many requests of this kind, of
	 * whichever region, are unanswered, further READs into the page cache wait in the kernel. WRITEs that
	 * wait for a dead node count as well, one for each run of dirty pages, and at three quarters of the
	 * number the kernel starts no more write-back by itself. (An fsync, and the end of a mapping, start all of
	 * it, also beyond the number.) So what is too many is answered, and kept: store/spill.h. The worker keeps a
	 * copy of a WRITE that waits, so its pages take memory twice. Direct ones, which can be refused, have a
	 * bound: direct.h.
	 */
	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = BACKGROUND_MAX / 4 * 3;
	/* The page cache stays valid whatever attributes say: there is one writer, and it goes
	 * through this mount. Requests are read into a buffer that a WRITE may keep: no
	 * splicing. */
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
	.symlink = front_symlink,
	.link = front_link,
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
