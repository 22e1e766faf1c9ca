/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * swap_programs.h - real programs for gvm bench swap, as they are installed: with jemalloc, whose memory is a region's (heap/heap.c)
 * or the process's own.
 */
#ifndef TOOLS_BENCH_SWAP_PROGRAMS_H
#define TOOLS_BENCH_SWAP_PROGRAMS_H

#include "memcg.h"
#include "run/fast.h"

enum swap_program {
	PROGRAM_SORT,	/* sort(1): lines in memory */
	PROGRAM_SQLITE, /* sqlite3: a table and an index in memory; lookups and changes at random */
	PROGRAM_REDIS,	/* redis-server: keys set and read at random by redis-benchmark */
	PROGRAMS,
};

struct swap_run {
	const char *dir;    /* for files of its own */
	uint64_t bytes;	    /* about so much memory shall be used */
	const char *region; /* the program's memory; NULL: its own */
	bool fast;	    /* the region's fast path */
	struct memcg *cg;   /* the program is in it; NULL: where its parent is */
	/* what was measured: */
	double seconds;
	uint64_t most_bytes; /* resident at a time */
};

/* NULL: all of it is installed; or what is not. */
const char *swap_program_lacks(enum swap_program program);
/* Makes what it reads: once. 0 or a negative errno. */
int swap_program_prepare(enum swap_program program, const struct swap_run *run);
/* 0 or a negative errno: -ENOMEM if the kernel ended it, -EIO if it failed otherwise. */
int swap_program_run(enum swap_program program, struct swap_run *run);

#endif
