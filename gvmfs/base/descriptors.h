/* SPDX-License-Identifier: GPL-2.0-or-later */
/* descriptors.h - messages over a UNIX socket, with descriptors beside them. */
#ifndef GVMFS_DESCRIPTORS_H
#define GVMFS_DESCRIPTORS_H

#include <stddef.h>

#define DESCRIPTORS_MAX 8u

/* Sends one message, without waiting: 0 or a negative errno. */
int descriptors_send(int to, const void *message, size_t bytes, const int *fds, unsigned count);
/*
 * Receives one message of exactly `bytes` and its descriptors (close-on-exec), without waiting. 0;
 * -EAGAIN: there is none; -EPIPE: the other end is closed; -EPROTO: it is of another size. The
 * *count descriptors are the caller's in any case. (Not closed here: the last close of a file may
 * wait for its filesystem, which may be the caller.)
 */
int descriptors_receive(int from, void *message, size_t bytes, int fds[DESCRIPTORS_MAX],
			unsigned *count);
/*
 * Receives a stranger's message, which must carry no descriptor: one that does stays in the queue
 * (-EPROTO), since the process that takes it has to close the descriptor, which may block. After that
 * the caller must read no more.
 */
int descriptors_refuse(int from, void *message, size_t bytes);

/* Closes all descriptors of this process but these, which become 0, 1 ... in the order of their
 * numbers, and updates `fds`. Only for a process whose other descriptors are sockets and pipes:
 * closing them never waits. */
void descriptors_keep_only(int *fds, unsigned count);

#endif
