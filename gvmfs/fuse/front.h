/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * front.h - the FUSE front: each request of the kernel, and how it is answered.
 *
 * front_tree.c has names and attributes, front_size.c what changes a region's size, front_file.c
 * open files and their data, front_seek.c where data and holes are, front_rest.c those that are only
 * read here, front.c the table of operations. Everything runs in the front thread;
 * what must wait becomes an op that goes on from callbacks while other requests are served.
 *
 * A caller that is killed, or gets a signal, while its op waits is answered EINTR (interrupt.h). What
 * the op has begun with the nodes goes on to the end that it would have had: it is done, or not, as a
 * whole. An op that still waits for its turn is not begun any more.
 */
#ifndef GVMFS_FRONT_H
#define GVMFS_FRONT_H

#include "interrupt.h"
#include "worker.h"

/* How long the kernel may believe names and attributes: other hosts change them too. */
#define FRONT_TIMEOUT_S 1.0

/* A request that takes several steps. */
struct op {
	struct task task; /* first: waits for the inode */
	struct worker *w;
	fuse_req_t req; /* NULL: nobody waits for an answer (any more). See op_take() */
	struct interrupt interrupt;
	bool abandoned; /* answered with EINTR: what has begun goes on to its end */
	struct inode *inode;
	fuse_ino_t parent;
	bool resent;
	uint64_t unique;
	int tid; /* open: who asks */
	struct fuse_file_info fi;
	struct op *next_asker; /* capacity.h, held.h, unmade.h */
	int to_set;
	struct stat attr;
	struct {
		uint32_t mode, uid, gid;
		uint64_t mtime_ns, ctime_ns;
	} before; /* setattr: what there is to go back to */
	uint64_t size;
	uint64_t off;
	bool attached_here;
	bool at_rest; /* open: for reading, and the region has no writer anywhere */
	bool replaced; /* unlink: a rename that is already safe took the name */
	void (*then)(struct op *op, int result); /* what follows a size change */
	const void *data;
	uint8_t *kept;
	size_t bytes;
	char name[RECORD_NAME_MAX + 1];
	struct writeback_sync sync;
	struct resident_io fast;
	struct {
		struct pagecache_ask ask;
		uint64_t from, to;
		int result;
		void (*then)(struct op *op, int result);
	} tail; /* tail.h; from, to: what is made as it should be in the kernel's page */
};

/* A new op for the current request (req may be NULL); NULL after answering ENOMEM. */
struct op *op_new(struct worker *w, fuse_req_t req, struct inode *inode);
/* The op's request, to be answered, or given to another, at once. */
fuse_req_t op_take(struct op *op);
/* Answers an error, if there is a request. The op goes on. */
void op_fail(struct op *op, int error);
/* Answers an error or success without data (if there is a request) and frees the op. The inode is
 * released first if it is held. */
void op_end(struct op *op, bool held, int error);

static inline struct worker *front_worker(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The inode of a request, or NULL after answering ENOENT. */
struct inode *front_inode(fuse_req_t req, fuse_ino_t ino);
/* The same for its content; NULL also after answering EBUSY: what a guest has of it is out of reach now. */
struct inode *front_content(fuse_req_t req, fuse_ino_t ino);
void front_reply_attr(struct worker *w, fuse_req_t req, struct inode *inode);
/* Fills an entry and counts the kernel's reference. */
void front_entry(struct worker *w, struct inode *inode, struct fuse_entry_param *e);

/* Changes the size of op->inode, which the op holds, to op->size; then op->then(op, result). */
void front_resize(struct op *op);

/* Does what is left to do when an inode has been closed, unlinked, or found like that after a
 * predecessor was killed: detaches, deletes. */
void front_settle(struct worker *w, struct inode *inode);

/* The fast path serves the inode no more, or will not after all: what waited for that goes on. */
void front_fast_path_ended(struct worker *w, struct inode *inode);

/* For a region on the fast path: the request is answered, the op ended, when it is done. */
void front_fast_write(fuse_req_t req, struct inode *inode, const void *data, uint64_t off, size_t size);
void front_fast_zero(struct op *op, uint64_t off, uint64_t bytes);
void front_fast_sync(struct op *op);

/* Asks whether the region of op->inode, which is not attached here, is at rest (op->at_rest), and goes on
 * with op->then. */
void front_rest_open(struct op *op);

/* tree */
void front_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void front_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void front_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void front_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void front_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		   struct fuse_file_info *fi);
void front_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void front_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void front_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void front_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void front_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		  struct fuse_file_info *fi);
void front_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void front_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void front_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
		  const char *to_name, unsigned flags);
void front_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void front_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void front_statfs(fuse_req_t req, fuse_ino_t ino);

/* files */
unsigned front_handle_how(const struct fuse_file_info *fi, bool direct);
void front_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void front_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void front_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void front_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		 struct fuse_file_info *fi);
void front_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void front_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
		     struct fuse_file_info *fi);
void front_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void front_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void front_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void front_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		    size_t size, int flags);
void front_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

extern const struct fuse_lowlevel_ops front_ops;

#endif
