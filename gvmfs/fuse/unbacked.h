/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unbacked.h - a QEMU whose file got no memory does not map it.
 *
 * QEMU goes on after a failed ftruncate() of its RAM's file, in the belief that mmap() will fail then.
 * On Linux it does not: the guest runs into SIGBUS. A filesystem is not asked about a mapping of a file
 * that is open already; but the process may have no more address space than it has, for the moment in
 * which it would map the file (RLIMIT_AS). So its mmap() fails, with ENOMEM, and QEMU ends, or refuses
 * the object, with its own sentence.
 *
 * The limit ends when the file is closed, as QEMU does then: one that runs a guest needs memory for other
 * things. It is put back by a process that outlives a killed worker. Only programs are limited whose
 * name says that they are QEMU; without the right to do it, the log says so.
 */
#ifndef GVMFS_UNBACKED_H
#define GVMFS_UNBACKED_H

#include "op.h"

/* Ends the op, which changed the size of a file to `wanted` bytes and failed for want of room (ENOSPC). */
void unbacked_end(struct op *op, uint64_t wanted_bytes);
/* Nobody has the file open any more. */
void unbacked_closed(struct inode *inode);

#endif
