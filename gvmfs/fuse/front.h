/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * front.h - the FUSE front: the kernel's requests, and how they are answered.
 *
 * front_tree.c has look-ups and folders, front_make.c and front_unlink.c changes of names, front_attr.c attributes,
 * front_size.c changes of a region's size, front_open.c opening and closing, front_write.c WRITEs, front_file.c the
 * other requests about data, front_seek.c the search for data and holes, front_xattr.c the attributes user.gvm.*,
 * front_nodes.c the one that adds a memory node, front_give.c the one that settles a region, ops.c the table of operations. Everything runs in the front
 * thread; a request that must wait becomes an op, which goes on from callbacks while other requests are served.
 */
#ifndef GVMFS_FRONT_H
#define GVMFS_FRONT_H

#include "op.h"

/* Finishes what closing or unlinking an inode requires: detaches, deletes. Also for inodes that a
 * killed predecessor left in that state. */
void front_settle(struct worker *w, struct inode *inode);

/* The fast path has stopped serving the inode, or will not begin to: requests that waited for that
 * go on. */
void front_fast_path_ended(struct worker *w, struct inode *inode);

/* For a region on the fast path: they answer the request when the work is done. */
void front_fast_zero(fuse_req_t req, struct inode *inode, uint64_t off, uint64_t bytes);
void front_fast_sync(fuse_req_t req, struct inode *inode);
struct io_read;
void front_fast_read(fuse_req_t req, struct inode *inode, const struct io_read *what);

/* user.gvm.settle is set, and user.gvm.settle.wait read. */
void front_give_allow(fuse_req_t req, struct inode *inode);
void front_give(fuse_req_t req, struct inode *inode);

/* Adds a memory node to the mount: "ADDRESS", or "ADDRESS RACK". */
void front_node_add(fuse_req_t req, struct inode *root, const char *value, size_t size);

/* tree, make, unlink, attr */
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
