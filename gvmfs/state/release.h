/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * release.h - the last close of what a stranger has handed over.
 *
 * The last close of a file runs the code of its filesystem in the process that closes, and that may
 * wait for ever: for a FUSE filesystem whose server does not answer (its dirty pages, its FLUSH), for
 * the memory lock of the process that a userfaultfd watches. SIGKILL does not end that wait. Closing a
 * socket with unread messages closes all descriptors in them.
 *
 * So the supervisor and the worker, which have to go on, never close the last copy of such a descriptor:
 * a process of its own (visitor.h) has it open too, and closes it last. If that process has ended,
 * release_apart() makes another.
 */
#ifndef GVMFS_RELEASE_H
#define GVMFS_RELEASE_H

#include "journal.h"

#include <stdbool.h>

/* Whether the process at the other end of a channel (a pair of sockets) still has it open. */
bool holder_lives(int channel);

/*
 * Closes descriptors here, their last copies in a detached process that ends by itself. `j`: a mapping
 * that this process must not keep alive; NULL: there is none. If no process can be made (no memory) they
 * stay open.
 */
void release_apart(const int *fds, unsigned count, const struct journal *j);

/* Whether any process may close the connection: its queue has no message with descriptors. Shuts it
 * down first, so that none can arrive. */
bool connection_is_clean(int fd);

#endif
