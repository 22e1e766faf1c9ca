/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * closer.h - the process that makes the last close of what a worker leaves.
 *
 * Before Linux 6.9 the last close of a UNIX socket may release what is strangers', and wait for their filesystem
 * (release.h). A worker that ends closes sockets that it alone has; if its process waited for that, it would not end, and have
 * the mount open meanwhile. So another process shares the worker's table of descriptors (clone() with CLONE_FILES) and
 * has no memory in common with it. When the worker's main thread has ended, which it does as soon as the worker was
 * killed or ends by itself, that process takes everything out of the table and closes it, whatever other threads of the worker
 * still wait for; and it goes on sharing the table until the last of them is over. So a worker's end closes nothing, and
 * whoever waits for it (the supervisor, an heir) waits for no descriptor's release.
 *
 * The kernel first closes all that is to be closed, and releases only then what that brought to light. So a closer that
 * has to wait there, perhaps for ever, has nothing of the mount open.
 */
#ifndef GVMFS_CLOSER_H
#define GVMFS_CLOSER_H

#include "journal.h"

/* Starts the process: once in a worker, in its main thread, before there is another. `j`: the journal as it is mapped; the
 * process unmaps it. If no process can be made, the worker's end closes what it has itself. */
void closer_start(const struct journal *j);

#endif
