/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reader.h - a thread that reads one client's userfaultfd, on kernels that have no read of it which never
 * waits (before Linux 6.10).
 *
 * Whether a read waits is up to a flag of the open file, which the client has as well and may clear; and
 * it may take a message away between a look and the read. So the front thread does not read there: it
 * reads a pipe, which this thread fills. What the client does keeps nobody else waiting.
 */
#ifndef GVMFS_READER_H
#define GVMFS_READER_H

struct reader;

/* Reads `uffd` until reader_stop(). *out: where the messages are to be read, without waiting. 0 or a
 * negative errno. */
int reader_start(struct reader **reader, int uffd, int *out);
/* The thread has ended after it, and `out` is closed. NULL accepted. */
void reader_stop(struct reader *reader);

#endif
