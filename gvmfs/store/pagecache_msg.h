/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pagecache_msg.h - the messages between the worker and the helper process of pagecache.h. */
#ifndef GVMFS_PAGECACHE_MSG_H
#define GVMFS_PAGECACHE_MSG_H

#include "gvm_wire.h"

#include <stdint.h>

#define PAGECACHE_RANGES 16 /* of a file, in one message */
#define PAGECACHE_LOOKS_MAX 24u
/* The kernel's window around a fault, in KiB: READAHEAD_AROUND pages; and for a sequential reader. */
#define PAGECACHE_AROUND_KB	 "16"
#define PAGECACHE_AROUND_WIDE_KB "1024"

/* A part of a file, in bytes. Where a function says so, size 0 means up to the file's end. */
struct pagecache_range {
	uint64_t off, size;
};

#define HELPER_PATH_BYTES 4096u

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

#endif
