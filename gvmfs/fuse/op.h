/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * op.h - requests of the kernel that take several steps, and how any request is answered.
 *
 * If a caller is killed, or gets a signal, while its op waits, the request is answered with EINTR
 * (interrupt.h). What the op has begun on the nodes goes on to its end, so that it is done or undone
 * as a whole. An op that still waits for its turn does not begin.
 */
#ifndef GVMFS_OP_H
#define GVMFS_OP_H

#include "interrupt.h"
#include "state/request.h"
#include "state/worker_state.h"

#include <sys/queue.h>

/* How long the kernel may cache names and attributes: other hosts change them too. */
#define FRONT_TIMEOUT_S 1.0

/* A request that takes several steps. One that has to remember more begins with it: op_new_sized(). */
struct op {
	struct task task; /* first: waits for the inode */
	struct worker *w;
	fuse_req_t req; /* NULL: no caller waits for an answer (any more). See op_take() */
	struct interrupt interrupt;
	bool abandoned; /* answered with EINTR; what has begun goes on to its end */
	struct inode *inode;
	uint64_t unique; /* the request's; 0: the op is none of the kernel's */
	bool resent;	 /* a predecessor may have carried it out already */
	STAILQ_ENTRY(op) in; /* capacity.h, held.h, unmade.h */
};

/* A new op for the current request (req may be NULL); NULL after answering ENOMEM. */
struct op *op_new(struct worker *w, fuse_req_t req, struct inode *inode);
/* The same, of `bytes`: a struct that begins with the op. What follows the op is zero. */
void *op_new_sized(struct worker *w, fuse_req_t req, struct inode *inode, size_t bytes);
/* Takes the request out of the op: the caller has to answer it, or hand it on, at once. */
fuse_req_t op_take(struct op *op);
/* Answers an error if there is a request. The op goes on. */
void op_fail(struct op *op, int error);
/* Answers an error, or success without data, if there is a request, and frees the op. Releases the
 * inode first if the op holds it. */
void op_end(struct op *op, bool held, int error);

static inline struct worker *front_worker(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The inode of a request, or NULL after answering ENOENT. */
struct inode *front_inode(fuse_req_t req, fuse_ino_t ino);
/* The same, to use its content; also NULL after answering EBUSY, while a guest's pages are out of reach. */
struct inode *front_content(fuse_req_t req, fuse_ino_t ino);
void front_reply_attr(struct worker *w, fuse_req_t req, struct inode *inode);
/* Fills an entry and counts the kernel's reference. */
void front_entry(struct worker *w, struct inode *inode, struct fuse_entry_param *e);

#endif
