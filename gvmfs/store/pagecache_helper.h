/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pagecache_helper.h - the helper process of pagecache.h, and the messages between it and the
 * worker. */
#ifndef GVMFS_PAGECACHE_HELPER_H
#define GVMFS_PAGECACHE_HELPER_H

#include "pagecache.h"

#include <sys/types.h>

#define HELPER_PATH_BYTES    4096u

enum helper_what { HELPER_SYNC = 1, HELPER_DROP, HELPER_INVALIDATE, HELPER_STORE, HELPER_AROUND, HELPER_LOOK };

struct helper_msg {
	uint32_t what; /* enum helper_what */
	uint32_t count;
	uint64_t cookie; /* 0: the worker wants no answer */
	uint64_t dev, ino;
	int32_t tid; /* HELPER_AROUND: a thread of the process */
	uint32_t wide; /* HELPER_AROUND: sets PAGECACHE_AROUND_WIDE_KB; 0: PAGECACHE_AROUND_KB */
	struct pagecache_range range[PAGECACHE_RANGES];
	union {
		uint8_t content[GVM_PAGE_BYTES];  /* HELPER_STORE */
		int32_t tids[PAGECACHE_LOOKS_MAX]; /* HELPER_LOOK: `count` of them */
	};
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

/* Which of these threads are being killed: a bit for each, or a negative errno. */
int helper_look(const int32_t *tids, unsigned count);

/* Changes the read-ahead of a process's open files of this inode. 0 or a negative errno. */
int helper_around(const struct helper_msg *msg);

/* Worker: fills in a message about one file, named by its path. 0, or a negative errno: the file
 * has no path. */
int pagecache_message(struct worker *w, unsigned nr, enum helper_what what, struct helper_msg *msg);
/* Worker: 0; -EAGAIN: the helper's queue is full; -EPIPE: it is gone; or another negative errno. */
int pagecache_send(struct worker *w, const struct helper_msg *msg, const int *fds, unsigned count);

#endif
