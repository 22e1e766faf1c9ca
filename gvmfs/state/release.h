/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * release.h - the last close of what a stranger has handed over.
 *
 * The last close of a file runs the code of its filesystem in the process that closes, and that may
 * wait for ever: for a FUSE filesystem whose server does not answer (its dirty pages, its FLUSH), for
 * the memory lock of the process that a userfaultfd watches. Neither SIGKILL nor the process's own end
 * is waited out. A socket that holds unread messages stands for all descriptors in these.
 *
 * So whoever has to go on (the supervisor, the worker) never closes such a descriptor as the last one:
 * a process of its own (visitor.h) has it open too, and is the last to let go. Where there is none any
 * more, release_apart() makes one.
 */
#ifndef GVMFS_RELEASE_H
#define GVMFS_RELEASE_H

#include "journal.h"

#include <stdbool.h>

/* Whether the process at the other end of a channel (a pair of sockets) still has it open. */
bool holder_lives(int channel);

/*
 * Closes descriptors here, the last copy of them in a process that nobody waits for and that ends by
 * itself. `j`: a mapping that this process must not keep alive; NULL: there is none. Without a process
 * (no memory) they stay open.
 */
void release_apart(const int *fds, unsigned count, const struct journal *j);

/* A connection that reads nothing any more and has no message with descriptors in its queue may be
 * closed by anybody. Shuts it down first, so that none can come. */
bool connection_is_clean(int fd);

#endif
