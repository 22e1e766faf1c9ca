/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * post.h - messages of the front thread over UNIX sockets, on kernels where it could be held up by sending one.
 *
 * Before Linux 6.9 who sends a message, to whatever UNIX socket, may be the one that looks through all descriptors which lie
 * unread in such sockets, and releases those that nobody can receive any more, also a stranger's (release.h). His
 * filesystem can hold such a release up for as long as he likes. There a message of the front is sent by a thread made for
 * it, with copies of the descriptors: what is held up is that message alone. So two messages may change places, and all that
 * is known of one is that it is on its way; a receiver that has gone is noticed by its end of the socket. On other kernels
 * the message is sent at once.
 *
 * (What a region's turn sends to its client needs no thread: another becomes the front, as for a call into the client's memory.)
 */
#ifndef GVMFS_POST_H
#define GVMFS_POST_H

#include <stdbool.h>
#include <stddef.h>

#define POST_MAX 256u /* messages on their way */

/* As descriptors_send(). 0 or a negative errno; -EAGAIN: also if too many are on their way. */
int post_send(int to, const void *message, size_t bytes, const int *fds, unsigned count);

/* Whether senders are held up on the kernel with this release (uname(2)). */
bool post_is_slow(const char *release);

#endif
