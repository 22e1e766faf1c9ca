/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pagecache_helper.h - the helper process of pagecache.h. */
#ifndef GVMFS_PAGECACHE_HELPER_H
#define GVMFS_PAGECACHE_HELPER_H

#include "pagecache_msg.h"

#include <sys/types.h>

/* The helper's life, after fork(): fd is its end of the socket. Does not return. */
void helper_run(const char *mountpoint, int fd, pid_t parent);
/* Puts content into the kernel's page, where it has that page. Waits for the page's lock. */
int helper_store(int fuse_fd, uint64_t ino, uint64_t off, uint64_t size, const uint8_t *content);

/* Which of these threads are being killed: a bit for each, or a negative errno. */
int helper_look(const int32_t *tids, unsigned count);

/* Changes the read-ahead of a process's open files of this inode. 0 or a negative errno. */
int helper_around(const struct helper_msg *msg);

#endif
