/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pagecache_helper.h - the process that pagecache.h is about, and the messages that it gets. */
#ifndef GVMFS_PAGECACHE_HELPER_H
#define GVMFS_PAGECACHE_HELPER_H

#include "pagecache.h"

#include <sys/types.h>

#define HELPER_PATH_BYTES    4096u

enum helper_what { HELPER_SYNC = 1, HELPER_DROP, HELPER_INVALIDATE, HELPER_STORE, HELPER_AROUND };

struct helper_msg {
	uint32_t what; /* enum helper_what */
	uint32_t count;
	uint64_t cookie; /* 0: the worker wants no answer */
	uint64_t dev, ino;
	int32_t tid; /* HELPER_AROUND: a thread of the process that is meant, */
	uint32_t wide; /* and whether it gets PAGECACHE_AROUND_WIDE_KB, or PAGECACHE_AROUND_KB */
	struct pagecache_range range[PAGECACHE_RANGES];
	uint8_t content[GVM_PAGE_BYTES]; /* HELPER_STORE */
	char path[HELPER_PATH_BYTES]; /* from the root of the mount; "": it has none; last */
};

struct helper_answer {
	uint64_t cookie;
	int64_t error;
};

/* The helper's life, after fork(): fd is its end of the socket. Does not return. */
void helper_run(const char *mountpoint, int fd, pid_t parent);
/* Puts content into the kernel's page, where it has that page. Waits for the page's lock. */
int helper_store(int fuse_fd, uint64_t ino, uint64_t off, uint64_t size, const uint8_t *content);

/* Changes the read-ahead of a process's open files of this inode. 0 or a negative errno. */
int helper_around(const struct helper_msg *msg);

/* The worker's: fills in which file is meant, by its path. A negative errno: it has none. */
int pagecache_message(struct worker *w, unsigned nr, enum helper_what what, struct helper_msg *msg);
/* 0, or a negative errno: the helper is gone, or has enough to do. */
int pagecache_send(struct worker *w, const struct helper_msg *msg, const int *fds, unsigned count);

#endif
