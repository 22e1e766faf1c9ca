/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unbacked.h - keeps a QEMU from mapping a file that got no memory.
 *
 * QEMU goes on after a failed ftruncate() of its RAM's file, expecting that mmap() will fail. On Linux
 * it does not, and the guest runs into SIGBUS. The kernel does not ask a filesystem before it maps an
 * open file; but the process's address space can be limited to what it has (RLIMIT_AS) for the moment
 * in which it would map the file. Then mmap() fails with ENOMEM, and QEMU ends, or refuses the object,
 * with its own message.
 *
 * The limit ends when the file is closed, as QEMU does then: a QEMU that runs a guest needs memory for
 * other things. A process that outlives a killed worker restores the old limit. Only programs named like
 * QEMU are limited; where gvmfs lacks the right to do so, the log says it.
 *
 * The limited program may keep that process from ending. So a user has only a few of them at a time. Front thread.
 */
#ifndef GVMFS_UNBACKED_H
#define GVMFS_UNBACKED_H

#include "op.h"

#define LIMITERS_MAX	 16u
#define LIMITERS_OF_USER 4u

/* The processes that limit others. */
struct limiters {
	struct limiter {
		bool used;
		uid_t uid; /* of the program that is limited */
		int ends;  /* a pipe that breaks when the process ends; -1: it is being started */
	} list[LIMITERS_MAX];
};

/* Ends the op, whose change of a file's size to `wanted` bytes, for thread `tid`, failed for lack of room
 * (ENOSPC). */
void unbacked_end(struct op *op, int tid, uint64_t wanted_bytes);
/* The last file of the inode was closed. */
void unbacked_closed(struct inode *inode);

#endif
