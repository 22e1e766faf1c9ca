/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reader.h - a thread that reads one client's userfaultfd, on kernels that cannot read it with
 * RWF_NOWAIT (before Linux 6.10).
 *
 * There O_NONBLOCK decides whether a read blocks, and the client, which has the same open file, can
 * clear it; it can also take a message between poll() and the read. So the front thread does not
 * read the userfaultfd: it reads a pipe that this thread fills. A client can block only its own
 * reader.
 */
#ifndef GVMFS_READER_H
#define GVMFS_READER_H

struct reader;

/* Starts a thread that reads `uffd` until reader_stop(). *out: a non-blocking descriptor with the
 * messages, owned by the reader. 0 or a negative errno. */
int reader_start(struct reader **reader, int uffd, int *out);
/* Closes `out`, and has the thread end, for which another one waits: it may get no CPU just now. NULL accepted. */
void reader_stop(struct reader *reader);

#endif
