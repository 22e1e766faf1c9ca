/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * release.h - the last close of descriptors that came from an untrusted client, or whose last close takes long.
 *
 * The last close of a file runs its filesystem's code in the closing process, and that may block
 * for ever: on a FUSE server that does not answer (dirty pages, FLUSH), or on the mmap_lock of the
 * process that a userfaultfd watches. SIGKILL does not end that wait. Closing a
 * socket with unread messages closes all descriptors in them, too.
 *
 * So the supervisor and the worker, which must not block, never make the last close of such a descriptor:
 * the visitor's process (visitor.h) has it open as well, and closes it last. If that process has ended,
 * release_apart() forks another.
 *
 * The last close of a guest's memory waits for nobody, but frees all of it: 200 ms for a GiB.
 *
 * Before Linux 6.9 the last close of any UNIX socket may have the kernel look through all descriptors that lie unread in
 * such sockets, whoever sent them, and release in the closing process those that nobody can receive any more: also files of a
 * stranger, who had sent sockets to each other and closed them. So the front closes no socket (release_aside_all()), the
 * supervisor leaves the last close of each that it has from its start on to a process of release_apart(), and of what a
 * worker has when it ends, or had one of its threads close just then, another process makes the last close
 * (closer.h). (Newer kernels of older lines have what 6.9 has: Debian's 6.1.192 does.)
 *
 * Where more than 16,000 sockets lie unread in others, it is on these kernels the sender of any message to a UNIX socket who looks
 * and releases: what the front sends is in post.h. What remains is the supervisor, which answers a worker that asks it to keep a
 * session: while it is held up there no worker is replaced.
 */
#ifndef GVMFS_RELEASE_H
#define GVMFS_RELEASE_H

#include "journal.h"

#include <stdbool.h>

/* Whether the process at the other end of a channel (a socket pair) still has its end open. */
bool holder_lives(int channel);

/*
 * Closes the descriptors in this process, after forking a detached process that closes them last and ends. `j`: the
 * journal, which that process unmaps so as not to keep it alive; NULL: none. If no process can be made, the
 * descriptors stay open (a leak, rather than a blocked process), and the result is false.
 */
bool release_apart(const int *fds, unsigned count, const struct journal *j);

/* Closes a descriptor (-1: none), which waits for nobody but may take long, in a thread of its own; here if there can
 * be none. */
void release_aside(int fd);
/* Several, one after the other. (At most RELEASE_MAX.) */
#define RELEASE_MAX 8u
void release_aside_all(const int *fds, unsigned count);

/* Shuts the connection down, so that no message can arrive any more, and reads its queue. True: no message in it has
 * descriptors, so any process may close it. */
bool connection_is_clean(int fd);

#endif
